//! Concurrent first openings: whichever process is first, each opens the file, creates, and finds everything.
//!
//! Sixteen processes wait for a signal and then open one path at once; 10 rounds in the short form, 50 in the long one:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test races -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use kpi_store::Store;

use support::child::{self, Child, Task};
use support::{TestFile, ids_in_a_sound_file, is_long, organization, plain_sqlite, request_with_kpis};

const PROCESSES: u64 = 16;

#[test]
fn processes_that_open_a_fresh_file_at_once_all_create_and_lose_nothing() {
    const TEST: &str = "processes_that_open_a_fresh_file_at_once_all_create_and_lose_nothing";
    if let Some(task) = child::task() {
        return run(&task);
    }
    race_in_rounds(TEST, "a fresh file", |_| BTreeSet::new());
}

/// A backup is marked as one until it is first opened for writing, and is not in WAL mode until then: two more changes
/// that race.
#[test]
fn processes_that_open_a_fresh_backup_at_once_all_create_and_lose_nothing() {
    const TEST: &str = "processes_that_open_a_fresh_backup_at_once_all_create_and_lose_nothing";
    if let Some(task) = child::task() {
        return run(&task);
    }
    let source = Store::open_in_memory().unwrap();
    let before = organization(&source).create_dataset(request_with_kpis(2)).unwrap();
    race_in_rounds(TEST, "a backup", |file| {
        source.backup_to(file).unwrap();
        BTreeSet::from([before.id.to_string()])
    });
}

/// The control: a process that checks first and then makes the tables without a lock fails, and each failure is
/// detected.
#[test]
fn the_harness_detects_processes_that_fail() {
    const TEST: &str = "the_harness_detects_processes_that_fail";
    if let Some(task) = child::task() {
        return run(&task);
    }
    let file = TestFile::new();
    let failed = race(TEST, "look, then create", &file.path).unwrap_err();
    assert_eq!(failed.len(), usize::try_from(PROCESSES).unwrap() - 1);
}

/// Runs the race on a new file in each round. `prepare` makes the file, and returns the ids in it.
fn race_in_rounds(test: &str, what: &str, prepare: impl Fn(&Path) -> BTreeSet<String>) {
    let rounds = if is_long() { 50 } else { 10 };
    for round in 0..rounds {
        let file = TestFile::new();
        let mut expected = prepare(&file.path);
        let created = race(test, "create", &file.path).unwrap_or_else(|failed| panic!("round {round}: {failed:?}"));
        expected.extend(created);
        assert_eq!(ids_in_a_sound_file(&file.path), expected, "round {round}");
    }
    println!("races: {rounds} rounds of {PROCESSES} first openings of {what}, 0 failures, all found");
}

/// Runs the task in all processes at once, and returns the datasets that they created, or the output of those that
/// failed.
fn race(test: &str, role: &str, file: &Path) -> Result<BTreeSet<String>, Vec<String>> {
    let mut children: Vec<Child> = (0..PROCESSES).map(|number| Child::start(test, role, file, number)).collect();
    for child in &mut children {
        assert_eq!(child.receive().as_deref(), Some("ready"));
    }
    for child in &mut children {
        child.send("go");
    }
    let (mut created, mut failed) = (BTreeSet::new(), Vec::new());
    for child in children {
        match child.wait() {
            Ok(sent) => created.extend(sent),
            Err(complaint) => failed.push(complaint),
        }
    }
    if failed.is_empty() { Ok(created) } else { Err(failed) }
}

fn run(task: &Task) {
    if task.role == "look, then create" {
        return look_then_create(&task.file);
    }
    child::send(["ready".to_owned()]);
    child::receive();
    let store = Store::open(&task.file).unwrap();
    let created = organization(&store).create_dataset(request_with_kpis(2)).unwrap();
    child::send([created.id.to_string()]);
    // Half of them close the store, the others just end.
    if task.seed.is_multiple_of(2) {
        store.close().unwrap();
    }
}

fn look_then_create(file: &Path) {
    let plain = plain_sqlite(file);
    let version: i64 = plain.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    child::send(["ready".to_owned()]);
    child::receive();
    assert_eq!(version, 0);
    plain.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
    plain.execute_batch("CREATE TABLE dataset (id); PRAGMA user_version = 1").unwrap();
}
