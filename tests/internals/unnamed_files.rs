//! No operation writes to the system's temporary folder, which may be full, or missing as in some containers and on
//! Android.

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use kpi_store_test_support::plain_sqlite;

use crate::sqlite::open::upgrade_tests::schemas::REBUILDS;
use crate::{DatasetId, DatasetQuery, Error, LoadOptions, NewDataset, NewKpi, OrganizationId, Store};

/// Datasets of the maximum size, all of whose texts have the maximum length.
fn full_datasets(count: usize) -> impl Iterator<Item = NewDataset> {
    let kpi = || NewKpi::new("\u{1d11e}".repeat(255)).description("\u{1d11e}".repeat(2_000));
    (0..count).map(move |_| NewDataset::new("Full").kpis(std::iter::repeat_with(kpi).take(100)))
}

/// Every operation that does not need a file.
fn use_everything(store: &Store) {
    let ours = store.organization(OrganizationId::new());
    ours.create_datasets(full_datasets(5)).unwrap();
    ours.load_datasets(full_datasets(5), LoadOptions::new()).unwrap();
    let id = DatasetId::new();
    ours.create_dataset(full_datasets(1).next().unwrap().id(id)).unwrap();
    ours.create_dataset(full_datasets(1).next().unwrap().id(id)).unwrap_err();
    ours.accept_dataset(id).unwrap();
    assert_eq!(ours.iter_datasets(&DatasetQuery::new()).filter_map(Result::ok).count(), 11);
    ours.count_datasets(&DatasetQuery::new()).unwrap();
    store.organizations().unwrap();
    assert!(store.verify().unwrap().is_whole());
    store.compact().unwrap();
    store.purge_organization(ours.id()).unwrap();
}

#[test]
fn no_operation_opens_an_unnamed_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    let file = folder.path().join("kpis.db");
    let store = Store::open(&file).unwrap();
    use_everything(&store);
    store.backup_to(folder.path().join("copy")).unwrap();
    let ours = store.organization(OrganizationId::new());
    // The log is empty after the compaction, and its beginning would be synced first.
    ours.create_datasets(full_datasets(1)).unwrap();
    disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: false });
    let failed = ours.create_datasets(full_datasets(2));
    assert!(matches!(failed, Err(Error::OutcomeUnknown { .. })), "{failed:?}");
    ours.create_datasets(full_datasets(2)).unwrap();
    store.close().unwrap();
    let upgraded = Store::options().open_with_schema(&file, &REBUILDS).unwrap();
    assert!(upgraded.verify().unwrap().is_whole());
    upgraded.close().unwrap();

    let store = Store::open_in_memory().unwrap();
    use_everything(&store);
    store.backup_to(folder.path().join("copy of memory")).unwrap();
    assert_eq!(Disk::unnamed_files(), 0);

    // The control: a temporary table on a connection without the setting.
    plain_sqlite(&file).execute("CREATE TEMP TABLE large AS SELECT * FROM kpi", []).unwrap();
    assert!(Disk::unnamed_files() > 0, "nothing is counted");
}
