//! Reading by hand: one snapshot, no statement for each row.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, params};
use uuid::Uuid;

use super::{Dataset, Kpi, digest};

const ONE: &str = "SELECT seq, name, description, created_at, created_by, updated_by, updated_at, digest
                   FROM dataset WHERE organization_id = ?1 AND id = ?2";

const KPIS_OF_ONE: &str =
    "SELECT id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at
     FROM kpi WHERE dataset_seq = ?1";

/// Reads one dataset and checks its digest.
pub(crate) fn get(connection: &Connection, organization: Uuid, id: Uuid) -> Option<Dataset> {
    let mut statement = connection.prepare_cached(ONE).unwrap();
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()]).unwrap();
    let row = rows.next().unwrap()?;
    let mut statement = connection.prepare_cached(KPIS_OF_ONE).unwrap();
    let mut kpis = statement.query([integer(row, 0)]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = kpis.next().unwrap() {
        found.push(kpi(row));
    }
    Some(dataset(organization, id, row, found))
}

const PAGE: &str = "SELECT seq, name, description, created_at, created_by, updated_by, updated_at, digest, id
                    FROM dataset WHERE organization_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

const KPIS_OF_PAGE: &str =
    "SELECT k.id, position, k.name, k.description, unit, value_type, required, sort_order, k.created_at, k.updated_at, d.seq
     FROM dataset AS d CROSS JOIN kpi AS k ON k.dataset_seq = d.seq
     WHERE d.organization_id = ?1 AND d.seq > ?2 ORDER BY d.seq";

/// Reads the page after the `seq` `after`. Also returns the `seq` after which the next page starts, if there is one.
pub(crate) fn page(
    connection: &Connection,
    organization: Uuid,
    after: i64,
    limit: usize,
) -> (Vec<Dataset>, Option<i64>) {
    let mut statement = connection.prepare_cached(PAGE).unwrap();
    let one_more = i64::try_from(limit).unwrap() + 1;
    let mut rows = statement.query(params![organization.as_bytes(), after, one_more]).unwrap();
    let mut statement = connection.prepare_cached(KPIS_OF_PAGE).unwrap();
    let mut kpis = statement.query(params![organization.as_bytes(), after]).unwrap();
    let (mut found, mut last) = (Vec::new(), after);
    while let Some(row) = rows.next().unwrap() {
        if found.len() == limit {
            return (found, Some(last));
        }
        if last == after {
            kpis.advance().unwrap();
        }
        last = integer(row, 0);
        let kpis = kpis_of(&mut kpis, last);
        found.push(dataset(organization, id(row, 8).unwrap(), row, kpis));
    }
    (found, None)
}

fn kpis_of(rows: &mut Rows<'_>, seq: i64) -> Vec<Kpi> {
    let mut kpis = Vec::new();
    while let Some(row) = rows.get()
        && integer(row, 10) == seq
    {
        kpis.push(kpi(row));
        rows.advance().unwrap();
    }
    kpis
}

pub(crate) fn count(connection: &Connection, organization: Uuid) -> i64 {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM dataset WHERE organization_id = ?1").unwrap();
    statement.query_one([organization.as_bytes()], |row| row.get(0)).unwrap()
}

fn dataset(organization: Uuid, id: Uuid, row: &Row<'_>, mut kpis: Vec<Kpi>) -> Dataset {
    kpis.sort_unstable_by_key(|kpi| (kpi.sort_order, kpi.position));
    let dataset = Dataset {
        id,
        name: text(row, 1).unwrap(),
        description: text(row, 2),
        created_at: integer(row, 3),
        created_by: self::id(row, 4),
        updated_by: self::id(row, 5),
        updated_at: optional_integer(row, 6),
        kpis,
    };
    assert_eq!(digest(organization, &dataset).cast_signed(), integer(row, 7));
    dataset
}

fn kpi(row: &Row<'_>) -> Kpi {
    Kpi {
        id: id(row, 0).unwrap(),
        position: integer(row, 1),
        name: text(row, 2).unwrap(),
        description: text(row, 3),
        unit: text(row, 4),
        value_type: u8::try_from(integer(row, 5)).unwrap(),
        required: integer(row, 6) != 0,
        sort_order: integer(row, 7),
        created_at: integer(row, 8),
        updated_at: optional_integer(row, 9),
    }
}

fn integer(row: &Row<'_>, column: usize) -> i64 {
    optional_integer(row, column).unwrap()
}

fn optional_integer(row: &Row<'_>, column: usize) -> Option<i64> {
    match row.get_ref(column).unwrap() {
        ValueRef::Integer(integer) => Some(integer),
        ValueRef::Null => None,
        _ => panic!("column {column} is no integer"),
    }
}

fn id(row: &Row<'_>, column: usize) -> Option<Uuid> {
    match row.get_ref(column).unwrap() {
        ValueRef::Blob(bytes) => Some(Uuid::from_slice(bytes).unwrap()),
        ValueRef::Null => None,
        _ => panic!("column {column} is no id"),
    }
}

fn text(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column).unwrap() {
        ValueRef::Text(bytes) => Some(std::str::from_utf8(bytes).unwrap().to_owned()),
        ValueRef::Null => None,
        _ => panic!("column {column} is no text"),
    }
}
