//! Changes by hand: the history entry, the digests and the state that the crate writes, and no more statements.

use chrono::{DateTime, SecondsFormat};
use kpi_store::NewKpi;
use rusqlite::params;
use serde::Serialize;
use uuid::Uuid;

use super::digest::Bytes;
use super::read::{Stored, find, head};
use super::{Counts, Dataset, Floor, Kpi, now, write};

/// The values that a change replaced, as the history stores them.
#[derive(Serialize)]
struct Replaced<'a> {
    dataset: ReplacedHead<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<[Uuid; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<[ReplacedKpi<'a>; 1]>,
}

#[derive(Default, Serialize)]
struct ReplacedHead<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    updated_by: Option<Uuid>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct ReplacedKpi<'a> {
    id: Uuid,
    name: &'a str,
    updated_at: Option<String>,
}

/// A time as the contract writes it.
fn time(micros: i64) -> String {
    let fraction = if micros % 1_000_000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339_opts(fraction, true)
}

impl ReplacedHead<'_> {
    fn times(dataset: &Dataset) -> Self {
        Self { name: None, updated_by: dataset.updated_by, updated_at: dataset.updated_at.map(time) }
    }
}

const UPDATE_KPI: &str = "UPDATE kpi SET name = ?3, updated_at = ?4 WHERE dataset_seq = ?1 AND id = ?2";

/// Gives a KPI another name, in one revision of the dataset.
pub(crate) fn rename_kpi(floor: &Floor, organization: Uuid, id: Uuid, kpi: Uuid, name: &str) -> Dataset {
    floor.transaction(|| {
        let stored = find(floor, organization, id, false).unwrap();
        let index = stored.dataset.kpis.iter().position(|stored| stored.id == kpi).unwrap();
        rename_kpi_of(floor, organization, stored, index, name)
    })
}

/// Stores a dataset with another name of a KPI, if it is still that of `updated_at`. All fields are compared.
pub(crate) fn save(floor: &Floor, organization: Uuid, edited: &Dataset) -> Dataset {
    floor.transaction(|| {
        let stored = find(floor, organization, edited.id, false).unwrap();
        let current = &stored.dataset;
        assert_eq!(current.updated_at, edited.updated_at);
        assert!(current.name == edited.name && current.description == edited.description);
        assert_eq!(current.kpis.len(), edited.kpis.len());
        let mut renamed = None;
        for (index, (before, after)) in current.kpis.iter().zip(&edited.kpis).enumerate() {
            assert!(before.id == after.id && before.description == after.description && before.unit == after.unit);
            assert!(before.value_type == after.value_type && before.required == after.required);
            if before.name != after.name {
                renamed = Some(index);
            }
        }
        let index = renamed.unwrap();
        rename_kpi_of(floor, organization, stored, index, &edited.kpis[index].name)
    })
}

fn rename_kpi_of(floor: &Floor, organization: Uuid, mut stored: Stored, index: usize, name: &str) -> Dataset {
    let (token, number) = next(floor, &stored);
    let mut bytes = Bytes::new();
    let kpi = &mut stored.dataset.kpis[index];
    let before = bytes.kpi(kpi);
    let (updated_at, replaced_name) =
        (kpi.updated_at.replace(token), std::mem::replace(&mut kpi.name, name.to_owned()));
    let kpi = &stored.dataset.kpis[index];
    let sum = stored.digests.1.wrapping_sub(before).wrapping_add(bytes.kpi(kpi));
    let values = params![stored.seq, kpi.id.as_bytes(), kpi.name, token];
    floor.prepare_cached(UPDATE_KPI).unwrap().execute(values).unwrap();
    let changed = ReplacedKpi { id: kpi.id, name: &replaced_name, updated_at: updated_at.map(time) };
    let replaced = Replaced { dataset: ReplacedHead::times(&stored.dataset), added: None, changed: Some([changed]) };
    insert_version(floor, organization, &stored, &Entry { number, origin: EDITED, at: token }, Some(&replaced));
    let counts = Counts::of(&stored.dataset.kpis);
    update_head(floor, organization, stored, counts, &Change { token, number, sum, has_other_name: false })
}

/// Gives a dataset another name.
pub(crate) fn rename(floor: &Floor, organization: Uuid, id: Uuid, name: &str) -> Dataset {
    floor.transaction(|| {
        let mut stored = find(floor, organization, id, false).unwrap();
        let (token, number) = next(floor, &stored);
        let replaced_name = std::mem::replace(&mut stored.dataset.name, name.to_owned());
        let dataset = ReplacedHead { name: Some(&replaced_name), ..ReplacedHead::times(&stored.dataset) };
        let replaced = Replaced { dataset, added: None, changed: None };
        insert_version(floor, organization, &stored, &Entry { number, origin: EDITED, at: token }, Some(&replaced));
        let (counts, sum) = (Counts::of(&stored.dataset.kpis), stored.digests.1);
        update_head(floor, organization, stored, counts, &Change { token, number, sum, has_other_name: true })
    })
}

/// Adds a KPI to a dataset. Neither reads nor writes the others.
pub(crate) fn add_kpi(floor: &Floor, organization: Uuid, id: Uuid, new: &NewKpi) -> Kpi {
    floor.transaction(|| {
        let (stored, counts) = head(floor, organization, id, true).unwrap();
        let (token, number) = next(floor, &stored);
        let kpi = Kpi {
            id: Uuid::now_v7(),
            position: floor.take(1) + 10_000,
            name: new.name.clone(),
            description: new.description.clone(),
            unit: new.unit.clone(),
            value_type: new.value_type as u8,
            required: new.required,
            sort_order: new.sort_order,
            created_at: token,
            updated_at: None,
        };
        write::insert_kpi(floor, stored.seq, &kpi);
        let replaced = Replaced { dataset: ReplacedHead::times(&stored.dataset), added: Some([kpi.id]), changed: None };
        insert_version(floor, organization, &stored, &Entry { number, origin: EDITED, at: token }, Some(&replaced));
        let sum = stored.digests.1.wrapping_add(Bytes::new().kpi(&kpi));
        let change = Change { token, number, sum, has_other_name: false };
        update_head(floor, organization, stored, counts.with(&kpi), &change);
        kpi
    })
}

/// The `updated_at` and the number of the next change.
fn next(floor: &Floor, stored: &Stored) -> (i64, i64) {
    let dataset = &stored.dataset;
    let last = dataset.updated_at.unwrap_or(dataset.created_at).max(dataset.created_at);
    (now().max(last + 1), next_number(floor, stored))
}

fn next_number(floor: &Floor, stored: &Stored) -> i64 {
    let number = floor.take(1);
    assert!(number > stored.changed.unwrap_or(stored.seq));
    number
}

const EDITED: i64 = 0;
const DELETED: i64 = 3;
const RESTORED: i64 = 4;

struct Entry {
    number: i64,
    origin: i64,
    at: i64,
}

const INSERT_VERSION: &str = "
    INSERT INTO dataset_version
        (dataset_seq, change, part, origin, changed_at, revision, head_digest, kpi_digest, replaced, digest)
    VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

fn insert_version(floor: &Floor, organization: Uuid, stored: &Stored, entry: &Entry, replaced: Option<&Replaced<'_>>) {
    let json = replaced.map(|replaced| serde_json::to_string(replaced).unwrap());
    let digest = entry_digest(organization, stored.dataset.id, stored.revision, stored.digests, entry, json.as_deref());
    let mut insert = floor.prepare_cached(INSERT_VERSION).unwrap();
    insert.raw_bind_parameter(1, stored.seq).unwrap();
    insert.raw_bind_parameter(2, entry.number).unwrap();
    insert.raw_bind_parameter(3, entry.origin).unwrap();
    insert.raw_bind_parameter(4, entry.at).unwrap();
    insert.raw_bind_parameter(5, stored.revision).unwrap();
    insert.raw_bind_parameter(6, stored.digests.0).unwrap();
    insert.raw_bind_parameter(7, stored.digests.1).unwrap();
    insert.raw_bind_parameter(8, &json).unwrap();
    insert.raw_bind_parameter(9, digest).unwrap();
    insert.raw_execute().unwrap();
}

fn entry_digest(
    organization: Uuid,
    id: Uuid,
    revision: i64,
    digests: (i64, i64),
    entry: &Entry,
    json: Option<&str>,
) -> i64 {
    let mut bytes = Bytes::new();
    bytes.put(organization.as_bytes());
    bytes.put(id.as_bytes());
    bytes.integer(entry.number);
    bytes.integer(0);
    bytes.integer(entry.origin);
    bytes.integer(entry.at);
    bytes.user(None);
    bytes.integer(revision);
    bytes.integer(digests.0);
    bytes.integer(digests.1);
    bytes.optional(json, Bytes::text);
    bytes.hash()
}

struct Change {
    token: i64,
    number: i64,
    sum: i64,
    has_other_name: bool,
}

const UPDATE: &str = "
    UPDATE dataset SET updated_by = NULL, updated_at = ?2, revision = ?3, kpi_count = ?4, required_count = ?5,
        head_digest = ?6, kpi_digest = ?7, changed = ?8, state_digest = ?9
    WHERE seq = ?1";
const UPDATE_WITH_NAME: &str = "
    UPDATE dataset SET updated_by = NULL, updated_at = ?2, revision = ?3, kpi_count = ?4, required_count = ?5,
        head_digest = ?6, kpi_digest = ?7, changed = ?8, state_digest = ?9, name = ?10
    WHERE seq = ?1";

fn update_head(floor: &Floor, organization: Uuid, stored: Stored, counts: Counts, change: &Change) -> Dataset {
    let revision = stored.revision + 1;
    let dataset = Dataset { updated_by: None, updated_at: Some(change.token), ..stored.dataset };
    let mut bytes = Bytes::new();
    let head = bytes.head(organization, revision, &dataset, counts);
    let mut update = floor.prepare_cached(if change.has_other_name { UPDATE_WITH_NAME } else { UPDATE }).unwrap();
    update.raw_bind_parameter(1, stored.seq).unwrap();
    update.raw_bind_parameter(2, change.token).unwrap();
    update.raw_bind_parameter(3, revision).unwrap();
    update.raw_bind_parameter(4, counts.kpis).unwrap();
    update.raw_bind_parameter(5, counts.required).unwrap();
    update.raw_bind_parameter(6, head).unwrap();
    update.raw_bind_parameter(7, change.sum).unwrap();
    update.raw_bind_parameter(8, change.number).unwrap();
    update.raw_bind_parameter(9, bytes.state(organization, dataset.id, change.number, None)).unwrap();
    if change.has_other_name {
        update.raw_bind_parameter(10, &dataset.name).unwrap();
    }
    update.raw_execute().unwrap();
    dataset
}

const UPDATE_STATE: &str = "
    UPDATE dataset SET changed = ?2, deleted_at = ?3, deleted_by = NULL, state_digest = ?4 WHERE seq = ?1";

/// Moves a dataset to the trash.
pub(crate) fn delete(floor: &Floor, organization: Uuid, id: Uuid) {
    floor.transaction(|| {
        let (stored, _) = head(floor, organization, id, false).unwrap();
        let (now, number) = (now(), next_number(floor, &stored));
        insert_version(floor, organization, &stored, &Entry { number, origin: DELETED, at: now }, None);
        update_state(floor, organization, &stored, number, Some(now));
    });
}

/// Restores a dataset from the trash.
pub(crate) fn restore(floor: &Floor, organization: Uuid, id: Uuid) -> Dataset {
    floor.transaction(|| {
        let stored = find(floor, organization, id, true).unwrap();
        let number = next_number(floor, &stored);
        insert_version(floor, organization, &stored, &Entry { number, origin: RESTORED, at: now() }, None);
        update_state(floor, organization, &stored, number, None);
        stored.dataset
    })
}

fn update_state(floor: &Floor, organization: Uuid, stored: &Stored, number: i64, deleted_at: Option<i64>) {
    let digest = Bytes::new().state(organization, stored.dataset.id, number, deleted_at.map(|at| (at, None)));
    floor.prepare_cached(UPDATE_STATE).unwrap().execute(params![stored.seq, number, deleted_at, digest]).unwrap();
}
