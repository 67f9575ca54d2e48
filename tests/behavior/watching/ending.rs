//! How watches end: when they are stopped, and with their store.

use std::path::Path;
use std::thread;
use std::time::Duration;

use kpi_store::{ChangeState, Error, Store};

use super::{Listener, reported, watch};
use crate::support::{TestFile, entries, in_a_file_and_in_memory, organization, request_with_kpis};

/// Runs `end` while a thread waits, as far as that can be known, and returns how its wait ends.
fn end_of_a_wait(store: &Store, end: impl FnOnce()) -> Error {
    let ours = organization(store);
    let mut waiting = watch(&ours);
    let (sender, begun) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let ended = scope.spawn(move || {
            sender.send(()).unwrap();
            waiting.wait(Duration::MAX).unwrap_err()
        });
        begun.recv().unwrap();
        drop(ours);
        end();
        ended.join().unwrap()
    })
}

#[test]
fn a_stopped_watch_is_cancelled_for_good_and_the_store_stays_open() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        for _ in 0..50 {
            let ours = organization(store);
            let mut watch = watch(&ours);
            let stop = watch.stop_handle();
            let stopping = {
                let stop = stop.clone();
                thread::spawn(move || stop.stop())
            };
            assert!(matches!(watch.wait(Duration::MAX), Err(Error::Cancelled)));
            stopping.join().unwrap();
            ours.create_dataset(request_with_kpis(1)).unwrap();
            assert!(matches!(watch.wait(Duration::ZERO), Err(Error::Cancelled)), "also if there are changes");
            stop.stop();
            assert!(watch.next().is_none());
            drop(watch);
            stop.stop();
        }
    });
}

#[test]
fn a_store_that_is_closed_ends_the_wait() {
    for read_only in [false, true] {
        let file = TestFile::new();
        let writer = Store::open(&file.path).unwrap();
        let store = if read_only { Store::options().read_only(true).open(&file.path).unwrap() } else { writer };
        let closing = store.clone();
        let ended = end_of_a_wait(&store, || closing.close().unwrap());
        assert!(matches!(ended, Error::Closed), "read only: {read_only}: {ended:?}");
    }
    let store = Store::open_in_memory().unwrap();
    let closing = store.clone();
    assert!(matches!(end_of_a_wait(&store, || closing.close().unwrap()), Error::Closed));
}

#[test]
fn a_watch_ends_with_its_store_and_leaves_nothing_open() {
    let file = TestFile::new();
    for round in 0..50 {
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store);
        let listener = Listener::start(watch(&ours));
        // The watch is just reading, or about to.
        let created = ours.create_dataset(request_with_kpis(1)).unwrap();
        if round % 2 == 0 {
            drop(ours);
            store.close().unwrap();
        } else {
            drop((store, ours));
        }
        let left: Vec<_> = entries(file.folder.path()).into_iter().map(|entry| entry.path).collect();
        assert_eq!(left, [Path::new("kpis.db")], "round {round}: the last handle has closed the file");
        listener.thread.join().unwrap();
        for changes in listener.results {
            assert_eq!(super::pairs(&changes.unwrap()), [(created.id, ChangeState::Present)]);
        }
    }
}

#[test]
fn the_last_handle_ends_the_wait_in_memory_too() {
    let store = Store::open_in_memory().unwrap();
    let ours = organization(&store);
    let listener = Listener::start(watch(&ours));
    let created = ours.create_dataset(request_with_kpis(1)).unwrap();
    assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
    drop((store, ours));
    listener.thread.join().unwrap();
    assert!(listener.results.recv().is_err(), "the iterator ends without an error");
}

#[test]
fn a_watch_that_is_not_waiting_keeps_nothing_open() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let mut watch = watch(&organization(&store));
    assert_eq!(reported(&mut watch), []);
    drop(store);
    assert_eq!(entries(file.folder.path()).len(), 1);
    assert!(matches!(watch.wait(Duration::MAX), Err(Error::Closed)));
    assert!(watch.next().is_none());
    let again = Store::open(&file.path).unwrap();
    assert!(matches!(watch.wait(Duration::ZERO), Err(Error::Closed)), "another store is not its own");
    drop(watch);
    again.close().unwrap();
    assert_eq!(entries(file.folder.path()).len(), 1);
}

#[test]
fn a_closed_store_cannot_be_watched() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let cursor = ours.change_cursor().unwrap();
        store.clone().close().unwrap();
        assert!(matches!(ours.watch(cursor), Err(Error::Closed)));
    });
}
