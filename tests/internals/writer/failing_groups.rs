//! A failing job in a shared transaction, and the results of the other jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kpi_store_fault_vfs::{Cause, Fault, Kind};
use kpi_store_test_support::with_suffix;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

use super::groups::{Scene, create, request};
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::Failure;
use crate::{DatasetId, DatasetQuery, Error, NewDataset, NewKpi};

#[test]
fn a_failed_job_rolls_back_only_its_own_work() {
    let scene = Scene::new();
    let taken = scene.ours.create_dataset(request("taken")).unwrap().id;
    std::thread::scope(|scope| {
        let held = scene.hold();
        let first = scene.enqueue(scope, create("first"));
        let again = scene.enqueue(scope, move |scene| scene.ours.create_dataset(request("again").id(taken)));
        // It fails after a part of its work.
        let half = scene.enqueue(scope, |scene| {
            scene.write(|connection| {
                connection.execute("DELETE FROM kpi", [])?;
                Err(Error::InvalidCursor.into())
            })
        });
        let last = scene.enqueue(scope, create("last"));
        drop(held);
        first.join().unwrap().unwrap();
        assert!(matches!(again.join().unwrap(), Err(Error::AlreadyExists { dataset, .. }) if dataset == taken));
        assert!(matches!(half.join().unwrap(), Err(Error::InvalidCursor)));
        last.join().unwrap().unwrap();
    });
    assert_eq!(scene.commits(), 2);
    assert_eq!(scene.names(), ["taken", "first", "last"]);
}

/// Its work cannot be separated from that of the others, so the whole transaction is rolled back.
#[test]
fn a_job_that_ends_its_own_savepoint_is_not_committed_with_the_others() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let first = scene.enqueue(scope, create("first"));
        let open_end = scene.enqueue(scope, |scene| {
            scene.write(|connection| Ok(connection.execute_batch("UPDATE dataset SET name = 'x'; RELEASE job")?))
        });
        let last = scene.enqueue(scope, create("last"));
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
fn a_panic_of_a_job_surfaces_in_its_own_thread_and_the_others_are_committed() {
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
            let first = (!leads).then(|| scene.enqueue(scope, create("a")));
            let panicking = scene.enqueue(scope, panics);
            let others = ["b", "c"].map(|name| scene.enqueue(scope, create(name)));
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
fn after_a_commit_of_unknown_outcome_each_job_gets_its_own_ids() {
    let scene = Scene::new();
    let ids = [(); 3].map(|()| DatasetId::new());
    std::thread::scope(|scope| {
        let held = scene.hold();
        let waiting =
            ids.map(|id| scene.enqueue(scope, move |scene| scene.ours.create_dataset(request("lost").id(id))));
        let failing = scene.enqueue(scope, |scene| scene.write(|_| Err(Error::InvalidCursor.into())));
        scene.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: false });
        drop(held);
        for (thread, expected) in waiting.into_iter().zip(ids) {
            let error = thread.join().unwrap().unwrap_err();
            assert!(matches!(&error, Error::OutcomeUnknown { ids, .. } if *ids == [expected]), "{error:?}");
        }
        assert!(matches!(failing.join().unwrap(), Err(Error::InvalidCursor)));
    });
    assert!(scene.disk.has_failed());
    // The store recovers; after that the outcome is known: all or none.
    scene.ours.create_dataset(request("after")).unwrap();
    let held: Vec<_> = ids.map(|id| scene.ours.dataset(id).unwrap().is_some()).into();
    assert!(held.iter().all(|is_there| *is_there == held[0]), "{held:?}");
    assert_eq!(scene.names().len(), 1 + held.iter().filter(|is_there| **is_there).count());
}

#[test]
fn a_job_that_does_not_fit_on_the_disk_does_not_fail_the_others_that_fit() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let mut held = scene.hold();
        let connection = held.ready(&Deadline::after(Duration::ZERO)).map_err(|Failure(error)| error).unwrap().plain();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages + 1).unwrap();
        let first = scene.enqueue(scope, create("first"));
        let large = scene.enqueue(scope, |scene| {
            let kpi = || NewKpi::new("m").description("m".repeat(2_000));
            scene.ours.create_dataset(NewDataset::new("large").kpis((0..100).map(|_| kpi())))
        });
        let last = scene.enqueue(scope, create("last"));
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

/// A job that fails because of another job of a transaction that was not committed runs again, alone.
#[test]
fn an_id_taken_only_in_a_failed_commit_is_not_reported_as_existing() {
    for (kind, cause) in [(Kind::Sync, Cause::Io), (Kind::Write, Cause::Full)] {
        let scene = Scene::new();
        let id = DatasetId::new();
        let answers = std::thread::scope(|scope| {
            let held = scene.hold();
            let waiting =
                [(); 3].map(|()| scene.enqueue(scope, move |scene| scene.ours.create_dataset(request("same").id(id))));
            scene.disk.fail(Fault { kinds: vec![kind], at: 1, cause, lasting: false });
            drop(held);
            waiting.map(|thread| thread.join().unwrap())
        });
        assert!(scene.disk.has_failed());
        assert!(scene.ours.dataset(id).unwrap().is_some(), "{kind:?}: {answers:?}");
        let codes = answers.each_ref().map(|answer| answer.as_ref().map_or_else(Error::code, |_| "created"));
        match kind {
            // Nothing was committed, so each runs alone: the first creates.
            Kind::Write => assert_eq!(codes, ["created", "already_exists", "already_exists"]),
            // The outcome of the first is unknown. The others run alone and find out.
            _ => assert!(
                codes == ["outcome_unknown", "created", "already_exists"]
                    || codes == ["outcome_unknown", "already_exists", "already_exists"],
                "{codes:?}"
            ),
        }
    }
}

/// SQLite rolls back the whole transaction if the disk or the memory is full, or if it finds damage while it writes.
#[test]
fn the_jobs_of_a_lost_transaction_each_run_alone() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let first = scene.enqueue(scope, create("first"));
        let second = scene.enqueue(scope, create("second"));
        let losing = scene.enqueue(scope, |scene| {
            scene.write(|connection| {
                connection.execute("ROLLBACK", [])?;
                Err(Error::InvalidCursor.into())
            })
        });
        let last = scene.enqueue(scope, create("last"));
        drop(held);
        for thread in [first, second, last] {
            let created = thread.join().unwrap().unwrap();
            assert_eq!(scene.ours.dataset(created.id).unwrap(), Some(created));
        }
        assert!(matches!(losing.join().unwrap(), Err(Error::InvalidCursor)));
    });
    assert_eq!(scene.commits(), 3, "each alone");
    assert_eq!(scene.names(), ["first", "second", "last"]);
}

/// The log is checked after the commit too, since it may be removed between the check before the transaction and the
/// commit.
#[cfg(unix)]
#[test]
fn a_group_whose_log_is_removed_before_the_commit_is_answered_outcome_unknown() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        let held = scene.hold();
        let first = scene.enqueue(scope, create("first"));
        let removing = scene.enqueue(scope, |scene| {
            let log = with_suffix(scene.store.path().unwrap(), "-wal");
            scene.write(move |_| {
                std::fs::remove_file(&log).unwrap();
                Ok(())
            })
        });
        drop(held);
        for failed in [first.join().unwrap().map(drop), removing.join().unwrap()] {
            assert!(matches!(failed, Err(Error::OutcomeUnknown { .. })), "{failed:?}");
        }
    });
    assert_eq!(scene.ours.create_dataset(request("later")).unwrap_err().code(), "invalid_path");
}

/// If the savepoint of a job cannot be rolled back, the whole transaction is, and each job runs alone.
#[test]
fn a_job_that_cannot_be_rolled_back_is_not_committed_with_the_others() {
    for denies_rollback in [false, true] {
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
                    if denies_rollback && is_denied.load(Relaxed) =>
                {
                    Authorization::Deny
                }
                _ => Authorization::Allow,
            };
            let connection =
                held.ready(&Deadline::after(Duration::ZERO)).map_err(|Failure(error)| error).unwrap().plain_mut();
            // The oldest rusqlite of the range returns nothing here.
            let _ = connection.authorizer(Some(deny));
            let first = scene.enqueue(scope, create("first"));
            let turn_on = Arc::clone(&denies);
            let half = scene.enqueue(scope, move |scene| {
                scene.write(move |connection| {
                    connection.execute("DELETE FROM kpi", [])?;
                    turn_on.store(true, Relaxed);
                    Err(Error::InvalidCursor.into())
                })
            });
            let last = scene.enqueue(scope, create("last"));
            drop(held);
            assert!(matches!(half.join().unwrap(), Err(Error::InvalidCursor)));
            first.join().unwrap().unwrap();
            last.join().unwrap().unwrap();
        });
        assert_eq!(scene.names(), ["before", "first", "last"]);
        scene.ours.create_dataset(request("after")).unwrap();
        assert_eq!(scene.names(), ["before", "first", "last", "after"]);
        assert!(scene.ours.iter_datasets(&DatasetQuery::new()).all(|dataset| dataset.unwrap().kpis.len() == 2));
    }
}
