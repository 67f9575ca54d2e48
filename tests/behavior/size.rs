//! Size: a file is no larger than one written by hand-written SQL with the same schema.

use std::fs;
use std::path::Path;

use kpi_store::{NewDataset, OrganizationId, Store};
use uuid::Uuid;

use self::input::Texts;
use crate::support::{TestFile, plain_sqlite};

#[allow(dead_code, reason = "the benches use more of it")]
#[path = "../../benches/against_sql/floor/mod.rs"]
mod floor;
#[path = "../../benches/against_sql/input.rs"]
mod input;

const DATASETS: usize = 1_000;

#[test]
fn a_file_has_the_bytes_of_one_that_is_written_by_hand() {
    for (texts, bytes_per_kpi) in [(Texts::Short, 140), (Texts::Long, 5_200)] {
        let requests = input::datasets(if texts == Texts::Long { DATASETS / 10 } else { DATASETS }, 10, texts);
        let (ours, by_hand) = (ours(&requests), by_hand(&requests, ""));
        assert!(ours * 100 <= by_hand * 103, "{texts:?}: {ours} bytes, by hand {by_hand}");
        let kpis = requests.len() as u64 * 10;
        assert!(ours <= bytes_per_kpi * kpis, "{texts:?}: {} bytes per KPI", ours / kpis);
    }
}

/// The control.
#[test]
fn the_comparison_detects_an_extra_index() {
    let requests = input::datasets(DATASETS, 10, Texts::Short);
    let (with, without) = (by_hand(&requests, "CREATE INDEX kpi_by_id ON kpi (id)"), by_hand(&requests, ""));
    assert!(with * 100 > without * 103, "{with} bytes with an index, {without} without");
}

fn ours(requests: &[NewDataset]) -> u64 {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    store.organization(OrganizationId::new()).create_datasets(requests.iter().cloned()).unwrap();
    store.close().unwrap();
    length(&file.path)
}

fn by_hand(requests: &[NewDataset], change: &str) -> u64 {
    let file = TestFile::new();
    Store::open(&file.path).unwrap().close().unwrap();
    plain_sqlite(&file.path).execute_batch(change).unwrap();
    floor::write::create(&floor::open(&file.path, "NORMAL"), Uuid::now_v7(), requests);
    length(&file.path)
}

/// The size of a file that was checkpointed when it was closed.
fn length(file: &Path) -> u64 {
    assert!(!file.with_extension("db-wal").exists());
    fs::metadata(file).unwrap().len()
}
