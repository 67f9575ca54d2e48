//! Reading by hand: one snapshot, no statement for each row.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, params};
use uuid::Uuid;

use super::{Counts, Dataset, Kpi, digest};

/// The columns of a dataset. The state is fetched only if it has a digest.
macro_rules! columns {
    () => {
        "seq, name, description, created_at, created_by, updated_by, updated_at, revision, head_digest, kpi_digest,
         state_digest, changed, deleted_at, deleted_by, id"
    };
}

const ONE: &str = concat!("SELECT ", columns!(), " FROM dataset WHERE organization_id = ?1 AND id = ?2");

const ONE_WITH_COUNTS: &str =
    concat!("SELECT ", columns!(), ", kpi_count, required_count FROM dataset WHERE organization_id = ?1 AND id = ?2");

const KPIS_OF_ONE: &str =
    "SELECT id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at
     FROM kpi WHERE dataset_seq = ?1";

/// A dataset with the stored columns that a change needs.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) seq: i64,
    pub(super) revision: i64,
    /// Of the head, and the sum over the KPIs.
    pub(super) digests: (i64, i64),
    /// The number of the last change.
    pub(super) changed: Option<i64>,
    pub(super) dataset: Dataset,
}

/// Reads one dataset and checks its digests.
pub(crate) fn get(connection: &Connection, organization: Uuid, id: Uuid) -> Option<Dataset> {
    find(connection, organization, id, false).map(|stored| stored.dataset)
}

/// The dataset, with its KPIs, that is in the trash or not.
pub(super) fn find(connection: &Connection, organization: Uuid, id: Uuid, is_deleted: bool) -> Option<Stored> {
    let mut statement = connection.prepare_cached(ONE).unwrap();
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()]).unwrap();
    let row = rows.next().unwrap()?;
    let changed = state(row, organization, id, is_deleted)?;
    let mut statement = connection.prepare_cached(KPIS_OF_ONE).unwrap();
    let mut kpis = statement.query([integer(row, 0)]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = kpis.next().unwrap() {
        found.push(kpi(row));
    }
    Some(dataset(organization, id, row, changed, found))
}

/// The dataset without its KPIs, and the numbers of them. Its digest is checked if `is_checked`.
pub(super) fn head(
    connection: &Connection,
    organization: Uuid,
    id: Uuid,
    is_checked: bool,
) -> Option<(Stored, Counts)> {
    let mut statement = connection.prepare_cached(ONE_WITH_COUNTS).unwrap();
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()]).unwrap();
    let row = rows.next().unwrap()?;
    let changed = state(row, organization, id, false)?;
    let stored = stored(id, row, changed, Vec::new());
    let counts = Counts { kpis: integer(row, 15), required: integer(row, 16) };
    if is_checked {
        let found = digest::Bytes::new().head(organization, stored.revision, &stored.dataset, counts);
        assert_eq!(found, stored.digests.0);
    }
    Some((stored, counts))
}

/// The number of the last change, if there is one, of a dataset that is in the trash or not; `None` otherwise.
#[allow(clippy::option_option, reason = "there is no dataset, or it was never changed")]
fn state(row: &Row<'_>, organization: Uuid, id: Uuid, is_deleted: bool) -> Option<Option<i64>> {
    let Some(stored) = optional_integer(row, 10) else { return (!is_deleted).then_some(None) };
    let (changed, deleted) = (integer(row, 11), optional_integer(row, 12).map(|at| (at, self::id(row, 13))));
    assert_eq!(digest::Bytes::new().state(organization, id, changed, deleted), stored);
    (deleted.is_some() == is_deleted).then_some(Some(changed))
}

const PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM dataset INDEXED BY dataset_by_organization
     WHERE organization_id = ?1 AND deleted_at IS NULL AND seq > ?2 ORDER BY seq LIMIT ?3"
);

const KPIS_OF_PAGE: &str =
    "SELECT k.id, position, k.name, k.description, unit, value_type, required, sort_order, k.created_at, k.updated_at, d.seq
     FROM dataset AS d INDEXED BY dataset_by_organization CROSS JOIN kpi AS k ON k.dataset_seq = d.seq
     WHERE d.organization_id = ?1 AND d.deleted_at IS NULL AND d.seq > ?2 ORDER BY d.seq";

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
        let (id, kpis) = (id(row, 14).unwrap(), kpis_of(&mut kpis, last));
        let changed = state(row, organization, id, false).unwrap();
        found.push(dataset(organization, id, row, changed, kpis).dataset);
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

/// Without the digest of the KPIs, which only their rows can match.
const SUMMARIES: &str = "
    SELECT seq, name, description, created_at, created_by, updated_by, updated_at, revision, head_digest,
        state_digest, changed, deleted_at, deleted_by, id, kpi_count, required_count
    FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq > ?2 ORDER BY seq LIMIT ?3";

/// A dataset without its KPIs, and the numbers of them.
pub(crate) type Summary = (Dataset, Counts);

/// Reads the page of summaries after the `seq` `after`, and checks the digests. Also returns the `seq` after which the
/// next page starts, if there is one.
pub(crate) fn summaries(
    connection: &Connection,
    organization: Uuid,
    after: i64,
    limit: usize,
) -> (Vec<Summary>, Option<i64>) {
    let mut statement = connection.prepare_cached(SUMMARIES).unwrap();
    let one_more = i64::try_from(limit).unwrap() + 1;
    let mut rows = statement.query(params![organization.as_bytes(), after, one_more]).unwrap();
    let (mut found, mut last, mut bytes) = (Vec::new(), after, digest::Bytes::new());
    while let Some(row) = rows.next().unwrap() {
        if found.len() == limit {
            return (found, Some(last));
        }
        last = integer(row, 0);
        let dataset = head_of(id(row, 13).unwrap(), row, Vec::new());
        let counts = Counts { kpis: integer(row, 14), required: integer(row, 15) };
        assert_eq!(bytes.head(organization, integer(row, 7), &dataset, counts), integer(row, 8));
        assert!(optional_integer(row, 11).is_none() && id(row, 12).is_none());
        match (optional_integer(row, 9), optional_integer(row, 10)) {
            (Some(stored), Some(changed)) => {
                assert_eq!(bytes.state(organization, dataset.id, changed, None), stored);
            }
            (stored, changed) => assert_eq!((stored, changed), (None, None)),
        }
        found.push((dataset, counts));
    }
    (found, None)
}

/// By SQLite's own operator, which finds ASCII letters in either case, and nothing else that is not as it is written.
const SEARCH: &str = "
    SELECT seq, name, description FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND (
        name LIKE ?2 OR description LIKE ?2
        OR EXISTS (SELECT 1 FROM kpi WHERE dataset_seq = seq AND (name LIKE ?2 OR description LIKE ?2 OR unit LIKE ?2)))
    ORDER BY seq LIMIT ?3";

/// The names of the first datasets with this word in one of their texts.
pub(crate) fn search(connection: &Connection, organization: Uuid, word: &str, limit: usize) -> Vec<String> {
    let mut statement = connection.prepare_cached(SEARCH).unwrap();
    let limit = i64::try_from(limit).unwrap();
    let mut rows = statement.query(params![organization.as_bytes(), format!("%{word}%"), limit]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        found.push(text(row, 1).unwrap());
    }
    found
}

const COUNT: &str = "
    SELECT count(*) FROM dataset INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND deleted_at IS NULL";

pub(crate) fn count(connection: &Connection, organization: Uuid) -> i64 {
    let mut statement = connection.prepare_cached(COUNT).unwrap();
    statement.query_one([organization.as_bytes()], |row| row.get(0)).unwrap()
}

fn dataset(organization: Uuid, id: Uuid, row: &Row<'_>, changed: Option<i64>, mut kpis: Vec<Kpi>) -> Stored {
    kpis.sort_unstable_by_key(|kpi| (kpi.sort_order, kpi.position));
    let stored = stored(id, row, changed, kpis);
    assert_eq!(digest::of_dataset(organization, stored.revision, &stored.dataset), stored.digests);
    stored
}

fn stored(id: Uuid, row: &Row<'_>, changed: Option<i64>, kpis: Vec<Kpi>) -> Stored {
    let dataset = head_of(id, row, kpis);
    let digests = (integer(row, 8), integer(row, 9));
    Stored { seq: integer(row, 0), revision: integer(row, 7), digests, changed, dataset }
}

/// The first columns of a row.
fn head_of(id: Uuid, row: &Row<'_>, kpis: Vec<Kpi>) -> Dataset {
    Dataset {
        id,
        name: text(row, 1).unwrap(),
        description: text(row, 2),
        created_at: integer(row, 3),
        created_by: self::id(row, 4),
        updated_by: self::id(row, 5),
        updated_at: optional_integer(row, 6),
        kpis,
    }
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

pub(super) fn integer(row: &Row<'_>, column: usize) -> i64 {
    optional_integer(row, column).unwrap()
}

pub(super) fn optional_integer(row: &Row<'_>, column: usize) -> Option<i64> {
    match row.get_ref(column).unwrap() {
        ValueRef::Integer(integer) => Some(integer),
        ValueRef::Null => None,
        _ => panic!("column {column} is no integer"),
    }
}

pub(super) fn id(row: &Row<'_>, column: usize) -> Option<Uuid> {
    match row.get_ref(column).unwrap() {
        ValueRef::Blob(bytes) => Some(Uuid::from_slice(bytes).unwrap()),
        ValueRef::Null => None,
        _ => panic!("column {column} is no id"),
    }
}

pub(super) fn text(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column).unwrap() {
        ValueRef::Text(bytes) => Some(std::str::from_utf8(bytes).unwrap().to_owned()),
        ValueRef::Null => None,
        _ => panic!("column {column} is no text"),
    }
}
