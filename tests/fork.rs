//! A store that a child inherits by fork: every call is refused there with what to do, and dropping it there does not
//! disturb the parent.
//!
//! The tests run one after the other: a forked child has only the thread that forked, and locks held by other threads
//! stay locked.
#![cfg(unix)]
#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

use std::cell::Cell;
use std::error::Error as _;
use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use kpi_store::{
    ChangeCursor, DatasetId, DatasetQuery, Error, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Store,
};

use support::child::{self, Child};
use support::{TestFile, listed, organization, plain_sqlite, request_with_kpis};

// SAFETY: these are the C library's, declared as every Unix declares them.
unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(code: i32) -> !;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
}

static TURN: Mutex<()> = Mutex::new(());

/// A call, and what it answers.
type Call = (&'static str, fn(&Store, &Organization) -> Result<(), Error>);

const CALLS: [Call; 14] = [
    ("create_dataset", |_, ours| ours.create_dataset(request_with_kpis(1)).map(drop)),
    ("create_datasets", |_, ours| ours.create_datasets([request_with_kpis(1)]).map(drop)),
    ("load_datasets", |_, ours| Ok(ours.load_datasets([request_with_kpis(1)], LoadOptions::new()).map(drop)?)),
    ("dataset", |_, ours| ours.dataset(DatasetId::new()).map(drop)),
    ("datasets", |_, ours| ours.datasets(&DatasetQuery::new()).map(drop)),
    ("iter_datasets", |_, ours| ours.iter_datasets(&DatasetQuery::new()).collect::<Result<Vec<_>, _>>().map(drop)),
    ("count_datasets", |_, ours| ours.count_datasets(&DatasetQuery::new()).map(drop)),
    ("accept_dataset", |_, ours| ours.accept_dataset(DatasetId::new()).map(drop)),
    ("organizations", |store, _| store.organizations().map(drop)),
    ("verify", |store, _| store.verify().map(drop)),
    ("backup_to", |store, _| store.backup_to(store.path().unwrap().with_extension("copy"))),
    ("compact", |store, _| store.compact()),
    ("purge_organization", |store, ours| store.purge_organization(ours.id())),
    ("close", |store, _| store.clone().close()),
];

#[test]
fn every_call_is_refused_in_a_forked_child_with_the_remedy() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for read_only in [false, true] {
        let (file, parent, ours) = open_store();
        let created = ours.create_dataset(request_with_kpis(1)).unwrap();
        let carried = Store::options().read_only(read_only).open(&file.path).unwrap();
        let carried = (carried.organization(ours.id()), carried);
        assert_eq!(listed(&carried.0), [created]);

        let ((theirs, carried), wrong) =
            in_a_fork(carried, |(theirs, store)| first_that_is_not_refused(&store, &theirs));
        let wrong = usize::try_from(wrong).unwrap().checked_sub(1).map(|place| CALLS[place].0);
        assert_eq!(wrong, None, "read only: {read_only}");
        // The control: in the parent nothing is refused, except writes to a read-only handle and changes of a dataset that
        // does not exist.
        let answers = CALLS[..11].iter().map(|(_, call)| call(&carried, &theirs).map_err(|error| error.code()));
        assert!(
            answers.clone().all(|answer| matches!(answer, Ok(()) | Err("read_only" | "not_found"))),
            "{:?}",
            answers.collect::<Vec<_>>()
        );
        drop((theirs, carried, ours));
        parent.close().unwrap();
        let left = fs::read_dir(file.folder.path()).unwrap().count();
        assert_eq!(left, 2, "the store, and the backup of the parent");
    }
}

#[test]
fn a_watch_in_a_forked_child_is_refused_and_does_not_disturb_that_of_the_parent() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for is_dropped in [false, true] {
        let (file, parent, ours) = open_store();
        let watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
        let carried = (parent, ours, watch);
        let ((parent, ours, mut watch), wrong) = in_a_fork(carried, |(store, theirs, mut watch)| {
            let is_refused = [Duration::ZERO, Duration::MAX]
                .map(|timeout| watch.wait(timeout).is_err_and(|error| is_refusal(&error)));
            let ends = watch.next().is_some_and(|error| error.is_err_and(|error| is_refusal(&error)));
            let ends = ends && watch.next().is_none();
            let is_new_refused = theirs.watch(ChangeCursor::start()).is_err_and(|error| is_refusal(&error));
            watch.stop_handle().stop();
            if is_dropped {
                drop((watch, theirs, store));
            } else {
                std::mem::forget((watch, theirs, store));
            }
            i32::from(is_refused != [true; 2]) + 2 * i32::from(!ends) + 4 * i32::from(!is_new_refused)
        });
        assert_eq!(wrong, 0);
        let created = ours.create_dataset(request_with_kpis(1)).unwrap();
        assert_eq!(
            watch.wait(Duration::MAX).unwrap().items[0].dataset,
            created.id,
            "what the child stopped is its own"
        );
        assert!(file.with_suffix("-wal").exists(), "the log went with the child");
        drop(ours);
        parent.close().unwrap();
        assert!(watch.next().is_none());
    }
}

#[test]
fn dropping_the_store_in_a_forked_child_does_not_disturb_the_parent() {
    const TEST: &str = "dropping_the_store_in_a_forked_child_does_not_disturb_the_parent";
    if let Some(task) = child::task() {
        return child::send([take_the_whole_file(&task.file)]);
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (file, parent, ours) = open_store();
    let mut created = vec![ours.create_dataset(request_with_kpis(1)).unwrap()];
    let mut carried = (parent, ours);
    for round in 0..3 {
        // The child drops every handle, and ends with all its descriptors.
        let code;
        (carried, code) = in_a_fork(carried, |carried| {
            drop(carried);
            0
        });
        assert_eq!(code, 0);
        assert!(file.with_suffix("-wal").exists(), "the log went with the child");
        let others = Child::start(TEST, "take the whole file", &file.path, 0).wait().unwrap();
        assert_eq!(others, ["database is locked"], "the parent's lock went with the child");
        created.push(carried.1.create_dataset(request_with_kpis(1)).unwrap());
        assert_eq!(listed(&carried.1), created, "round {round}");
        assert!(carried.0.verify().unwrap().is_whole());
    }
    let (parent, ours) = carried;
    parent.close().unwrap();
    // The control: once no process has it open, the file can be locked.
    assert_eq!(Child::start(TEST, "take the whole file", &file.path, 0).wait().unwrap(), ["delete"]);
    assert_eq!(listed(&Store::open(&file.path).unwrap().organization(ours.id())), created);
}

#[test]
fn a_load_with_an_iterator_that_forks_continues_in_the_parent_only() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_file, store, ours) = open_store();
    let (parent, mut is_alone) = (std::process::id(), false);
    // By then some pages have moved from the cache to the log.
    let input = (0..80).map(|place| {
        if place == 60 {
            // SAFETY: the child uses only what is its own, and exits below.
            match unsafe { fork() } {
                0 => {}
                child => is_alone = exit_code(child) == 0,
            }
        }
        NewDataset::new(place.to_string()).kpis((0..100).map(|_| NewKpi::new("x").description("m".repeat(1_000))))
    });
    let loaded =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ours.load_datasets(input, LoadOptions::new())));
    if std::process::id() != parent {
        let is_refused = matches!(loaded, Ok(Err(stopped)) if is_refusal(&stopped.error));
        let is_refused = is_refused && ours.create_dataset(request_with_kpis(1)).is_err_and(|error| is_refusal(&error));
        // SAFETY: nothing else of the parent's runs in the child.
        unsafe { _exit(i32::from(!is_refused)) }
    }
    assert_eq!(loaded.unwrap().unwrap().datasets, 80);
    assert!(is_alone, "the child was not refused");
    assert!(listed(&ours).into_iter().map(|dataset| dataset.name).eq((0..80).map(|place| place.to_string())));
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_compaction_with_a_callback_that_forks_continues_in_the_parent_only() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_file, store, ours) = open_store();
    let created = ours.create_datasets((0..100).map(|_| request_with_kpis(100))).unwrap();
    let parent = std::process::id();
    // At its beginning, and inside VACUUM.
    for percent in [0, 50] {
        let child = Arc::new(AtomicI32::new(-1));
        let forked = Arc::clone(&child);
        let compacted = store.compact_with(move |progress| {
            let is_first = forked.load(Relaxed) == -1 && progress.done * 100 >= progress.total * percent;
            if is_first && progress.done < progress.total {
                // SAFETY: the child uses only what is its own, and exits below.
                forked.store(unsafe { fork() }, Relaxed);
                if std::process::id() == parent {
                    assert_eq!(exit_code(forked.load(Relaxed)), 0, "the child was not refused");
                }
            }
            std::ops::ControlFlow::Continue(())
        });
        if std::process::id() != parent {
            let is_refused = compacted.is_err_and(|error| is_refusal(&error));
            // SAFETY: nothing else of the parent's runs in the child.
            unsafe { _exit(i32::from(!is_refused)) }
        }
        compacted.unwrap();
        assert!(child.load(Relaxed) > 0, "it has forked");
        assert_eq!(listed(&ours), created);
        assert!(store.verify().unwrap().is_whole());
    }
}

#[test]
fn dropping_the_store_late_in_a_forked_child_keeps_a_log_that_was_written_since() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (file, parent, ours) = open_store();
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let carried = Cell::new(Some((parent, ours)));
    let (mut told, mut tell) = std::io::pipe().unwrap();
    let leave = || {
        told.read_exact(&mut [0]).unwrap();
        drop(carried.take());
        0
    };
    let close_and_write = || {
        carried.take().unwrap().0.close().unwrap();
        // A process that is killed leaves its log.
        let killed = plain_sqlite(&file.path);
        killed.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        killed.execute("UPDATE dataset SET name = 'Waste'", []).unwrap();
        drop(killed);
        tell.write_all(&[0]).unwrap();
    };
    let ((), code) = in_a_fork_while(leave, close_and_write);
    assert_eq!(code, 0);
    let found = plain_sqlite(&file.path).query_row("SELECT name FROM dataset", [], |row| row.get(0));
    assert_eq!(found, Ok("Waste".to_owned()), "the log went with the child");
}

#[test]
fn a_store_in_memory_works_in_both_and_each_has_its_own_copy() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ours = Store::open_in_memory().unwrap().organization(OrganizationId::new());
    let (ours, count) = in_a_fork(ours, |ours| {
        ours.create_datasets([request_with_kpis(1), request_with_kpis(1)]).unwrap();
        i32::try_from(listed(&ours).len()).unwrap()
    });
    assert_eq!((count, listed(&ours).len()), (2, 0));
}

#[test]
fn a_clock_that_forks_in_the_middle_of_a_create_gives_parent_and_child_different_ids() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (parent, child) = (std::process::id(), Arc::new(AtomicI32::new(0)));
    let forked = Arc::clone(&child);
    let clock = move || {
        // SAFETY: the child uses only what is its own, and exits below.
        forked.store(unsafe { fork() }, Relaxed);
        DateTime::UNIX_EPOCH
    };
    let ours = Store::options().clock(clock).open_in_memory().unwrap().organization(OrganizationId::new());
    let (mut told, mut tell) = std::io::pipe().unwrap();
    let created = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ours.create_dataset(request_with_kpis(1)).unwrap().id
    }));
    if std::process::id() != parent {
        let is_told = created.is_ok_and(|id| tell.write_all(uuid::Uuid::from(id).as_bytes()).is_ok());
        // SAFETY: nothing else of the parent's runs in the child.
        unsafe { _exit(i32::from(!is_told)) }
    }
    assert_eq!(exit_code(child.load(Relaxed)), 0);
    let mut theirs = [0; 16];
    told.read_exact(&mut theirs).unwrap();
    assert_ne!(created.unwrap(), DatasetId::from(uuid::Uuid::from_bytes(theirs)));
}

/// Parent and child start with the same memory, often within the same millisecond.
#[test]
fn a_child_makes_other_ids_than_its_parent() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || -> Vec<[u8; 16]> { (0..100).map(|_| *uuid::Uuid::from(DatasetId::new()).as_bytes()).collect() };
    for round in 0..50 {
        let before = DatasetId::new();
        let (mut told, mut tell) = std::io::pipe().unwrap();
        let in_the_child = || {
            let ids = make();
            let is_later = ids.iter().all(|id| id > uuid::Uuid::from(before).as_bytes());
            tell.write_all(&ids.concat()).unwrap();
            i32::from(!is_later)
        };
        let (ours, code) = in_a_fork_while(in_the_child, make);
        assert_eq!(code, 0, "round {round}: an id of the child is no later than one before it");
        let mut theirs = [0; 1_600];
        told.read_exact(&mut theirs).unwrap();
        assert!(theirs.chunks(16).all(|id| ours.iter().all(|other| other != id)), "round {round}: the same id twice");
    }
}

#[test]
fn a_child_cannot_open_what_was_open_at_the_fork_but_every_other_file() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (open, parent, ours) = open_store();
    let before = ours.create_dataset(request_with_kpis(1)).unwrap();
    let (closed, other, _) = open_store();
    other.close().unwrap();
    let fresh = closed.path.with_extension("fresh");
    let link = closed.path.with_extension("link");
    std::os::unix::fs::symlink(&open.path, &link).unwrap();

    let carried = (parent, ours);
    let (carried, wrong) = in_a_fork(carried, |carried| {
        let is_refused = |file: &Path, read_only| {
            Store::options().read_only(read_only).open(file).is_err_and(|error| is_refusal(&error))
        };
        let refusals = || is_refused(&open.path, false) && is_refused(&open.path, true) && is_refused(&link, false);
        let first = refusals();
        drop(carried);
        let others = [&closed.path, &fresh].map(|file| Store::open(file).and_then(|store| create_and_count(&store)));
        i32::from(!first) + 2 * i32::from(!refusals()) + 4 * i32::from(!matches!(others, [Ok(1), Ok(1)]))
    });
    assert_eq!(wrong, 0);
    // The parent can open it as often as it likes, and so can a child once it was closed.
    assert_eq!(listed(&Store::open(&open.path).unwrap().organization(before.organization_id)), [before]);
    drop(carried);
    let ((), wrong) = in_a_fork((), |()| i32::from(Store::open(&open.path).is_err()));
    assert_eq!(wrong, 0);
}

/// What that refusal prevents: SQLite in a child takes the parent's locks for its own, and the parent, which finds no
/// other lock, removes the log into which the child writes.
#[test]
fn plain_sqlite_in_a_child_loses_what_it_commits() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (file, parent, ours) = open_store();
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let ((from_child, to_parent), (from_parent, to_child)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let said = |mut pipe: &PipeReader| pipe.read_exact(&mut [0]).unwrap();
    let say = |mut pipe: &PipeWriter| pipe.write_all(b"!").unwrap();

    let child = || {
        let plain = plain_sqlite(&file.path);
        let before: i64 = plain.query_row("SELECT count(*) FROM dataset", [], |row| row.get(0)).unwrap();
        say(&to_parent);
        said(&from_parent);
        let changed = plain.execute("DELETE FROM kpi", []).unwrap();
        i32::from(before != 1 || changed != 1)
    };
    let parent_closes = || {
        said(&from_child);
        parent.close().unwrap();
        say(&to_child);
    };
    let ((), failed) = in_a_fork_while(child, parent_closes);
    assert_eq!(failed, 0, "the child was told that it is done");
    let plain = plain_sqlite(&file.path);
    let kpis: i64 = plain.query_row("SELECT count(*) FROM kpi", [], |row| row.get(0)).unwrap();
    assert_eq!(kpis, 1, "it is not: the refusal is no longer needed");
}

fn create_and_count(store: &Store) -> Result<u64, Error> {
    let ours = organization(store);
    ours.create_dataset(request_with_kpis(1))?;
    ours.count_datasets(&DatasetQuery::new())
}

fn open_store() -> (TestFile, Store, Organization) {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    (file, store, ours)
}

/// Forks, and lets the child do `work` with the value. The parent gets the value back, and the exit code of the child.
fn in_a_fork<T>(carried: T, work: impl FnOnce(T) -> i32) -> (T, i32) {
    // SAFETY: the child uses what is its own, and ends without running anything else of the parent's.
    match unsafe { fork() } {
        0 => {
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(carried)));
            unsafe { _exit(worked.unwrap_or(99)) }
        }
        child => (carried, exit_code(child)),
    }
}

/// The same while the parent does something too.
fn in_a_fork_while<T>(work: impl FnOnce() -> i32, meanwhile: impl FnOnce() -> T) -> (T, i32) {
    // SAFETY: as above.
    match unsafe { fork() } {
        0 => {
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            unsafe { _exit(worked.unwrap_or(99)) }
        }
        child => (meanwhile(), exit_code(child)),
    }
}

fn exit_code(child: i32) -> i32 {
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: the pointer is to a local variable.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status & 0x7F, 0, "the child was killed");
    (status >> 8) & 0xFF
}

fn is_refusal(error: &Error) -> bool {
    let says_what_to_do = error.source().is_some_and(|source| source.to_string().contains("after the fork"));
    error.code() == "storage" && !error.is_retryable() && says_what_to_do
}

/// The number of the first call that is not refused as it should be, counted from 1; 0 if there is none.
fn first_that_is_not_refused(store: &Store, ours: &Organization) -> i32 {
    let is_wrong = |(_, call): &Call| !call(store, ours).is_err_and(|error| is_refusal(&error));
    CALLS.iter().position(is_wrong).map_or(0, |place| i32::try_from(place + 1).unwrap())
}

/// Leaving the write-ahead log takes a lock on the whole file, which fails while another process has it open.
fn take_the_whole_file(file: &Path) -> String {
    let plain = plain_sqlite(file);
    plain.busy_timeout(Duration::ZERO).unwrap();
    match plain.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)) {
        Ok(mode) => mode,
        Err(error) => error.to_string(),
    }
}
