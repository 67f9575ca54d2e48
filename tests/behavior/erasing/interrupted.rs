//! Compactions that do not come to their end: the store is as it was, and the next one succeeds.

use std::error::Error as _;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kpi_store::{DatasetQuery, Error, LoadOptions, Progress, Store};

use crate::support::{
    TestFile, checkpointed_store, in_a_file_and_in_memory, listed, organization, plain_sqlite, request_with_kpis,
    with_suffix,
};

fn says_that_reads_prevent_it(error: &Error) {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(matches!(error, Error::Busy { .. }) && source.starts_with("a read"), "{error:?}");
}

#[test]
fn a_snapshot_of_another_program_prevents_it_and_the_log_does_not_grow() {
    let file = checkpointed_store();
    let store = Store::options().busy_timeout(Duration::from_millis(50)).open(&file.path).unwrap();
    let ours = organization(&store);
    let reader = plain_sqlite(&file.path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
    let created = ours.create_dataset(request_with_kpis(90)).unwrap();
    let log = || std::fs::metadata(with_suffix(&file.path, "-wal")).unwrap().len();
    let before = log();
    for _ in 0..3 {
        says_that_reads_prevent_it(&store.compact().unwrap_err());
        assert_eq!(listed(&ours), std::slice::from_ref(&created));
    }
    assert_eq!(log(), before);
    reader.execute_batch("COMMIT").unwrap();
    store.compact().unwrap();
    assert_eq!(listed(&ours), [created]);
}

#[test]
fn a_snapshot_that_begins_meanwhile_prevents_its_end() {
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::from_millis(50)).open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..50).map(|_| request_with_kpis(50))).unwrap();
    let reader = plain_sqlite(&file.path);
    let (path, (send, snapshots)) = (file.path.clone(), mpsc::channel());
    let compacted = store.compact_with(move |progress: Progress| {
        if progress.done == 0 {
            let reader = plain_sqlite(&path);
            reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
            send.send(reader).unwrap();
        }
        ControlFlow::Continue(())
    });
    says_that_reads_prevent_it(&compacted.unwrap_err());
    assert_eq!(listed(&ours), created);
    drop((snapshots, reader));
    store.compact().unwrap();
    assert_eq!(std::fs::metadata(with_suffix(&file.path, "-wal")).unwrap().len(), 0);
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_write_of_another_program_prevents_it_until_the_busy_timeout() {
    let file = checkpointed_store();
    let store = Store::options().busy_timeout(Duration::from_millis(50)).open(&file.path).unwrap();
    let writer = plain_sqlite(&file.path);
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let compacted = store.compact();
    assert!(matches!(compacted, Err(Error::Busy { .. })), "{compacted:?}");
    writer.execute_batch("ROLLBACK").unwrap();
    store.compact().unwrap();
}

#[test]
fn a_callback_can_cancel_or_panic_until_the_copy_replaces_the_file() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let created = ours.create_datasets((0..100).map(|_| request_with_kpis(100))).unwrap();
        for panics in [false, true] {
            // In the check of the pages, and in the copy.
            for share in [0, 1, 60] {
                let compacting = || {
                    store.compact_with(move |progress| {
                        assert_ne!(progress.done, progress.total, "the end");
                        if progress.done * 100 < progress.total * share {
                            return ControlFlow::Continue(());
                        }
                        if panics { std::panic::panic_any("out of the callback") } else { ControlFlow::Break(()) }
                    })
                };
                match catch_unwind(AssertUnwindSafe(compacting)) {
                    Ok(compacted) => assert!(!panics && matches!(compacted, Err(Error::Cancelled)), "{compacted:?}"),
                    Err(payload) => assert_eq!(payload.downcast_ref(), Some(&"out of the callback")),
                }
                assert_eq!(listed(&ours), created);
            }
        }
        // At its end it is too late.
        let (send, calls) = mpsc::channel();
        store
            .compact_with(move |progress| {
                send.send(progress).unwrap();
                if progress.done == progress.total { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        let calls: Vec<_> = calls.iter().collect();
        assert!(calls.is_sorted_by_key(|progress| progress.done) && calls.len() > 4, "{calls:?}");
        ours.create_dataset(request_with_kpis(1)).unwrap();
        store.compact().unwrap();
        assert!(store.verify().unwrap().is_whole());
    });
}

/// With a timeout of minutes, a callback that waits for its own caller would hang.
#[test]
fn a_callback_may_read_from_a_file_and_its_writes_are_busy_at_once() {
    let options = || Store::options().busy_timeout(Duration::from_mins(10));
    in_a_file_and_in_memory(options, |store, file| {
        let ours = organization(store);
        ours.create_datasets((0..100).map(|_| request_with_kpis(100))).unwrap();
        let (inner, is_in_memory, started) = (store.clone(), file.is_none(), Instant::now());
        let id = ours.id();
        store
            .compact_with(move |progress| {
                if progress.done == progress.total {
                    return ControlFlow::Continue(());
                }
                let ours = inner.organization(id);
                let counted = ours.count_datasets(&DatasetQuery::new());
                assert!(counted.is_ok() || is_in_memory && matches!(counted, Err(Error::Busy { .. })), "{counted:?}");
                let loaded = ours.load_datasets([request_with_kpis(1)], LoadOptions::new()).map_err(Error::from);
                for code in [
                    ours.create_dataset(request_with_kpis(1)).unwrap_err().code(),
                    loaded.unwrap_err().code(),
                    inner.compact().unwrap_err().code(),
                    inner.purge_organization(id).unwrap_err().code(),
                    inner.clone().close().unwrap_err().code(),
                ] {
                    assert_eq!(code, "busy");
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(started.elapsed() < Duration::from_mins(5));
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 100);
    });
}

#[test]
fn a_compaction_from_a_verification_is_busy_at_once() {
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::MAX).open(&file.path).unwrap();
    organization(&store).create_datasets((0..50).map(|_| request_with_kpis(100))).unwrap();
    let (inner, (send, answers)) = (store.clone(), mpsc::channel());
    store
        .verify_with(move |_| {
            send.send(inner.compact()).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    // Once the verification has ended its snapshot, nothing prevents it.
    let errors: Vec<_> = answers.iter().filter_map(Result::err).collect();
    assert!(!errors.is_empty());
    errors.iter().for_each(says_that_reads_prevent_it);
    store.compact().unwrap();
}

#[test]
fn a_store_that_only_reads_or_is_closed_refuses() {
    let file = checkpointed_store();
    let reader = Store::options().read_only(true).open(&file.path).unwrap();
    let id = reader.organizations().unwrap()[0];
    assert!(matches!(reader.compact(), Err(Error::ReadOnly { .. })));
    assert!(matches!(reader.purge_organization(id), Err(Error::ReadOnly { .. })));
    for store in [Store::open(&file.path).unwrap(), Store::open_in_memory().unwrap()] {
        let clone = store.clone();
        store.close().unwrap();
        assert!(matches!(clone.compact(), Err(Error::Closed)));
        assert!(matches!(clone.purge_organization(id), Err(Error::Closed)));
    }
}
