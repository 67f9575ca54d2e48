//! A load beside other calls: which are served meanwhile, which wait, and which fail at once since they would wait for
//! themselves.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use kpi_store::{DatasetId, DatasetQuery, Error, LoadError, LoadOptions, NewDataset, Organization, Store};
use uuid::Uuid;

use super::{large_request, names, options, request};
use crate::support::{self, listed};

/// A call made from inside a load, and whether it needs the write lock of a file.
type Call = (&'static str, bool, fn(&Organization, &Store) -> Result<(), Error>);

const CALLS: [Call; 9] = [
    ("create_dataset", true, |ours, _| ours.create_dataset(request(0)).map(drop)),
    ("create_datasets", true, |ours, _| ours.create_datasets([request(0)]).map(drop)),
    ("load_datasets", true, |ours, _| {
        ours.load_datasets([request(0)], LoadOptions::new()).map(drop).map_err(|e| e.error)
    }),
    ("load_datasets in batches", true, |ours, _| {
        ours.load_datasets([request(0)], options(Some(1))).map(drop).map_err(|LoadError { error, .. }| error)
    }),
    ("accept_dataset", true, |ours, _| ours.accept_dataset(DatasetId::new()).map(drop)),
    ("close", true, |_, store| store.clone().close()),
    ("dataset", false, |ours, _| ours.dataset(DatasetId::new()).map(drop)),
    ("datasets", false, |ours, _| ours.datasets(&DatasetQuery::new()).map(drop)),
    ("verify", false, |_, store| store.verify().map(drop)),
];

/// Makes every call: in a file those that would wait for the load are refused at once; the others are answered, and see
/// nothing of the load.
fn call_all(organization: &Organization, store: &Store, from: &str) {
    if store.path().is_none() {
        let other = support::organization(store);
        for (name, _, call) in CALLS.into_iter().filter(|(name, ..)| *name != "close") {
            let answer = call(&other, store).map_err(|error| error.code());
            assert!(matches!(answer, Ok(()) | Err("not_found")), "{name} from {from}: {answer:?}");
        }
        assert_eq!(listed(&other).len(), 4);
        assert_eq!(listed(organization), []);
        return;
    }
    assert_eq!(listed(organization), []);
    assert_eq!(store.verify().unwrap().datasets, 0);
    for (name, writes, call) in CALLS {
        let started = Instant::now();
        let answer = call(organization, store);
        let took = started.elapsed();
        if !writes {
            assert!(answer.is_ok(), "{name} from {from}: {answer:?}");
            continue;
        }
        let Err(error @ Error::Busy { waited, .. }) = &answer else { panic!("{name} from {from}: {answer:?}") };
        // The timeout is 5 seconds.
        assert!(took < Duration::from_secs(2) && *waited < Duration::from_secs(2), "{name} from {from} took {took:?}");
        assert!(std::error::Error::source(error).unwrap().to_string().contains("by the same thread"), "{error:?}");
    }
}

#[test]
fn calls_from_inside_an_all_or_nothing_load_return_at_once() {
    for count in [1, 60] {
        let inside = Arc::new(OnceLock::<(Organization, Store)>::new());
        let options_of_the_store = || {
            let inside = Arc::clone(&inside);
            Store::options().ids(move || {
                if let Some((organization, store)) = inside.get() {
                    let answer = organization.create_dataset(request(0).id(DatasetId::new())).map(drop);
                    assert_eq!(matches!(answer, Err(Error::Busy { .. })), store.path().is_some(), "{answer:?}");
                }
                Uuid::now_v7()
            })
        };
        support::in_a_file_and_in_memory(options_of_the_store, |store, _| {
            let organization = support::organization(store);
            let input = (0..count).map(|place| {
                if place % 20 == 0 {
                    call_all(&organization, store, "the iterator");
                }
                large_request(place)
            });
            let mut called = 0;
            let options = LoadOptions::new().progress(|_| {
                called += 1;
                call_all(&organization, store, "the callback");
                ControlFlow::Continue(())
            });
            let loaded = organization.load_datasets(input, options).unwrap();
            assert_eq!(loaded.datasets, count as u64);
            assert!(called > 0);
            // The control: outside nothing is refused.
            organization.create_dataset(request(0)).unwrap();
            assert_eq!(listed(&organization).len(), count + 1);
        });
    }
}

#[test]
fn iterators_and_callbacks_of_batches_may_call_into_the_store() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let (loading, inner) = (support::organization(store), support::organization(store));
        let create = || drop(inner.create_dataset(request(0)).unwrap());
        let input = (0..7).map(|place| {
            create();
            request(place)
        });
        let mut called = 0;
        // On a slow disk, a load also reports that time passes.
        let options = options(Some(2)).progress(|progress| {
            create();
            called += 1;
            assert_eq!(loading.count_datasets(&DatasetQuery::new()).unwrap(), progress.datasets, "it is stored");
            ControlFlow::Continue(())
        });
        loading.load_datasets(input, options).unwrap();
        assert_eq!(names(&loading), ["0", "1", "2", "3", "4", "5", "6"]);
        assert!(called >= 4, "{called}");
        assert_eq!(listed(&inner).len(), 7 + called);
    });
}

#[test]
fn other_writers_proceed_between_batches() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = support::organization(store);
        let (ask, asked) = mpsc::channel::<u64>();
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let other = organization.clone();
            scope.spawn(move || {
                for stored in asked {
                    other.create_dataset(NewDataset::new(format!("after {stored}"))).unwrap();
                    tell.send(()).unwrap();
                }
            });
            let options = options(Some(2)).progress(move |progress| {
                ask.send(progress.datasets).unwrap();
                told.recv().unwrap();
                ControlFlow::Continue(())
            });
            organization.load_datasets((0..5).map(request), options).unwrap();
        });
        assert_eq!(names(&organization), ["0", "1", "after 2", "2", "3", "after 4", "4", "after 5"]);
    });
}

#[test]
fn other_writers_wait_for_an_all_or_nothing_load_into_a_file_up_to_their_timeout() {
    for timeout in [Duration::from_millis(50), Duration::from_mins(10)] {
        let is_short = timeout < Duration::from_secs(1);
        support::in_a_file_and_in_memory(
            || Store::options().busy_timeout(timeout),
            |store, _| {
                let waits = store.path().is_some();
                let organization = support::organization(store);
                let (ask, asked) = mpsc::channel();
                let (tell, told) = mpsc::channel();
                let answer = thread::scope(|scope| {
                    let other = organization.clone();
                    let waiting = scope.spawn(move || {
                        asked.recv().unwrap();
                        let answer = other.create_dataset(NewDataset::new("other"));
                        tell.send(()).unwrap();
                        answer
                    });
                    let input = (0..3).map(|place| {
                        if place == 1 {
                            ask.send(()).unwrap();
                            // A call that times out does so while the load runs.
                            assert!((waits && !is_short) || told.recv().is_ok());
                        }
                        request(place)
                    });
                    organization.load_datasets(input, LoadOptions::new()).unwrap();
                    waiting.join().unwrap()
                });
                if !waits {
                    // The input is pulled before the transaction begins.
                    assert!(answer.is_ok(), "{answer:?}");
                    assert_eq!(names(&organization), ["other", "0", "1", "2"]);
                } else if is_short {
                    assert!(matches!(answer, Err(Error::Busy { .. })), "{answer:?}");
                    assert_eq!(names(&organization), ["0", "1", "2"]);
                } else {
                    assert!(answer.is_ok(), "{answer:?}");
                    assert_eq!(names(&organization), ["0", "1", "2", "other"]);
                }
            },
        );
    }
}
