//! The pool of readers.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
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
fn the_first_reads_use_the_connection_of_the_writer_and_open_none() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name| Store::open(folder.path().join(name)).unwrap();
    let opened = |store: &Store| store.access().readers.as_ref().unwrap().counts().1;
    let read = |store: &Store| {
        let ours = store.organization(OrganizationId::new());
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 0);
        opened(store)
    };
    let store = open("a few.db");
    assert_eq!((0..8).map(|_| read(&store)).collect::<Vec<_>>(), [0; 8]);
    assert_eq!(read(&store), 1, "a program that reads more often");

    let store = open("a write in progress.db");
    let held = store.access().writer.hold();
    assert_eq!(read(&store), 1);
    drop(held);
    assert_eq!(read(&store), 1);

    let store = open("closed.db");
    store.clone().close().unwrap();
    let ours = store.organization(OrganizationId::new());
    assert!(matches!(ours.count_datasets(&DatasetQuery::new()), Err(Error::Closed)));
}

#[test]
fn a_first_read_that_is_long_is_done_on_a_connection_of_its_own() {
    const LONG: &str = "WITH RECURSIVE number (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < 15000)
        SELECT count(*) FROM number";
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let (attempts, by_writer) = (Cell::new(0), Cell::new(0));
    let count = || {
        store.access().read(|snapshot| {
            attempts.set(attempts.get() + 1);
            let connection = snapshot.plain();
            by_writer.set(by_writer.get() + u32::from(!connection.is_readonly("main")?));
            Ok(connection.query_one(LONG, [], |row| row.get::<_, i64>(0))?)
        })
    };
    assert_eq!(count().unwrap(), 15_000);
    assert_eq!((attempts.get(), by_writer.get()), (2, 1));
    assert_eq!(count().unwrap(), 15_000);
    assert_eq!((attempts.get(), by_writer.get()), (3, 1));

    let store = Store::open(folder.path().join("another.db")).unwrap();
    let interrupted = store.access().read(|snapshot| {
        let counted = snapshot.plain().query_one(LONG, [], |row| row.get(0));
        Ok(counted.unwrap_or(0_i64))
    });
    assert_eq!(interrupted.unwrap(), 15_000, "an answer in spite of the interruption does not count");
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

/// Without locks SQLite would mix pages of two moments, and go on serving the old ones.
#[test]
fn a_read_without_locks_runs_again_if_the_file_changed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    let id = OrganizationId::new();
    let create = || {
        let store = Store::open(&file).unwrap();
        store.organization(id).create_dataset(NewDataset::new("Water")).unwrap();
        store.close().unwrap();
    };
    create();
    for (timeout, expected) in [(Duration::from_mins(1), Ok(3)), (Duration::ZERO, Err("busy"))] {
        set_read_only(&file, true);
        let store = Store::options().read_only(true).busy_timeout(timeout).open(&file).unwrap();
        let before = store.organization(id).count_datasets(&DatasetQuery::new()).unwrap();
        let calls = Cell::new(0);
        let read = store.access().read(|snapshot| {
            let count = dataset::count(snapshot, id)?;
            calls.set(calls.get() + 1);
            if calls.get() <= 2 {
                assert_eq!(count, before + calls.get() - 1);
                set_read_only(&file, false);
                create();
                set_read_only(&file, true);
            }
            Ok(count)
        });
        assert_eq!(read.map_err(|error| error.code()), expected);
        assert_eq!(calls.get(), if timeout.is_zero() { 1 } else { 3 });
        // A pooled connection that is not current is replaced.
        let after = store.organization(id).count_datasets(&DatasetQuery::new()).unwrap();
        assert_eq!(after, if timeout.is_zero() { before + 1 } else { before + 2 });
        set_read_only(&file, false);
    }
}

#[test]
fn a_verification_or_backup_without_locks_is_busy_if_the_file_changed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    let store = Store::open(&file).unwrap();
    let create = |store: &Store| store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water"));
    create(&store).unwrap();
    store.close().unwrap();
    let copy = folder.path().join("copy.db");
    for is_backup in [false, true] {
        set_read_only(&file, true);
        let store = Store::options().read_only(true).open(&file).unwrap();
        let path = file.clone();
        let change = move |_| {
            set_read_only(&path, false);
            let writer = Store::open(&path).unwrap();
            create(&writer).unwrap();
            writer.close().unwrap();
            set_read_only(&path, true);
            ControlFlow::Continue(())
        };
        let done = if is_backup { store.backup_to_with(&copy, change) } else { store.verify_with(change).map(drop) };
        assert_eq!(done.unwrap_err().code(), "busy", "backup: {is_backup}");
        assert!(!copy.exists());
        assert!(store.verify().unwrap().is_whole());
        store.backup_to(&copy).unwrap();
        std::fs::remove_file(&copy).unwrap();
    }
}

fn set_read_only(file: &Path, is_read_only: bool) {
    let mut permissions = std::fs::metadata(file).unwrap().permissions();
    permissions.set_readonly(is_read_only);
    std::fs::set_permissions(file, permissions).unwrap();
}
