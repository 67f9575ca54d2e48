//! The trash: deleting, listing, restoring and purging datasets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::DateTime;
use kpi_store::{
    Cursor, DatasetId, DatasetPatch, DatasetQuery, Error, HistoryQuery, LoadOptions, NewDataset, NewKpi, Organization,
    Origin, Store, UserId,
};

use crate::support::{
    Random, TestFile, in_a_file_and_in_memory, listed, organization, plain_sqlite, request_with_kpis, seed,
};

fn deleted_ids(organization: &Organization, query: &DatasetQuery) -> Vec<DatasetId> {
    organization.deleted_datasets(query).unwrap().iter().map(|deleted| deleted.dataset.id).collect()
}

#[test]
fn what_is_deleted_is_unknown_everywhere_but_in_the_trash() {
    in_a_file_and_in_memory(Store::options, |store, file| {
        let user = UserId::new();
        let ours = organization(store);
        let [deleted, kept] = [2, 3].map(|count| ours.create_dataset(request_with_kpis(count)).unwrap());
        ours.acting_as(user).delete_dataset(deleted.id).unwrap();

        assert_eq!(ours.dataset(deleted.id).unwrap(), None);
        assert_eq!(listed(&ours), std::slice::from_ref(&kept));
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 1);
        assert_eq!(ours.delete_dataset(deleted.id).unwrap_err().code(), "not_found");
        let trash = ours.deleted_datasets(&DatasetQuery::new()).unwrap();
        assert_eq!((&trash.items[0].dataset, trash.items[0].deleted_by), (&deleted, Some(user)));
        assert!(trash.items[0].deleted_at >= deleted.created_at);
        assert_eq!((trash.items.len(), trash.damaged.len(), trash.next), (1, 0, None));
        assert_eq!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 1);
        assert_eq!(store.organizations().unwrap(), [ours.id()]);
        if let Some(file) = file {
            let other = Store::open(file).unwrap().organization(ours.id());
            assert_eq!(other.dataset(deleted.id).unwrap(), None);
            assert_eq!(other.deleted_datasets(&DatasetQuery::new()).unwrap().items[0].dataset, deleted);
        }
        assert!(store.verify().unwrap().is_whole());
    });
}

#[test]
fn restoring_gives_back_an_equal_dataset_in_its_old_place() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let mut all: Vec<_> = (0..4).map(|count| ours.create_dataset(request_with_kpis(count)).unwrap()).collect();
        all[1] = ours.update_dataset(all[1].id, DatasetPatch::new().name("changed")).unwrap();
        ours.delete_datasets([all[1].id, all[3].id, all[1].id]).unwrap();
        assert_eq!(ours.restore_datasets([all[3].id, all[1].id, all[3].id]).unwrap(), [all[3].clone(), all[1].clone()]);
        assert_eq!(listed(&ours), all);
        assert_eq!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 0);
        assert!(store.verify().unwrap().is_whole());
    });
}

#[test]
fn restoring_what_was_deleted_gives_back_any_dataset_a_thousand_times() {
    let seed = seed();
    let mut random = Random::new(seed);
    let ours = organization(&Store::open_in_memory().unwrap());
    let mut current = ours.create_dataset(request_with_kpis(3)).unwrap();
    for index in 0..1_000 {
        let mut draft = current.edit();
        match random.below(4) {
            0 => draft.name = format!("{index}"),
            1 => draft.kpis.push(NewKpi::new(format!("{index}")).into()),
            2 => draft.kpis.truncate(random.below(6)),
            _ => draft.kpis.reverse(),
        }
        current = ours.save_dataset(&draft).unwrap();
        ours.delete_dataset(current.id).unwrap();
        let trash = ours.deleted_datasets(&DatasetQuery::new()).unwrap();
        assert_eq!(trash.items[0].dataset, current, "seed {seed}, {index}");
        assert_eq!(ours.restore_dataset(current.id).unwrap(), current, "seed {seed}, {index}");
        assert_eq!(ours.dataset(current.id).unwrap().as_ref(), Some(&current), "seed {seed}, {index}");
    }
}

#[test]
fn several_are_deleted_or_restored_together_or_not_at_all() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let [one, other] = [1, 2].map(|count| ours.create_dataset(request_with_kpis(count)).unwrap().id);
        let unknown = DatasetId::new();
        let is_unknown =
            |error: Error| matches!(error, Error::NotFound { dataset, kpi: None, .. } if dataset == unknown);
        assert!(is_unknown(ours.delete_datasets([one, unknown, other]).unwrap_err()));
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 2);
        ours.delete_datasets([one, other]).unwrap();
        assert!(is_unknown(ours.restore_datasets([one, unknown]).unwrap_err()));
        assert_eq!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 2);
        ours.delete_datasets([]).unwrap();
        assert_eq!(ours.restore_datasets([]).unwrap(), []);
    });
}

#[test]
fn the_trash_is_listed_by_deletion_in_pages_and_both_orders() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        let ids: Vec<_> = (0..7).map(|_| ours.create_dataset(request_with_kpis(1)).unwrap().id).collect();
        let order = [3, 0, 6, 1, 5];
        for index in order {
            ours.delete_dataset(ids[index]).unwrap();
            let other = theirs.create_dataset(request_with_kpis(0)).unwrap().id;
            theirs.delete_dataset(other).unwrap();
        }
        let expected: Vec<_> = order.iter().map(|index| ids[*index]).collect();
        let newest: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(deleted_ids(&ours, &DatasetQuery::new()), newest);
        assert_eq!(deleted_ids(&ours, &DatasetQuery::new().newest_first()), newest);
        assert_eq!(deleted_ids(&ours, &DatasetQuery::new().oldest_first()), expected);

        for (query, expected) in [(DatasetQuery::new(), newest), (DatasetQuery::new().oldest_first(), expected)] {
            let (mut found, mut query) = (Vec::new(), query.limit(2));
            loop {
                let page = ours.deleted_datasets(&query).unwrap();
                found.extend(page.items.iter().map(|deleted| deleted.dataset.id));
                let Some(next) = page.next else { break };
                // A restored dataset neither repeats nor hides another one.
                query = query.after(&next.to_string().parse::<Cursor>().unwrap());
            }
            assert_eq!(found, expected);
        }
        let cursor = ours.deleted_datasets(&DatasetQuery::new().limit(1)).unwrap().next.unwrap();
        for refused in [
            ours.datasets(&DatasetQuery::new().after(&cursor)).map(drop),
            ours.deleted_datasets(&DatasetQuery::new().oldest_first().after(&cursor)).map(drop),
            theirs.deleted_datasets(&DatasetQuery::new().after(&cursor)).map(drop),
            ours.history(ids[2], &HistoryQuery::new().after(&cursor)).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().code(), "invalid_cursor");
        }
        assert_eq!(ours.deleted_datasets(&DatasetQuery::new().limit(0)).unwrap_err().code(), "invalid");
    });
}

#[test]
fn only_what_is_in_the_trash_is_purged_and_its_id_is_never_given_again() {
    in_a_file_and_in_memory(Store::options, |store, file| {
        let ours = organization(store);
        let gone = ours.create_dataset(request_with_kpis(40)).unwrap();
        ours.update_dataset(gone.id, DatasetPatch::new().name("changed")).unwrap();
        assert_eq!(ours.purge_dataset(gone.id).unwrap_err().code(), "not_found");
        ours.delete_dataset(gone.id).unwrap();
        let taken = || NewDataset::new("again").id(gone.id);
        assert_eq!(ours.create_dataset(taken()).unwrap_err().code(), "already_exists");
        ours.purge_dataset(gone.id).unwrap();

        assert_eq!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 0);
        assert_eq!(ours.restore_dataset(gone.id).unwrap_err().code(), "not_found");
        assert_eq!(ours.purge_dataset(gone.id).unwrap_err().code(), "not_found");
        let error = ours.create_dataset(taken()).unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { dataset, kpi: None, .. } if dataset == gone.id));
        assert_eq!(ours.create_datasets([NewDataset::new("x"), taken()]).unwrap_err().code(), "already_exists");
        assert_eq!(ours.load_datasets([taken()], LoadOptions::new()).unwrap_err().code(), "already_exists");
        // Another organization may have the same id.
        assert_eq!(organization(store).create_dataset(taken()).unwrap().id, gone.id);
        if let Some(file) = file {
            let count = |table: &str| -> i64 {
                plain_sqlite(file).query_one(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
            };
            assert_eq!((count("kpi"), count("dataset_version"), count("purged_dataset")), (0, 0, 1));
        }
        assert!(store.verify().unwrap().is_whole());
    });
}

/// A source that gives an id again: it is found taken, also after the dataset was purged.
#[test]
fn an_id_of_the_application_s_source_is_not_given_again_either() {
    let ids = || uuid::Uuid::from_u128(7);
    let ours = organization(&Store::options().ids(ids).open_in_memory().unwrap());
    let id = ours.create_dataset(NewDataset::new("Water")).unwrap().id;
    ours.delete_dataset(id).unwrap();
    ours.purge_dataset(id).unwrap();
    assert_eq!(ours.create_dataset(NewDataset::new("Water")).unwrap_err().code(), "already_exists");
}

#[test]
fn what_was_deleted_before_a_time_is_purged_and_nothing_else() {
    let now = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&now);
    let time = |micros| DateTime::from_timestamp_micros(micros).unwrap();
    let store = Store::options().clock(move || time(clock.load(Ordering::Relaxed))).open_in_memory().unwrap();
    let (ours, theirs) = (organization(&store), organization(&store));
    let mut ids = Vec::new();
    // The clock steps back once: the time counts, not the order.
    for at in [10, 20, 15, 30] {
        now.store(at, Ordering::Relaxed);
        for organization in [&ours, &theirs] {
            let id = organization.create_dataset(request_with_kpis(2)).unwrap().id;
            organization.delete_dataset(id).unwrap();
            ids.push(id);
        }
    }
    let left = ours.create_dataset(request_with_kpis(1)).unwrap();
    assert_eq!(ours.purge_deleted_before(time(10)).unwrap(), 0);
    assert_eq!(ours.purge_deleted_before(time(20)).unwrap(), 2);
    assert_eq!(deleted_ids(&ours, &DatasetQuery::new()), [ids[6], ids[2]]);
    assert_eq!(theirs.count_deleted(&DatasetQuery::new()).unwrap(), 4);
    assert_eq!(ours.purge_deleted_before(time(i64::MAX / 1_000)).unwrap(), 2);
    assert_eq!(listed(&ours), [left]);
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn deletions_and_restorations_stand_in_the_history() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let users = [(); 3].map(|()| UserId::new());
        let ours = organization(store);
        let dataset = ours.create_dataset(request_with_kpis(1)).unwrap();
        ours.acting_as(users[0]).delete_dataset(dataset.id).unwrap();
        ours.acting_as(users[1]).restore_dataset(dataset.id).unwrap();
        let renamed = ours.acting_as(users[2]).update_dataset(dataset.id, DatasetPatch::new().name("x")).unwrap();
        let history = ours.history(dataset.id, &HistoryQuery::new()).unwrap();
        let trail: Vec<_> =
            history.iter().map(|version| (version.revision, version.origin, version.changed_by)).collect();
        assert_eq!(
            trail,
            [
                (2, Origin::Edited, Some(users[2])),
                (1, Origin::Restored, Some(users[1])),
                (1, Origin::Deleted, Some(users[0])),
                (1, Origin::Created, None),
            ]
        );
        let datasets: Vec<_> = history.iter().map(|version| &version.dataset).collect();
        assert_eq!(datasets, [&renamed, &dataset, &dataset, &dataset]);
        let diffs: Vec<_> = history.iter().map(|version| version.diff.is_some()).collect();
        assert_eq!(diffs, [true, false, false, false]);
    });
}

/// Numbers of changes come from the counter of the datasets, so a listing by cursor goes on as if nothing had been
/// changed.
#[test]
fn cursors_stay_valid_while_datasets_are_changed_deleted_and_purged() {
    let file = TestFile::new();
    let ours = organization(&Store::open(&file.path).unwrap());
    let ids: Vec<_> = (0..6).map(|_| ours.create_dataset(request_with_kpis(1)).unwrap().id).collect();
    let first = ours.datasets(&DatasetQuery::new().limit(3)).unwrap();
    for id in [ids[1], ids[2], ids[4]] {
        ours.update_dataset(id, DatasetPatch::new().name("changed")).unwrap();
        ours.delete_dataset(id).unwrap();
    }
    ours.purge_dataset(ids[2]).unwrap();
    let new = ours.create_dataset(request_with_kpis(1)).unwrap().id;
    let rest = ours.datasets(&DatasetQuery::new().after(&first.next.unwrap())).unwrap();
    let found: Vec<_> = rest.iter().map(|dataset| dataset.id).collect();
    assert_eq!(found, [ids[3], ids[5], new]);
}
