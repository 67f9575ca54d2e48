//! The length of the write-ahead log under load: it stays bounded beside readers that overlap without end, in this
//! process and in another, and beside repeated verifications. Beside one snapshot that is held it may grow; the first
//! write after that shortens it.
//!
//! Each scenario writes some more to the log than its bound, in the long form ten times as much, and prints what it
//! counted:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test log -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kpi_store::{DatasetId, DatasetQuery, Durability, Organization, Store};
use rusqlite::Connection;

use support::child::{self, Child, Task};
use support::{TestFile, is_long, organization, plain_sqlite, request_with_kpis, with_suffix};

const MIB: u64 = 1024 * 1024;

/// How many threads read at the same time.
const READERS: usize = 8;

/// The pages that a create of ten KPIs changes, at least.
const BYTES_PER_CREATE: u64 = 5 * 4_096;

/// How many creates write this much to the log, ten times as much in the long form.
fn creates(mib: u64) -> u64 {
    (if is_long() { 10 } else { 1 }) * mib * MIB / BYTES_PER_CREATE
}

fn log_length(file: &Path) -> u64 {
    std::fs::metadata(with_suffix(file, "-wal")).map_or(0, |metadata| metadata.len())
}

/// One scenario at a time: how long readers take to end depends on how much else runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a scenario came to.
struct Report {
    longest_log: u64,
    log_when_quiet: u64,
    creates: Vec<Duration>,
    reads: Vec<Duration>,
    elapsed: Duration,
}

impl Report {
    fn print(&mut self, scenario: &str) {
        println!(
            "log: {scenario}: at most {} KiB, {} KiB when quiet; {} creates in {:?}, {}; reads {}",
            self.longest_log / 1024,
            self.log_when_quiet / 1024,
            self.creates.len(),
            self.elapsed,
            percentiles(&mut self.creates),
            percentiles(&mut self.reads),
        );
    }
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |permille| times.get(times.len().saturating_sub(1) * permille / 1_000).copied().unwrap_or_default();
    format!("p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}", at(500), at(990), at(999), at(1_000))
}

/// A store with some datasets, and the ids of these.
fn store_with_datasets(file: &Path) -> (Store, Organization, Vec<DatasetId>) {
    let store = Store::options().durability(Durability::Normal).open(file).unwrap();
    let ours = organization(&store);
    let new = std::iter::repeat_with(|| request_with_kpis(10)).take(200);
    let ids = ours.create_datasets(new).unwrap().into_iter().map(|dataset| dataset.id).collect();
    (store, ours, ids)
}

/// Creates datasets while `beside` runs in threads of their own, each with its number, until the flag is set.
fn create_beside(
    ours: &Organization,
    file: &Path,
    mib: u64,
    threads: usize,
    beside: impl Fn(usize, &AtomicBool) -> Vec<Duration> + Sync,
) -> Report {
    let (is_over, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let mut report = std::thread::scope(|scope| {
        let (is_over, beside) = (&is_over, &beside);
        let readers: Vec<_> = (0..threads).map(|number| scope.spawn(move || beside(number, is_over))).collect();
        let creates: Vec<Duration> = (0..creates(mib))
            .map(|_| {
                let started = Instant::now();
                ours.create_dataset(request_with_kpis(10)).unwrap();
                let took = started.elapsed();
                longest.fetch_max(log_length(file), Relaxed);
                took
            })
            .collect();
        let elapsed = started.elapsed();
        is_over.store(true, Relaxed);
        let reads = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        Report { longest_log: longest.load(Relaxed), log_when_quiet: 0, creates, reads, elapsed }
    });
    ours.create_dataset(request_with_kpis(1)).unwrap();
    report.log_when_quiet = log_length(file);
    report
}

/// Reads single datasets, and now and then a page, without rest.
fn read_without_rest(ours: &Organization, ids: &[DatasetId], number: usize, is_over: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    let page = DatasetQuery::new().limit(20);
    for turn in number.. {
        if is_over.load(Relaxed) {
            break;
        }
        let started = Instant::now();
        if turn % 4 == 0 {
            ours.datasets(&page).unwrap();
        } else {
            assert!(ours.dataset(ids[turn % ids.len()]).unwrap().is_some());
        }
        times.push(started.elapsed());
    }
    times
}

#[test]
fn stays_under_32_mib_beside_eight_readers_of_this_store() {
    let _alone = alone();
    let file = TestFile::new();
    let (_store, ours, ids) = store_with_datasets(&file.path);
    let mut report = create_beside(&ours, &file.path, 48, READERS, |number, is_over| {
        read_without_rest(&ours, &ids, number, is_over)
    });
    report.print("eight readers of this store");
    assert!(report.longest_log < 32 * MIB, "{}", report.longest_log);
}

#[test]
fn stays_under_64_mib_beside_eight_readers_of_another_process() {
    const TEST: &str = "stays_under_64_mib_beside_eight_readers_of_another_process";
    if let Some(task) = child::task() {
        return read_until_told(&task);
    }
    let _alone = alone();
    let file = TestFile::new();
    let (_store, ours, _) = store_with_datasets(&file.path);
    let mut readers = Child::start(TEST, &ours.id().to_string(), &file.path, 0);
    assert_eq!(readers.receive().as_deref(), Some("reading"));
    let mut report = create_beside(&ours, &file.path, 80, 0, |_, _| Vec::new());
    readers.send("end");
    readers.wait().unwrap();
    report.print("eight readers of another process");
    assert!(report.longest_log < 64 * MIB, "{}", report.longest_log);
}

fn read_until_told(task: &Task) {
    let store = Store::open(&task.file).unwrap();
    let ours = store.organization(task.role.parse().unwrap());
    let page = ours.datasets(&DatasetQuery::new().limit(200)).unwrap();
    let ids: Vec<_> = page.items.iter().map(|dataset| dataset.id).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..READERS {
            let (ours, ids, is_over) = (&ours, &ids, &is_over);
            scope.spawn(move || read_without_rest(ours, ids, number, is_over));
        }
        child::send(["reading".to_owned()]);
        child::receive();
        is_over.store(true, Relaxed);
    });
}

#[test]
fn stays_bounded_beside_repeated_verifications() {
    let _alone = alone();
    let file = TestFile::new();
    let (store, ours, _) = store_with_datasets(&file.path);
    let mut report = create_beside(&ours, &file.path, 48, 1, |_, is_over| {
        let mut times = Vec::new();
        while !is_over.load(Relaxed) {
            let started = Instant::now();
            assert!(store.verify().unwrap().is_whole());
            times.push(started.elapsed());
        }
        times
    });
    report.print("repeated verifications");
    // While one verification runs, the log grows by what is written meanwhile, at about 30 KiB for each create.
    let longest = report.reads.last().unwrap().as_micros();
    let written = u128::from(creates(48) * BYTES_PER_CREATE * 3 / 2);
    let during_one = u64::try_from(longest * written / report.elapsed.as_micros()).unwrap();
    let bound = 32 * MIB + during_one;
    assert!(report.longest_log < bound, "{} of {bound}", report.longest_log);
}

/// A pause of the readers is no reason for a read to fail, however short the busy timeout is.
#[test]
fn no_read_is_busy_because_the_log_begins_anew() {
    let _alone = alone();
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        let file = TestFile::new();
        let (store, ours, ids) = store_with_datasets(&file.path);
        store.close().unwrap();
        let options = Store::options().durability(Durability::Normal).busy_timeout(timeout);
        let store = options.open(&file.path).unwrap();
        let ours = store.organization(ours.id());
        let mut report = create_beside(&ours, &file.path, 24, READERS / 2, |number, is_over| {
            read_without_rest(&ours, &ids, number, is_over)
        });
        report.print("four readers with a short busy timeout");
    }
}

#[test]
fn grows_beside_a_snapshot_that_is_held_and_shrinks_with_the_first_write_after_it() {
    let _alone = alone();
    let file = TestFile::new();
    let (_store, ours, _) = store_with_datasets(&file.path);
    let reader = plain_sqlite(&file.path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
    let mut report = create_beside(&ours, &file.path, 40, 0, |_, _| Vec::new());
    report.print("a snapshot that is held");
    assert!(report.log_when_quiet > 32 * MIB, "nothing keeps the snapshot: {}", report.log_when_quiet);

    reader.execute_batch("COMMIT").unwrap();
    let (ended, longest) = (Instant::now(), *report.creates.last().unwrap());
    ours.create_dataset(request_with_kpis(1)).unwrap();
    // After an attempt that was slow, as every step is on a busy machine, the writes make none for ten times as long.
    while log_length(&file.path) > 16 * MIB && ended.elapsed() < longest * 10 {
        ours.create_dataset(request_with_kpis(1)).unwrap();
    }
    let left = log_length(&file.path);
    assert!(left < 16 * MIB, "{left}");
}

/// The control: with SQLite's own checkpoints alone, the log outgrows the bound beside the same readers.
#[test]
fn the_harness_detects_a_log_that_grows_beside_readers() {
    let _alone = alone();
    let file = TestFile::new();
    let (_store, ours, ids) = store_with_datasets(&file.path);
    let (is_over, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..READERS {
            let (ours, ids, is_over) = (&ours, &ids, &is_over);
            scope.spawn(move || read_without_rest(ours, ids, number, is_over));
        }
        let plain = plain_sqlite(&file.path);
        plain.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
        let until = Instant::now() + Duration::from_mins(2);
        while longest.load(Relaxed) < 40 * MIB && Instant::now() < until {
            write_pages(&plain);
            longest.fetch_max(log_length(&file.path), Relaxed);
        }
        is_over.store(true, Relaxed);
    });
    assert!(longest.load(Relaxed) >= 40 * MIB, "{}", longest.load(Relaxed));
}

/// Changes as many pages as a create, without changing a dataset.
fn write_pages(plain: &Connection) {
    plain
        .execute_batch(
            "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS other (content); DELETE FROM other;
             INSERT INTO other VALUES (randomblob(20000)); COMMIT",
        )
        .unwrap();
}
