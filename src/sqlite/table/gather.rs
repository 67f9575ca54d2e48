//! The KPIs of a dataset, gathered in one step of a statement: SQLite calls an aggregate function of this crate with
//! the columns of each.
//!
//! A step for each row, and a call of SQLite for each column of it, take more time than SQLite takes to find the row.
//! A function can only return what SQLite can store, so this one leaves the KPIs in a slot of its thread, which steps
//! the statement, and [`step`] takes them from there.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::thread::AccessError;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Row, Rows, ffi};

use super::kpi::column;
use super::row::{Columns, StoredTime};
use crate::error::Error;
use crate::model::dataset::Kpi;
use crate::model::ids::DatasetId;
use crate::model::value_type::ValueType;
use crate::sqlite::failure::{Failure, UnexpectedValue, cause, damaged};

thread_local! {
    /// The values that the function and [`step`] pass to each other. Nothing is left there when a step has ended, so
    /// nothing has to be dropped when the thread ends, and its destructors can still read.
    static SLOT: Cell<ManuallyDrop<Slot>> = const { Cell::new(ManuallyDrop::new(Slot::Expected(0))) };
}

const NAME: &str = "kpi_store_gather_kpis";

/// Makes the function known to a connection, but not to the schema of its file.
pub(in crate::sqlite) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_aggregate_function(NAME, ARGUMENTS, flags, Gather)
}

/// Makes the function unknown again, to a connection that runs statements of others.
pub(in crate::sqlite) fn remove(connection: &Connection) -> rusqlite::Result<()> {
    connection.remove_function(NAME, ARGUMENTS)
}

/// All columns of a KPI except `dataset_seq`, which is known.
const ARGUMENTS: i32 = 10;

/// The query that gathers the KPIs of the dataset with this `seq`. It returns null; the statement that it is, or is a
/// part of, is stepped by [`step`].
pub(super) fn kpis_of(seq: &str) -> String {
    let names: Vec<&str> = column::NAMES.iter().take(column::DATASET_SEQ).copied().collect();
    format!("SELECT {NAME}({}) FROM kpi WHERE dataset_seq = {seq}", names.join(", "))
}

/// The content of the slot.
enum Slot {
    /// No KPI was gathered yet. This number of them is expected.
    Expected(usize),
    Gathered(KpiRows),
    Stopped(Stop),
}

/// Steps a statement to its next row, and returns that row and the KPIs that were gathered for it, of which this number
/// is expected.
pub(super) fn step<'a>(rows: &'a mut Rows<'_>, expected: usize) -> Result<Option<(&'a Row<'a>, KpiRows)>, Failure> {
    // A callback of the application can be called in the middle of a step, and read another store.
    let outer = replace(Slot::Expected(expected)).map_err(no_slot)?;
    let stepped = rows.next();
    let kpis = match replace(outer).map_err(no_slot)? {
        Slot::Expected(_) => KpiRows::default(),
        Slot::Gathered(kpis) => kpis,
        Slot::Stopped(stop) => return Err(stop.into()),
    };
    Ok(stepped?.map(|row| (row, kpis)))
}

fn replace(slot: Slot) -> Result<Slot, AccessError> {
    SLOT.try_with(|present| ManuallyDrop::into_inner(present.replace(ManuallyDrop::new(slot))))
}

/// The slot was destroyed, because the thread is ending.
#[cold]
fn no_slot(error: AccessError) -> Failure {
    Error::Storage { source: cause(error) }.into()
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

impl Aggregate<Slot, Option<i64>> for Gather {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Slot> {
        let expected = match replace(Slot::Expected(0)).map_err(|_| stopped())? {
            Slot::Expected(expected) => expected.min(EXPECTED_MAX),
            Slot::Gathered(_) | Slot::Stopped(_) => 0,
        };
        Ok(Slot::Gathered(KpiRows::with_capacity(expected)))
    }

    fn step(&self, context: &mut Context<'_>, slot: &mut Slot) -> rusqlite::Result<()> {
        if let Slot::Gathered(kpis) = slot {
            match kpis.push(&Columns(&*context)) {
                Ok(()) => return Ok(()),
                Err(stop) => *slot = Slot::Stopped(stop),
            }
        }
        Err(stopped())
    }

    fn finalize(&self, _: &mut Context<'_>, slot: Option<Slot>) -> rusqlite::Result<Option<i64>> {
        if let Some(slot) = slot {
            replace(slot).map_err(|_| stopped())?;
        }
        Ok(None)
    }
}

/// Ends the statement. The reader reports what is in the slot, and not this.
#[cold]
fn stopped() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CONSTRAINT_FUNCTION), None)
}

/// The number of KPIs that is expected of a dataset that is read alone: they take about 1,000 bytes, up to which
/// allocators keep freed memory at hand.
pub(super) const EXPECTED: usize = 7;

/// The maximum number of KPIs for which there is room before they are read.
const EXPECTED_MAX: usize = 64;

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

    pub(super) fn len(&self) -> usize {
        self.kpis.len()
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
