//! A write-ahead log that is removed or replaced while the store is open: a write is refused before it is acknowledged,
//! and the log that now lies beside the file, which may be that of another process, stays as it is.
//!
//! It takes no tool that removes files: if a process opens and closes the file and the `-shm` of its own store, for an
//! archive or an upload, POSIX drops the locks of its connections, and the next process that closes the file removes the
//! log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kpi_store::{DatasetId, DatasetQuery, Error, LoadOptions, NewDataset, Organization, Store};

use crate::support::child::{self, Child};
use crate::support::{
    TestFile, entries, ids_in_a_sound_file, organization, plain_sqlite, request_with_kpis, with_suffix,
};

const CHILD: &str = "lost_log::a_process_that_reads_its_own_file_is_refused_and_nothing_acknowledged_is_lost";

/// Another process: opens the file, creates a dataset, and closes. If it is to stay, it waits before it closes, and
/// creates another dataset then.
fn other_process(task: &child::Task) {
    let store = Store::open(&task.file).unwrap();
    let create = |store: &Store| organization(store).create_dataset(request_with_kpis(3)).unwrap().id.to_string();
    child::send([create(&store)]);
    if task.role == "many" {
        // So much that every page of a small file changes.
        organization(&store).create_datasets((0..100).map(|_| request_with_kpis(30))).unwrap();
    }
    if task.role == "stay" {
        child::receive();
        child::send([create(&store)]);
    }
    store.close().unwrap();
}

/// Lets another process create a dataset and close the file, and returns the id.
fn create_elsewhere(file: &Path) -> String {
    let sent = Child::start(CHILD, "close", file, 0).wait().unwrap();
    sent.into_iter().next().unwrap()
}

/// Reads the file and what SQLite keeps beside it, as an archive or an upload does.
fn read_with_companions(file: &TestFile) {
    for suffix in ["", "-wal", "-shm"] {
        fs::read(file.with_suffix(suffix)).unwrap();
    }
}

/// An open store, and what it has acknowledged.
struct Open {
    store: Store,
    ours: Organization,
    acknowledged: BTreeSet<String>,
    // The last, so that no store is open when its folder is removed: another file may get its inode.
    file: TestFile,
}

impl Open {
    /// With datasets in the file and in the log.
    fn new() -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let first = organization(&store).create_dataset(request_with_kpis(30)).unwrap().id.to_string();
        store.close().unwrap();
        let store = Store::open(&file.path).unwrap();
        let mut open = Self { file, ours: organization(&store), store, acknowledged: BTreeSet::from([first]) };
        open.create().unwrap();
        open
    }

    fn create(&mut self) -> Result<(), Error> {
        let created = self.ours.create_dataset(request_with_kpis(2))?;
        self.acknowledged.insert(created.id.to_string());
        Ok(())
    }

    fn log(&self) -> std::path::PathBuf {
        self.file.with_suffix("-wal")
    }

    /// Every call that would use the log is refused, also those that only read: they would show what no other process
    /// finds.
    fn everything_is_refused(&mut self, what: &str) {
        for _ in 0..2 {
            is_lost(&self.create().unwrap_err(), &self.file.path, what);
            is_lost(&self.ours.count_datasets(&DatasetQuery::new()).unwrap_err(), &self.file.path, what);
        }
        is_lost(&self.store.verify().unwrap_err(), &self.file.path, what);
        let copy = self.file.with_suffix(".copy");
        is_lost(&self.store.backup_to(&copy).unwrap_err(), &self.file.path, what);
        for options in [Store::options(), Store::options().read_only(true)] {
            is_lost(&options.open(&self.file.path).unwrap_err(), &self.file.path, what);
        }
    }
}

fn is_lost(error: &Error, file: &Path, what: &str) {
    let Error::InvalidPath { path, reason, .. } = error else { panic!("{what}: {error:?}") };
    assert_eq!(path, &with_suffix(&file.canonicalize().unwrap(), "-wal"), "{what}");
    assert!(reason.starts_with("it was removed or replaced while the store was open"), "{what}: {reason}");
}

#[test]
fn a_process_that_reads_its_own_file_is_refused_and_nothing_acknowledged_is_lost() {
    if let Some(task) = child::task() {
        return other_process(&task);
    }
    for has_reader in [true, false] {
        for is_closed in [true, false] {
            let what = format!("a reader before: {has_reader}, closed: {is_closed}");
            let mut open = Open::new();
            if has_reader {
                open.ours.count_datasets(&DatasetQuery::new()).unwrap();
            }
            read_with_companions(&open.file);
            open.acknowledged.insert(create_elsewhere(&open.file.path));
            assert!(!open.log().exists(), "{what}: the other process was the last, as it saw it");
            open.everything_is_refused(&what);
            assert!(!open.log().exists(), "{what}");
            let Open { file, store, ours, acknowledged } = open;
            if is_closed {
                is_lost(&store.close().unwrap_err(), &file.path, &what);
                // A handle that is left keeps no connection.
                assert_eq!(ids_in_a_sound_file(&file.path), acknowledged, "{what}");
                assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap_err().code(), "closed", "{what}");
            } else {
                drop((store, ours));
            }
            assert_eq!(ids_in_a_sound_file(&file.path), acknowledged, "{what}");
        }
    }
}

#[test]
fn the_log_of_another_process_stays_when_a_store_that_lost_its_own_is_closed() {
    for is_closed in [true, false] {
        let what = format!("closed: {is_closed}");
        let mut open = Open::new();
        read_with_companions(&open.file);
        open.acknowledged.insert(create_elsewhere(&open.file.path));
        let mut other = Child::start(CHILD, "stay", &open.file.path, 0);
        open.acknowledged.insert(other.receive().unwrap());
        open.everything_is_refused(&what);
        let Open { file, store, ours, mut acknowledged } = open;
        let before = entries(file.folder.path());
        if is_closed {
            is_lost(&store.close().unwrap_err(), &file.path, &what);
        } else {
            drop((store, ours));
        }
        assert_eq!(entries(file.folder.path()), before, "{what}");
        other.send("create another");
        acknowledged.extend(other.wait().unwrap());
        assert_eq!(ids_in_a_sound_file(&file.path), acknowledged, "{what}");
    }
}

/// Does something to the log at a path, after which what was in the log is beside the file or is not.
type Event = fn(&Path);

const EVENTS: [(&str, bool, Event); 4] = [
    ("removed", false, |log| fs::remove_file(log).unwrap()),
    ("renamed", false, |log| fs::rename(log, with_suffix(log, ".aside")).unwrap()),
    ("replaced by a copy of itself", true, |log| {
        fs::copy(log, with_suffix(log, ".copy")).unwrap();
        fs::rename(with_suffix(log, ".copy"), log).unwrap();
    }),
    ("replaced by a link to itself", true, |log| {
        fs::rename(log, with_suffix(log, ".aside")).unwrap();
        std::os::unix::fs::symlink(with_suffix(log, ".aside"), log).unwrap();
    }),
];

#[test]
fn a_write_is_refused_after_the_log_was_removed_or_replaced() {
    for (what, keeps_content, event) in EVENTS {
        let mut open = Open::new();
        event(&open.log());
        open.everything_is_refused(what);
        let Open { file, store, ours, acknowledged } = open;
        let before = entries(file.folder.path());
        drop((store, ours));
        assert_eq!(entries(file.folder.path()), before, "{what}");
        if file.with_suffix("-wal").is_symlink() {
            fs::rename(file.with_suffix("-wal.aside"), file.with_suffix("-wal")).unwrap();
        }
        let found = ids_in_a_sound_file(&file.path);
        assert!(found.is_subset(&acknowledged), "{what}");
        assert_eq!(found.len(), if keeps_content { 2 } else { 1 }, "{what}: all that the file and the log have");
    }
}

/// The iterator of a load runs between the check before the transaction and the commit.
#[test]
fn a_commit_into_a_log_that_was_just_removed_is_not_acknowledged() {
    let mut open = Open::new();
    let (log, id) = (open.log(), DatasetId::new());
    let new = std::iter::once_with(|| {
        fs::remove_file(&log).unwrap();
        NewDataset::new("Waste").id(id)
    });
    let failed = open.ours.load_datasets(new, LoadOptions::new()).unwrap_err();
    let Error::OutcomeUnknown { ids, source: Some(source), .. } = &failed.error else { panic!("{failed:?}") };
    assert_eq!(ids, &[id]);
    is_lost(source.downcast_ref().unwrap(), &open.file.path, "the cause");
    open.everything_is_refused("after the commit");
    let Open { file, store, ours, .. } = open;
    drop((store, ours));
    assert_eq!(ids_in_a_sound_file(&file.path).len(), 1, "the first, which was in the file");
}

/// SQLite keeps the index of the log in memory: two processes with different ones overwrite each other's commits.
#[test]
fn a_write_is_refused_after_the_index_of_the_log_was_removed() {
    let mut open = Open::new();
    fs::remove_file(open.file.with_suffix("-shm")).unwrap();
    let Error::InvalidPath { path, .. } = open.create().unwrap_err() else { panic!("another error") };
    assert_eq!(path, with_suffix(&open.file.path.canonicalize().unwrap(), "-shm"));
    let Open { file, store, ours, acknowledged } = open;
    drop((store, ours));
    assert_eq!(ids_in_a_sound_file(&file.path), acknowledged);
}

/// A process that only reads makes no check before a read. It makes one before it calls the file damaged.
#[test]
fn a_store_that_only_reads_does_not_call_a_file_damaged_whose_log_it_lost() {
    let open = Open::new();
    let ids: Vec<_> = (0..40).map(|_| open.ours.create_dataset(request_with_kpis(20)).unwrap().id).collect();
    open.store.checkpoint().unwrap();
    for id in &ids {
        open.ours.dataset(*id).unwrap();
    }
    read_with_companions(&open.file);
    for _ in 0..8 {
        Child::start(CHILD, "many", &open.file.path, 0).wait().unwrap();
    }
    let mut refused = 0;
    for id in &ids {
        match open.ours.dataset(*id) {
            Ok(found) => assert!(found.is_some()),
            Err(error) => {
                is_lost(&error, &open.file.path, "a read");
                refused += 1;
            }
        }
    }
    if let Ok(page) = open.ours.datasets(&DatasetQuery::new().limit(1_000)) {
        assert!(page.damaged.is_empty(), "{refused} refused before");
    }
    if let Ok(found) = open.store.verify() {
        assert!(found.is_whole(), "{found:?}");
    }
}

/// The connection of a verification in progress still uses the index of the lost log.
#[test]
fn a_file_is_not_opened_again_before_a_verification_of_the_closed_store_has_ended() {
    let mut open = Open::new();
    for _ in 0..300 {
        open.create().unwrap();
    }
    let (store, path) = (open.store.clone(), open.file.path.clone());
    let mut closing = Some(open.store.clone());
    let log = open.log();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let answer = std::sync::Arc::clone(&seen);
    let verified = store.verify_with(move |_| {
        if let Some(store) = closing.take() {
            fs::copy(&log, with_suffix(&log, ".copy")).unwrap();
            fs::rename(with_suffix(&log, ".copy"), &log).unwrap();
            is_lost(&store.close().unwrap_err(), &path, "closing");
            *answer.lock().unwrap() = Some(Store::open(&path).map(drop).map_err(|error| error.code()));
        }
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(*seen.lock().unwrap(), Some(Err("invalid_path")), "{verified:?}");
    let Open { file, acknowledged, .. } = open;
    drop(store);
    assert_eq!(ids_in_a_sound_file(&file.path), acknowledged);
}

/// SQLite keeps one index of the log for all connections of a process.
#[test]
fn a_file_is_opened_again_only_once_every_store_with_the_former_log_is_closed() {
    let mut open = Open::new();
    let second = Store::open(&open.file.path).unwrap();
    let reader = Store::options().read_only(true).open(&open.file.path).unwrap();
    fs::copy(open.log(), open.file.with_suffix(".copy")).unwrap();
    fs::rename(open.file.with_suffix(".copy"), open.log()).unwrap();
    open.everything_is_refused("two others are open");
    let Open { file, store, ours, acknowledged } = open;
    drop(ours);
    is_lost(&store.close().unwrap_err(), &file.path, "the first");
    is_lost(&Store::open(&file.path).unwrap_err(), &file.path, "another and a reader are open");
    drop(second);
    is_lost(&Store::open(&file.path).unwrap_err(), &file.path, "a reader is open");
    drop(reader);
    assert_eq!(ids_in_a_sound_file(&file.path), acknowledged);
}

/// The control: without the check, a write into a log that another process has removed is acknowledged and lost.
#[test]
fn plain_sqlite_writes_into_a_log_that_was_removed() {
    let Open { file, store, ours, .. } = Open::new();
    let plain = plain_sqlite(&file.path);
    let count = |connection: &rusqlite::Connection| -> i64 {
        connection.query_row("SELECT count(*) FROM kpi", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&plain), 32);
    read_with_companions(&file);
    create_elsewhere(&file.path);
    assert_eq!(plain.execute("DELETE FROM kpi", []), Ok(35));
    assert_eq!(count(&plain), 0);
    let copy = file.with_suffix(".copy");
    fs::copy(&file.path, &copy).unwrap();
    assert!(!file.with_suffix("-wal").exists());
    assert_eq!(count(&plain_sqlite(&copy)), 35, "so another process finds them all");
    drop((ours, store));
}
