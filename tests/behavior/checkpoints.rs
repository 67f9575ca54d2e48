//! The file alone, without the log beside it: it is a store from its first opening on, and after a checkpoint it has
//! everything.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use kpi_store::{Dataset, Error, LoadOptions, Organization, Store};

use crate::support::{
    TestFile, checkpointed_store, listed, organization, plain_sqlite, request_with_kpis, with_suffix,
};

/// Copies the file alone, as a program that synchronizes files would. Another process does it: to open and close the file
/// in this one would drop SQLite's locks.
fn copy_alone(file: &TestFile) -> (TestFile, PathBuf) {
    let copy = TestFile::new();
    assert!(Command::new("cp").arg(&file.path).arg(&copy.path).status().unwrap().success());
    let path = copy.path.clone();
    (copy, path)
}

/// The datasets of the organization in the copy, read as a store.
fn held(copy: &Path, ours: &Organization) -> Vec<Dataset> {
    let store = Store::options().read_only(true).open(copy).unwrap();
    assert!(store.verify().unwrap().is_whole());
    listed(&store.organization(ours.id()))
}

fn log_length(file: &TestFile) -> u64 {
    std::fs::metadata(with_suffix(&file.path, "-wal")).unwrap().len()
}

#[test]
fn the_file_alone_is_a_store_as_soon_as_it_was_opened() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    ours.create_dataset(request_with_kpis(3)).unwrap();
    assert!(log_length(&file) > 0, "what was created is in the log");
    let (_copy, copy) = copy_alone(&file);
    assert_eq!(held(&copy, &ours), [], "an older moment");
}

#[test]
fn after_a_checkpoint_the_file_alone_has_everything_and_the_log_is_empty() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created: Vec<_> = (0..5).map(|kpis| ours.create_dataset(request_with_kpis(kpis)).unwrap()).collect();

    assert!(store.checkpoint().unwrap());

    assert_eq!(log_length(&file), 0);
    let (_copy, copy) = copy_alone(&file);
    assert_eq!(held(&copy, &ours), created);
    assert!(store.checkpoint().unwrap(), "with nothing to copy");
    ours.create_dataset(request_with_kpis(1)).unwrap();
    assert_eq!(listed(&ours).len(), 6);
}

#[test]
fn a_snapshot_of_another_process_delays_a_checkpoint_and_loses_nothing() {
    let file = checkpointed_store();
    let timeout = Duration::from_millis(50);
    let store = Store::options().busy_timeout(timeout).open(&file.path).unwrap();
    let ours = organization(&store);
    let reader = plain_sqlite(&file.path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
    let created = ours.create_dataset(request_with_kpis(2)).unwrap();

    assert!(!store.checkpoint().unwrap());
    assert_eq!(listed(&ours), std::slice::from_ref(&created));

    reader.execute_batch("COMMIT").unwrap();
    assert!(store.checkpoint().unwrap());
    let (_copy, copy) = copy_alone(&file);
    assert_eq!(held(&copy, &ours), [created]);
}

/// SQLite checkpoints as much as it can where another connection keeps it from truncating the log.
#[test]
fn an_opening_copies_a_leftover_log_into_the_file_beside_a_snapshot_or_a_write_of_another_program() {
    for sql in ["BEGIN; SELECT count(*) FROM dataset", "BEGIN IMMEDIATE"] {
        let file = checkpointed_store();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store);
        let created = ours.create_dataset(request_with_kpis(2)).unwrap();
        let other = plain_sqlite(&file.path);
        other.execute_batch(sql).unwrap();
        let (_copy, copy) = copy_alone(&file);
        assert_eq!(held(&copy, &ours), [], "{sql}: it is only in the log");
        // Closing explicitly would checkpoint.
        let id = ours.id();
        drop((store, ours));
        let left = log_length(&file);
        assert!(left > 0, "{sql}: the other connection keeps the log");

        let store = Store::open(&file.path).unwrap();

        assert_eq!(log_length(&file), left, "{sql}: the log cannot be truncated");
        let (_copy, copy) = copy_alone(&file);
        assert_eq!(held(&copy, &store.organization(id)), [created], "{sql}");
        other.execute_batch("COMMIT").unwrap();
    }
}

#[test]
fn a_write_in_progress_past_the_timeout_makes_a_checkpoint_answer_false() {
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::from_millis(20)).open(&file.path).unwrap();
    let (began, is_writing) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let ours = organization(&store);
        scope.spawn(move || {
            let input = std::iter::once_with(|| {
                began.send(()).unwrap();
                may_end.recv().unwrap();
                request_with_kpis(1)
            });
            ours.load_datasets(input, LoadOptions::new()).unwrap();
        });
        is_writing.recv().unwrap();
        assert!(!store.checkpoint().unwrap());
        end.send(()).unwrap();
    });
    assert!(store.checkpoint().unwrap());
}

/// A verification holds a snapshot, so that a checkpoint from its callback would wait for itself.
#[test]
fn a_checkpoint_during_a_verification_answers_false_at_once() {
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::MAX).open(&file.path).unwrap();
    organization(&store).create_dataset(request_with_kpis(3)).unwrap();
    let inner = store.clone();
    let (send, answers) = mpsc::channel();
    store
        .verify_with(move |_| {
            organization(&inner).create_dataset(request_with_kpis(1)).unwrap();
            send.send(inner.checkpoint().unwrap()).unwrap();
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(answers.iter().count() > 0);
    assert!(store.checkpoint().unwrap());
}

#[test]
fn a_store_in_memory_has_nothing_to_copy_and_others_refuse() {
    let memory = Store::open_in_memory().unwrap();
    assert!(memory.checkpoint().unwrap());
    let clone = memory.clone();
    memory.close().unwrap();
    assert!(matches!(clone.checkpoint(), Err(Error::Closed)));

    let file = checkpointed_store();
    let reader = Store::options().read_only(true).open(&file.path).unwrap();
    assert!(matches!(reader.checkpoint(), Err(Error::ReadOnly { .. })));
    let store = Store::open(&file.path).unwrap();
    let clone = store.clone();
    store.close().unwrap();
    assert!(matches!(clone.checkpoint(), Err(Error::Closed)));
}
