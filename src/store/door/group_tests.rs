//! Writers that wait at the same time share a transaction: each is answered as if it had been alone, and none before what
//! it wrote holds.

mod failing;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use kpi_store_fault_vfs::Disk;
use rusqlite::Connection;

use super::{Held, Place, Writer};
use crate::error::{Failure, Result};
use crate::{
    Dataset, DatasetId, DatasetQuery, Error, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Store,
};

/// A store in a file, whose commits are counted.
struct Scene {
    folder: tempfile::TempDir,
    disk: Disk,
    store: Store,
    ours: Organization,
    commits: Arc<AtomicU64>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        let store = Store::open(folder.path().join("kpis.db")).unwrap();
        let ours = store.organization(OrganizationId::new());
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        if let Place::Free(Writer { connection: Some(connection), .. }) = &mut store.shared.door.lock().place {
            // The oldest rusqlite of the range returns nothing here.
            let _ = connection.commit_hook(Some(move || {
                counter.fetch_add(1, Relaxed);
                false
            }));
        }
        Self { folder, disk, store, ours, commits }
    }

    /// Nobody gets through the door while this is held.
    fn hold(&self) -> Held<'_> {
        self.store.shared.door.hold()
    }

    /// Does `call` in another thread, and is back when that stands in line.
    fn line_up<'a, T: Send + 'a>(
        &'a self,
        scope: &'a Scope<'a, '_>,
        call: impl FnOnce(&'a Self) -> T + Send + 'a,
    ) -> ScopedJoinHandle<'a, T> {
        let before = self.store.shared.door.waiting();
        let thread = scope.spawn(move || call(self));
        while self.store.shared.door.waiting() == before {
            std::thread::yield_now();
        }
        thread
    }

    fn write(&self, work: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static) -> Result<()> {
        self.store.write(vec![DatasetId::new()], work)
    }

    /// What another handle finds, in the order of creation.
    fn names(&self) -> Vec<String> {
        let store = Store::open(self.folder.path().join("kpis.db")).unwrap();
        assert!(store.verify().unwrap().is_whole());
        let datasets = store.organization(self.ours.id()).iter_datasets(&DatasetQuery::new());
        datasets.map(|dataset| dataset.unwrap().name).collect()
    }

    fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }
}

impl Store {
    /// Does the calls, each in a thread of its own, when all of them stand in line: they share a transaction.
    pub(crate) fn in_a_group<T: Send>(&self, calls: impl IntoIterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
        let door = &self.shared.door;
        std::thread::scope(|scope| {
            let held = door.hold();
            let line_up = |call| {
                let before = door.waiting();
                let thread = scope.spawn(call);
                while door.waiting() == before && !thread.is_finished() {
                    std::thread::yield_now();
                }
                thread
            };
            let waiting: Vec<_> = calls.into_iter().map(line_up).collect();
            drop(held);
            waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}

fn request(name: &str) -> NewDataset {
    NewDataset::new(name).kpis(["Withdrawal", "Discharge"].map(NewKpi::new))
}

fn create(name: &'static str) -> impl FnOnce(&Scene) -> Result<Dataset> + Send {
    move |scene| scene.ours.create_dataset(request(name))
}

#[test]
fn those_who_wait_at_the_same_time_share_a_commit_and_come_in_order() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let waiting: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| scene.line_up(scope, create(name))).into();
        drop(held);
        for thread in waiting {
            let created = thread.join().unwrap().unwrap();
            assert_eq!(scene.ours.dataset(created.id).unwrap(), Some(created));
        }
    });
    assert_eq!(scene.commits(), 1);
    assert_eq!(scene.names(), ["a", "b", "c", "d", "e"]);

    // The control: one after the other, each commits.
    scene.ours.create_dataset(request("f")).unwrap();
    scene.ours.create_dataset(request("g")).unwrap();
    assert_eq!(scene.commits(), 3);
}

#[test]
fn who_comes_while_the_leader_works_shares_its_commit() {
    let scene = Scene::new();
    let (begun, has_begun) = mpsc::channel();
    let store = scene.store.clone();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            scene.write(move |_| {
                begun.send(()).unwrap();
                while store.shared.door.waiting() == 0 {
                    std::thread::yield_now();
                }
                Ok(())
            })
        });
        has_begun.recv().unwrap();
        scene.ours.create_dataset(request("late")).unwrap();
        leader.join().unwrap().unwrap();
    });
    assert_eq!(scene.commits(), 1);
    assert_eq!(scene.names(), ["late"]);
}

#[test]
fn a_job_of_many_datasets_is_not_taken_in_and_nobody_overtakes_it() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let before = scene.line_up(scope, create("before"));
        let many = scene.line_up(scope, |scene| scene.ours.create_datasets((0..100).map(|_| request("many"))));
        let after = scene.line_up(scope, create("after"));
        drop(held);
        before.join().unwrap().unwrap();
        many.join().unwrap().unwrap();
        after.join().unwrap().unwrap();
    });
    let names = scene.names();
    assert_eq!((names[0].as_str(), names[101].as_str(), names.len()), ("before", "after", 102));
    assert_eq!(scene.commits(), 3);
}

#[test]
fn who_waited_too_long_leaves_the_line_and_nothing_of_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let timeout = Duration::from_millis(50);
    let store = Store::options().busy_timeout(timeout).open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let held = store.shared.door.hold();
    let error = ours.create_dataset(request("too late")).unwrap_err();
    assert!(matches!(error, Error::Busy { waited, .. } if waited >= timeout), "{error:?}");
    assert_eq!(store.shared.door.waiting(), 0);
    drop(held);
    ours.create_dataset(request("in time")).unwrap();
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 1);
}

#[test]
fn closing_waits_in_line_and_who_stands_behind_it_is_told() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let before = scene.line_up(scope, create("before"));
        let closing = scene.line_up(scope, |scene| scene.store.clone().close());
        let after = scene.line_up(scope, create("after"));
        drop(held);
        before.join().unwrap().unwrap();
        closing.join().unwrap().unwrap();
        assert!(matches!(after.join().unwrap(), Err(Error::Closed)));
    });
    assert_eq!(scene.names(), ["before"]);
}

/// No thread starves: while seven write without a pause, one that comes is served within a few of their commits.
#[test]
fn everybody_is_served_within_a_few_commits() {
    let scene = Scene::new();
    let (done, is_done) = mpsc::channel::<u64>();
    std::thread::scope(|scope| {
        for _ in 0..7 {
            let ours = scene.ours.clone();
            let stop = scene.folder.path().join("stop");
            scope.spawn(move || {
                while !stop.exists() {
                    ours.create_dataset(request("busy")).unwrap();
                }
            });
        }
        for _ in 0..100 {
            let before = scene.commits();
            scene.ours.create_dataset(request("one")).unwrap();
            done.send(scene.commits() - before).unwrap();
        }
        std::fs::write(scene.folder.path().join("stop"), "").unwrap();
    });
    drop(done);
    let mut waited: Vec<u64> = is_done.iter().collect();
    waited.sort_unstable();
    // The one in progress, its own, and what others begin between its answer and the look at the counter.
    assert!(waited[50] <= 4 && waited[99] <= 30, "{waited:?}");
}

#[test]
fn who_was_taken_in_before_its_time_was_over_is_told_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let timeout = Duration::from_millis(400);
    let store = Store::options().busy_timeout(timeout).open(folder.path().join("kpis.db")).unwrap();
    let scene = Scene { store: store.clone(), ours: store.organization(OrganizationId::new()), ..Scene::new() };
    let (end, has_ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let leader = scene.line_up(scope, create("leads"));
        let slow = scene.line_up(scope, |scene| {
            scene.write(move |_| {
                // Nobody ends it: until the other's time is over.
                let _ = has_ended.recv_timeout(2 * timeout);
                Ok(())
            })
        });
        let other = scene.line_up(scope, create("taken in"));
        drop(held);
        leader.join().unwrap().unwrap();
        slow.join().unwrap().unwrap();
        let created = other.join().unwrap().unwrap();
        assert_eq!(scene.ours.dataset(created.id).unwrap(), Some(created));
    });
    drop(end);
}

#[test]
fn as_many_share_a_commit_and_as_large_as_is_said() {
    // With the one who leads; and how many datasets make a job that is done alone.
    for (jobs, datasets, commits) in [(65, 1, 1), (66, 1, 2), (3, 8, 1), (3, 9, 3)] {
        let scene = Scene::new();
        std::thread::scope(|scope| {
            let held = scene.hold();
            let create = move |scene: &Scene| scene.ours.create_datasets((0..datasets).map(|_| request("shared")));
            let waiting: Vec<_> = (0..jobs).map(|_| scene.line_up(scope, create)).collect();
            drop(held);
            for thread in waiting {
                assert_eq!(thread.join().unwrap().unwrap().len(), datasets);
            }
        });
        assert_eq!(scene.commits(), commits, "{jobs} jobs of {datasets}");
    }
}

#[test]
fn who_has_loaded_waits_in_line_afterwards_as_everybody_does() {
    let scene = Scene::new();
    let (loaded, is_loaded) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    std::thread::scope(|scope| {
        let scene = &scene;
        let thread = scope.spawn(move || {
            scene.ours.load_datasets([request("loaded")], LoadOptions::new()).unwrap();
            loaded.send(()).unwrap();
            goes_on.recv().unwrap();
            scene.ours.create_dataset(request("created"))
        });
        is_loaded.recv().unwrap();
        let held = scene.hold();
        go_on.send(()).unwrap();
        while scene.store.shared.door.waiting() == 0 && !thread.is_finished() {
            std::thread::yield_now();
        }
        drop(held);
        thread.join().unwrap().unwrap();
    });
    assert_eq!(scene.names(), ["loaded", "created"]);
}
