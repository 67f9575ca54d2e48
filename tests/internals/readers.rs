//! The pool of readers.

use std::time::{Duration, Instant};

use crate::sqlite::failure::Failure;
use crate::{DatasetQuery, Error, NewDataset, OrganizationId, Store};

#[test]
fn eight_threads_read_at_the_same_time_and_the_ninth_waits() {
    let folder = tempfile::tempdir().unwrap();
    let options = Store::options().busy_timeout(Duration::from_millis(20));
    let store = options.open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let readers = store.access().readers.as_ref().unwrap();
    let mut lent: Vec<_> = (0..8).map(|_| readers.lend()).collect();
    for reader in &mut lent {
        assert!(reader.connection().is_ok());
    }
    assert!(matches!(ours.count_datasets(&DatasetQuery::new()), Err(Error::Busy { .. })));
    lent.pop();
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 0);
}

#[test]
fn a_thread_that_waits_for_a_reader_is_woken_when_one_is_returned_and_when_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let timeout = Duration::from_mins(1);
    let store = Store::options().busy_timeout(timeout).open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let readers = store.access().readers.as_ref().unwrap();
    for is_closed in [false, true] {
        let mut lent: Vec<_> = (0..8).map(|_| readers.lend()).collect();
        let started = Instant::now();
        let counted = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ours.count_datasets(&DatasetQuery::new()));
            while readers.counts().0 == 0 {
                std::thread::yield_now();
            }
            if is_closed {
                readers.close();
            } else {
                lent.pop();
            }
            waiting.join().unwrap()
        });
        assert!(started.elapsed() < timeout / 2, "closed: {is_closed}");
        assert_eq!(matches!(counted, Err(Error::Closed)), is_closed, "{counted:?}");
        // A connection that is returned to a closed store is closed.
        drop(lent);
        assert_eq!(readers.counts().1 == 0, is_closed);
    }
}

/// The last connection copies the log into the file and removes it, which one that only reads cannot do.
#[test]
fn a_store_that_is_closed_during_a_read_leaves_no_log_when_the_read_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    ours.create_dataset(NewDataset::new("Water")).unwrap();
    let names = || std::fs::read_dir(folder.path()).unwrap().count();
    let readers = store.access().readers.as_ref().unwrap();
    let mut lent = readers.lend();
    lent.connection().map_err(|Failure(error)| error).unwrap();
    store.clone().close().unwrap();
    assert_eq!(names(), 3, "the read may go on");
    drop(lent);
    assert_eq!(names(), 1);
}
