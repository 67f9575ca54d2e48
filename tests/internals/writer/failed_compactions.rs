//! A compaction in which an operation of the disk fails: the store is as it was, and can be read, written and
//! compacted.

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use kpi_store_test_support::{folder_in_memory, is_long};

use crate::{Dataset, DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Store};

const KINDS: [Kind; 8] =
    [Kind::Read, Kind::Write, Kind::TornWrite, Kind::Sync, Kind::Truncate, Kind::Length, Kind::Lock, Kind::ShmLock];

#[test]
fn whichever_operation_fails_the_store_is_as_it_was_and_goes_on() {
    for (kind, cause) in KINDS.map(|kind| (kind, Cause::Io)).into_iter().chain([(Kind::Write, Cause::Full)]) {
        let mut failures = 0_u32;
        // The short form leaves some out.
        for at in (1..).step_by(if is_long() { 1 } else { 5 }) {
            let what = format!("{kind:?} {at}, {cause:?}");
            if !fails(Fault { kinds: vec![kind], at, cause, lasting: false }, &what) {
                break;
            }
            failures += 1;
        }
        println!("compactions: {failures} with a failing {kind:?}, {cause:?}");
        // SQLite has every page in its cache, and holds the lock of the file.
        assert!(failures > 0 || [Kind::Read, Kind::Lock].contains(&kind), "{kind:?} never fails");
    }
}

/// Whether the fault has happened.
fn fails(fault: Fault, what: &str) -> bool {
    let folder = folder_in_memory();
    let (file, disk) = (folder.path().join("kpis.db"), Disk::new(folder.path()));
    let store = Store::open(&file).unwrap();
    let ours = store.organization(OrganizationId::new());
    let request =
        |number: usize| NewDataset::new("Water").kpis((0..number).map(|number| NewKpi::new(format!("KPI {number}"))));
    let mut created = ours.create_datasets((0..30).map(|_| request(30))).unwrap();
    let removed: Vec<_> = created.split_off(10).into_iter().map(|dataset| dataset.id).collect();
    ours.delete_datasets(removed.iter().copied()).unwrap();
    for id in removed {
        ours.purge_dataset(id).unwrap();
    }

    let is_full = fault.cause == Cause::Full;
    disk.fail(fault);
    let compacted = store.compact();
    let has_failed = disk.has_failed();
    disk.calm();

    let expected = match &compacted {
        // What fails only after the last sync, or is tried again, is none of its business.
        Ok(()) => true,
        Err(Error::StorageFull { .. }) => is_full,
        Err(error) => matches!(error, Error::Storage { .. } | Error::Busy { .. }),
    };
    assert!(expected, "{what}: {compacted:?}");
    assert_eq!(listed(&ours), created, "{what}");
    created.push(ours.create_dataset(request(3)).unwrap_or_else(|error| panic!("{what}: {error:?}")));
    store.compact().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(listed(&ours), created, "{what}");
    assert!(store.verify().unwrap().is_whole(), "{what}");
    store.close().unwrap();
    let again = Store::open(&file).unwrap();
    assert_eq!(listed(&again.organization(ours.id())), created, "{what}");
    has_failed
}

fn listed(ours: &Organization) -> Vec<Dataset> {
    ours.iter_datasets(&DatasetQuery::new()).collect::<Result<_, _>>().unwrap()
}
