//! The changes since a number, by hand: three searches that read each row at once, put into one order at the end.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::digest::{self, purged};
use super::read::{self, id, integer};
use super::{Counts, Dataset};

/// The state of a changed dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Present,
    Deleted,
    Purged,
}

const COUNTER: &str = "SELECT last, generation FROM counter WHERE id = 1";

const CREATED: &str = "
    SELECT seq, id, name, description, created_at, created_by, updated_by, updated_at, revision, head_digest, kpi_count,
        required_count
    FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq > ?2 AND changed IS NULL ORDER BY seq LIMIT 1001";

const CHANGED: &str = "
    SELECT changed, id, deleted_at, deleted_by, state_digest FROM dataset INDEXED BY dataset_by_change
    WHERE organization_id = ?1 AND changed > ?2 ORDER BY changed LIMIT 1001";

const PURGED: &str = "
    SELECT change, id, digest FROM purged_dataset
    WHERE organization_id = ?1 AND change > ?2 ORDER BY change LIMIT 1001";

/// The generation of the file, and the changes after the number.
pub(crate) fn since(connection: &Connection, organization: Uuid, after: i64) -> (i64, Vec<(i64, Uuid, State)>) {
    let mut counter = connection.prepare_cached(COUNTER).unwrap();
    // Its row holds the snapshot.
    let mut counter = counter.query([]).unwrap();
    let row = counter.next().unwrap().unwrap();
    assert!(integer(row, 0) >= after);
    let generation = integer(row, 1);
    let range = params![organization.as_bytes(), after];
    let mut found = Vec::new();
    let mut bytes = digest::Bytes::new();
    let mut statement = connection.prepare_cached(CREATED).unwrap();
    let mut rows = statement.query(range).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let dataset = Dataset {
            id: id(row, 1).unwrap(),
            name: read::text(row, 2).unwrap(),
            description: read::text(row, 3),
            created_at: integer(row, 4),
            created_by: id(row, 5),
            updated_by: id(row, 6),
            updated_at: read::optional_integer(row, 7),
            kpis: Vec::new(),
        };
        let counts = Counts { kpis: integer(row, 10), required: integer(row, 11) };
        assert_eq!(bytes.head(organization, integer(row, 8), &dataset, counts), integer(row, 9));
        found.push((integer(row, 0), dataset.id, State::Present));
    }
    let mut statement = connection.prepare_cached(CHANGED).unwrap();
    let mut rows = statement.query(range).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (changed, dataset) = (integer(row, 0), id(row, 1).unwrap());
        let deleted = read::optional_integer(row, 2).map(|at| (at, id(row, 3)));
        assert_eq!(bytes.state(organization, dataset, changed, deleted), integer(row, 4));
        found.push((changed, dataset, if deleted.is_some() { State::Deleted } else { State::Present }));
    }
    let mut statement = connection.prepare_cached(PURGED).unwrap();
    let mut rows = statement.query(range).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (change, dataset) = (integer(row, 0), id(row, 1).unwrap());
        assert_eq!(purged(organization, change, dataset), integer(row, 2));
        found.push((change, dataset, State::Purged));
    }
    found.sort_unstable_by_key(|(number, ..)| *number);
    found.truncate(1_000);
    (generation, found)
}
