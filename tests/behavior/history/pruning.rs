//! Pruning: the versions that no rule keeps are gone, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::DateTime;
use kpi_store::{DatasetId, DatasetPatch, HistoryKeep, HistoryQuery, Organization, Store};

use crate::support::{in_a_file_and_in_memory, organization, request_with_kpis};

/// A dataset with this many versions.
fn with_versions(organization: &Organization, count: usize) -> DatasetId {
    let id = organization.create_dataset(request_with_kpis(2)).unwrap().id;
    for index in 1..count {
        organization.update_dataset(id, DatasetPatch::new().name(format!("{index}"))).unwrap();
    }
    id
}

fn revisions(organization: &Organization, id: DatasetId) -> Vec<u64> {
    let page = organization.history(id, &HistoryQuery::new()).unwrap();
    assert!(page.damaged.is_empty() && page.next.is_none());
    page.iter().map(|version| version.revision).collect()
}

#[test]
fn the_last_versions_stay() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        let [one, other] = [5, 2].map(|count| with_versions(&ours, count));
        let unchanged = with_versions(&ours, 1);
        let third = with_versions(&theirs, 4);
        let deleted = with_versions(&ours, 4);
        ours.delete_dataset(deleted).unwrap();

        assert_eq!(ours.prune_history(&HistoryKeep::new().last(9)).unwrap(), 0);
        assert_eq!(ours.prune_history(&HistoryKeep::new().last(3)).unwrap(), 2 + 1);
        assert_eq!(revisions(&ours, one), [5, 4, 3]);
        assert_eq!(revisions(&ours, other), [2, 1]);
        assert_eq!(ours.prune_history(&HistoryKeep::new().last(2).of(one)).unwrap(), 1);
        assert_eq!(revisions(&ours, one), [5, 4]);
        // The present version is no rule's to remove.
        assert_eq!(ours.prune_history(&HistoryKeep::new()).unwrap(), 1 + 1 + 2);
        assert_eq!(ours.prune_history(&HistoryKeep::new()).unwrap(), 0);
        for (id, left) in [(one, 5), (other, 2), (unchanged, 1)] {
            assert_eq!(revisions(&ours, id), [left]);
        }
        assert_eq!(revisions(&theirs, third), [4, 3, 2, 1]);
        ours.restore_dataset(deleted).unwrap();
        let trail: Vec<_> = ours
            .history(deleted, &HistoryQuery::new())
            .unwrap()
            .iter()
            .map(|version| version.origin.as_str())
            .collect();
        assert_eq!(trail, ["restored", "deleted", "edited"]);
        assert!(store.verify().unwrap().is_whole(), "{:?}", store.verify().unwrap());
        assert_eq!(ours.version(one, 4).unwrap(), None);
        assert_eq!(ours.prune_history(&HistoryKeep::new().of(third)).unwrap_err().code(), "not_found");
    });
}

#[test]
fn versions_that_were_present_since_a_time_stay() {
    let now = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&now);
    let time = |micros| DateTime::from_timestamp_micros(micros).unwrap();
    let store = Store::options().clock(move || time(clock.load(Ordering::Relaxed))).open_in_memory().unwrap();
    let ours = organization(&store);
    let id = ours.create_dataset(request_with_kpis(1)).unwrap().id;
    for at in [10, 20, 30] {
        now.store(at, Ordering::Relaxed);
        ours.update_dataset(id, DatasetPatch::new().name(format!("at {at}"))).unwrap();
    }
    // Version 2 was present from 10 to 20.
    assert_eq!(ours.prune_history(&HistoryKeep::new().since(time(20))).unwrap(), 1);
    assert_eq!(revisions(&ours, id), [4, 3, 2]);
    assert_eq!(ours.prune_history(&HistoryKeep::new().since(time(21)).last(3)).unwrap(), 0);
    assert_eq!(ours.prune_history(&HistoryKeep::new().since(time(21)).last(1)).unwrap(), 1);
    assert_eq!(revisions(&ours, id), [4, 3]);
}

#[test]
fn a_pruned_history_goes_on() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let id = with_versions(&ours, 4);
        ours.prune_history(&HistoryKeep::new()).unwrap();
        let current = ours.update_dataset(id, DatasetPatch::new().name("after")).unwrap();
        assert_eq!(revisions(&ours, id), [5, 4]);
        assert_eq!(ours.revert_dataset(&current, 3).unwrap_err().code(), "not_found");
        let reverted = ours.revert_dataset(&current, 4).unwrap();
        assert_eq!(reverted.name, "3");
        assert_eq!(ours.prune_history(&HistoryKeep::new().last(1)).unwrap(), 2);
        assert!(store.verify().unwrap().is_whole());
    });
}
