//! Opening a file that another process, or the file system, changes at the same time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use rusqlite::Connection;

use crate::{Error, NewDataset, OrganizationId, Store};

/// Before it is opened with locks, a file is looked at without them: what was seen counts only if the file did not change
/// meanwhile.
#[test]
fn a_file_that_becomes_a_store_while_it_is_opened_for_reading_is_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.db");
    Store::open(&made).unwrap().close().unwrap();
    let store = fs::read(&made).unwrap();
    let is_after_a_read = Arc::new(AtomicBool::new(false));
    for at in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("kpis.db");
        Connection::open(&file).unwrap().execute_batch("PRAGMA application_id = 1; CREATE TABLE note (body)").unwrap();
        let disk = Arc::new(Disk::new(file.parent().unwrap()));
        let open = || Store::options().read_only(true).open(&file).map(drop).map_err(|error| error.code());
        assert_eq!(open(), Err("not_a_store"), "the control");
        let (path, bytes, reads) = (file.clone(), store.clone(), disk.count(Kind::Read));
        let (same_disk, is_after_a_read) = (Arc::clone(&disk), Arc::clone(&is_after_a_read));
        disk.before(Kind::Length, at, move || {
            is_after_a_read.fetch_or(same_disk.count(Kind::Read) > reads, Relaxed);
            fs::write(path, bytes).unwrap();
        });
        let opened = open();
        if disk.is_waiting() {
            break;
        }
        assert_eq!(opened, Ok(()), "it changed before lookup {at}");
    }
    assert!(is_after_a_read.load(Relaxed), "nothing looked whether it changed after it was read");
}

/// A closed store on a disk, whose file can be replaced by a copy.
struct Replaceable {
    _folder: tempfile::TempDir,
    file: PathBuf,
    bytes: Vec<u8>,
    disk: Disk,
}

impl Replaceable {
    fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("kpis.db");
        Store::open(&file).unwrap().close().unwrap();
        let bytes = fs::read(&file).unwrap();
        let disk = Disk::new(file.parent().unwrap());
        Arc::new(Self { _folder: folder, file, bytes, disk })
    }

    /// Replaces the file by a copy with another inode before the open `at` from now, and again after as many, `times` in
    /// all. That is what an overlay file system does when a file of its lower layer is first opened for writing.
    fn replace_before_open(self: &Arc<Self>, at: u64, times: u32) {
        let this = Arc::clone(self);
        self.disk.before(Kind::Open, at, move || {
            let copy = this.file.with_extension("copy");
            fs::write(&copy, &this.bytes).unwrap();
            // The old file stays, so that no later copy gets its inode.
            fs::rename(&this.file, this.file.with_extension(times.to_string())).unwrap();
            fs::rename(&copy, &this.file).unwrap();
            if times > 1 {
                this.replace_before_open(at, times - 1);
            }
        });
    }
}

fn create(store: &Store) -> crate::Result<()> {
    store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water")).map(drop)
}

fn rows(file: &Path) -> i64 {
    Connection::open(file).unwrap().query_one("SELECT count(*) FROM dataset", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_whose_inode_changes_once_or_twice_while_it_is_opened_is_opened() {
    for (at, times) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
        let replaceable = Replaceable::new();
        replaceable.replace_before_open(at, times);

        let store = Store::open(&replaceable.file).unwrap();

        assert!(!replaceable.disk.is_waiting(), "before open {at}, {times} times");
        create(&store).unwrap();
        store.close().unwrap();
        assert_eq!(rows(&replaceable.file), 1, "before open {at}, {times} times: not in the file that has the name");
    }
}

#[test]
fn a_file_whose_inode_changes_at_every_opening_is_an_invalid_path() {
    let replaceable = Replaceable::new();
    replaceable.replace_before_open(1, u32::MAX);

    let error = Store::open(&replaceable.file).unwrap_err();

    assert!(matches!(error, Error::InvalidPath { .. }), "{error:?}");
    assert!(error.to_string().contains("moved"), "{error}");
    replaceable.disk.before(Kind::Open, 1, || ());
    create(&Store::open(&replaceable.file).unwrap()).unwrap();
}

/// SQLite calls no busy handler for the switch to a write-ahead log.
#[test]
fn a_first_opening_waits_for_the_write_of_another_connection() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("kpis.db");
    let disk = Disk::new(file.parent().unwrap());
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = disk.count(Kind::Lock);
    let opened = std::thread::scope(|scope| {
        let opening = scope.spawn(|| Store::options().busy_timeout(Duration::from_mins(1)).open(&file));
        while disk.count(Kind::Lock) < before + 100 && !opening.is_finished() {
            std::thread::yield_now();
        }
        other.execute_batch("COMMIT").unwrap();
        opening.join().unwrap()
    });
    create(&opened.unwrap()).unwrap();
}

#[test]
fn an_opening_that_cannot_open_a_companion_does_not_say_that_it_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("kpis.db");
    let disk = Disk::new(file.parent().unwrap());
    // Keeps its companions beside the file.
    let store = Store::open(&file).unwrap();
    create(&store).unwrap();
    for at in 1.. {
        disk.fail(Fault { kinds: vec![Kind::Open], at, cause: Cause::Io, lasting: true });
        let opened = Store::open(&file);
        disk.calm();
        match opened {
            Err(error) => assert_ne!(error.code(), "read_only", "open {at}: {error}"),
            Ok(_) => break,
        }
    }
}
