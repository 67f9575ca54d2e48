//! A failed commit: the caller gets `OutcomeUnknown`, finds out the outcome, and continues with the same handle.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use kpi_store_test_support::with_suffix;

use crate::internals::support::{hold, with_writer, write_dataset};
use crate::{
    Dataset, DatasetId, DatasetQuery, Error, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Store,
};

/// Short enough to wait for, long enough to be distinguished from no wait at all.
const TIMEOUT: Duration = Duration::from_millis(500);

#[test]
fn a_failed_commit_answers_outcome_unknown_with_the_ids_in_order() {
    let scene = Scene::new();
    let ids = [(); 5].map(|()| DatasetId::new());
    let given = [ids[3], ids[0], ids[4], ids[1], ids[2]];

    fail_the_next_commit(&scene.store);
    let error = scene.ours.create_datasets(given.map(|id| NewDataset::new("Lost").id(id))).unwrap_err();

    assert_eq!(error.code(), "outcome_unknown");
    assert!(!error.is_retryable(), "a repetition might write twice");
    assert!(std::error::Error::source(&error).is_some(), "SQLite's error is kept");
    assert!(matches!(&error, Error::OutcomeUnknown { ids, .. } if ids == &given), "{error:?}");
    scene.is_lost();
}

#[test]
fn after_an_unknown_outcome_a_dataset_can_be_looked_up_and_created_with_the_same_id() {
    let scene = Scene::new();
    fail_the_next_commit(&scene.store);
    let unknown = unknown(scene.ours.create_dataset(request()));

    // Reading needs no recovery.
    assert_eq!(scene.ours.dataset(unknown[0]).unwrap(), None);
    scene.is_lost();
    let again = scene.ours.create_dataset(request().id(unknown[0])).unwrap();
    let taken = scene.ours.create_dataset(request().id(unknown[0])).unwrap_err();
    assert!(matches!(taken, Error::AlreadyExists { dataset, .. } if dataset == unknown[0]), "{taken:?}");
    scene.holds(&[again]);
}

/// An edit whose outcome is unknown is found by the `updated_at` that the error carries, if it is stored.
#[test]
fn after_an_unknown_outcome_of_a_change_its_updated_at_tells_whether_it_is_stored() {
    let scene = Scene::new();
    let before = scene.ours.create_dataset(request()).unwrap();
    let mut draft = before.edit();
    draft.name = "Changed".into();
    fail_the_next_commit(&scene.store);
    let error = scene.ours.save_dataset(&draft).unwrap_err();
    let Error::OutcomeUnknown { ids, updated_at: Some(updated_at), .. } = &error else { panic!("{error:?}") };
    assert_eq!(ids, &[before.id]);
    assert_eq!(scene.ours.version_at(before.id, Some(*updated_at)).unwrap(), None);
    scene.is_lost();
    // It is not stored, so saving again is no conflict; what is written then has a later token.
    let saved = scene.ours.save_dataset(&draft).unwrap();
    assert_eq!(scene.ours.version_at(before.id, saved.updated_at).unwrap().unwrap().dataset, saved);

    let delete = |ours: &Organization, id: DatasetId| ours.delete_dataset(id);
    let restore = |ours: &Organization, id: DatasetId| ours.restore_dataset(id).map(drop);
    for change in [delete, restore] {
        fail_the_next_commit(&scene.store);
        let error = change(&scene.ours, before.id).unwrap_err();
        assert!(
            matches!(&error, Error::OutcomeUnknown { ids, updated_at: None, .. } if ids == &[before.id]),
            "{error:?}"
        );
        change(&scene.ours, before.id).unwrap();
    }
    scene.holds(&[saved]);
}

#[test]
fn the_store_recovers_by_itself_and_every_handle_can_write() {
    let scene = Scene::new();
    let before = scene.ours.create_dataset(request()).unwrap();
    let clone = scene.store.clone().organization(scene.ours.id());
    fail_the_next_commit(&scene.store);
    unknown(scene.ours.create_dataset(request()));

    let first = clone.create_dataset(request()).unwrap();
    let second = scene.ours.create_dataset(request()).unwrap();
    scene.holds(&[before, first, second]);
}

#[test]
fn repeated_failed_commits_lose_no_other_commit() {
    let scene = Scene::new();
    let mut created = vec![scene.ours.create_dataset(request()).unwrap()];
    for failures in [2, 1, 3] {
        for _ in 0..failures {
            let id = DatasetId::new();
            assert_eq!(unknown(commit_what_the_schema_forbids(&scene.store, id)), [id]);
            scene.is_lost();
        }
        created.push(scene.ours.create_dataset(request()).unwrap());
    }
    scene.holds(&created);
}

#[test]
fn a_discarded_connection_keeps_no_lock() {
    let scene = Scene::new();
    let other = Store::options().busy_timeout(Duration::ZERO).open(&scene.file).unwrap();
    for _ in 0..2 {
        unknown(commit_what_the_schema_forbids(&scene.store, DatasetId::new()));
        other.organization(OrganizationId::new()).create_dataset(request()).unwrap();
    }
}

#[test]
fn recovery_waits_for_a_reader_no_longer_than_the_timeout_and_succeeds_once_it_is_gone() {
    let scene = Scene::new();
    let before = scene.ours.create_dataset(request()).unwrap();
    // While this reader holds its snapshot, later frames cannot be checkpointed.
    let reader = rusqlite::Connection::open(&scene.file).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
    let after = scene.ours.create_dataset(request()).unwrap();
    fail_the_next_commit(&scene.store);
    unknown(scene.ours.create_dataset(request()));

    for _ in 0..2 {
        is_busy_for_the_timeout(&scene.ours);
        scene.is_lost();
        assert_eq!(scene.ours.dataset(after.id).unwrap().as_ref(), Some(&after), "reads continue");
    }
    drop(reader);
    let recovered = scene.ours.create_dataset(request()).unwrap();
    scene.holds(&[before, after, recovered]);
}

/// The log is cut under the write lock: what another process has written of a commit in progress stays.
#[test]
fn recovery_from_a_full_disk_does_not_cut_what_another_process_is_writing() {
    let scene = Scene::new();
    let before = scene.ours.create_dataset(request()).unwrap();
    let disk = Disk::new(scene.file.parent().unwrap());
    let store = Store::options().busy_timeout(TIMEOUT).open(&scene.file).unwrap();
    let ours = store.organization(scene.ours.id());
    disk.fail(Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: true });
    assert_eq!(ours.create_dataset(request()).unwrap_err().code(), "storage_full");
    disk.calm();
    let other = rusqlite::Connection::open(&scene.file).unwrap();
    // So few pages that most of the transaction is in the log before the commit.
    other
        .execute_batch(
            "PRAGMA cache_size = 2; BEGIN IMMEDIATE; CREATE TABLE other (content);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
            INSERT INTO other SELECT randomblob(4000) FROM n",
        )
        .unwrap();

    is_busy_for_the_timeout(&ours);

    other.execute_batch("COMMIT").unwrap();
    let rows: i64 =
        other.query_row("SELECT count(*) FROM other WHERE length(content) = 4000", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 100);
    other.execute_batch("DROP TABLE other").unwrap();
    drop(other);
    let after = ours.create_dataset(request()).unwrap();
    drop((ours, store));
    scene.holds(&[before, after]);
}

#[test]
fn waiting_for_the_writer_and_recovery_share_one_deadline() {
    let scene = Scene::new();
    let reader = rusqlite::Connection::open(&scene.file).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
    scene.ours.create_dataset(request()).unwrap();
    fail_the_next_commit(&scene.store);
    unknown(scene.ours.create_dataset(request()));

    let held = hold(&scene.store);
    std::thread::scope(|scope| {
        scope.spawn(|| is_busy_for_the_timeout(&scene.ours));
        // No event marks the moment at which most of the timeout is spent, so this sleeps.
        std::thread::sleep(TIMEOUT * 3 / 4);
        drop(held);
    });
}

#[test]
fn recovery_of_a_moved_file_is_an_invalid_path_and_succeeds_once_it_is_back() {
    let scene = Scene::new();
    let before = scene.ours.create_dataset(request()).unwrap();
    fail_the_next_commit(&scene.store);
    unknown(scene.ours.create_dataset(request()));

    let elsewhere = scene.file.with_extension("moved");
    fs::rename(&scene.file, &elsewhere).unwrap();
    for _ in 0..2 {
        let error = scene.ours.create_dataset(request()).unwrap_err();
        assert_eq!(error.code(), "invalid_path", "{error:?}");
        assert!(!scene.file.exists(), "no file was made in its place");
    }
    fs::rename(&elsewhere, &scene.file).unwrap();
    let recovered = scene.ours.create_dataset(request()).unwrap();
    scene.holds(&[before, recovered]);
}

#[test]
fn a_store_that_needs_recovery_can_be_verified_copied_and_closed() {
    let scene = Scene::new();
    let before = scene.ours.create_dataset(request()).unwrap();
    fail_the_next_commit(&scene.store);
    unknown(scene.ours.create_dataset(request()));

    assert!(scene.store.verify().unwrap().is_whole());
    let copy = scene.file.with_extension("copy");
    scene.store.backup_to(&copy).unwrap();
    scene.store.clone().close().unwrap();
    assert_eq!(scene.ours.create_dataset(request()).unwrap_err().code(), "closed");
    for file in [&scene.file, &copy] {
        is_all(file, scene.ours.id(), std::slice::from_ref(&before));
    }
}

/// After a clean close, a commit that a read did not find must not appear.
#[test]
fn a_failed_commit_is_lost_after_a_clean_close() {
    for lasting in [false, true] {
        let scene = Scene::new();
        let disk = Disk::new(scene.file.parent().unwrap());
        // The disk sees only files that are opened after it was made.
        let store = Store::open(&scene.file).unwrap();
        let ours = store.organization(scene.ours.id());
        let before = ours.create_dataset(request()).unwrap();
        disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting });
        let id = unknown(ours.create_dataset(request()))[0];
        assert_eq!(ours.dataset(id).unwrap(), None);
        drop(scene.store);

        let closed = store.close();
        disk.calm();

        assert_eq!(closed.is_err(), lasting, "{closed:?}");
        if closed.is_ok() {
            is_all(&scene.file, ours.id(), &[before]);
        }
    }
}

#[test]
fn a_load_with_a_failed_commit_names_the_last_dataset_of_the_batch_and_how_many_are_stored() {
    for (in_batches, stored, last) in [(false, 0, 6), (true, 3, 5)] {
        let scene = Scene::new();
        let ids = [(); 7].map(|()| DatasetId::new());
        let input = || ids.map(|id| request().id(id)).into_iter();
        let options = if in_batches { LoadOptions::new().in_batches_of(3) } else { LoadOptions::new() };
        if !in_batches {
            fail_the_next_commit(&scene.store);
        }
        // Between two batches the connection is idle.
        let options = options.progress(|progress| {
            if in_batches && progress.datasets == 3 {
                fail_the_next_commit(&scene.store);
            }
            ControlFlow::Continue(())
        });

        let stopped = scene.ours.load_datasets(input(), options).unwrap_err();

        assert_eq!(stopped.stored, stored);
        assert_eq!(unknown::<()>(Err(stopped.error)), [ids[last]]);
        scene.is_lost();
        assert_eq!(scene.ours.dataset(ids[last]).unwrap(), None, "a read finds nothing");
        let rest = input().skip(usize::try_from(stored).unwrap());
        scene.ours.load_datasets(rest, LoadOptions::new()).unwrap();
        let all = listed(&scene.ours);
        assert!(all.iter().map(|dataset| dataset.id).eq(ids), "all are stored");
        scene.holds(&all);
    }
}

#[test]
fn a_store_in_memory_keeps_its_connection_and_data_after_a_failed_commit() {
    let store = Store::open_in_memory().unwrap();
    let ours = store.organization(OrganizationId::new());
    let before = ours.create_dataset(request()).unwrap();
    for _ in 0..2 {
        let id = DatasetId::new();
        assert_eq!(unknown(commit_what_the_schema_forbids(&store, id)), [id]);
    }
    let after = ours.create_dataset(request()).unwrap();
    assert_eq!(listed(&ours), [before, after]);
    assert!(store.verify().unwrap().is_whole());
}

/// The log of the store is replaced after the recovery: neither the fresh connection nor any other may remove it.
#[cfg(unix)]
#[test]
fn a_recovered_store_leaves_a_log_alone_that_replaces_its_own() {
    let scene = Scene::new();
    fail_the_next_commit(&scene.store);
    unknown(scene.ours.create_dataset(request()));
    let created = scene.ours.create_dataset(request()).unwrap();
    let [log, copy] = ["-wal", ".copy"].map(|suffix| with_suffix(&scene.file, suffix));
    fs::copy(&log, &copy).unwrap();
    fs::rename(&copy, &log).unwrap();
    assert_eq!(scene.ours.create_dataset(request()).unwrap_err().code(), "invalid_path");
    let Scene { _folder, file, store, ours } = scene;
    let (before, id) = (fs::read(&log).unwrap(), ours.id());
    drop((store, ours));
    assert_eq!(fs::read(&log).unwrap(), before);
    is_all(&file, id, &[created]);
}

/// A store in a file that is removed after the test.
struct Scene {
    _folder: tempfile::TempDir,
    file: PathBuf,
    store: Store,
    ours: Organization,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        let store = Store::options().busy_timeout(TIMEOUT).open(&file).unwrap();
        let ours = store.organization(OrganizationId::new());
        Self { _folder: folder, file, store, ours }
    }

    fn is_lost(&self) {
        assert!(self.store.access().writer.needs_recovery(), "the connection was kept");
    }

    /// Asserts that the store has exactly these datasets, read through this handle and another.
    fn holds(&self, expected: &[Dataset]) {
        assert_eq!(listed(&self.ours), expected);
        assert!(self.store.verify().unwrap().is_whole());
        is_all(&self.file, self.ours.id(), expected);
    }
}

fn is_all(file: &Path, organization: OrganizationId, expected: &[Dataset]) {
    let store = Store::open(file).unwrap();
    assert_eq!(listed(&store.organization(organization)), expected);
    assert!(store.verify().unwrap().is_whole());
}

fn listed(organization: &Organization) -> Vec<Dataset> {
    organization.iter_datasets(&DatasetQuery::new()).collect::<Result<_, _>>().unwrap()
}

fn request() -> NewDataset {
    NewDataset::new("Water").kpis(["Withdrawal", "Discharge"].map(NewKpi::new))
}

/// Makes the next commit fail: SQLite calls the commit hook, which refuses.
fn fail_the_next_commit(store: &Store) {
    assert!(!store.access().writer.needs_recovery());
    // The oldest rusqlite of the range returns nothing here.
    with_writer(store, |connection| drop(connection.commit_hook(Some(|| true))));
}

/// Commits a KPI without its dataset. That fails on any connection, and leaves the transaction open.
fn commit_what_the_schema_forbids(store: &Store, id: DatasetId) -> crate::Result<()> {
    write_dataset(store, id, |connection| {
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
            INSERT INTO kpi (dataset_seq, id, position, name, value_type, required, sort_order, created_at)
            VALUES (1000000, randomblob(16), 0, 'Orphan', 0, 1, 0, 0)",
        )?;
        Ok(())
    })
}

/// The ids of an unknown outcome.
fn unknown<T: std::fmt::Debug>(result: crate::Result<T>) -> Vec<DatasetId> {
    match result {
        Err(Error::OutcomeUnknown { ids, .. }) => ids,
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}

fn is_busy_for_the_timeout(organization: &Organization) {
    let started = Instant::now();
    let error = organization.create_dataset(request()).unwrap_err();
    let took = started.elapsed();
    let Error::Busy { waited, .. } = error else { panic!("expected busy, got {error:?}") };
    // SQLite counts the time that it intended to sleep, a few milliseconds less than has passed; a machine may be slow.
    assert!(took < TIMEOUT + TIMEOUT / 2, "waited for {took:?}");
    assert!(waited <= took && waited + TIMEOUT / 10 > TIMEOUT, "says {waited:?} of {took:?}");
}
