//! Removing an organization, also from a damaged file.

use std::error::Error as _;
use std::time::Duration;

use kpi_store::{DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Store};
use rusqlite::Connection;

use super::bytes::{Marker, bytes_beside, contains, markers_in};
use crate::support::{Random, TestFile, in_a_file_and_in_memory, listed, organization, plain_sqlite};

/// Creates datasets with this marker and the next ones; the last is changed, another is in the trash, and one purged.
fn fill(ours: &Organization, first: u32) {
    let mut random = Random::new(first.into());
    let mut text = |number| Marker(first + number).text(&mut random, 100);
    let mut made = Vec::new();
    for number in 0..5 {
        let kpi = NewKpi::new(text(10 + number)).description(text(20 + number));
        made.push(ours.create_dataset(NewDataset::new(text(number)).kpi(kpi)).unwrap());
    }
    let mut draft = made[4].edit();
    draft.name = text(30);
    ours.save_dataset(&draft).unwrap();
    ours.delete_datasets([made[0].id, made[1].id]).unwrap();
    ours.purge_dataset(made[0].id).unwrap();
    let properties = [40, 50].map(|number| (text(number), text(number + 1)));
    ours.set_properties(properties.iter().map(|(key, content)| (key, Some(content.as_bytes())))).unwrap();
}

/// Whether a marker or the id of the organization is in the file.
fn is_left(file: &TestFile, first: u32, id: OrganizationId) -> bool {
    let bytes = bytes_beside(&file.path);
    markers_in(&bytes).iter().any(|marker| (first..first + 100).contains(&marker.0))
        || contains(&bytes, &uuid::Uuid::from(id).into_bytes())
}

#[test]
fn an_organization_is_removed_with_its_trash_its_purged_ids_and_its_properties_and_others_stay() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        fill(&ours, 100);
        fill(&theirs, 200);
        let (seen, purged) = (listed(&theirs), listed(&ours)[0].id);
        store.purge_organization(ours.id()).unwrap();
        assert_eq!(store.organizations().unwrap(), [theirs.id()]);
        assert_eq!(listed(&ours), []);
        assert_eq!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 0);
        assert_eq!((ours.property_keys().unwrap().len(), theirs.property_keys().unwrap().len()), (0, 2));
        assert_eq!((listed(&theirs), theirs.count_deleted(&DatasetQuery::new()).unwrap()), (seen.clone(), 1));
        // Again, and one that nobody knows.
        store.purge_organization(ours.id()).unwrap();
        store.purge_organization(OrganizationId::new()).unwrap();
        assert_eq!(listed(&theirs), seen);
        ours.create_dataset(NewDataset::new("Again").id(purged)).unwrap();
        assert!(store.verify().unwrap().is_whole());
    });
}

#[test]
fn if_a_read_prevents_the_compaction_the_rows_are_gone_and_the_error_says_what_is_left_to_do() {
    let file = TestFile::in_memory();
    let store = Store::options().busy_timeout(Duration::from_millis(50)).open(&file.path).unwrap();
    let ours = organization(&store);
    fill(&ours, 100);
    let reader = plain_sqlite(&file.path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();

    let error = store.purge_organization(ours.id()).unwrap_err();

    assert!(matches!(error, Error::Busy { .. }) && error.is_retryable(), "{error:?}");
    let sources: Vec<_> =
        std::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect();
    assert!(sources[0].contains("until `compact`") && sources[1].starts_with("a read"), "{sources:?}");
    assert_eq!(store.organizations().unwrap(), []);
    assert!(is_left(&file, 100, ours.id()), "the control");
    reader.execute_batch("COMMIT").unwrap();
    store.compact().unwrap();
    assert!(!is_left(&file, 100, ours.id()));
}

/// What damages a closed file, in which the first organization has the datasets 1 to 5.
type Damage = (&'static str, fn(&Connection));

const DAMAGES: [Damage; 7] = [
    ("a text", |plain| run(plain, "UPDATE dataset SET name = 'other'; UPDATE kpi SET unit = 'other'")),
    ("properties", |plain| {
        run(
            plain,
            "PRAGMA ignore_check_constraints = ON; UPDATE organization_property SET digest = 7, key = key || char(0)",
        );
    }),
    ("a state", |plain| run(plain, "UPDATE dataset SET state_digest = 7 WHERE state_digest IS NOT NULL")),
    ("KPIs and versions without their dataset", |plain| {
        run(plain, "PRAGMA foreign_keys = OFF; DELETE FROM dataset WHERE seq IN (3, 5)");
    }),
    ("an index that lacks rows", |plain| {
        without_index(plain, "dataset_by_organization", "UPDATE dataset SET deleted_at = NULL, deleted_by = NULL");
    }),
    ("an index with rows that do not exist", |plain| {
        without_index(plain, "dataset_by_change", "PRAGMA foreign_keys = OFF; DELETE FROM dataset WHERE seq = 5");
    }),
    ("an index with the numbers of other rows", |plain| {
        let move_all = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
            UPDATE dataset SET seq = seq + 1000 WHERE seq < 6;
            UPDATE kpi SET dataset_seq = dataset_seq + 1000 WHERE dataset_seq < 6;
            UPDATE dataset_version SET dataset_seq = dataset_seq + 1000, change = change + 1000 WHERE dataset_seq < 6";
        without_index(plain, "dataset_in_trash", move_all);
    }),
];

fn run(plain: &Connection, sql: &str) {
    plain.execute_batch(sql).unwrap();
}

/// Runs SQL that does not maintain an index.
fn without_index(plain: &Connection, index: &str, sql: &str) {
    let path = plain.path().unwrap().to_owned();
    run(
        plain,
        &format!(
            "PRAGMA writable_schema = ON; CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = '{index}';
            DELETE FROM sqlite_schema WHERE name = '{index}'"
        ),
    );
    // A connection that has not read the index.
    let other = Connection::open(path).unwrap();
    run(&other, sql);
    run(
        &other,
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept; DROP TABLE kept;
        PRAGMA wal_checkpoint(TRUNCATE)",
    );
}

#[test]
fn nothing_is_left_of_an_organization_whose_rows_or_indexes_are_damaged() {
    for (what, damage) in DAMAGES {
        let file = TestFile::in_memory();
        let store = Store::open(&file.path).unwrap();
        let (ours, theirs) = (organization(&store), organization(&store));
        fill(&ours, 100);
        fill(&theirs, 200);
        let id = theirs.id();
        store.close().unwrap();
        damage(&plain_sqlite(&file.path));
        let store = Store::open(&file.path).unwrap();
        assert!(!store.verify().unwrap().is_whole(), "{what}: the control");
        assert!(is_left(&file, 100, ours.id()), "{what}: the control");

        store.purge_organization(ours.id()).unwrap_or_else(|error| panic!("{what}: {error:?}"));

        assert!(!is_left(&file, 100, ours.id()), "{what}");
        assert!(is_left(&file, 200, id), "{what}: others stay");
        assert_eq!(store.organizations().unwrap(), [id], "{what}");
    }
}
