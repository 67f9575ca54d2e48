//! A load takes the same little memory however long it is, and a page a bounded amount. Measured is the peak resident
//! memory of a process of its own, above what it had with the store open and some datasets in it.
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test memory -- --nocapture
//! ```
//!
//! The long form loads a million KPIs, and many with texts as long as they may be, and reads a page of 1,000 such
//! datasets.
#![cfg(target_os = "linux")]
#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

use std::fs;

use kpi_store::{DatasetQuery, Durability, LoadOptions, NewDataset, NewKpi, Organization, Store};

use support::child::{self, Child};
use support::{TestFile, is_long, organization};

/// In KiB.
const MOST: u64 = 12 * 1024;

const TEST: &str = "a_load_of_any_size_takes_the_same_little_memory";

#[test]
fn a_load_of_any_size_takes_the_same_little_memory() {
    if let Some(task) = child::task() {
        return child::send([memory_of(&task).to_string()]);
    }
    let sizes: &[u64] = if is_long() { &[10_000, 100_000, 1_000_000] } else { &[10_000, 100_000] };
    for role in ["all or nothing", "batches", "large batches"] {
        let taken: Vec<_> = sizes.iter().map(|kpis| measure(role, *kpis)).collect();
        println!("{role}: {taken:?} KiB for {sizes:?} KPIs");
        assert!(taken.iter().all(|taken| *taken < MOST), "{role}: {taken:?} KiB for {sizes:?} KPIs");
    }
    let long = if is_long() { 50_000 } else { 5_000 };
    let taken = measure("long texts", long);
    println!("long texts: {taken} KiB for {long} KPIs");
    assert!(taken < MOST, "long texts: {taken} KiB for {long} KPIs");
    // The control: holding the whole input is detected.
    let held = measure("create_datasets", 100_000);
    println!("create_datasets: {held} KiB for 100000 KPIs");
    assert!(held > 2 * MOST, "the measurement sees nothing: {held} KiB");
}

/// A page of 64 MiB, and what SQLite and the allocator take.
const MOST_OF_A_PAGE: u64 = 96 * 1024;

const TEST_OF_A_PAGE: &str = "a_page_takes_a_bounded_amount_of_memory";

#[test]
fn a_page_takes_a_bounded_amount_of_memory() {
    if let Some(task) = child::task() {
        return child::send([memory_of_a_page(&task).to_string()]);
    }
    let datasets = if is_long() { 1_000 } else { 120 };
    let file = TestFile::in_memory();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    // Four bytes to a code point.
    let kpi = NewKpi::new("\u{1d11e}".repeat(255)).description("\u{1d11e}".repeat(2_000)).unit("\u{1d11e}".repeat(50));
    let largest = NewDataset::new("Water").kpis(vec![kpi; 100]);
    organization(&store).load_datasets((0..datasets).map(|_| largest.clone()), LoadOptions::new()).unwrap();
    store.close().unwrap();
    let sent = Child::start(TEST_OF_A_PAGE, "page", &file.path, 0).wait().unwrap();
    let taken: u64 = sent[0].parse().unwrap();
    println!("a page of {datasets} of the largest datasets: {taken} KiB");
    assert!(taken < MOST_OF_A_PAGE, "{taken} KiB");
    assert!(taken > MOST_OF_A_PAGE / 2, "the measurement sees nothing: {taken} KiB");
}

fn memory_of_a_page(task: &child::Task) -> u64 {
    let store = Store::options().read_only(true).open(&task.file).unwrap();
    let ours = store.organization(store.organizations().unwrap()[0]);
    let before = most_resident();
    let page = ours.datasets(&DatasetQuery::new().limit(1_000)).unwrap();
    assert!(page.next.is_some());
    most_resident() - before
}

/// The memory that a child takes in this role, in KiB.
fn measure(role: &str, kpis: u64) -> u64 {
    let file = TestFile::new();
    let sent = Child::start(TEST, role, &file.path, kpis).wait().unwrap();
    sent[0].parse().unwrap()
}

fn memory_of(task: &child::Task) -> u64 {
    let store = Store::options().durability(Durability::Normal).open(&task.file).unwrap();
    let organization = organization(&store);
    organization.load_datasets(requests(100, ""), LoadOptions::new()).unwrap();
    let before = most_resident();
    run(&organization, task);
    most_resident() - before
}

fn run(organization: &Organization, task: &child::Task) {
    let kpis = task.seed;
    let loaded = match task.role.as_str() {
        "all or nothing" => organization.load_datasets(requests(kpis, ""), LoadOptions::new()),
        "batches" => organization.load_datasets(requests(kpis, ""), LoadOptions::new().in_batches_of(10)),
        "large batches" => organization.load_datasets(requests(kpis, ""), LoadOptions::new().in_batches_of(100_000)),
        // Four bytes to a code point.
        "long texts" => organization.load_datasets(requests(kpis, &"\u{1d11e}".repeat(2_000)), LoadOptions::new()),
        "create_datasets" => {
            return assert_eq!(organization.create_datasets(requests(kpis, "")).unwrap().len() as u64, kpis / 100);
        }
        role => panic!("{role}?"),
    };
    assert_eq!(loaded.unwrap().kpis, kpis);
}

/// This number of KPIs, in datasets of 100.
fn requests(kpis: u64, description: &str) -> impl Iterator<Item = NewDataset> {
    (0..kpis / 100).map(move |dataset| {
        let kpi =
            |number| NewKpi::new(format!("KPI {number} of dataset {dataset}")).unit("m³").description(description);
        NewDataset::new(format!("Dataset {dataset}")).kpis((0..100).map(kpi))
    })
}

/// The peak resident memory of this process, in KiB.
fn most_resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
