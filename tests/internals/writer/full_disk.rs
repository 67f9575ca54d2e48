//! A full disk, and a panic in a job: nothing of the write is stored, and the store works without being reopened.

use rusqlite::Connection;

use crate::internals::support::{with_writer, write};
use crate::sqlite::failure::Failure;
use crate::{DatasetQuery, Error, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Store};

fn batch(datasets: usize) -> Vec<NewDataset> {
    let kpi = || NewKpi::new("Total water withdrawal").description("m".repeat(1_000));
    (0..datasets).map(|index| NewDataset::new(format!("Dataset {index}")).kpis((0..20).map(|_| kpi()))).collect()
}

/// Limits the number of pages of the file, which simulates a full disk, or raises the limit again.
fn set_room(store: &Store, pages: i64) {
    with_writer(store, |connection| connection.pragma_update(None, "max_page_count", pages).unwrap());
}

fn count(organization: &Organization) -> u64 {
    organization.count_datasets(&DatasetQuery::new()).unwrap()
}

#[test]
fn a_batch_that_does_not_fit_stores_nothing_and_the_store_stays_usable() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::open(folder.path().join("kpis.db")).unwrap(), Store::open_in_memory().unwrap()] {
        let organization = store.organization(OrganizationId::new());
        let kept = organization.create_dataset(NewDataset::new("Water")).unwrap();
        set_room(&store, 60);

        let error = organization.create_datasets(batch(50)).unwrap_err();

        assert!(matches!(error, Error::StorageFull { .. }), "{error:?}");
        assert_eq!(count(&organization), 1);
        assert_eq!(organization.dataset(kept.id).unwrap(), Some(kept));
        organization.create_dataset(NewDataset::new("small enough")).unwrap();

        set_room(&store, 1_000_000);
        organization.create_datasets(batch(50)).unwrap();
        assert_eq!(count(&organization), 52);
    }
}

#[test]
fn a_load_that_does_not_fit_reports_what_is_stored_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    for in_batches in [false, true] {
        let file = folder.path().join(format!("{in_batches}.db"));
        for store in [Store::open(file).unwrap(), Store::open_in_memory().unwrap()] {
            let organization = store.organization(OrganizationId::new());
            let options = || if in_batches { LoadOptions::new().in_batches_of(5) } else { LoadOptions::new() };
            set_room(&store, 400);

            let stopped = organization.load_datasets(batch(50), options()).unwrap_err();

            assert!(matches!(stopped.error, Error::StorageFull { .. }), "{stopped:?}");
            assert_eq!(stopped.stored, count(&organization));
            assert!(stopped.stored % 5 == 0 && (stopped.stored > 0) == in_batches, "{stopped:?}");

            set_room(&store, 1_000_000);
            let rest = batch(50).into_iter().skip(usize::try_from(stopped.stored).unwrap());
            organization.load_datasets(rest, options()).unwrap();
            assert_eq!(count(&organization), 50);
        }
    }
}

#[test]
fn a_panic_in_a_job_rolls_back_and_leaves_the_writer_usable() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::open(folder.path().join("kpis.db")).unwrap(), Store::open_in_memory().unwrap()] {
        let organization = store.organization(OrganizationId::new());
        organization.create_dataset(NewDataset::new("Water")).unwrap();
        let delete = |connection: &Connection| -> Result<(), Failure> {
            connection.execute("DELETE FROM dataset", [])?;
            panic!("in the middle of the work")
        };
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write(&store, delete)));
        assert!(panicked.is_err());
        assert_eq!(count(&organization), 1);
        organization.create_dataset(NewDataset::new("Waste")).unwrap();
        assert_eq!(count(&organization), 2);
    }
}
