//! Errors: after a temporary one the watch continues; a permanent one ends the iterator.

use std::fs;
use std::time::{Duration, Instant};

use kpi_store::{ChangeCursor, ChangeState, Error, Store};

use super::{pairs, reported, watch};
use crate::support::{TestFile, in_a_file_and_in_memory, organization, request_with_kpis};

#[test]
fn the_cursor_of_another_organization_or_file_is_refused_at_once() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        let elsewhere = Store::open_in_memory().unwrap().organization(ours.id());
        for cursor in [theirs.change_cursor(), elsewhere.change_cursor()] {
            assert!(matches!(ours.watch(cursor.unwrap()), Err(Error::InvalidCursor)));
        }
        assert!(ours.watch(ChangeCursor::start()).is_ok(), "the control");
    });
}

#[test]
fn an_organization_that_is_purged_from_the_file_invalidates_the_cursor_and_ends_the_iterator() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        ours.create_dataset(request_with_kpis(1)).unwrap();
        let mut watches = [watch(&ours), watch(&theirs)];
        // This one begins before every change, and gets the generation with the first read.
        let mut early = theirs.watch(ChangeCursor::start()).unwrap();
        assert_eq!(reported(&mut early), []);
        store.purge_organization(ours.id()).unwrap();
        for watch in watches.iter_mut().chain([&mut early]) {
            assert!(matches!(watch.wait(Duration::MAX), Err(Error::InvalidCursor)));
            assert!(matches!(watch.next(), Some(Err(Error::InvalidCursor))));
            assert!(watch.next().is_none());
        }
        let created = ours.create_dataset(request_with_kpis(1)).unwrap();
        let mut again = ours.watch(ChangeCursor::start()).unwrap();
        assert_eq!(reported(&mut again), [(created.id, ChangeState::Present)]);
    });
}

#[test]
fn a_file_that_is_moved_is_an_error_while_it_is_and_no_change_is_lost() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let mut watch = watch(&ours);
    let created = ours.create_dataset(request_with_kpis(1)).unwrap();
    assert_eq!(pairs(&watch.next().unwrap().unwrap()), [(created.id, ChangeState::Present)]);
    let elsewhere = file.path.with_extension("moved");
    fs::rename(&file.path, &elsewhere).unwrap();
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(watch.next().unwrap().unwrap_err().code(), "invalid_path");
    }
    assert!(
        started.elapsed() >= Duration::from_millis(50 + 100 + 200),
        "a loop over errors pauses, for longer each time"
    );
    fs::rename(&elsewhere, &file.path).unwrap();
    let later = ours.create_dataset(request_with_kpis(1)).unwrap();
    fs::rename(&file.path, &elsewhere).unwrap();
    assert_eq!(
        pairs(&watch.next().unwrap().unwrap()),
        [(later.id, ChangeState::Present)],
        "what can be read is reported"
    );
    let started = Instant::now();
    for _ in 0..2 {
        assert_eq!(watch.next().unwrap().unwrap_err().code(), "invalid_path");
    }
    assert!(started.elapsed() < Duration::from_millis(800), "after a success the pauses are short again");
    fs::rename(&elsewhere, &file.path).unwrap();
    let last = ours.create_dataset(request_with_kpis(1)).unwrap();
    assert_eq!(pairs(&watch.next().unwrap().unwrap()), [(last.id, ChangeState::Present)]);
}

/// A file can be moved back. A log that was removed cannot: the store refuses every call until it is closed.
#[test]
fn the_loss_of_the_log_is_reported_once_and_ends_the_iterator() {
    for suffix in ["-wal", "-shm"] {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store);
        let mut watch = watch(&ours);
        let created = ours.create_dataset(request_with_kpis(1)).unwrap();
        assert_eq!(pairs(&watch.next().unwrap().unwrap()), [(created.id, ChangeState::Present)]);
        fs::remove_file(file.with_suffix(suffix)).unwrap();
        assert_eq!(watch.next().unwrap().unwrap_err().code(), "invalid_path", "{suffix}");
        assert!(watch.next().is_none(), "{suffix}");
        assert_eq!(watch.wait(Duration::MAX).unwrap_err().code(), "invalid_path", "{suffix}");
        drop((store, ours));
        assert!(matches!(watch.wait(Duration::MAX), Err(Error::Closed)));
    }
}

#[test]
fn a_watch_that_fails_is_stopped_at_once_and_ends_with_its_store() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let (mut stopped, mut closed) = (watch(&ours), watch(&ours));
    fs::rename(&file.path, file.path.with_extension("moved")).unwrap();
    for watch in [&mut stopped, &mut closed] {
        assert_eq!(watch.wait(Duration::MAX).unwrap_err().code(), "invalid_path");
    }
    stopped.stop_handle().stop();
    assert!(matches!(stopped.wait(Duration::MAX), Err(Error::Cancelled)));
    drop((store, ours));
    assert!(closed.next().is_none());
}
