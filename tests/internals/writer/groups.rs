//! Group commit: jobs that wait at the same time share a transaction. The result of each is as if it had run alone, and
//! no call returns before the commit.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use kpi_store_fault_vfs::Disk;
use rusqlite::Connection;

use crate::access::leader::Leader;
use crate::internals::support::{hold, waiting, with_writer, write};
use crate::sqlite::failure::Failure;
use crate::{
    Dataset, DatasetQuery, Error, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Result, Store,
};

/// A store in a file, with a counter of its commits.
pub(super) struct Scene {
    folder: tempfile::TempDir,
    pub(super) disk: Disk,
    pub(super) store: Store,
    pub(super) ours: Organization,
    commits: Arc<AtomicU64>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        let store = Store::open(folder.path().join("kpis.db")).unwrap();
        let ours = store.organization(OrganizationId::new());
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        with_writer(&store, |connection| {
            // The oldest rusqlite of the range returns nothing here.
            let _ = connection.commit_hook(Some(move || {
                counter.fetch_add(1, Relaxed);
                false
            }));
        });
        Self { folder, disk, store, ours, commits }
    }

    /// Keeps every other thread waiting while it is held.
    pub(super) fn hold(&self) -> Leader<'_> {
        hold(&self.store)
    }

    /// Makes `call` in another thread, and returns when that thread waits for the writer.
    pub(super) fn enqueue<'a, T: Send + 'a>(
        &'a self,
        scope: &'a Scope<'a, '_>,
        call: impl FnOnce(&'a Self) -> T + Send + 'a,
    ) -> ScopedJoinHandle<'a, T> {
        let before = waiting(&self.store);
        let thread = scope.spawn(move || call(self));
        while waiting(&self.store) == before {
            std::thread::yield_now();
        }
        thread
    }

    pub(super) fn write(&self, work: impl Fn(&Connection) -> Result<(), Failure> + Send + 'static) -> Result<()> {
        write(&self.store, work)
    }

    /// The names that another handle finds, in the order of creation.
    pub(super) fn names(&self) -> Vec<String> {
        let store = Store::open(self.folder.path().join("kpis.db")).unwrap();
        assert!(store.verify().unwrap().is_whole());
        let datasets = store.organization(self.ours.id()).iter_datasets(&DatasetQuery::new());
        datasets.map(|dataset| dataset.unwrap().name).collect()
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }
}

pub(super) fn request(name: &str) -> NewDataset {
    NewDataset::new(name).kpis(["Withdrawal", "Discharge"].map(NewKpi::new))
}

pub(super) fn create(name: &'static str) -> impl FnOnce(&Scene) -> Result<Dataset> + Send {
    move |scene| scene.ours.create_dataset(request(name))
}

#[test]
fn jobs_that_wait_at_the_same_time_share_a_commit_in_their_order() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let waiting: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| scene.enqueue(scope, create(name))).into();
        drop(held);
        for thread in waiting {
            let created = thread.join().unwrap().unwrap();
            assert_eq!(scene.ours.dataset(created.id).unwrap(), Some(created));
        }
    });
    assert_eq!(scene.commits(), 1);
    assert_eq!(scene.names(), ["a", "b", "c", "d", "e"]);

    // The control: one after the other, each has a commit of its own.
    scene.ours.create_dataset(request("f")).unwrap();
    scene.ours.create_dataset(request("g")).unwrap();
    assert_eq!(scene.commits(), 3);
}

#[test]
fn a_job_that_arrives_while_the_leader_works_shares_its_commit() {
    let scene = Scene::new();
    let (begun, has_begun) = mpsc::channel();
    let store = scene.store.clone();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            scene.write(move |_| {
                begun.send(()).unwrap();
                while waiting(&store) == 0 {
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
fn a_large_job_shares_no_commit_and_no_job_overtakes_it() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let before = scene.enqueue(scope, create("before"));
        let many = scene.enqueue(scope, |scene| scene.ours.create_datasets((0..200).map(|_| request("many"))));
        let after = scene.enqueue(scope, create("after"));
        drop(held);
        before.join().unwrap().unwrap();
        many.join().unwrap().unwrap();
        after.join().unwrap().unwrap();
    });
    let names = scene.names();
    assert_eq!((names[0].as_str(), names[201].as_str(), names.len()), ("before", "after", 202));
    assert_eq!(scene.commits(), 3);
}

#[test]
fn a_job_that_waits_past_the_timeout_is_busy_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let timeout = Duration::from_millis(50);
    let store = Store::options().busy_timeout(timeout).open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let held = hold(&store);
    let error = ours.create_dataset(request("too late")).unwrap_err();
    assert!(matches!(error, Error::Busy { waited, .. } if waited >= timeout), "{error:?}");
    assert_eq!(waiting(&store), 0);
    drop(held);
    ours.create_dataset(request("in time")).unwrap();
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 1);
}

#[test]
fn closing_waits_in_the_queue_and_jobs_behind_it_fail_with_closed() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let before = scene.enqueue(scope, create("before"));
        let closing = scene.enqueue(scope, |scene| scene.store.clone().close());
        let after = scene.enqueue(scope, create("after"));
        drop(held);
        before.join().unwrap().unwrap();
        closing.join().unwrap().unwrap();
        assert!(matches!(after.join().unwrap(), Err(Error::Closed)));
    });
    assert_eq!(scene.names(), ["before"]);
}

/// No thread starves: while seven threads write without a pause, the job of an eighth is done within a few commits.
#[test]
fn every_job_is_done_within_a_few_commits() {
    let scene = Scene::new();
    let (done, is_done) = mpsc::channel::<u64>();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..7 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    scene.ours.create_dataset(request("busy")).unwrap();
                }
            });
        }
        for _ in 0..100 {
            let before = scene.commits();
            scene.ours.create_dataset(request("one")).unwrap();
            done.send(scene.commits() - before).unwrap();
        }
        is_over.store(true, Relaxed);
    });
    drop(done);
    let mut waited: Vec<u64> = is_done.iter().collect();
    waited.sort_unstable();
    // The commit in progress, its own, and those that begin before the counter is read.
    assert!(waited[50] <= 4 && waited[99] <= 30, "{waited:?}");
}

#[test]
fn a_follower_taken_before_its_timeout_gets_its_result_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let timeout = Duration::from_millis(400);
    let store = Store::options().busy_timeout(timeout).open(folder.path().join("kpis.db")).unwrap();
    let scene = Scene { store: store.clone(), ours: store.organization(OrganizationId::new()), ..Scene::new() };
    let (end, has_ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let leader = scene.enqueue(scope, create("leads"));
        let slow = scene.enqueue(scope, |scene| {
            scene.write(move |_| {
                // The sender stays silent, so this lasts past the timeout of the other job.
                let _ = has_ended.recv_timeout(2 * timeout);
                Ok(())
            })
        });
        let other = scene.enqueue(scope, create("follows"));
        drop(held);
        leader.join().unwrap().unwrap();
        slow.join().unwrap().unwrap();
        let created = other.join().unwrap().unwrap();
        assert_eq!(scene.ours.dataset(created.id).unwrap(), Some(created));
    });
    drop(end);
}

#[test]
fn at_most_64_followers_with_512_kib_and_only_jobs_of_64_kib_share_a_commit() {
    // Datasets of a job, and characters of the description of each: 60 KiB and 68 KiB in all.
    for (jobs, datasets, text, commits) in
        [(65, 1, 0, 1), (66, 1, 0, 2), (3, 24, 2_000, 1), (3, 27, 2_000, 3), (12, 24, 2_000, 2)]
    {
        let scene = Scene::new();
        std::thread::scope(|scope| {
            let held = scene.hold();
            let request = move |_| request("shared").description("m".repeat(text));
            let create = move |scene: &Scene| scene.ours.create_datasets((0..datasets).map(request));
            let waiting: Vec<_> = (0..jobs).map(|_| scene.enqueue(scope, create)).collect();
            drop(held);
            for thread in waiting {
                assert_eq!(thread.join().unwrap().unwrap().len(), datasets);
            }
        });
        assert_eq!(scene.commits(), commits, "{jobs} jobs of {datasets}");
    }
}

#[test]
fn a_thread_can_wait_in_the_queue_after_a_load() {
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
        while waiting(&scene.store) == 0 && !thread.is_finished() {
            std::thread::yield_now();
        }
        drop(held);
        thread.join().unwrap().unwrap();
    });
    assert_eq!(scene.names(), ["loaded", "created"]);
}
