//! Changes since a cursor: each kind of change and its state, pages, cursors of other organizations and files.

mod following;
mod restoring;

use kpi_store::limits::CHANGES_MAX;
use kpi_store::{
    Change, ChangeCursor, ChangeState, Changes, Dataset, DatasetId, DatasetPatch, Error, HistoryKeep, LoadOptions,
    NewDataset, NewKpi, Organization, Store,
};

use crate::support::{self, TestFile, organization, request_with_kpis};

use ChangeState::{Deleted, Present, Purged};

fn since(organization: &Organization, cursor: &ChangeCursor) -> Changes {
    let changes = organization.changes_since(cursor).unwrap();
    assert!(changes.damaged.is_empty(), "{changes:?}");
    changes
}

/// The changes in short: the indexes of the datasets in a list of ids, and their states.
fn states(changes: &Changes, ids: &[DatasetId]) -> Vec<(usize, ChangeState)> {
    let place = |change: &Change| (ids.iter().position(|id| *id == change.dataset).unwrap(), change.state);
    changes.items.iter().map(place).collect()
}

/// A call, whether it changes the state or the content of a dataset, and the state that it leaves.
type Call = (&'static str, Option<ChangeState>, fn(&Organization, &Dataset));

const CALLS: [Call; 15] = [
    ("save", Some(Present), |ours, dataset| {
        let mut draft = dataset.edit();
        draft.name.push('s');
        ours.save_dataset(&draft).unwrap();
    }),
    ("save nothing new", None, |ours, dataset| drop(ours.save_dataset(&dataset.edit()).unwrap())),
    ("update", Some(Present), |ours, dataset| {
        ours.update_dataset(dataset.id, DatasetPatch::new().name("Rivers")).unwrap();
    }),
    ("update nothing", None, |ours, dataset| {
        ours.update_dataset(dataset.id, DatasetPatch::new().name(dataset.name.clone())).unwrap();
    }),
    ("create a KPI", Some(Present), |ours, dataset| drop(ours.create_kpi(dataset.id, NewKpi::new("Rain")).unwrap())),
    ("revert", Some(Present), |ours, dataset| drop(ours.revert_dataset(dataset, 1).unwrap())),
    ("accept", Some(Present), |ours, dataset| drop(ours.accept_dataset(dataset.id).unwrap())),
    ("delete", Some(Deleted), |ours, dataset| ours.delete_dataset(dataset.id).unwrap()),
    ("delete and restore", Some(Present), |ours, dataset| {
        ours.delete_dataset(dataset.id).unwrap();
        ours.restore_dataset(dataset.id).unwrap();
    }),
    ("delete and purge", Some(Purged), |ours, dataset| {
        ours.delete_dataset(dataset.id).unwrap();
        ours.purge_dataset(dataset.id).unwrap();
    }),
    ("purge what was deleted", Some(Purged), |ours, dataset| {
        ours.delete_dataset(dataset.id).unwrap();
        assert_eq!(ours.purge_deleted_before(chrono::DateTime::<chrono::Utc>::MAX_UTC).unwrap(), 1);
    }),
    ("prune", None, |ours, _| assert_eq!(ours.prune_history(&HistoryKeep::new()).unwrap(), 1)),
    ("create, refused", None, |ours, dataset| {
        assert!(matches!(ours.create_dataset(NewDataset::new("a").id(dataset.id)), Err(Error::AlreadyExists { .. })));
    }),
    ("load, refused", None, |ours, dataset| {
        let new = [NewDataset::new("a"), NewDataset::new("b").id(dataset.id)];
        ours.load_datasets(new, LoadOptions::new()).unwrap_err();
    }),
    ("read", None, |ours, dataset| assert!(ours.dataset(dataset.id).unwrap().is_some())),
];

#[test]
fn each_kind_of_change_is_returned_with_its_state_and_nothing_else_is() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        for (name, expected, call) in CALLS {
            let (ours, theirs) = (organization(store), organization(store));
            ours.create_datasets((0..3).map(request_with_kpis)).unwrap();
            let dataset = ours.create_dataset(request_with_kpis(2)).unwrap();
            let dataset = ours.update_dataset(dataset.id, DatasetPatch::new().name("Lakes")).unwrap();
            theirs.create_dataset(request_with_kpis(1)).unwrap();
            let (cursor, of_theirs) = (ours.change_cursor().unwrap(), theirs.change_cursor().unwrap());
            assert_eq!(since(&ours, &cursor).next, cursor, "{name}: nothing has changed since now");

            call(&ours, &dataset);

            let changes = since(&ours, &cursor);
            let expected: Vec<_> = expected.map(|state| (0, state)).into_iter().collect();
            assert_eq!(states(&changes, &[dataset.id]), expected, "{name}");
            assert_eq!((changes.has_more, &changes.next), (false, &ours.change_cursor().unwrap()), "{name}");
            assert!(since(&ours, &changes.next).items.is_empty(), "{name}");
            assert!(since(&theirs, &of_theirs).items.is_empty(), "{name} is returned to another organization");
        }
    });
}

#[test]
fn creations_of_every_kind_are_returned_in_their_order() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let start = since(&ours, &ChangeCursor::start());
        assert_eq!((start.items.len(), start.has_more, &start.next), (0, false, &ours.change_cursor().unwrap()));
        let mut ids = vec![ours.create_dataset(request_with_kpis(1)).unwrap().id];
        ids.extend(ours.create_datasets((0..3).map(request_with_kpis)).unwrap().iter().map(|dataset| dataset.id));
        for options in [LoadOptions::new(), LoadOptions::new().in_batches_of(2)] {
            let new: Vec<_> = (0..5).map(|_| request_with_kpis(1).id(DatasetId::new())).collect();
            ids.extend(new.iter().filter_map(|new| new.id));
            ours.load_datasets(new, options).unwrap();
        }
        let expected: Vec<_> = (0..ids.len()).map(|index| (index, Present)).collect();
        for cursor in [&start.next, &ChangeCursor::start()] {
            assert_eq!(states(&since(&ours, cursor), &ids), expected);
        }
    });
}

#[test]
fn each_dataset_is_returned_once_with_its_last_state_in_the_order_of_the_last_changes() {
    let ours = organization(&Store::open_in_memory().unwrap());
    let cursor = ours.change_cursor().unwrap();
    let ids: Vec<_> = ours.create_datasets((0..6).map(request_with_kpis)).unwrap().iter().map(|new| new.id).collect();
    for name in ["once", "twice"] {
        ours.update_dataset(ids[0], DatasetPatch::new().name(name)).unwrap();
    }
    ours.delete_datasets([ids[3], ids[4]]).unwrap();
    ours.restore_dataset(ids[3]).unwrap();
    ours.purge_dataset(ids[4]).unwrap();
    ours.delete_dataset(ids[1]).unwrap();
    let changes = since(&ours, &cursor);
    let expected = [(2, Present), (5, Present), (0, Present), (3, Present), (4, Purged), (1, Deleted)];
    assert_eq!(states(&changes, &ids), expected);
    // From the start it is the same, whatever lies between.
    assert_eq!(since(&ours, &ChangeCursor::start()).items, changes.items);
}

#[test]
fn a_purge_between_two_calls_is_returned() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let ids: Vec<_> = ours.create_datasets((0..3).map(request_with_kpis)).unwrap().iter().map(|new| new.id).collect();
    let first = since(&ours, &ChangeCursor::start());
    ours.delete_datasets(ids.clone()).unwrap();
    ours.purge_dataset(ids[1]).unwrap();
    let second = since(&ours, &first.next);
    assert_eq!(states(&second, &ids), [(0, Deleted), (2, Deleted), (1, Purged)]);
    store.close().unwrap();
    // After a restart, by a handle that only reads, and by a cursor that was kept as text.
    let kept = (first.next.to_string(), second.next.to_string());
    Store::open(&file.path).unwrap().organization(ours.id()).purge_dataset(ids[0]).unwrap();
    let reader = Store::options().read_only(true).open(&file.path).unwrap().organization(ours.id());
    assert_eq!(states(&since(&reader, &kept.1.parse().unwrap()), &ids), [(0, Purged)]);
    assert_eq!(states(&since(&reader, &kept.0.parse().unwrap()), &ids), [(2, Deleted), (1, Purged), (0, Purged)]);
    assert_eq!(since(&reader, &kept.0.parse().unwrap()).next, reader.change_cursor().unwrap());
}

#[test]
fn at_most_a_thousand_changes_are_returned_at_once_and_the_next_call_returns_the_rest() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let count = 2 * CHANGES_MAX + 7;
        let created = ours.create_datasets((0..count).map(|_| request_with_kpis(0))).unwrap();
        let ids: Vec<_> = created.iter().map(|dataset| dataset.id).collect();
        // Of each three, one stays as it was created; the changes of the others come after all creations.
        let some = |remainder| ids.iter().copied().skip(remainder).step_by(3);
        ours.delete_datasets(some(1)).unwrap();
        for id in some(2) {
            ours.update_dataset(id, DatasetPatch::new().name("Lakes")).unwrap();
        }
        ours.delete_datasets(some(2).take(10)).unwrap();
        some(2).take(5).for_each(|id| ours.purge_dataset(id).unwrap());
        let (mut cursor, mut all, mut sizes) = (ChangeCursor::start(), Vec::new(), Vec::new());
        loop {
            let changes = since(&ours, &cursor);
            sizes.push(changes.items.len());
            all.extend(changes.items);
            cursor = changes.next;
            if !changes.has_more {
                break;
            }
        }
        assert_eq!(sizes, [CHANGES_MAX, CHANGES_MAX, 7]);
        let changed = some(0).map(|id| (id, Present));
        let changed = changed.chain(some(1).map(|id| (id, Deleted))).chain(some(2).skip(10).map(|id| (id, Present)));
        let changed = changed.chain(some(2).skip(5).take(5).map(|id| (id, Deleted)));
        let expected: Vec<_> = changed.chain(some(2).take(5).map(|id| (id, Purged))).collect();
        assert_eq!(all.iter().map(|change| (change.dataset, change.state)).collect::<Vec<_>>(), expected);
        assert_eq!(cursor, ours.change_cursor().unwrap());
    });
}

/// Exactly a thousand are no reason for another call.
#[test]
fn a_full_page_without_more_says_so() {
    let ours = organization(&Store::open_in_memory().unwrap());
    ours.create_datasets((0..CHANGES_MAX).map(|_| request_with_kpis(0))).unwrap();
    let changes = since(&ours, &ChangeCursor::start());
    assert_eq!((changes.items.len(), changes.has_more), (CHANGES_MAX, false));
    ours.create_dataset(request_with_kpis(0)).unwrap();
    assert!(since(&ours, &ChangeCursor::start()).has_more);
    assert_eq!(since(&ours, &changes.next).items.len(), 1);
}

#[test]
fn a_cursor_of_another_organization_or_an_altered_text_is_refused() {
    let store = Store::open_in_memory().unwrap();
    let (ours, theirs) = (organization(&store), organization(&store));
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let cursor = ours.change_cursor().unwrap();
    assert!(matches!(theirs.changes_since(&cursor), Err(Error::InvalidCursor)));
    // Before the first change, too.
    assert!(matches!(ours.changes_since(&theirs.change_cursor().unwrap()), Err(Error::InvalidCursor)));
    let text = cursor.to_string();
    assert_eq!(serde_json::to_string(&cursor).unwrap(), format!("{text:?}"));
    assert_eq!(serde_json::from_str::<ChangeCursor>(&format!("{text:?}")).unwrap(), cursor);
    assert!(text.len() < 50 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{text}");
    assert_eq!(ChangeCursor::start().to_string(), "0");
    assert_eq!("0".parse(), Ok(ChangeCursor::start()));
    let replacements = ["0", "1", "9", "a", "F", "-", " ", "ü", "", "00", "-1"];
    let replaced = (0..text.len()).flat_map(|index| {
        replacements.map(|replacement| format!("{}{replacement}{}", &text[..index], &text[index + 1..]))
    });
    for altered in replaced.chain([format!("{text}0"), format!("0{text}"), text.to_uppercase()]) {
        let Ok(parsed) = altered.parse::<ChangeCursor>() else { continue };
        let found = ours.changes_since(&parsed);
        assert!(altered == text || matches!(found, Err(Error::InvalidCursor)), "{text} {altered}: {found:?}");
    }
    for text in ["", "1", "0 ", "00", "1x", "2", "-", &"1".repeat(24), &"f".repeat(60), &"1".repeat(1_000)] {
        assert!(text.parse::<ChangeCursor>().is_err(), "{text}");
    }
}

#[test]
fn changes_print_as_an_application_shows_them() {
    let ours = organization(&Store::open_in_memory().unwrap());
    let dataset = ours.create_dataset(NewDataset::new("Water").id(DatasetId::from(uuid::Uuid::from_u128(7)))).unwrap();
    let changes = since(&ours, &ChangeCursor::start());
    let expected = serde_json::json!({
        "items": [{"dataset": dataset.id, "state": "present"}],
        "damaged": [],
        "next": changes.next.to_string(),
        "has_more": false,
    });
    assert_eq!(serde_json::to_value(&changes).unwrap(), expected);
    assert_eq!([Present, Deleted, Purged].map(|state| state.to_string()), ["present", "deleted", "purged"]);
    assert_eq!(format!("{:?}", ChangeCursor::start()), "ChangeCursor(0)");
}

#[test]
fn a_closed_store_returns_no_changes() {
    let store = Store::open_in_memory().unwrap();
    let ours = organization(&store);
    store.close().unwrap();
    assert!(matches!(ours.change_cursor(), Err(Error::Closed)));
    assert!(matches!(ours.changes_since(&ChangeCursor::start()), Err(Error::Closed)));
}
