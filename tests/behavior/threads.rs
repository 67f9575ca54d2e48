//! Threads: any number of them write and read through one store, and several stores share one file. Waiting has one
//! deadline, and closing ends everything for all handles.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use kpi_store::{Dataset, DatasetId, DatasetQuery, Durability, Error, NewDataset, Organization, Store};

use crate::support::{self, TestFile, listed};

mod summaries;

const THREADS: usize = 8;
const CREATES: usize = 1_000;

#[test]
fn eight_threads_create_while_others_page_and_nothing_is_lost_or_torn() {
    let file = TestFile::new();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let organization = support::organization(&store);
    let (start, is_done) = (Barrier::new(THREADS + 2), AtomicBool::new(false));
    let created: Vec<Vec<DatasetId>> = thread::scope(|scope| {
        let readers = [DatasetQuery::new(), DatasetQuery::new().newest_first()]
            .map(|query| scope.spawn(|| page_until(&is_done, &start, &organization, &query.limit(200))));
        let writers: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| create_many(&start, &organization))).collect();
        let created = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        is_done.store(true, Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        created
    });

    let stored: Vec<DatasetId> = listed(&organization).iter().map(|dataset| dataset.id).collect();
    assert_eq!(stored.len(), THREADS * CREATES);
    for of_thread in created {
        assert!(of_thread.is_sorted(), "the ids of a thread increase");
        let listed: Vec<_> = stored.iter().copied().filter(|id| of_thread.binary_search(id).is_ok()).collect();
        assert_eq!(listed, of_thread, "all are there, in the order in which the thread created them");
    }
    assert_eq!(support::rows_seen_by_plain_sqlite(&file.path).0, 8_000);
}

#[test]
fn durable_creates_of_many_threads_are_all_there() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let organization = support::organization(&store);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..50).for_each(|_| drop(organization.create_dataset(NewDataset::new("Water")).unwrap())));
        }
    });
    assert_eq!(organization.count_datasets(&DatasetQuery::new()).unwrap(), 400);
}

#[test]
fn two_stores_on_one_file_write_and_see_each_other() {
    let file = TestFile::new();
    let stores = [(); 2].map(|()| Store::options().durability(Durability::Normal).open(&file.path).unwrap());
    let organization = support::organization(&stores[0]);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        for store in &stores {
            let organization = store.organization(organization.id());
            scope.spawn(|| {
                start.wait();
                let organization = organization;
                (0..300).for_each(|_| drop(organization.create_dataset(support::request_with_kpis(3)).unwrap()));
            });
        }
    });
    let [one, other] = stores.map(|store| listed(&store.organization(organization.id())));
    assert_eq!(one.len(), 600);
    assert_eq!(one, other);
}

#[test]
fn waiting_for_another_writer_ends_at_the_deadline_and_reports_its_duration() {
    const TIMEOUT: Duration = Duration::from_millis(100);
    let file = TestFile::new();
    let store = Store::options().busy_timeout(TIMEOUT).open(&file.path).unwrap();
    let organization = support::organization(&store);
    let elsewhere = support::plain_sqlite(&file.path);
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();

    // Four at once: one waits for SQLite's lock, the others for the first, and none longer than the timeout.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let started = Instant::now();
                let error = organization.create_dataset(NewDataset::new("Water")).unwrap_err();
                let Error::Busy { waited, .. } = error else { panic!("{error:?}") };
                assert!(waited >= TIMEOUT && waited <= started.elapsed(), "{waited:?}");
                // On a busy machine SQLite sleeps longer than asked: this bound detects hangs, `tests/locks.rs` checks
                // the deadline.
                assert!(waited < TIMEOUT * 8, "{waited:?}");
                assert!(error.is_retryable());
            });
        }
        // Reads wait for no writer.
        assert_eq!(organization.datasets(&DatasetQuery::new()).unwrap().items, []);
    });
    elsewhere.execute_batch("ROLLBACK").unwrap();
    organization.create_dataset(NewDataset::new("Water")).unwrap();
    assert_eq!(listed(&organization).len(), 1);
}

#[test]
fn no_wait_and_endless_waiting_are_both_possible() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let file = TestFile::new();
        let store = Store::options().busy_timeout(timeout).open(&file.path).unwrap();
        let organization = support::organization(&store);
        organization.create_dataset(NewDataset::new("Water")).unwrap();
        assert_eq!(listed(&organization).len(), 1);
    }
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::ZERO).open(&file.path).unwrap();
    let elsewhere = support::plain_sqlite(&file.path);
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = support::organization(&store).create_dataset(NewDataset::new("Water")).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error:?}");
}

#[test]
fn closing_ends_every_handle_and_leaves_one_file() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let organization = support::organization(&store);
    organization.create_datasets([(); 3].map(|()| support::request_with_kpis(2))).unwrap();
    let mut iterator = organization.iter_datasets(&DatasetQuery::new().limit(2));
    assert!(iterator.next().unwrap().is_ok());
    assert!(iterator.next().unwrap().is_ok());

    store.clone().close().unwrap();

    assert!(matches!(organization.create_dataset(NewDataset::new("Waste")), Err(Error::Closed)));
    assert!(matches!(organization.create_datasets([]), Err(Error::Closed)));
    assert!(matches!(organization.dataset(DatasetId::new()), Err(Error::Closed)));
    assert!(matches!(organization.datasets(&DatasetQuery::new()), Err(Error::Closed)));
    assert!(matches!(organization.count_datasets(&DatasetQuery::new()), Err(Error::Closed)));
    assert!(matches!(store.organizations(), Err(Error::Closed)));
    assert!(matches!(iterator.next(), Some(Err(Error::Closed))));
    assert!(iterator.next().is_none());
    assert!(matches!(store.close(), Err(Error::Closed)));
    let names: Vec<_> =
        std::fs::read_dir(file.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["kpis.db"]);
    assert_eq!(support::rows_seen_by_plain_sqlite(&file.path), (3, 6));
}

#[test]
fn a_store_in_memory_is_closed_for_all_handles_too() {
    let store = Store::open_in_memory().unwrap();
    let organization = support::organization(&store);
    store.clone().close().unwrap();
    assert!(matches!(organization.create_dataset(NewDataset::new("Water")), Err(Error::Closed)));
    assert!(matches!(organization.dataset(DatasetId::new()), Err(Error::Closed)));
    assert!(matches!(store.close(), Err(Error::Closed)));
}

#[test]
fn closing_succeeds_while_another_connection_reads() {
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::from_millis(50)).open(&file.path).unwrap();
    let organization = support::organization(&store);
    organization.create_dataset(NewDataset::new("Water")).unwrap();
    let reader = support::plain_sqlite(&file.path);
    reader.execute_batch("BEGIN; SELECT * FROM dataset").unwrap();
    store.close().unwrap();
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    let reopened = Store::open(&file.path).unwrap();
    assert_eq!(listed(&reopened.organization(organization.id())).len(), 1);
}

#[test]
fn dropping_the_last_handle_closes_the_file() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let organization = support::organization(&store);
    organization.create_dataset(NewDataset::new("Water")).unwrap();
    drop(store);
    assert_eq!(listed(&organization).len(), 1, "the organization is a handle as well");
    drop(organization);
    assert_eq!(std::fs::read_dir(file.folder.path()).unwrap().count(), 1);
}

#[test]
fn handles_go_to_any_thread() {
    fn assert<T: Clone + Send + Sync + 'static>() {}
    assert::<Store>();
    assert::<Organization>();
}

fn create_many(start: &Barrier, organization: &Organization) -> Vec<DatasetId> {
    start.wait();
    let create = |number| organization.create_dataset(support::request_with_kpis(number % 4)).unwrap().id;
    (0..CREATES).map(create).collect()
}

/// Pages through everything repeatedly; every page must be complete and in order.
fn page_until(is_done: &AtomicBool, start: &Barrier, organization: &Organization, query: &DatasetQuery) {
    start.wait();
    while !is_done.load(Relaxed) {
        let listed: Vec<Dataset> = organization.iter_datasets(query).map(Result::unwrap).collect();
        let mut ids: Vec<_> = listed.iter().map(|dataset| dataset.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), listed.len(), "a dataset was listed twice");
        for dataset in listed {
            let names: Vec<_> = dataset.kpis.iter().map(|kpi| kpi.name.as_str()).collect();
            let whole: Vec<_> = (0..names.len()).map(|index| format!("KPI {index}")).collect();
            assert_eq!(names, whole);
            assert_eq!(dataset.name, "Water");
        }
    }
}
