//! How a writer keeps the log short: with a bound of a few pages, so that a few creates exceed it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kpi_store_fault_vfs::{Disk, Kind};
use rusqlite::Connection;

use super::support::with_writer;
use crate::sqlite::wal;
use crate::{NewDataset, Organization, OrganizationId, Store};

/// About five creates.
const BOUND: u64 = 100 * 1024;

/// More locks than a create and an attempt take that do not wait. SQLite takes one again about ten times in 200 ms.
const LOCKS_OF_A_WAIT: u64 = 7;

struct Fixture {
    _folder: tempfile::TempDir,
    file: PathBuf,
    store: Store,
    ours: Organization,
    disk: Disk,
    /// The locks in shared memory that a create takes beside a short log.
    locks: u64,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("kpis.db");
        let disk = Disk::new(file.parent().unwrap());
        let store = Store::options().log_max(BOUND).open(&file).unwrap();
        let ours = store.organization(OrganizationId::new());
        let mut fixture = Self { _folder: folder, file, store, ours, disk, locks: 0 };
        fixture.create();
        fixture.locks = fixture.create();
        fixture
    }

    /// Creates a dataset, and returns how many locks in shared memory that took.
    fn create(&self) -> u64 {
        let before = self.disk.count(Kind::ShmLock);
        self.ours.create_dataset(NewDataset::new("Water")).unwrap();
        self.disk.count(Kind::ShmLock) - before
    }

    /// Whether a create made an attempt that waited for other connections.
    fn waits(&self) -> bool {
        self.create() > self.locks + LOCKS_OF_A_WAIT
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.file.with_extension("db-wal")).unwrap().len()
    }

    /// A snapshot that keeps the log from beginning anew.
    fn snapshot(&self) -> Connection {
        let reader = Connection::open(&self.file).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
        reader
    }
}

#[test]
fn a_log_over_the_bound_is_overwritten_from_its_start_and_keeps_its_length() {
    let fixture = Fixture::new();
    let length = (0..20)
        .map(|_| {
            fixture.create();
            fixture.log_length()
        })
        .find(|length| *length > BOUND)
        .expect("it keeps its length");
    let used = || with_writer(&fixture.store, |connection| wal::length_of_commits(connection).unwrap());
    let mut longest = 0;
    for _ in 0..50 {
        fixture.create();
        assert!((length..2 * BOUND).contains(&fixture.log_length()), "{} bytes", fixture.log_length());
        longest = longest.max(used());
    }
    assert!(longest > BOUND / 2, "it begins anew only when it is full, and not with every write: {longest}");
}

#[test]
fn a_log_that_was_never_overwritten_has_the_length_of_its_commits() {
    let fixture = Fixture::new();
    let used = with_writer(&fixture.store, |connection| wal::length_of_commits(connection).unwrap());
    assert_eq!(used, fixture.log_length());
}

#[test]
fn a_write_waits_for_the_reads_of_this_store_and_then_overwrites_the_log() {
    let fixture = Fixture::new();
    let reader = fixture.store.access().readers.as_ref().unwrap().lend();
    let longest = (0..20)
        .map(|_| {
            let started = Instant::now();
            fixture.create();
            started.elapsed()
        })
        .max();
    assert!(longest >= Some(Duration::from_millis(200)), "{longest:?}");
    assert!(fixture.log_length() < 2 * BOUND, "{} bytes", fixture.log_length());
    drop(reader);
}

#[test]
fn beside_a_snapshot_a_write_waits_again_only_after_the_log_has_grown_by_half() {
    let fixture = Fixture::new();
    let _snapshot = fixture.snapshot();
    let mut waited_at = Vec::new();
    while waited_at.len() < 3 && fixture.log_length() < 50 * BOUND {
        if fixture.waits() {
            waited_at.push(fixture.log_length());
        }
    }
    assert_eq!(waited_at.len(), 3, "{waited_at:?}");
    assert!(waited_at[0] > BOUND && waited_at[0] < 2 * BOUND, "{waited_at:?}");
    for pair in waited_at.windows(2) {
        assert!(pair[1] >= pair[0] + pair[0] / 2, "{waited_at:?}");
    }
}

#[test]
fn after_an_attempt_that_was_slow_and_failed_writes_make_none_for_a_while() {
    let fixture = Fixture::new();
    let _snapshot = fixture.snapshot();
    fixture.create();
    let locks = fixture.create();
    assert!((0..20).any(|_| fixture.waits()));
    // The disk takes long for the first lock of an attempt that does not wait.
    let has_made_one = (0..100).any(|_| {
        fixture.disk.before(Kind::ShmLock, locks + 1, || std::thread::sleep(Duration::from_millis(300)));
        let taken = fixture.create();
        !fixture.disk.is_waiting() && taken <= locks + LOCKS_OF_A_WAIT
    });
    assert!(has_made_one);
    assert_eq!(fixture.create(), locks, "an attempt within three seconds");
}

#[test]
fn a_verification_shortens_the_log_that_grew_meanwhile_without_another_write() {
    let fixture = Fixture::new();
    let snapshot = fixture.snapshot();
    while fixture.log_length() <= 2 * BOUND {
        fixture.create();
    }
    drop(snapshot);
    let started = Instant::now();
    // After a slow attempt there is none for a while.
    while fixture.log_length() > 0 && started.elapsed() < Duration::from_secs(20) {
        assert!(fixture.store.verify().unwrap().is_whole());
    }
    assert_eq!(fixture.log_length(), 0);
}
