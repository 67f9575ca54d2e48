//! Backups of a store while it is written: each holds what the store held at one moment.
//!
//! Five in the short form, fifty in the long one:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test behavior backups::in_use -- --nocapture
//! ```

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kpi_store::{Dataset, DatasetId, NewDataset, NewKpi, Organization, Store};
use uuid::Uuid;

use super::large_store;
use crate::support::{TestFile, is_long, listed, organization, plain_sqlite};

/// In the order of creation: id, name, digest of the head.
type Row = (DatasetId, String, i64);

#[test]
fn each_backup_is_a_prefix_of_what_was_created_and_holds_everything_acknowledged_before_it() {
    let backups = if is_long() { 50 } else { 5 };
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let acknowledged = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);

    let copies: Vec<Copy> = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (ours, acknowledged, is_over) = (ours.clone(), &acknowledged, &is_over);
            scope.spawn(move || write(&ours, thread, acknowledged, is_over));
        }
        let copy = |number| {
            let file = file.folder.path().join(format!("copy-{number}.db"));
            let before = acknowledged.lock().unwrap().iter().map(|dataset: &Dataset| dataset.id).collect();
            store.backup_to(&file).unwrap();
            Copy { file, before }
        };
        let copies = (0..backups).map(copy).collect();
        is_over.store(true, Relaxed);
        copies
    });

    let created = acknowledged.into_inner().unwrap();
    let all = rows(&file.path);
    assert_eq!(all.len(), created.len());
    let mut lengths = Vec::new();
    for copy in &copies {
        let found = rows(&copy.file);
        is_a_moment_of(&all, &found, &copy.before).unwrap_or_else(|wrong| panic!("{}: {wrong}", copy.file.display()));
        lengths.push(found.len());
        reads_as_created(&copy.file, &ours, &created);
    }
    assert!(lengths[0] < lengths[lengths.len() - 1], "nothing was written meanwhile: {lengths:?}");
    println!("backups: {backups} while 4 threads created {} datasets, each the prefix of a moment", created.len());
}

/// The control: a backup that lacks something, has too much or another order is rejected.
#[test]
fn the_harness_detects_a_copy_that_was_never_a_state_of_the_store() {
    let row = |name: &str| (DatasetId::new(), name.to_owned(), 7);
    let all = [row("a 1"), row("b 2"), row("b 2"), row("c 1"), row("d 1")];
    let before = HashSet::from([all[0].0, all[1].0, all[2].0]);
    let wrong = |change: fn(&mut Vec<Row>)| {
        let mut found = all[..4].to_vec();
        change(&mut found);
        is_a_moment_of(&all, &found, &before).unwrap_err()
    };
    assert_eq!(is_a_moment_of(&all, &all[..4], &before), Ok(()));
    assert_eq!(wrong(|found| drop(found.remove(0))), "no prefix");
    assert_eq!(wrong(|found| found.swap(0, 3)), "no prefix");
    assert_eq!(wrong(|found| found[3].2 = 8), "no prefix");
    assert_eq!(wrong(|found| found.push((DatasetId::new(), "e 1".to_owned(), 7))), "no prefix");
    assert_eq!(wrong(|found| found.truncate(2)), "it lacks what was acknowledged");
    let none_before = HashSet::new();
    assert_eq!(is_a_moment_of(&all, &all[..2], &none_before), Err("a batch is there in part"));
}

#[test]
fn writers_continue_during_a_backup() {
    let (file, store, created) = large_store(400);
    let ours = organization(&store);
    let impatient = Store::options().busy_timeout(Duration::ZERO).open(&file.path).unwrap();
    let (theirs, copy) = (organization(&impatient), file.path.with_file_name("copy.db"));
    let mut calls = 0;
    let watch = move |_| {
        calls += 1;
        ours.create_dataset(NewDataset::new(format!("{calls}"))).unwrap();
        theirs.create_dataset(NewDataset::new(format!("{calls}"))).unwrap();
        ControlFlow::Continue(())
    };
    store.backup_to_with(&copy, watch).unwrap();
    let (copied, now) = (rows(&copy).len(), rows(&file.path).len());
    assert_eq!(copied, created.len());
    assert!(now > copied + 2, "{now}");
}

struct Copy {
    file: PathBuf,
    /// The datasets that were acknowledged before it began.
    before: HashSet<DatasetId>,
}

/// Creates batches, whose datasets name the batch and its size, until `is_over`.
fn write(ours: &Organization, thread: usize, acknowledged: &Mutex<Vec<Dataset>>, is_over: &AtomicBool) {
    for number in 0.. {
        if is_over.load(Relaxed) {
            return;
        }
        let size = 1 + (number + thread) % 3;
        let request = || NewDataset::new(format!("{thread}/{number} {size}")).kpis((0..number % 5).map(kpi));
        let created = ours.create_datasets((0..size).map(|_| request())).unwrap();
        acknowledged.lock().unwrap().extend(created);
    }
}

fn kpi(index: usize) -> NewKpi {
    NewKpi::new(format!("KPI {index}")).unit("m³")
}

/// The rows that plain SQLite finds, in the order of creation.
fn rows(file: &Path) -> Vec<Row> {
    let plain = plain_sqlite(file);
    let mut statement = plain.prepare("SELECT id, name, head_digest FROM dataset ORDER BY seq").unwrap();
    let id = |bytes: Vec<u8>| DatasetId::from(Uuid::from_slice(&bytes).unwrap());
    let rows = statement.query_map([], |row| Ok((id(row.get(0)?), row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Checks that the store held exactly these rows at one moment after everything in `before` was acknowledged.
fn is_a_moment_of(all: &[Row], found: &[Row], before: &HashSet<DatasetId>) -> Result<(), &'static str> {
    if !all.starts_with(found) {
        return Err("no prefix");
    }
    let ids: HashSet<_> = found.iter().map(|(id, ..)| *id).collect();
    if !before.is_subset(&ids) {
        return Err("it lacks what was acknowledged");
    }
    let mut batches: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, name, _) in found {
        *batches.entry(name).or_default() += 1;
    }
    let is_whole = |(name, count): (&&str, &usize)| name.ends_with(&format!(" {count}"));
    if batches.iter().all(is_whole) { Ok(()) } else { Err("a batch is there in part") }
}

/// The backup is sound, and each of its datasets equals the one that creating it returned.
fn reads_as_created(file: &Path, ours: &Organization, created: &[Dataset]) {
    let created: BTreeMap<_, _> = created.iter().map(|dataset| (dataset.id, dataset)).collect();
    let store = Store::options().read_only(true).open(file).unwrap();
    for dataset in listed(&store.organization(ours.id())) {
        assert_eq!(Some(&&dataset), created.get(&dataset.id));
    }
    assert!(store.verify().unwrap().is_whole());
}
