//! SQL of the `kpi` table: a constant and a function for each statement.

use std::sync::LazyLock;

use rusqlite::{Connection, Statement};

use super::row::{Columns, unfit};
use crate::error::{Error, Failure};
use crate::model::admission::Admitted;
use crate::model::dataset::Kpi;
use crate::model::ids::DatasetId;
use crate::model::value_type::ValueType;

/// Rows to a statement: more are no faster.
const ROWS_MAX: usize = 32;

/// Values to a row.
const COLUMNS: usize = 10;

/// INSERT statements of one row, of two, and so on.
static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let columns = "dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at";
    let sql = |rows| format!("INSERT INTO kpi ({columns}) VALUES {}", vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(","));
    (1..=ROWS_MAX).map(sql).collect()
});

/// A KPI to insert: the place of its dataset, its own in the order of addition, and itself.
type Row<'a> = (i64, i64, &'a Kpi);

/// Inserts the KPIs of new datasets, whose places are `seqs`.
pub(super) fn insert(connection: &Connection, seqs: &[i64], new: &[Admitted]) -> rusqlite::Result<()> {
    let total: usize = new.iter().map(|new| new.dataset.kpis.len()).sum();
    let mut rows = seqs.iter().zip(new).flat_map(|(seq, new)| {
        let kpis = new.dataset.kpis.iter().zip(&new.positions);
        kpis.map(|(kpi, position)| (*seq, *position, kpi))
    });
    insert_rows(connection, &mut rows, ROWS_MAX, total / ROWS_MAX)?;
    insert_rows(connection, &mut rows, total % ROWS_MAX, 1)
}

/// So many rows to a statement, so many times.
fn insert_rows<'a>(
    connection: &Connection,
    rows: &mut impl Iterator<Item = Row<'a>>,
    count: usize,
    times: usize,
) -> rusqlite::Result<()> {
    let Some(sql) = count.checked_sub(1).and_then(|place| INSERTS.get(place)) else { return Ok(()) };
    if times == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for _ in 0..times {
        for (row, place) in rows.by_ref().take(count).zip((0..).step_by(COLUMNS)) {
            bind(&mut statement, place, row)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, place: usize, (seq, position, kpi): Row<'_>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(place + 1, seq)?;
    statement.raw_bind_parameter(place + 2, kpi.id.as_bytes())?;
    statement.raw_bind_parameter(place + 3, position)?;
    statement.raw_bind_parameter(place + 4, &kpi.name)?;
    statement.raw_bind_parameter(place + 5, &kpi.description)?;
    statement.raw_bind_parameter(place + 6, &kpi.unit)?;
    statement.raw_bind_parameter(place + 7, kpi.value_type as u8)?;
    statement.raw_bind_parameter(place + 8, kpi.required)?;
    statement.raw_bind_parameter(place + 9, kpi.sort_order)?;
    statement.raw_bind_parameter(place + COLUMNS, kpi.created_at.timestamp_micros())
}

const SELECT: &str = "
    SELECT id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at
    FROM kpi WHERE dataset_seq = ?1";

/// The KPIs of a dataset, in display order.
pub(super) fn of_dataset(connection: &Connection, dataset_seq: i64, dataset: DatasetId) -> Result<Vec<Kpi>, Failure> {
    let mut statement = connection.prepare_cached(SELECT)?;
    let mut rows = statement.query([dataset_seq])?;
    let mut kpis: Vec<(i64, Kpi)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (position, kpi) = read(&Columns(row), dataset)?;
        // They lie in the order of their ids. Rows that went back might never end.
        if kpis.last().is_some_and(|(_, last)| last.id >= kpi.id) {
            return Err(Error::damaged("its KPIs are out of order").into());
        }
        kpis.push((position, kpi));
    }
    // A few rows are sorted faster here than by SQLite, which would write them to a sorter first.
    kpis.sort_unstable_by_key(|(position, kpi)| (kpi.sort_order, *position));
    Ok(kpis.into_iter().map(|(_, kpi)| kpi).collect())
}

/// The places in the order of addition that the KPIs of a dataset have.
pub(super) const POSITIONS: &str = "SELECT position FROM kpi WHERE dataset_seq = ?1";

fn read(columns: &Columns<'_>, dataset_id: DatasetId) -> Result<(i64, Kpi), Error> {
    let kpi = Kpi {
        id: columns.id(0)?,
        dataset_id,
        name: columns.text(2)?,
        description: columns.optional_text(3)?,
        unit: columns.optional_text(4)?,
        value_type: value_type(columns.integer(5)?)?,
        required: required(columns.integer(6)?)?,
        sort_order: columns.integer(7)?,
        created_at: columns.time(8)?,
        updated_at: columns.optional_time(9)?,
    };
    Ok((columns.integer(1)?, kpi))
}

fn value_type(stored: i64) -> Result<ValueType, Error> {
    usize::try_from(stored).ok().and_then(|place| ValueType::ALL.get(place)).copied().ok_or_else(unfit)
}

fn required(stored: i64) -> Result<bool, Error> {
    match stored {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(unfit()),
    }
}
