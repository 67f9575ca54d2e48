//! SQL of the `kpi` table: a constant and a function for each statement.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Statement, params};

use super::row::{Columns, StoredTime};
use crate::model::dataset::{Dataset, Kpi};
use crate::model::ids::{DatasetId, KpiId};
use crate::model::record::Record;
use crate::model::value_type::ValueType;
use crate::sqlite::failure::{Failure, UnexpectedValue, damaged};
use crate::sqlite::snapshot::Snapshot;

pub(in crate::sqlite) mod column {
    super::super::columns! {
        // The last column of the row: SQLite finds its place from the sizes of all columns before it, which are known
        // after that.
        UPDATED_AT "updated_at",
        ID "id",
        POSITION "position",
        NAME "name",
        DESCRIPTION "description",
        UNIT "unit",
        VALUE_TYPE "value_type",
        REQUIRED "required",
        SORT_ORDER "sort_order",
        CREATED_AT "created_at",
        // The last one here, so that reads of one dataset leave it out.
        DATASET_SEQ "dataset_seq",
    }
}

/// The maximum number of rows in an INSERT. Each has up to four texts and ids, for which SQLite has some 120 blocks of
/// memory at hand; with 32 rows it asks the system for more, which costs 7 % of a bulk insert.
const ROWS_MAX: usize = 20;

/// The columns in the order of the table, for an INSERT: SQLite copies the values of a row in any other order.
mod inserted {
    super::super::columns! {
        DATASET_SEQ "dataset_seq",
        ID "id",
        POSITION "position",
        NAME "name",
        DESCRIPTION "description",
        UNIT "unit",
        VALUE_TYPE "value_type",
        REQUIRED "required",
        SORT_ORDER "sort_order",
        // The first column of which all rows of an INSERT share the parameter.
        CREATED_AT "created_at",
        UPDATED_AT "updated_at",
    }
}

/// How many parameters each row of an INSERT has for itself. They follow those that all rows share.
const OWN: usize = inserted::CREATED_AT;
const SHARED: usize = inserted::NAMES.len() - OWN;

/// The INSERT statements with one row, with two rows, and so on.
static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let shared: Vec<String> = (1..=SHARED).map(|number| format!("?{number}")).collect();
    let row = format!("({},{})", ["?"; OWN].join(","), shared.join(","));
    // A parameter without a number has the one after the largest before it.
    let first = row.replacen('?', &format!("?{}", SHARED + 1), 1);
    let insert = format!("INSERT INTO kpi ({}) VALUES {first}", inserted::NAMES.join(", "));
    (0..ROWS_MAX).map(|more| insert.clone() + &format!(",{row}").repeat(more)).collect()
});

/// A KPI to insert: the `seq` of its dataset, its position in the order of addition, and the KPI.
type NewRow<'a> = (i64, i64, &'a Kpi);

/// When KPIs were created and last changed.
type Times = (DateTime<Utc>, Option<DateTime<Utc>>);

/// Inserts the KPIs of new datasets, whose `seq` counts from `first`.
pub(super) fn insert(connection: &Connection, mut first: i64, new: &[Record]) -> rusqlite::Result<()> {
    for new in new.chunk_by(|one, next| one.dataset.created_at == next.dataset.created_at) {
        let Some(Record { dataset: Dataset { created_at, .. }, .. }) = new.first() else { continue };
        let numbered = (first..=i64::MAX).zip(new);
        first = first.saturating_add_unsigned(new.len() as u64);
        let count = new.iter().map(|record| record.dataset.kpis.len()).sum();
        let mut rows = numbered.flat_map(|(seq, record)| {
            let kpis = record.dataset.kpis.iter().zip(&record.positions);
            kpis.map(move |(kpi, position)| (seq, *position, kpi))
        });
        insert_rows(connection, (*created_at, None), &mut rows, count)?;
    }
    Ok(())
}

/// Inserts `count` rows that have these times.
fn insert_rows<'a>(
    connection: &Connection,
    times: Times,
    rows: &mut impl Iterator<Item = NewRow<'a>>,
    count: usize,
) -> rusqlite::Result<()> {
    execute(connection, times, rows, ROWS_MAX, count / ROWS_MAX)?;
    execute(connection, times, rows, count % ROWS_MAX, 1)
}

/// Executes the INSERT of `count` rows `runs` times.
fn execute<'a>(
    connection: &Connection,
    (created_at, updated_at): Times,
    rows: &mut impl Iterator<Item = NewRow<'a>>,
    count: usize,
    runs: usize,
) -> rusqlite::Result<()> {
    let Some(sql) = count.checked_sub(1).and_then(|index| INSERTS.get(index)) else { return Ok(()) };
    if runs == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    statement.raw_bind_parameter(1 + inserted::CREATED_AT - OWN, created_at.timestamp_micros())?;
    statement.raw_bind_parameter(1 + inserted::UPDATED_AT - OWN, updated_at.map(|time| time.timestamp_micros()))?;
    for _ in 0..runs {
        for (row, first) in rows.by_ref().take(count).zip((SHARED + 1..).step_by(OWN)) {
            bind(&mut statement, first, row)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Binds a row to the parameters from `first` on.
fn bind(statement: &mut Statement<'_>, first: usize, (seq, position, kpi): NewRow<'_>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(first + inserted::DATASET_SEQ, seq)?;
    statement.raw_bind_parameter(first + inserted::ID, kpi.id.as_bytes())?;
    statement.raw_bind_parameter(first + inserted::POSITION, position)?;
    statement.raw_bind_parameter(first + inserted::NAME, &kpi.name)?;
    statement.raw_bind_parameter(first + inserted::DESCRIPTION, &kpi.description)?;
    statement.raw_bind_parameter(first + inserted::UNIT, &kpi.unit)?;
    statement.raw_bind_parameter(first + inserted::VALUE_TYPE, kpi.value_type.number())?;
    statement.raw_bind_parameter(first + inserted::REQUIRED, kpi.required)?;
    statement.raw_bind_parameter(first + inserted::SORT_ORDER, kpi.sort_order)
}

/// Inserts a KPI that is added to a stored dataset.
pub(super) fn insert_one(connection: &Connection, seq: i64, position: i64, kpi: &Kpi) -> rusqlite::Result<()> {
    insert_rows(connection, (kpi.created_at, kpi.updated_at), &mut std::iter::once((seq, position, kpi)), 1)
}

/// Inserts the KPIs of a record with these indexes.
pub(super) fn insert_added(
    connection: &Connection,
    seq: i64,
    record: &Record,
    added: &[usize],
) -> rusqlite::Result<()> {
    let times = |index: &usize| record.kpi(*index).map(|(kpi, _)| (kpi.created_at, kpi.updated_at));
    for added in added.chunk_by(|one, next| times(one) == times(next)) {
        let Some(times) = added.first().and_then(times) else { continue };
        let mut rows = added.iter().filter_map(|index| record.kpi(*index)).map(|(kpi, position)| (seq, position, kpi));
        insert_rows(connection, times, &mut rows, added.len())?;
    }
    Ok(())
}

const UPDATE: &str = "
    UPDATE kpi SET position = ?3, name = ?4, description = ?5, unit = ?6, value_type = ?7, required = ?8,
        sort_order = ?9, updated_at = ?10
    WHERE dataset_seq = ?1 AND id = ?2";

/// Writes the KPIs of a record with these indexes over their rows.
pub(super) fn update(connection: &Connection, seq: i64, record: &Record, updated: &[usize]) -> rusqlite::Result<()> {
    for (kpi, position) in updated.iter().filter_map(|index| record.kpi(*index)) {
        connection.prepare_cached(UPDATE)?.execute(params![
            seq,
            kpi.id.as_bytes(),
            position,
            kpi.name,
            kpi.description,
            kpi.unit,
            kpi.value_type.number(),
            kpi.required,
            kpi.sort_order,
            kpi.updated_at.map(|time| time.timestamp_micros()),
        ])?;
    }
    Ok(())
}

const DELETE: &str = "DELETE FROM kpi WHERE dataset_seq = ?1 AND id = ?2";

pub(super) fn delete(connection: &Connection, seq: i64, deleted: &[KpiId]) -> rusqlite::Result<()> {
    for id in deleted {
        connection.prepare_cached(DELETE)?.execute(params![seq, id.as_bytes()])?;
    }
    Ok(())
}

/// Without `dataset_seq`, which is known.
static SELECT: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = column::NAMES.iter().take(column::DATASET_SEQ).copied().collect();
    format!("SELECT {} FROM kpi WHERE dataset_seq = ?1", names.join(", "))
});

/// The initial capacity for the KPIs of a dataset that is read alone: about 1,000 bytes, up to which allocators keep
/// freed memory at hand. With 4 or 16, a get of 10 KPIs takes 4 % more instructions.
const CAPACITY: usize = 7;

/// The fields of a dataset that its KPIs need.
#[derive(Clone, Copy)]
pub(super) struct Parent {
    pub(super) seq: i64,
    pub(super) id: DatasetId,
    pub(super) created_at: StoredTime,
}

/// The KPIs of a dataset.
pub(super) fn of_dataset(snapshot: &Snapshot<'_>, dataset: Parent) -> Result<KpiRows, Failure> {
    let mut statement = snapshot.connection().prepare_cached(&SELECT)?;
    let mut rows = statement.query([dataset.seq])?;
    let mut found = KpiRows::with_capacity(CAPACITY);
    while let Some(row) = rows.next()? {
        found.push(&Columns(row), dataset)?;
    }
    Ok(found)
}

pub(super) const OUT_OF_ORDER: &str = "its KPIs are out of order";

/// The KPIs of a dataset in the order of their ids, which usually is the display order too.
pub(super) struct KpiRows {
    kpis: Vec<Kpi>,
    /// The position of each in the order of addition.
    positions: Vec<i64>,
    is_out_of_order: bool,
}

impl KpiRows {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { kpis: Vec::with_capacity(count), positions: Vec::with_capacity(count), is_out_of_order: false }
    }

    pub(super) fn len(&self) -> usize {
        self.kpis.len()
    }

    pub(super) fn push(&mut self, columns: &Columns<'_>, dataset: Parent) -> Result<(), Failure> {
        let id = columns.id(column::ID)?;
        let (position, sort_order) = (columns.integer(column::POSITION)?, columns.integer(column::SORT_ORDER)?);
        if let (Some(before), Some(position_before)) = (self.kpis.last(), self.positions.last()) {
            // The table is sorted by id. On a damaged page the rows might go back and never end.
            if before.id >= id {
                return Err(damaged(OUT_OF_ORDER).into());
            }
            self.is_out_of_order |= (sort_order, position) < (before.sort_order, *position_before);
        }
        self.positions.push(position);
        self.kpis.push(Kpi {
            id,
            dataset_id: dataset.id,
            name: columns.text(column::NAME)?,
            description: columns.optional_text(column::DESCRIPTION)?,
            unit: columns.optional_text(column::UNIT)?,
            value_type: value_type(columns.integer(column::VALUE_TYPE)?)?,
            required: required(columns.integer(column::REQUIRED)?)?,
            sort_order,
            created_at: columns.time_likely(column::CREATED_AT, dataset.created_at)?,
            updated_at: columns.optional_time(column::UPDATED_AT)?,
        });
        Ok(())
    }

    /// The KPIs in display order, with their positions. For a few rows, sorting here is faster than SQLite's sorter.
    pub(super) fn in_display_order(self) -> (Vec<i64>, Vec<Kpi>) {
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
