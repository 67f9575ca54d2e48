//! Callbacks of a verification or a backup: what they may do is the same in a file and in memory, in a small store and
//! in a large one, where they run inside a statement.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kpi_store::{DatasetQuery, Error, LoadOptions, NewDataset, OrganizationId, Progress, Result, Store};

use crate::support::{self, entries, request_with_kpis};

/// The action of a callback, and the code of the call that it interrupts.
type Scenario = (&'static str, fn(&Store, &Path) -> ControlFlow<()>, Option<&'static str>);

const SCENARIOS: [Scenario; 8] = [
    ("nothing", |_, _| ControlFlow::Continue(()), None),
    (
        "reads",
        |store, _| {
            for id in store.organizations().unwrap() {
                let organization = store.organization(id);
                let page = organization.datasets(&DatasetQuery::new()).unwrap();
                assert_eq!(organization.dataset(page.items[0].id).unwrap().as_ref(), page.items.first());
                assert!(organization.count_datasets(&DatasetQuery::new()).unwrap() > 0);
            }
            ControlFlow::Continue(())
        },
        None,
    ),
    (
        "creates",
        |store, _| {
            ours(store).create_dataset(NewDataset::new("Meanwhile")).unwrap();
            ControlFlow::Continue(())
        },
        None,
    ),
    (
        "loads from the store itself",
        |store, _| {
            let input = ours(store).iter_datasets(&DatasetQuery::new()).take(3).collect::<Result<Vec<_>>>().unwrap();
            let copies = input.iter().map(NewDataset::from);
            assert_eq!(ours(store).load_datasets(copies, LoadOptions::new()).unwrap().datasets, input.len() as u64);
            ControlFlow::Continue(())
        },
        None,
    ),
    (
        "verifies",
        |store, _| {
            assert!(store.verify().unwrap().is_whole());
            ControlFlow::Continue(())
        },
        None,
    ),
    (
        "copies",
        |store, folder| {
            let copy = folder.join("another");
            store.backup_to(&copy).unwrap();
            std::fs::remove_file(copy).unwrap();
            ControlFlow::Continue(())
        },
        None,
    ),
    ("breaks", |_, _| ControlFlow::Break(()), Some("cancelled")),
    ("panics", |_, _| std::panic::panic_any("out of the callback"), Some("panic")),
];

fn ours(store: &Store) -> kpi_store::Organization {
    store.organization(OrganizationId::from(uuid::Uuid::from_u128(7)))
}

/// With a timeout of minutes, a callback that waits for its own caller would hang.
#[test]
fn callbacks_may_do_the_same_in_a_file_and_in_memory_in_stores_of_any_size() {
    let options = || Store::options().busy_timeout(Duration::from_mins(10));
    for datasets in [1, 50] {
        support::in_a_file_and_in_memory(options, |store, file| {
            ours(store).create_datasets((0..datasets).map(|_| request_with_kpis(100))).unwrap();
            for is_backup in [false, true] {
                for (what, act, expected) in SCENARIOS {
                    let calls = call(store, is_backup, act, expected, what);
                    // Two at the end of the copy and of its verification.
                    let at_the_end = if is_backup { 2 } else { 1 };
                    let is_interrupted = datasets > 1 && calls > at_the_end;
                    assert!(expected.is_some() || datasets == 1 || is_interrupted, "{what}: {calls} of {datasets}");
                }
            }
            // Everything is in order afterwards, and nothing is held.
            ours(store).create_dataset(NewDataset::new("Afterwards")).unwrap();
            assert!(store.verify().unwrap().is_whole());
            assert!(file.is_none_or(|file| entries(file.parent().unwrap()).len() == 3));
            store.clone().close().unwrap();
        });
    }
}

/// Verifies or copies the store with a callback that acts. Returns how often it was called.
fn call(
    store: &Store,
    is_backup: bool,
    act: fn(&Store, &Path) -> ControlFlow<()>,
    expected: Option<&str>,
    what: &str,
) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let callback = {
        let (store, folder, calls) = (store.clone(), folder.path().to_owned(), Arc::clone(&calls));
        move |_: Progress| {
            // Also at the first call, which in a large store comes from inside a statement.
            if calls.fetch_add(1, Relaxed) < 2 { act(&store, &folder) } else { ControlFlow::Continue(()) }
        }
    };
    let target = folder.path().join("copy.db");
    let called = catch_unwind(AssertUnwindSafe(|| {
        if is_backup {
            store.backup_to_with(&target, callback)
        } else {
            store.verify_with(callback).map(|found| assert!(found.is_whole(), "{found:?}"))
        }
    }));
    let code = match called {
        Ok(result) => result.err().map(|error: Error| error.code()),
        Err(payload) => {
            assert_eq!(payload.downcast_ref(), Some(&"out of the callback"), "{what}");
            Some("panic")
        }
    };
    assert_eq!(code, expected, "{what}, backup: {is_backup}");
    let is_copied = is_backup && expected.is_none();
    assert_eq!(entries(folder.path()).len(), usize::from(is_copied), "{what}: neither a draft nor half a copy");
    if is_copied {
        assert!(Store::open(&target).unwrap().verify().unwrap().is_whole(), "{what}");
    }
    // A panic or a cancellation is the last call.
    let calls = calls.load(Relaxed);
    assert!(calls == 1 || expected.is_none(), "{what}: {calls}");
    calls
}

#[test]
fn a_load_from_the_stores_own_iterator_is_the_same_in_a_file_and_in_memory() {
    for batch in [None, Some(7)] {
        support::in_a_file_and_in_memory(Store::options, |store, _| {
            let from = support::organization(store);
            from.create_datasets((0..40).map(|_| request_with_kpis(30))).unwrap();
            let to = support::organization(store);
            let input =
                from.iter_datasets(&DatasetQuery::new().limit(3)).map(|dataset| NewDataset::from(&dataset.unwrap()));
            let options = batch.map_or_else(LoadOptions::new, |batch| LoadOptions::new().in_batches_of(batch));
            assert_eq!(to.load_datasets(input, options).unwrap().kpis, 40 * 30);
            assert_eq!(to.count_datasets(&DatasetQuery::new()).unwrap(), 40);
        });
    }
}
