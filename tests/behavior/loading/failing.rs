//! Loads that fail, at any point: exactly what the error reports as stored is stored, and the load can be resumed.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use chrono::{DateTime, Utc};
use kpi_store::{DatasetId, Error, KpiId, LoadError, NewDataset, NewKpi, Organization, Store};
use uuid::Uuid;

use super::{BATCHES, holds_the_first, large_request, options, request};
use crate::support;

const COUNT: usize = 12;

fn id_of(place: usize) -> DatasetId {
    Uuid::from_u128(place as u128 + 1).into()
}

fn item(place: usize) -> NewDataset {
    request(place).id(id_of(place))
}

/// How much of the input is stored when the item at this index fails.
fn stored_before(place: usize, batch: Option<u32>) -> u64 {
    batch.map_or(0, |datasets| place as u64 / u64::from(datasets) * u64::from(datasets))
}

/// An item that cannot be stored, by its index, and whether an error is the right one for it.
type Bad = (&'static str, fn(usize) -> NewDataset, fn(&Error, usize) -> bool);

const BAD: [Bad; 3] = [
    (
        "violations",
        |place| item(place).kpi(NewKpi::new("")).kpi(NewKpi::new("x").sort_order(-1)),
        |error, place| {
            support::paths(error) == ["kpis[2].name", "kpis[3].sort_order"].map(|at| format!("[{place}].{at}"))
        },
    ),
    (
        "a taken id",
        |place| request(place).id(id_of(place.wrapping_sub(1) % COUNT)),
        |error, place| matches!(error, Error::AlreadyExists { dataset, kpi: None, .. } if *dataset == id_of(place.wrapping_sub(1) % COUNT)),
    ),
    (
        "a KPI's id twice",
        |place| item(place).kpis([(); 2].map(|()| NewKpi::new("x").id(KpiId::from(Uuid::nil())))),
        |error, place| matches!(error, Error::AlreadyExists { dataset, kpi: Some(_), .. } if *dataset == id_of(place)),
    ),
];

#[test]
fn a_load_stopped_by_a_bad_item_stores_what_it_reports_and_can_be_resumed() {
    for (what, bad, says_so) in BAD {
        for batch in BATCHES {
            // The first item has no id to repeat.
            for place in usize::from(what == "a taken id")..COUNT {
                let case = format!("{what} at {place} in batches of {batch:?}");
                support::in_a_file_and_in_memory(Store::options, |store, file| {
                    let organization = support::organization(store);
                    let input = (0..COUNT).map(|at| if at == place { bad(at) } else { item(at) });

                    let stopped = organization.load_datasets(input, options(batch)).unwrap_err();

                    assert!(says_so(&stopped.error, place), "{case}: {stopped:?}");
                    assert_eq!(stopped.stored, stored_before(place, batch), "{case}");
                    holds_the_first(store, file, &organization, stopped.stored, &case);
                    goes_on(store, file, &organization, &stopped, &case);
                });
            }
        }
    }
}

/// Loading the rest completes the input.
fn goes_on(store: &Store, file: Option<&Path>, organization: &Organization, stopped: &LoadError, case: &str) {
    let rest = (0..COUNT).map(item).skip(usize::try_from(stopped.stored).unwrap());
    let loaded = organization.load_datasets(rest, options(None)).unwrap();
    assert_eq!(loaded.datasets + stopped.stored, COUNT as u64, "{case}");
    holds_the_first(store, file, organization, COUNT as u64, case);
    assert!(file.is_none_or(support::is_unlocked), "{case}: a lock is held");
}

#[test]
fn large_inputs_stop_as_exactly_as_small_ones() {
    // A few dozen such datasets are in memory at a time.
    for batch in [None, Some(7), Some(30), Some(1_000)] {
        for place in [0, 29, 30, 61, 79] {
            let case = format!("at {place} in batches of {batch:?}");
            support::in_a_file_and_in_memory(Store::options, |store, file| {
                let organization = support::organization(store);
                let input = (0..80).map(|at| if at == place { NewDataset::new("") } else { large_request(at) });
                let stopped = organization.load_datasets(input, options(batch)).unwrap_err();
                assert_eq!(support::paths(&stopped.error), [format!("[{place}].name")], "{case}");
                assert_eq!(stopped.stored, stored_before(place, batch), "{case}");
                holds_the_first(store, file, &organization, stopped.stored, &case);
            });
        }
    }
}

#[test]
fn a_cancelled_load_reports_what_is_stored() {
    for batch in BATCHES {
        for calls in 1..=4 {
            let case = format!("at call {calls} in batches of {batch:?}");
            support::in_a_file_and_in_memory(Store::options, |store, file| {
                let organization = support::organization(store);
                let (called, told) = (Cell::new(0), Cell::new(0));
                let options = options(batch).progress(|progress| {
                    called.set(called.get() + 1);
                    told.set(progress.datasets);
                    if called.get() == calls { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });

                let ended = organization.load_datasets((0..COUNT).map(item), options);

                let stored = match ended {
                    Err(stopped) => {
                        assert!(matches!(stopped.error, Error::Cancelled), "{case}: {stopped:?}");
                        assert_eq!(called.get(), calls, "{case}: it is not called again");
                        assert_eq!(stopped.stored, batch.map_or(0, |_| told.get()), "{case}");
                        goes_on_from(&organization, stopped.stored);
                        COUNT as u64
                    }
                    Ok(loaded) => {
                        assert!(called.get() < calls, "{case}: it was not heard");
                        loaded.datasets
                    }
                };
                holds_the_first(store, file, &organization, stored, &case);
            });
        }
    }
}

fn goes_on_from(organization: &Organization, stored: u64) {
    let rest = (0..COUNT).map(item).skip(usize::try_from(stored).unwrap());
    organization.load_datasets(rest, options(Some(2))).unwrap();
}

#[test]
fn a_cancelled_load_of_all_or_nothing_stores_nothing_however_late() {
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        let options = options(None).progress(|progress| {
            if progress.datasets == 60 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = organization.load_datasets((0..60).map(large_request), options).unwrap_err();
        assert!(matches!(stopped, LoadError { stored: 0, error: Error::Cancelled, .. }), "{stopped:?}");
        holds_the_first(store, file, &organization, 0, "cancelled at the end");
    });
}

#[test]
fn a_panic_in_the_callers_code_loses_its_transaction_and_nothing_else() {
    for from in ["the iterator", "the callback", "the ids"] {
        for batch in BATCHES {
            for place in [0, 4, COUNT - 1] {
                let case = format!("{from} at {place} in batches of {batch:?}");
                // Three ids to an item, less the one that is given.
                let ids_left = Arc::new(AtomicU64::new(u64::MAX));
                let fails = Arc::clone(&ids_left);
                let options_of_the_store = || {
                    let ids_left = Arc::clone(&fails);
                    Store::options().ids(move || {
                        assert!(ids_left.fetch_sub(1, Relaxed) > 0, "the ids");
                        Uuid::now_v7()
                    })
                };
                support::in_a_file_and_in_memory(options_of_the_store, |store, file| {
                    let organization = support::organization(store);
                    ids_left.store(if from == "the ids" { 2 * place as u64 } else { u64::MAX }, Relaxed);
                    let input = (0..COUNT).map(|at| {
                        assert!(from != "the iterator" || at != place, "{from}");
                        item(at)
                    });
                    let told = Cell::new(0);
                    let options = options(batch).progress(|progress| {
                        told.set(progress.datasets);
                        assert!(from != "the callback" || progress.datasets <= place as u64, "{from}");
                        ControlFlow::Continue(())
                    });

                    let load = || organization.load_datasets(input, options);
                    assert!(catch_unwind(AssertUnwindSafe(load)).is_err(), "{case}: the panic did not get through");

                    ids_left.store(u64::MAX, Relaxed);
                    let stored = if from == "the callback" && batch.is_some() {
                        told.get()
                    } else {
                        stored_before(place, batch)
                    };
                    assert!(file.is_none_or(support::is_unlocked), "{case}: a lock is held");
                    holds_the_first(store, file, &organization, stored, &case);
                    goes_on_from(&organization, stored);
                    holds_the_first(store, file, &organization, COUNT as u64, &case);
                });
            }
        }
    }
}

/// An event between two batches, and the code of the error of the load.
type Mishap = (&'static str, fn(&Store, &rusqlite::Connection));

#[test]
fn a_load_stopped_between_batches_keeps_the_earlier_ones() {
    let mishaps: [Mishap; 2] = [
        ("closed", |store, _| drop(store.clone().close())),
        ("busy", |_, elsewhere| elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap()),
    ];
    for (code, mishap) in mishaps {
        let file = support::TestFile::new();
        let store = Store::options().busy_timeout(Duration::from_millis(50)).open(&file.path).unwrap();
        let organization = support::organization(&store);
        let elsewhere = support::plain_sqlite(&file.path);
        let options = options(Some(3)).progress(|progress| {
            if progress.datasets == 6 {
                mishap(&store, &elsewhere);
            }
            ControlFlow::Continue(())
        });
        let stopped = organization.load_datasets((0..COUNT).map(item), options).unwrap_err();
        assert_eq!((stopped.code(), stopped.stored), (code, 6));
        drop(elsewhere);
        let again = Store::open(&file.path).unwrap();
        let organization = again.organization(organization.id());
        holds_the_first(&again, Some(&file.path), &organization, 6, code);
        goes_on(&again, Some(&file.path), &organization, &stopped, code);
    }
}

#[test]
fn a_clock_that_goes_wrong_between_batches_stops_the_load_there() {
    let asked = Arc::new(AtomicU64::new(0));
    let clock = {
        let asked = Arc::clone(&asked);
        move || if asked.fetch_add(1, Relaxed) % 4 == 3 { DateTime::<Utc>::MAX_UTC } else { DateTime::UNIX_EPOCH }
    };
    support::in_a_file_and_in_memory(
        || {
            asked.store(0, Relaxed);
            Store::options().clock(clock.clone())
        },
        |store, file| {
            let organization = support::organization(store);
            let stopped = organization.load_datasets((0..COUNT).map(item), options(Some(2))).unwrap_err();
            assert_eq!((stopped.code(), stopped.stored), ("clock_out_of_range", 6));
            holds_the_first(store, file, &organization, 6, "the clock");
            goes_on(store, file, &organization, &stopped, "the clock");
        },
    );
}
