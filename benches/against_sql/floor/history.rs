//! The history by hand: the changes from the newest to the oldest, each of which puts back what it replaced.

use chrono::DateTime;
use rusqlite::{Connection, Row};
use serde::Deserialize;
use uuid::Uuid;

use super::digest::Bytes;
use super::read::{self, Stored, integer};
use super::{Dataset, digest};

#[derive(Deserialize)]
struct Replaced<'a> {
    #[serde(borrow)]
    dataset: ReplacedHead<'a>,
    #[serde(default)]
    changed: Vec<ReplacedKpi<'a>>,
}

#[derive(Deserialize)]
struct ReplacedHead<'a> {
    name: Option<String>,
    updated_by: Option<Uuid>,
    updated_at: Option<&'a str>,
}

#[derive(Deserialize)]
struct ReplacedKpi<'a> {
    id: Uuid,
    name: Option<String>,
    updated_at: Option<&'a str>,
}

const CHANGES: &str = "
    SELECT change, part, origin, changed_at, changed_by, revision, head_digest, kpi_digest, replaced, digest
    FROM dataset_version WHERE dataset_seq = ?1 ORDER BY change DESC";

/// A version: its revision, when and by whom it was made, and the dataset as it was.
pub(crate) struct Version {
    pub(crate) revision: i64,
    pub(crate) changed_at: i64,
    pub(crate) changed_by: Option<Uuid>,
    pub(crate) dataset: Dataset,
}

/// The newest versions of a dataset of which only names were changed. The changes, the dataset and each version are
/// checked.
pub(crate) fn page(connection: &Connection, organization: Uuid, id: Uuid, limit: usize) -> Vec<Version> {
    let Stored { seq, mut revision, mut dataset, .. } = read::find(connection, organization, id, false).unwrap();
    let mut statement = connection.prepare_cached(CHANGES).unwrap();
    let mut rows = statement.query([seq]).unwrap();
    let mut versions = Vec::with_capacity(limit);
    while versions.len() < limit
        && let Some(row) = rows.next().unwrap()
    {
        let (changed_at, changed_by) = (integer(row, 3), read::id(row, 4));
        versions.push(Version { revision, changed_at, changed_by, dataset: dataset.clone() });
        put_back(replaced(row, organization, id), &mut dataset);
        revision = integer(row, 5);
        assert_eq!(digest::of_dataset(organization, revision, &dataset), (integer(row, 6), integer(row, 7)));
    }
    versions
}

fn replaced<'a>(row: &'a Row<'_>, organization: Uuid, id: Uuid) -> Replaced<'a> {
    let json = row.get_ref(8).unwrap().as_str_or_null().unwrap();
    let mut bytes = Bytes::new();
    bytes.put(organization.as_bytes());
    bytes.put(id.as_bytes());
    (0..4).for_each(|column| bytes.integer(integer(row, column)));
    bytes.user(read::id(row, 4));
    (5..8).for_each(|column| bytes.integer(integer(row, column)));
    bytes.optional(json, Bytes::text);
    assert_eq!(bytes.hash(), integer(row, 9));
    serde_json::from_str(json.unwrap()).unwrap()
}

fn put_back(replaced: Replaced<'_>, dataset: &mut Dataset) {
    let micros = |time: Option<&str>| time.map(|time| DateTime::parse_from_rfc3339(time).unwrap().timestamp_micros());
    if let Some(name) = replaced.dataset.name {
        dataset.name = name;
    }
    (dataset.updated_by, dataset.updated_at) = (replaced.dataset.updated_by, micros(replaced.dataset.updated_at));
    for before in replaced.changed {
        let kpi = dataset.kpis.iter_mut().find(|kpi| kpi.id == before.id).unwrap();
        if let Some(name) = before.name {
            kpi.name = name;
        }
        kpi.updated_at = micros(before.updated_at);
    }
}
