//! Writers that wait at the same time share a transaction: each is answered as if it had been alone, and none before what
//! it wrote holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

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
fn one_that_fails_leaves_the_others() {
    let scene = Scene::new();
    let taken = scene.ours.create_dataset(request("taken")).unwrap().id;
    std::thread::scope(|scope| {
        let held = scene.hold();
        let first = scene.line_up(scope, create("first"));
        let again = scene.line_up(scope, move |scene| scene.ours.create_dataset(request("again").id(taken)));
        // Part of its work is done when it fails.
        let half = scene.line_up(scope, |scene| {
            scene.write(|connection| {
                connection.execute("DELETE FROM kpi", [])?;
                Err(Error::InvalidCursor.into())
            })
        });
        let last = scene.line_up(scope, create("last"));
        drop(held);
        first.join().unwrap().unwrap();
        assert!(matches!(again.join().unwrap(), Err(Error::AlreadyExists { dataset, .. }) if dataset == taken));
        assert!(matches!(half.join().unwrap(), Err(Error::InvalidCursor)));
        last.join().unwrap().unwrap();
    });
    assert_eq!(scene.commits(), 2);
    assert_eq!(scene.names(), ["taken", "first", "last"]);
}

/// Its part of the transaction has no end of its own: it cannot be told from the others', so that all of it goes.
#[test]
fn one_whose_part_cannot_be_ended_is_not_committed_with_the_others() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let first = scene.line_up(scope, create("first"));
        let open_end = scene.line_up(scope, |scene| {
            scene.write(|connection| Ok(connection.execute_batch("UPDATE dataset SET name = 'x'; RELEASE part")?))
        });
        let last = scene.line_up(scope, create("last"));
        drop(held);
        let (first, open_end, last) = (first.join().unwrap(), open_end.join().unwrap(), last.join().unwrap());
        open_end.unwrap_err();
        let answered = [("first", first), ("last", last)].into_iter().filter(|(_, answer)| answer.is_ok());
        assert_eq!(scene.names(), answered.map(|(name, _)| name).collect::<Vec<_>>());
    });
    scene.ours.create_dataset(request("after")).unwrap();
    assert_eq!(scene.names().last().map(String::as_str), Some("after"));
}

#[test]
fn one_that_panics_does_so_in_its_own_thread_and_leaves_the_others() {
    for leads in [true, false] {
        let scene = Scene::new();
        std::thread::scope(|scope| {
            let panics = |scene: &Scene| {
                scene.write(|connection| {
                    connection.execute("DELETE FROM dataset", [])?;
                    panic!("in the middle of the work")
                })
            };
            let held = scene.hold();
            let first = (!leads).then(|| scene.line_up(scope, create("a")));
            let panicking = scene.line_up(scope, panics);
            let others = ["b", "c"].map(|name| scene.line_up(scope, create(name)));
            drop(held);
            let panic = panicking.join().unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"in the middle of the work"));
            for other in first.into_iter().chain(others) {
                other.join().unwrap().unwrap();
            }
        });
        assert_eq!(scene.names().len(), if leads { 2 } else { 3 });
        scene.ours.create_dataset(request("after")).unwrap();
    }
}

#[test]
fn a_commit_that_fails_is_told_to_all_of_them_with_their_own_ids_and_to_none_that_failed_before() {
    let scene = Scene::new();
    let ids = [(); 3].map(|()| DatasetId::new());
    std::thread::scope(|scope| {
        let held = scene.hold();
        let waiting =
            ids.map(|id| scene.line_up(scope, move |scene| scene.ours.create_dataset(request("lost").id(id))));
        let failing = scene.line_up(scope, |scene| scene.write(|_| Err(Error::InvalidCursor.into())));
        scene.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: false });
        drop(held);
        for (thread, expected) in waiting.into_iter().zip(ids) {
            let error = thread.join().unwrap().unwrap_err();
            assert!(matches!(&error, Error::OutcomeUnknown { ids, .. } if *ids == [expected]), "{error:?}");
        }
        assert!(matches!(failing.join().unwrap(), Err(Error::InvalidCursor)));
    });
    assert!(scene.disk.has_failed());
    // Healed; then it is known of each whether it holds.
    scene.ours.create_dataset(request("after")).unwrap();
    let held: Vec<_> = ids.map(|id| scene.ours.dataset(id).unwrap().is_some()).into();
    assert!(held.iter().all(|is_there| *is_there == held[0]), "{held:?}");
    assert_eq!(scene.names().len(), 1 + held.iter().filter(|is_there| **is_there).count());
}

#[test]
fn a_full_disk_is_told_to_all_whose_work_it_undid() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let mut held = scene.hold();
        let pages: i64 = held
            .connection(Duration::ZERO)
            .map(|connection| connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap())
            .map_err(|Failure(error)| error)
            .unwrap();
        held.connection(Duration::ZERO)
            .map(|connection| connection.pragma_update(None, "max_page_count", pages + 1).unwrap())
            .map_err(|Failure(error)| error)
            .unwrap();
        let first = scene.line_up(scope, create("first"));
        let large = scene.line_up(scope, |scene| {
            let kpi = || NewKpi::new("m").description("m".repeat(2_000));
            scene.ours.create_dataset(NewDataset::new("large").kpis((0..100).map(|_| kpi())))
        });
        let last = scene.line_up(scope, create("last"));
        drop(held);
        let small = [first.join().unwrap(), last.join().unwrap()];
        let names = scene.names();
        assert!(matches!(large.join().unwrap(), Err(Error::StorageFull { .. })));
        for (result, name) in small.into_iter().zip(["first", "last"]) {
            let is_there = names.iter().any(|other| other == name);
            assert!(matches!(result, Err(Error::StorageFull { .. })) || result.is_ok() && is_there, "{name}");
            assert_eq!(result.is_ok(), is_there, "{name}");
        }
    });
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

/// What one found taken by another of the same transaction is not there once that failed.
#[test]
fn an_id_that_was_taken_by_a_commit_that_failed_is_not_said_to_exist() {
    for (kind, cause) in [(Kind::Sync, Cause::Io), (Kind::Write, Cause::Full)] {
        let scene = Scene::new();
        let id = DatasetId::new();
        let told = std::thread::scope(|scope| {
            let held = scene.hold();
            let waiting =
                [(); 3].map(|()| scene.line_up(scope, move |scene| scene.ours.create_dataset(request("same").id(id))));
            scene.disk.fail(Fault { kinds: vec![kind], at: 1, cause, lasting: false });
            drop(held);
            waiting.map(|thread| thread.join().unwrap().unwrap_err())
        });
        assert!(scene.disk.has_failed());
        println!("{kind:?}: {told:?}");
        let is_there = scene.ours.dataset(id).unwrap().is_some();
        for error in &told {
            assert!(is_there || !matches!(error, Error::AlreadyExists { .. }), "{kind:?}: not there, but {error:?}");
        }
    }
}

/// What cannot be undone by itself is undone with everything, or not at all: then the transaction is no longer trusted.
#[test]
fn work_that_cannot_be_undone_is_not_committed_with_the_others() {
    for holds_out in [false, true] {
        let scene = Scene::new();
        scene.ours.create_dataset(request("before")).unwrap();
        let denies = Arc::new(AtomicBool::new(false));
        std::thread::scope(|scope| {
            let mut held = scene.hold();
            let is_denied = Arc::clone(&denies);
            let deny = move |context: AuthContext<'_>| match context.action {
                AuthAction::Savepoint { operation: TransactionOperation::Rollback, .. } if is_denied.load(Relaxed) => {
                    Authorization::Deny
                }
                AuthAction::Transaction { operation: TransactionOperation::Rollback }
                    if holds_out && is_denied.load(Relaxed) =>
                {
                    Authorization::Deny
                }
                _ => Authorization::Allow,
            };
            let connection = held.connection(Duration::ZERO).map_err(|Failure(error)| error).unwrap();
            // The oldest rusqlite of the range returns nothing here.
            let _ = connection.authorizer(Some(deny));
            let first = scene.line_up(scope, create("first"));
            let turn_on = Arc::clone(&denies);
            let half = scene.line_up(scope, move |scene| {
                scene.write(move |connection| {
                    connection.execute("DELETE FROM kpi", [])?;
                    turn_on.store(true, Relaxed);
                    Err(Error::InvalidCursor.into())
                })
            });
            let turn_off = Arc::clone(&denies);
            let last = scene.line_up(scope, move |scene| {
                scene.write(move |_| {
                    turn_off.store(false, Relaxed);
                    Ok(())
                })
            });
            drop(held);
            assert!(matches!(half.join().unwrap(), Err(Error::InvalidCursor)));
            for other in [first.join().unwrap().map(drop), last.join().unwrap()] {
                assert!(matches!(other, Err(Error::Storage { .. })), "{other:?}");
            }
        });
        denies.store(false, Relaxed);
        assert_eq!(scene.names(), ["before"]);
        scene.ours.create_dataset(request("after")).unwrap();
        assert_eq!(scene.names(), ["before", "after"]);
    }
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
