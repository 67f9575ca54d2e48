//! SQL of the `kpi` table: a constant and a function for each statement.

use std::sync::LazyLock;

use rusqlite::{Connection, Statement, params};

use super::gather::{self, KpiRows};
use super::parameters;
use crate::model::dataset::Kpi;
use crate::model::ids::KpiId;
use crate::model::record::Record;
use crate::sqlite::failure::Failure;
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

/// The maximum number of rows in an INSERT: more are not faster.
const ROWS_MAX: usize = 32;

/// The INSERT statements with one row, with two rows, and so on.
static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let (names, row) = (column::NAMES.join(", "), parameters(column::NAMES.len()));
    let sql = |rows| format!("INSERT INTO kpi ({names}) VALUES {}", vec![row.as_str(); rows].join(","));
    (1..=ROWS_MAX).map(sql).collect()
});

/// A KPI to insert: the `seq` of its dataset, its position in the order of addition, and the KPI.
type NewRow<'a> = (i64, i64, &'a Kpi);

/// Inserts the KPIs of new datasets, whose `seq` counts from `first`.
pub(super) fn insert(connection: &Connection, first: i64, new: &[Record]) -> rusqlite::Result<()> {
    let total: usize = new.iter().map(|record| record.dataset.kpis.len()).sum();
    let mut rows = (first..=i64::MAX).zip(new).flat_map(|(seq, record)| {
        let kpis = record.dataset.kpis.iter().zip(&record.positions);
        kpis.map(move |(kpi, position)| (seq, *position, kpi))
    });
    insert_rows(connection, &mut rows, ROWS_MAX, total / ROWS_MAX)?;
    insert_rows(connection, &mut rows, total % ROWS_MAX, 1)
}

/// Executes the INSERT of `count` rows `times` times.
fn insert_rows<'a>(
    connection: &Connection,
    rows: &mut impl Iterator<Item = NewRow<'a>>,
    count: usize,
    times: usize,
) -> rusqlite::Result<()> {
    let Some(sql) = count.checked_sub(1).and_then(|index| INSERTS.get(index)) else { return Ok(()) };
    if times == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for _ in 0..times {
        for (row, before) in rows.by_ref().take(count).zip((0..).step_by(column::NAMES.len())) {
            bind(&mut statement, before, row)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Binds a row after the parameters `before` it.
fn bind(statement: &mut Statement<'_>, before: usize, (seq, position, kpi): NewRow<'_>) -> rusqlite::Result<()> {
    let before = before + 1;
    statement.raw_bind_parameter(before + column::ID, kpi.id.as_bytes())?;
    statement.raw_bind_parameter(before + column::POSITION, position)?;
    statement.raw_bind_parameter(before + column::NAME, &kpi.name)?;
    statement.raw_bind_parameter(before + column::DESCRIPTION, &kpi.description)?;
    statement.raw_bind_parameter(before + column::UNIT, &kpi.unit)?;
    statement.raw_bind_parameter(before + column::VALUE_TYPE, kpi.value_type.number())?;
    statement.raw_bind_parameter(before + column::REQUIRED, kpi.required)?;
    statement.raw_bind_parameter(before + column::SORT_ORDER, kpi.sort_order)?;
    statement.raw_bind_parameter(before + column::CREATED_AT, kpi.created_at.timestamp_micros())?;
    statement.raw_bind_parameter(before + column::UPDATED_AT, kpi.updated_at.map(|time| time.timestamp_micros()))?;
    statement.raw_bind_parameter(before + column::DATASET_SEQ, seq)
}

/// Inserts a KPI that is added to a stored dataset.
pub(super) fn insert_one(connection: &Connection, seq: i64, position: i64, kpi: &Kpi) -> rusqlite::Result<()> {
    insert_rows(connection, &mut std::iter::once((seq, position, kpi)), 1, 1)
}

/// Inserts the KPIs of a record with these indexes.
pub(super) fn insert_added(
    connection: &Connection,
    seq: i64,
    record: &Record,
    added: &[usize],
) -> rusqlite::Result<()> {
    let mut rows = added.iter().filter_map(|index| record.kpi(*index)).map(|(kpi, position)| (seq, position, kpi));
    insert_rows(connection, &mut rows, ROWS_MAX, added.len() / ROWS_MAX)?;
    insert_rows(connection, &mut rows, added.len() % ROWS_MAX, 1)
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

static SELECT: LazyLock<String> = LazyLock::new(|| gather::kpis_of("?1"));

/// The KPIs of a dataset.
pub(super) fn of_dataset(snapshot: &Snapshot<'_>, seq: i64) -> Result<KpiRows, Failure> {
    let mut statement = snapshot.connection().prepare_cached(&SELECT)?;
    let mut rows = statement.query([seq])?;
    Ok(gather::step(&mut rows, gather::EXPECTED)?.map(|(_, kpis)| kpis).unwrap_or_default())
}
