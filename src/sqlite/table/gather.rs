//! The KPIs of a dataset, gathered in one step of a statement: SQLite calls an aggregate function of this crate with
//! the columns of each.
//!
//! A step for each row, and a call of SQLite for each column of it, take more time than SQLite takes to find the row.
//! A function can only return what SQLite can store, so this one leaves the KPIs in a slot of its thread, which steps
//! the statement, and [`step`] takes them from there.

use std::cell::Cell;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Row, Rows, ffi};

use super::kpi::column;
use super::row::{Columns, StoredTime};
use crate::model::dataset::Kpi;
use crate::model::ids::DatasetId;
use crate::model::value_type::ValueType;
use crate::sqlite::failure::{Failure, UnexpectedValue, damaged};

thread_local! {
    /// The KPIs that the last call of the function gathered, until they are taken.
    static GATHERED: Cell<Option<Result<KpiRows, Stop>>> = const { Cell::new(None) };
}

/// Makes the function known to a connection, but not to the schema of its file.
pub(in crate::sqlite) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_aggregate_function("gather_kpis", ARGUMENTS, flags, Gather)
}

/// All columns of a KPI except `dataset_seq`, which is known.
const ARGUMENTS: i32 = 10;

/// The expression that gathers the KPIs of the dataset with this `seq`. A statement with it returns null there, and is
/// stepped by [`step`].
pub(super) fn kpis_of(seq: &str) -> String {
    let names: Vec<&str> = column::NAMES.iter().take(column::DATASET_SEQ).copied().collect();
    format!("(SELECT gather_kpis({}) FROM kpi WHERE dataset_seq = {seq})", names.join(", "))
}

/// Steps a statement to its next row, and returns that row and the KPIs that were gathered for it.
pub(super) fn step<'a>(rows: &'a mut Rows<'_>) -> Result<Option<(&'a Row<'a>, KpiRows)>, Failure> {
    // A callback of the application runs within a step, and may read another store.
    let others = replace(None);
    let stepped = rows.next();
    match (stepped, replace(others)) {
        (_, Some(Err(stop))) => Err(stop.into()),
        (stepped, gathered) => {
            let kpis = gathered.and_then(Result::ok).unwrap_or_default();
            Ok(stepped?.map(|row| (row, kpis)))
        }
    }
}

fn replace(gathered: Option<Result<KpiRows, Stop>>) -> Option<Result<KpiRows, Stop>> {
    // It fails only while the thread ends.
    GATHERED.try_with(|slot| slot.replace(gathered)).ok().flatten()
}

pub(super) const OUT_OF_ORDER: &str = "its KPIs are out of order";

/// Why no further KPI is gathered.
enum Stop {
    UnexpectedValue,
    OutOfOrder,
}

impl From<UnexpectedValue> for Stop {
    fn from(UnexpectedValue: UnexpectedValue) -> Self {
        Stop::UnexpectedValue
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::UnexpectedValue => UnexpectedValue.into(),
            Stop::OutOfOrder => damaged(OUT_OF_ORDER).into(),
        }
    }
}

struct Gather;

impl Aggregate<Result<KpiRows, Stop>, Option<i64>> for Gather {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Result<KpiRows, Stop>> {
        Ok(Ok(KpiRows::with_capacity(CAPACITY)))
    }

    fn step(&self, context: &mut Context<'_>, gathered: &mut Result<KpiRows, Stop>) -> rusqlite::Result<()> {
        let pushed = match gathered {
            Ok(kpis) => kpis.push(&Columns(&*context)),
            Err(_) => return Err(stopped()),
        };
        pushed.map_err(|stop| {
            *gathered = Err(stop);
            stopped()
        })
    }

    fn finalize(&self, _: &mut Context<'_>, gathered: Option<Result<KpiRows, Stop>>) -> rusqlite::Result<Option<i64>> {
        replace(gathered);
        Ok(None)
    }
}

/// Ends the statement. The caller never sees it: what stopped the gathering is in the slot.
#[cold]
fn stopped() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CONSTRAINT_FUNCTION), None)
}

/// The initial capacity for the KPIs of a dataset that is read alone: about 1,000 bytes, up to which allocators keep
/// freed memory at hand. With 4 or 16, a get of 10 KPIs takes 4 % more instructions.
const CAPACITY: usize = 7;

/// The KPIs of a dataset in the order of their ids, which usually is the display order too.
#[derive(Default)]
pub(super) struct KpiRows {
    kpis: Vec<Kpi>,
    /// The position of each in the order of addition.
    positions: Vec<i64>,
    is_out_of_order: bool,
    /// When the last one was created: most are created together.
    pub(super) created_at: Option<StoredTime>,
}

impl KpiRows {
    fn with_capacity(count: usize) -> Self {
        Self {
            kpis: Vec::with_capacity(count),
            positions: Vec::with_capacity(count),
            is_out_of_order: false,
            created_at: None,
        }
    }

    fn push(&mut self, columns: &Columns<'_, Context<'_>>) -> Result<(), Stop> {
        let id = columns.id(column::ID)?;
        let (position, sort_order) = (columns.integer(column::POSITION)?, columns.integer(column::SORT_ORDER)?);
        if let (Some(before), Some(position_before)) = (self.kpis.last(), self.positions.last()) {
            // The table is sorted by id. On a damaged page the rows might go back and never end.
            if before.id >= id {
                return Err(Stop::OutOfOrder);
            }
            self.is_out_of_order |= (sort_order, position) < (before.sort_order, *position_before);
        }
        let created_at = columns.time_likely(column::CREATED_AT, self.created_at)?;
        self.created_at = Some(created_at);
        self.positions.push(position);
        self.kpis.push(Kpi {
            id,
            // Known to the reader.
            dataset_id: DatasetId::from(uuid::Uuid::nil()),
            name: columns.text(column::NAME)?,
            description: columns.optional_text(column::DESCRIPTION)?,
            unit: columns.optional_text(column::UNIT)?,
            value_type: value_type(columns.integer(column::VALUE_TYPE)?)?,
            required: required(columns.integer(column::REQUIRED)?)?,
            sort_order,
            created_at: created_at.time,
            updated_at: columns.optional_time(column::UPDATED_AT)?,
        });
        Ok(())
    }

    /// The KPIs of this dataset in display order, with their positions. For a few rows, sorting here is faster than
    /// SQLite's sorter.
    pub(super) fn in_display_order(mut self, dataset: DatasetId) -> (Vec<i64>, Vec<Kpi>) {
        for kpi in &mut self.kpis {
            kpi.dataset_id = dataset;
        }
        if !self.is_out_of_order {
            return (self.positions, self.kpis);
        }
        let mut kpis: Vec<_> = self.positions.into_iter().zip(self.kpis).collect();
        kpis.sort_unstable_by_key(|(position, kpi)| (kpi.sort_order, *position));
        kpis.into_iter().unzip()
    }
}

pub(super) fn value_type(stored: i64) -> Result<ValueType, UnexpectedValue> {
    ValueType::from_number(stored).ok_or(UnexpectedValue)
}

fn required(stored: i64) -> Result<bool, UnexpectedValue> {
    match stored {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(UnexpectedValue),
    }
}
