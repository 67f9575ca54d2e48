//! The numbers of datasets in the file (`seq`): never used twice, whatever another tool does, and increasing in the
//! order of commits, so that a listing by cursor neither skips nor repeats.

use kpi_store::chrono::{DateTime, Utc};
use kpi_store::{Dataset, DatasetId, DatasetPatch, DatasetQuery, Error, NewDataset, NewKpi, Organization, Store};

use crate::support::{TestFile, organization, plain_sqlite};

fn water() -> NewDataset {
    NewDataset::new("Water").kpi(NewKpi::new("Withdrawal"))
}

/// The number of a dataset, as a plain connection sees it.
fn number(file: &TestFile, id: DatasetId) -> i64 {
    let id = uuid::Uuid::from(id).into_bytes();
    plain_sqlite(&file.path).query_row("SELECT seq FROM dataset WHERE id = ?1", [id], |row| row.get(0)).unwrap()
}

fn by_another_tool(file: &TestFile, sql: &str) {
    plain_sqlite(&file.path).execute_batch(sql).unwrap();
}

#[test]
fn kpis_left_by_a_deleted_dataset_never_become_part_of_a_new_one() {
    for reopened in [false, true] {
        let file = TestFile::new();
        let mut store = Store::open(&file.path).unwrap();
        let (ours, theirs) = (organization(&store), organization(&store));
        ours.create_dataset(water()).unwrap();
        let deleted = number(&file, ours.create_dataset(water()).unwrap().id);
        by_another_tool(&file, &format!("PRAGMA foreign_keys = OFF; DELETE FROM dataset WHERE seq = {deleted}"));
        if reopened {
            store.close().unwrap();
            store = Store::open(&file.path).unwrap();
        }

        let theirs = store.organization(theirs.id());
        let created = theirs.create_dataset(NewDataset::new("Waste")).unwrap();

        assert_eq!(theirs.dataset(created.id).unwrap(), Some(created.clone()));
        assert!(number(&file, created.id) > deleted);
        let findings = store.verify().unwrap().findings;
        assert_eq!(findings.iter().map(|finding| finding.kind.as_str()).collect::<Vec<_>>(), ["foreign_key"]);
    }
}

#[test]
fn the_number_of_a_deleted_dataset_is_not_used_again() {
    for sql in ["DELETE FROM dataset", "DELETE FROM dataset WHERE seq = (SELECT max(seq) FROM dataset)"] {
        for reopened in [false, true] {
            let file = TestFile::new();
            let store = Store::open(&file.path).unwrap();
            let ours = organization(&store);
            let datasets = ours.create_datasets((0..100).map(|_| water())).unwrap();
            let last = number(&file, datasets[99].id);
            let end = ours.datasets(&DatasetQuery::new().limit(99)).unwrap().next.unwrap();
            by_another_tool(&file, &format!("PRAGMA foreign_keys = ON; {sql}"));
            let store = if reopened {
                store.close().unwrap();
                Store::open(&file.path).unwrap()
            } else {
                store
            };
            let ours = store.organization(ours.id());
            let created = ours.create_dataset(water()).unwrap();
            assert!(number(&file, created.id) > last, "{sql}");
            // A listing that continues after the deleted datasets finds the new one.
            assert_eq!(ours.datasets(&DatasetQuery::new().after(&end)).unwrap().items, [created], "{sql}");
            assert!(store.verify().unwrap().is_whole());
        }
    }
}

#[test]
fn numbers_rise_with_the_order_of_commits_of_several_handles() {
    let file = TestFile::new();
    let stores = [(); 3].map(|()| Store::open(&file.path).unwrap());
    let id = organization(&stores[0]).id();
    let handles = stores.each_ref().map(|store| store.organization(id));
    let mut created = Vec::new();
    // A listing that continues while the others write.
    let (mut cursor, mut listed) = (None, Vec::new());
    for round in 0..200_usize {
        // Sometimes several creates by the same handle, whole blocks, and batches.
        let handle: &Organization = &handles[(round * 7 / 3) % 3];
        match round % 10 {
            3 => created.extend(handle.create_datasets((0..5).map(|_| water())).unwrap()),
            6 => drop(handle.create_dataset(NewDataset::new("")).unwrap_err()),
            8 => {
                let taken = created.last().map(|dataset| water().id(dataset.id)).unwrap();
                assert!(matches!(handle.create_datasets([water(), taken]), Err(Error::AlreadyExists { .. })));
            }
            _ => created.push(handle.create_dataset(water()).unwrap()),
        }
        let query = DatasetQuery::new().limit(1);
        let query = cursor.as_ref().map_or(query.clone(), |cursor| query.after(cursor));
        let page = handles[round % 3].datasets(&query).unwrap();
        // The last page has no cursor: it is read again, when there are more.
        if page.next.is_some() {
            listed.extend(page.items);
            cursor = page.next;
        }
    }
    let rest = DatasetQuery::new().after(&cursor.unwrap());
    listed.extend(handles[0].iter_datasets(&rest).map(Result::unwrap));
    assert_eq!(listed, created);
    let numbers: Vec<_> = created.iter().map(|dataset| number(&file, dataset.id)).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let all: Vec<_> = handles[0].iter_datasets(&DatasetQuery::new()).collect::<Result<_, _>>().unwrap();
    assert_eq!(all, created);
    assert!(stores[0].verify().unwrap().is_whole());
}

#[test]
fn a_counter_that_was_altered_gives_no_number_twice_and_one_that_is_missing_is_damage() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let first = number(&file, ours.create_dataset(water()).unwrap().id);
    by_another_tool(&file, "UPDATE counter SET last = 0");
    let second = number(&file, ours.create_dataset(water()).unwrap().id);
    assert!(second > first);
    by_another_tool(&file, "UPDATE counter SET last = 5000000000");
    assert!(number(&file, ours.create_dataset(water()).unwrap().id) > 5_000_000_000);

    by_another_tool(&file, "UPDATE counter SET last = 9223372036854775807");
    let full = ours.create_dataset(water()).unwrap_err();
    assert_eq!(full.code(), "corrupt", "{full:?}");
    by_another_tool(&file, "DELETE FROM counter");
    let missing = ours.create_dataset(water()).unwrap_err();
    assert_eq!(missing.code(), "corrupt", "{missing:?}");
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 3);
    let findings = store.verify().unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.kind.as_str()).collect::<Vec<_>>(), ["count"]);
    by_another_tool(&file, "INSERT INTO counter VALUES (1, 0, 0)");
    ours.create_dataset(water()).unwrap();
    assert!(store.verify().unwrap().is_whole());
}

/// The kinds of the findings.
fn found(store: &Store) -> Vec<&'static str> {
    store.verify().unwrap().findings.iter().map(|finding| finding.kind.as_str()).collect()
}

/// A change of a dataset, which is in the trash before it is restored or purged.
type Call = (&'static str, fn(&Organization, &Dataset) -> Result<(), Error>);

const CALLS: [Call; 8] = [
    ("save", |ours, dataset| {
        let mut draft = dataset.edit();
        draft.name.push('s');
        draft.kpis.push(NewKpi::new("Rain").into());
        ours.save_dataset(&draft).map(drop)
    }),
    ("update", |ours, dataset| ours.update_dataset(dataset.id, DatasetPatch::new().name("Rivers")).map(drop)),
    ("create a KPI", |ours, dataset| ours.create_kpi(dataset.id, NewKpi::new("Rain")).map(drop)),
    ("revert", |ours, dataset| ours.revert_dataset(dataset, 1).map(drop)),
    ("accept", |ours, dataset| ours.accept_dataset(dataset.id).map(drop)),
    ("delete", |ours, dataset| ours.delete_dataset(dataset.id)),
    ("restore", |ours, dataset| ours.restore_dataset(dataset.id).map(drop)),
    ("purge", |ours, dataset| ours.purge_dataset(dataset.id)),
];

#[test]
fn a_change_mends_a_counter_that_another_tool_has_set_back() {
    for (name, call) in CALLS {
        for reopened in [false, true] {
            let file = TestFile::new();
            let mut store = Store::open(&file.path).unwrap();
            let mut ours = organization(&store);
            let mut dataset = ours.create_dataset(water()).unwrap();
            for round in 0..100 {
                dataset = ours.update_dataset(dataset.id, DatasetPatch::new().name(format!("{round}"))).unwrap();
            }
            if ["restore", "purge"].contains(&name) {
                ours.delete_dataset(dataset.id).unwrap();
            }
            let numbers = "SELECT max(change), count(DISTINCT change) FROM dataset_version";
            let numbers = || plain_sqlite(&file.path).query_row(numbers, [], |row| Ok((row.get(0)?, row.get(1)?)));
            let before: (i64, i64) = numbers().unwrap();
            by_another_tool(&file, "UPDATE counter SET last = 1");
            if reopened {
                store.close().unwrap();
                store = Store::open(&file.path).unwrap();
                ours = store.organization(ours.id());
            }
            assert_eq!(found(&store), ["count"], "{name}");

            call(&ours, &dataset).unwrap_or_else(|error| panic!("{name}, reopened: {reopened}: {error:?}"));

            assert_eq!(found(&store), [""; 0], "{name}");
            if name == "purge" {
                let purge: i64 = plain_sqlite(&file.path)
                    .query_row("SELECT change FROM purged_dataset", [], |row| row.get(0))
                    .unwrap();
                assert!(purge > before.0);
                continue;
            }
            let after: (i64, i64) = numbers().unwrap();
            assert!(after.0 > before.0 && after.1 == before.1 + 1, "{name}: {before:?} {after:?}");
        }
    }
}

#[test]
fn a_purge_takes_a_number_behind_those_of_the_purges_before() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let purge = || {
        let id = ours.create_dataset(water()).unwrap().id;
        ours.delete_dataset(id).unwrap();
        ours.purge_dataset(id).unwrap();
        id
    };
    let mut purged: Vec<_> = (0..40).map(|_| purge()).collect();
    for _ in 0..3 {
        by_another_tool(&file, "UPDATE counter SET last = 0");
        assert_eq!(found(&store), ["count"]);
        purged.push(purge());
        assert_eq!(found(&store), [""; 0]);
    }
    // Several in one transaction.
    let ids = ours.create_datasets((0..3).map(|_| water())).unwrap().into_iter().map(|dataset| dataset.id);
    let ids: Vec<_> = ids.collect();
    ours.delete_datasets(ids.clone()).unwrap();
    by_another_tool(&file, "UPDATE counter SET last = 0");
    assert_eq!(ours.purge_deleted_before(DateTime::<Utc>::MAX_UTC).unwrap(), 3);
    assert_eq!(found(&store), [""; 0]);
    for id in purged.into_iter().chain(ids) {
        assert!(matches!(ours.create_dataset(water().id(id)), Err(Error::AlreadyExists { .. })));
    }
}

#[test]
fn no_new_dataset_gets_the_number_of_an_orphaned_kpi() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    ours.create_dataset(water()).unwrap();
    by_another_tool(
        &file,
        "PRAGMA foreign_keys = OFF; INSERT INTO kpi SELECT 70, id, position, name, description, unit, value_type,
         required, sort_order, created_at, updated_at FROM kpi",
    );
    for _ in 0..100 {
        let created = ours.create_dataset(NewDataset::new("Waste")).unwrap();
        assert_eq!(ours.dataset(created.id).unwrap(), Some(created.clone()));
        assert!(number(&file, created.id) > 70);
    }
}

#[test]
fn a_tool_that_uses_up_the_numbers_makes_nothing_panic() {
    for last in [i64::MAX - 64, i64::MAX - 1, i64::MAX] {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let insert =
            "INSERT INTO dataset (seq, id, organization_id, name, created_at, revision, kpi_count, required_count,
                          head_digest, kpi_digest)
                      VALUES (?1, randomblob(16), randomblob(16), 'x', 0, 1, 0, 0, 0, 0)";
        plain_sqlite(&file.path).execute(insert, [last]).unwrap();
        let ours = organization(&store);
        // A listing of the newest first would not find a dataset with the largest number.
        let left = usize::try_from((i64::MAX - 1).saturating_sub(last).max(0)).unwrap();
        for _ in 0..left {
            ours.create_dataset(NewDataset::new("Water")).unwrap();
        }
        assert_eq!(ours.create_dataset(NewDataset::new("Water")).unwrap_err().code(), "corrupt");
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), left as u64);
    }
}
