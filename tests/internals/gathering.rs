//! KPIs that SQLite hands to a function of this crate, through a slot of the thread.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

use super::support::with_writer;
use crate::{Dataset, DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Store};

/// Statements that gather KPIs are interrupted by others in the same thread: by each step of a read of another store.
#[test]
fn a_read_in_the_middle_of_another_disturbs_neither() {
    let [outer, inner] = ["outer", "inner"].map(|name| {
        let ours = Store::open_in_memory().unwrap().organization(OrganizationId::new());
        let kpis = |count| (0..count).map(move |number| NewKpi::new(format!("{name} {number}")));
        let requests = [9, 0, 3].map(|count| NewDataset::new(name).kpis(kpis(count)));
        let created = ours.create_datasets(requests).unwrap();
        (ours, created)
    });
    let (ours, created) = outer;
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    let read_inner = move || {
        let (ours, created) = &inner;
        assert_eq!(ours.datasets(&DatasetQuery::new()).unwrap().items, *created);
        count.fetch_add(1, Relaxed);
        false
    };
    with_writer(&ours.store, |connection| drop(connection.progress_handler(1, Some(read_inner))));
    assert_eq!(ours.datasets(&DatasetQuery::new()).unwrap().items, created);
    for dataset in created {
        assert_eq!(ours.dataset(dataset.id).unwrap(), Some(dataset));
    }
    assert!(reads.load(Relaxed) > 100);
}

/// The thread's own slot for gathered KPIs must still be there, or the dataset would look empty.
#[test]
fn a_destructor_of_a_thread_can_read() {
    struct Last(Organization, Dataset, mpsc::Sender<Result<Option<Dataset>, Error>>);

    impl Drop for Last {
        fn drop(&mut self) {
            self.2.send(self.0.dataset(self.1.id)).unwrap();
        }
    }

    thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });

    let ours = Store::open_in_memory().unwrap().organization(OrganizationId::new());
    let dataset = ours.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal"))).unwrap();
    let (sender, receiver) = mpsc::channel();
    let last = Last(ours.clone(), dataset.clone(), sender);
    std::thread::spawn(move || {
        LAST.set(Some(last));
        // Thread-locals are destroyed in the reverse order of their first use.
        ours.dataset(dataset.id).map(drop)
    })
    .join()
    .unwrap()
    .unwrap();
    let read = receiver.recv().unwrap().unwrap();
    assert_eq!(read.map(|dataset| dataset.kpis.len()), Some(1));
}
