//! The bound on the length of a backup, beside a writer.

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::sqlite::backup;
use crate::sqlite::progress::Callback;
use crate::{NewDataset, NewKpi, OrganizationId, Store};

/// The copy may be many times as long as the file was when the backup began to measure it.
#[test]
fn a_backup_has_what_a_large_commit_adds_before_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    ours.create_dataset(NewDataset::new("First")).unwrap();
    let is_committed = Cell::new(false);
    // It is asked for between the measuring and the snapshot, and again for the verification.
    let callback = || -> Callback {
        if !is_committed.replace(true) {
            let kpi = || NewKpi::new("Water").description("x".repeat(400));
            let large = (0..200).map(|_| NewDataset::new("Large").kpis(std::iter::repeat_with(kpi).take(100)));
            ours.create_datasets(large).unwrap();
        }
        Box::new(|_| ControlFlow::Continue(()))
    };
    let copy = folder.path().join("copy");
    let written = store.access().with_own_connection(|source, _| backup::write(source, &copy, callback));
    written.unwrap();
    assert!(is_committed.get());
    let copied = Store::options().read_only(true).open(&copy).unwrap().verify().unwrap();
    assert!(copied.is_whole(), "{copied:?}");
    assert_eq!(copied.datasets, 201);
}
