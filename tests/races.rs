//! First openings at once: whoever comes first, every process opens the file, creates, and finds everything.
//!
//! Sixteen processes wait for a word and then open one path together; 10 rounds in the short form, 50 in the long one:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test races -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

#[path = "crashes/child.rs"]
mod child;

use std::collections::BTreeSet;
use std::path::Path;

use kpi_store::{DatasetQuery, NewDataset, NewKpi, OrganizationId, Store};

use child::{Child, Order, is_long};

const PROCESSES: u64 = 16;

#[test]
fn processes_that_open_a_fresh_file_at_once_all_create_and_lose_nothing() {
    const TEST: &str = "processes_that_open_a_fresh_file_at_once_all_create_and_lose_nothing";
    if let Some(order) = child::order() {
        return play(&order);
    }
    for round in 0..rounds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        let said = race(TEST, "create", &file).unwrap_or_else(|failed| panic!("round {round}: {failed:?}"));
        assert_eq!(found(&file), said, "round {round}");
    }
    println!("races: {} rounds of {PROCESSES} first openings, 0 failures, all found", rounds());
}

/// A backup is marked as one until it is opened for writing, and has no log until then: two changes to race for.
#[test]
fn processes_that_open_a_fresh_backup_at_once_all_create_and_lose_nothing() {
    const TEST: &str = "processes_that_open_a_fresh_backup_at_once_all_create_and_lose_nothing";
    if let Some(order) = child::order() {
        return play(&order);
    }
    let source = Store::open_in_memory().unwrap();
    let before = source.organization(OrganizationId::new()).create_dataset(request()).unwrap();
    for round in 0..rounds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        source.backup_to(&file).unwrap();
        let mut said = race(TEST, "create", &file).unwrap_or_else(|failed| panic!("round {round}: {failed:?}"));
        said.insert(before.id.to_string());
        assert_eq!(found(&file), said, "round {round}");
    }
    println!("races: {} rounds of {PROCESSES} first openings of a backup, 0 failures, all found", rounds());
}

/// The control: who looks first and then makes the tables without a lock fails, and the harness sees each who does.
#[test]
fn the_harness_sees_processes_that_fail() {
    const TEST: &str = "the_harness_sees_processes_that_fail";
    if let Some(order) = child::order() {
        return play(&order);
    }
    let folder = tempfile::tempdir().unwrap();
    let failed = race(TEST, "look, then create", &folder.path().join("plain.db")).unwrap_err();
    assert_eq!(failed.len(), usize::try_from(PROCESSES).unwrap() - 1);
}

fn rounds() -> usize {
    if is_long() { 50 } else { 10 }
}

/// Lets processes play the part at once, and gives the datasets that they created, or the complaints of those that failed.
fn race(test: &str, part: &str, file: &Path) -> Result<BTreeSet<String>, Vec<String>> {
    let mut children: Vec<Child> = (0..PROCESSES).map(|number| Child::start(test, part, file, number)).collect();
    for child in &mut children {
        assert_eq!(child.line().as_deref(), Some("ready"));
    }
    for child in &mut children {
        child.tell("go");
    }
    let (mut created, mut failed) = (BTreeSet::new(), Vec::new());
    for child in children {
        match child.end() {
            Ok(said) => created.extend(said),
            Err(complaint) => failed.push(complaint),
        }
    }
    if failed.is_empty() { Ok(created) } else { Err(failed) }
}

fn play(order: &Order) {
    if order.part == "look, then create" {
        return look_then_create(&order.file);
    }
    child::say(["ready".to_owned()]);
    child::hear();
    let store = Store::open(&order.file).unwrap();
    let created = store.organization(OrganizationId::new()).create_dataset(request()).unwrap();
    child::say([created.id.to_string()]);
    // Some leave by closing, the others by ending.
    if order.seed.is_multiple_of(2) {
        store.close().unwrap();
    }
}

fn look_then_create(file: &Path) {
    let plain = rusqlite::Connection::open(file).unwrap();
    let version: i64 = plain.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    child::say(["ready".to_owned()]);
    child::hear();
    assert_eq!(version, 0);
    plain.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
    plain.execute_batch("CREATE TABLE dataset (id); PRAGMA user_version = 1").unwrap();
}

fn request() -> NewDataset {
    NewDataset::new("Water").kpis(["Withdrawal", "Discharge"].map(NewKpi::new))
}

/// The ids of everything in the file, which is sound.
fn found(file: &Path) -> BTreeSet<String> {
    let store = Store::open(file).unwrap();
    assert!(store.verify().unwrap().is_whole());
    let organizations = store.organizations().unwrap().into_iter().map(|id| store.organization(id));
    organizations
        .flat_map(|ours| ours.iter_datasets(&DatasetQuery::new()))
        .map(|dataset| dataset.unwrap().id.to_string())
        .collect()
}
