//! Verification and backup, of the crate and by hand. The other peers have no counterpart.

use std::fs;
use std::path::Path;

use kpi_store::Store;
use kpi_store_peers_harness::ORGANIZATION;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::child::{median, timed};
use crate::floor;

/// In bytes of the file a second.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Speeds {
    pub(super) verify: f64,
    pub(super) backup: f64,
}

/// By hand: SQLite's own check, then a read of every dataset with its digest; and a compact copy that is not verified.
pub(super) fn floor(folder: &Path, datasets: usize) -> Speeds {
    let connection = floor::open(&folder.join("kpis.db"), "FULL");
    let verified = || assert_eq!(verified(&connection), datasets);
    speeds(folder, datasets, verified, |target| floor::keep::backup(&connection, target))
}

fn verified(connection: &Connection) -> usize {
    let found: String = connection.query_one("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(found, "ok");
    let (mut datasets, mut after) = (0, Some(0));
    while let Some(place) = after {
        let (page, next) = floor::read::page(connection, ORGANIZATION, place, 1_000);
        datasets += page.len();
        after = next;
    }
    datasets
}

/// Of the crate, which also verifies the copy.
pub(super) fn kpi_store(folder: &Path, datasets: usize) -> Speeds {
    let store = Store::open(folder.join("kpis.db")).expect("the file of the load");
    let verified = || {
        let verification = store.verify().expect("a verification");
        assert!(verification.is_whole() && verification.datasets == datasets as u64, "{verification:?}");
    };
    speeds(folder, datasets, verified, |target| store.backup_to(target).expect("a backup"))
}

fn speeds(folder: &Path, datasets: usize, verify: impl Fn(), backup: impl Fn(&Path)) -> Speeds {
    let bytes = fs::metadata(folder.join("kpis.db")).expect("the file of the load").len() as f64;
    // Of a small file, a few times: one alone would say little.
    let rounds = if datasets > 10_000 { 1 } else { 5 };
    let verify = median(rounds, || timed(&verify).1);
    let target = folder.join("copy.db");
    let backup = median(rounds, || {
        let ((), taken) = timed(|| backup(&target));
        assert!(fs::metadata(&target).expect("a copy").len() > 0);
        fs::remove_file(&target).expect("the copy can be removed");
        taken
    });
    Speeds { verify: bytes / verify * 1e9, backup: bytes / backup * 1e9 }
}
