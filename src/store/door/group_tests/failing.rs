//! One of a group that fails, and what of it the others are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kpi_store_fault_vfs::{Cause, Fault, Kind};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

use super::{Scene, create, request};
use crate::error::Failure;
use crate::{DatasetId, Error, NewDataset, NewKpi};

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
