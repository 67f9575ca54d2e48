//! The first reads of a store, which use the writer's connection if that makes no write wait too long.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::{DatasetQuery, Error, NewDataset, NewKpi, OrganizationId, Store};

/// A store whose writes must not wait has connections of its own for all reads.
#[test]
fn a_write_that_must_not_wait_does_not_fail_because_of_a_read_of_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::options().busy_timeout(Duration::ZERO).open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let (in_read, written) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let read = store.access().read(|_| {
                in_read.wait();
                written.wait();
                Ok(())
            });
            read.unwrap();
        });
        in_read.wait();
        let created = ours.create_dataset(NewDataset::new("Water"));
        written.wait();
        created.unwrap();
    });
}

/// The same without any access to the inside: a store is opened, one thread reads, another writes.
#[test]
fn a_write_beside_the_first_read_is_never_busy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    let organization = OrganizationId::new();
    {
        let store = Store::open(&file).unwrap();
        let ours = store.organization(organization);
        ours.create_datasets((0..60).map(|_| NewDataset::new("Water").kpis((0..10).map(|_| NewKpi::new("a")))))
            .unwrap();
    }
    let mut busy = 0;
    for _ in 0..200 {
        let store = Store::options().busy_timeout(Duration::ZERO).open(&file).unwrap();
        let ours = store.organization(organization);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for _ in 0..4 {
                    ours.datasets(&DatasetQuery::new()).unwrap();
                }
            });
            start.wait();
            let written = ours.set_properties([("key", Some(b"value".as_slice()))]);
            busy += usize::from(matches!(written, Err(Error::Busy { .. })));
        });
    }
    assert_eq!(busy, 0, "of 200 writes, with no other writer");
}

#[test]
fn a_panic_in_an_early_read_leaves_nothing_on_the_connection_of_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _: Result<(), _> = store.access().read(|_| panic!("a defect"));
    }));
    assert!(panicked.is_err());
    let many = (0..3_000).map(|_| NewDataset::new("Water").kpis((0..10).map(|_| NewKpi::new("Withdrawal"))));
    ours.create_datasets(many).unwrap();
}

/// A change of another process is seen by each early read, and numbers stay in the order of commits.
#[test]
fn early_reads_see_every_commit_of_another_connection() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    let organization = OrganizationId::new();
    let other = Store::open(&file).unwrap();
    let store = Store::open(&file).unwrap();
    let (ours, theirs) = (store.organization(organization), other.organization(organization));
    let mut all = Vec::new();
    for _ in 0..7 {
        all.push(theirs.create_dataset(NewDataset::new("theirs")).unwrap());
        assert_eq!(ours.datasets(&DatasetQuery::new()).unwrap().items, all);
        all.push(ours.create_dataset(NewDataset::new("ours")).unwrap());
        assert_eq!(theirs.datasets(&DatasetQuery::new()).unwrap().items, all);
    }
    assert_eq!(store.access().readers.as_ref().unwrap().counts().1, 0);
}

#[test]
fn close_of_a_store_that_must_not_wait_does_not_fail_because_of_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::options().busy_timeout(Duration::ZERO).open(folder.path().join("kpis.db")).unwrap();
    let (in_read, closed) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let read = store.access().read(|_| {
                in_read.wait();
                closed.wait();
                Ok(())
            });
            read.unwrap();
        });
        in_read.wait();
        let result = store.clone().close();
        closed.wait();
        result.unwrap();
    });
}
