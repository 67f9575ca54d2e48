//! Verification, backup, and the size of a file.

use std::fs;

use kpi_store::{OrganizationId, Store};
use uuid::Uuid;

use crate::floor::{self, keep, write};
use crate::input::{self, Texts};
use crate::jobs::{Amount, File, Filled, Job, Sides, timed, timed_with};

pub(crate) fn jobs() -> Vec<Job> {
    vec![Job::new("backup of 1,000x10", backup), Job::new("verify 1,000x10", verify)]
}

/// The crate also verifies the copy, which the floor does not.
fn backup(amount: Amount) -> Sides {
    let Filled { file, connection, store, .. } = Filled::new(amount.of(1_000));
    let target = file.folder.path().join("floor.db");
    let floor =
        move |times| timed_with(times, || drop(fs::remove_file(&target)), |()| keep::backup(&connection, &target));
    let target = file.folder.path().join("store.db");
    let store = move |times| {
        let _kept = &file;
        timed_with(times, || drop(fs::remove_file(&target)), |()| store.backup_to(&target).unwrap())
    };
    Sides::new(floor, store)
}

fn verify(amount: Amount) -> Sides {
    let filled = Filled::new(amount.of(1_000));
    let (uuid, count) = (filled.uuid(), filled.datasets.len());
    let (file, connection, store) = (filled.file, filled.connection, filled.store);
    let floor = move |times| timed(times, || assert_eq!(keep::verify(&connection, uuid), count));
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let verification = store.verify().unwrap();
            assert!(verification.is_whole() && verification.datasets == count as u64);
        })
    };
    Sides::new(floor, store)
}

/// The size of a closed file, in bytes.
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) kpis: usize,
    pub(crate) floor: u64,
    pub(crate) store: u64,
}

pub(crate) fn sizes(amount: Amount) -> Vec<Size> {
    let size = |name, count, texts| {
        let requests = input::datasets(amount.of(count), 10, texts);
        let file = File::new();
        write::create(&floor::open(&file.path, "FULL"), Uuid::now_v7(), &requests);
        let floor = fs::metadata(&file.path).unwrap().len();
        let file = File::new();
        let store = Store::open(&file.path).unwrap();
        store.organization(OrganizationId::new()).create_datasets(requests).unwrap();
        store.close().unwrap();
        Size { name, kpis: amount.of(count) * 10, floor, store: fs::metadata(&file.path).unwrap().len() }
    };
    vec![size("file of 1,000x10", 1_000, Texts::Short), size("file of 1,000x10, long texts", 1_000, Texts::Long)]
}
