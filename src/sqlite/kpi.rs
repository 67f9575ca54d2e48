//! SQL of the `kpi` table: a constant and a function for each statement.

use rusqlite::{Connection, params};

use super::row::{Columns, unfit};
use crate::error::{Error, Failure};
use crate::model::admission::Admitted;
use crate::model::dataset::Kpi;
use crate::model::ids::DatasetId;
use crate::model::value_type::ValueType;

const INSERT: &str = "
    INSERT INTO kpi (dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Inserts the KPIs of a new dataset.
pub(super) fn insert(connection: &Connection, dataset_seq: i64, new: &Admitted) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(INSERT)?;
    for (kpi, position) in new.dataset.kpis.iter().zip(&new.positions) {
        let inserted = statement.execute(params![
            dataset_seq,
            kpi.id.as_bytes(),
            position,
            kpi.name,
            kpi.description,
            kpi.unit,
            kpi.value_type as u8,
            kpi.required,
            kpi.sort_order,
            kpi.created_at.timestamp_micros(),
        ]);
        inserted.map_err(|error| super::taken_or_failed(error, kpi.dataset_id, Some(kpi.id)))?;
    }
    Ok(())
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
