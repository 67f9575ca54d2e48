//! Backups: one complete, compact, private file with what the store held at one moment, or no file at all.

mod in_use;
mod racing;
mod restoring;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};

use kpi_store::{Dataset, Error, NewDataset, Progress, Store};

use crate::support::{TestFile, entries, listed, organization, plain_sqlite, request_with_kpis, with_suffix};

/// The application ids of a backup and of a store.
const BACKUP: i64 = 0x4B50_4942;
const STORE: i64 = 0x4B50_4953;

#[test]
fn a_backup_is_one_file_that_holds_what_the_store_holds() {
    let (file, store, created) = store_with(40);
    let copy = file.folder.path().join("copy.db");
    store.backup_to(&copy).unwrap();

    assert_eq!(names(&file), ["copy.db", "kpis.db", "kpis.db-shm", "kpis.db-wal"].map(PathBuf::from));
    holds(&copy, &created);
    let plain = plain_sqlite(&copy);
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_backup_is_compact_and_no_larger_than_its_source() {
    let (file, store, _) = large_store(400);
    let plain = plain_sqlite(&file.path);
    plain.execute_batch("DELETE FROM kpi WHERE dataset_seq > 50; DELETE FROM dataset WHERE seq > 50").unwrap();
    assert!(pragma(&file.path, "freelist_count") > 20, "the source has pages to spare");

    let copy = file.folder.path().join("copy.db");
    store.backup_to(&copy).unwrap();
    let length = i64::try_from(fs::metadata(&copy).unwrap().len()).unwrap();
    assert_eq!(pragma(&copy, "freelist_count"), 0);
    assert_eq!(length, pragma(&copy, "page_count") * pragma(&copy, "page_size"));
    assert!(length < pragma(&file.path, "page_count") * 4_096 / 2, "{length}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let (file, store, _) = store_with(1);
    let copy = file.folder.path().join("copy.db");
    store.backup_to(&copy).unwrap();
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_target_that_exists_or_cannot_be_created_is_refused_and_stays_unchanged() {
    let (file, store, _) = store_with(3);
    let folder = file.folder.path();
    fs::write(folder.join("text"), "Water").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    let mut targets = vec!["text", "empty", "folder", "folder/", "missing/copy.db", "text/copy.db", "copy.db/", "."];
    // The store itself, under other spellings too, and the names of SQLite's companion files.
    targets.extend(["kpis.db", "folder/../kpis.db", "kpis.db-wal", "kpis.db-shm", "kpis.db-journal"]);
    #[cfg(unix)]
    for (link, to) in [("dangling", "nowhere"), ("link", "text"), ("to-store", "kpis.db"), ("to-folder", "folder")] {
        std::os::unix::fs::symlink(to, folder.join(link)).unwrap();
        targets.push(link);
    }
    // The index of the log is shared memory, which changes with every reader.
    let all_but_the_index = || -> Vec<_> { entries(folder).into_iter().filter(|e| !e.has_suffix("-shm")).collect() };
    let before = all_but_the_index();
    for target in targets {
        let error = store.backup_to(with_suffix(folder, &format!("/{target}"))).unwrap_err();
        assert_eq!(error.code(), "invalid_path", "{target}: {error:?}");
        assert!(all_but_the_index() == before, "{target}: something changed");
    }
    for target in ["", ":memory:", "nul\0.db"] {
        assert_eq!(store.backup_to(target).unwrap_err().code(), "invalid_path", "{target:?}");
    }
}

/// SQLite would take them for those of the backup: roll back the journal, or mix in the log.
#[test]
fn a_target_beside_leftovers_of_another_file_is_refused() {
    for suffix in ["-wal", "-shm", "-journal"] {
        let (file, store, created) = store_with(3);
        let copy = file.folder.path().join("copy.db");
        fs::write(with_suffix(&copy, suffix), "of another file").unwrap();
        let error = store.backup_to(&copy).unwrap_err();
        assert!(error.to_string().contains("of another file") && error.code() == "invalid_path", "{suffix}: {error:?}");
        assert!(!copy.exists(), "{suffix}");
        fs::remove_file(with_suffix(&copy, suffix)).unwrap();
        store.backup_to(&copy).unwrap();
        holds(&copy, &created);
    }
}

#[test]
fn a_backup_can_be_cancelled_while_it_is_verified() {
    let (file, store, _) = large_store(400);
    let copy = file.folder.path().join("copy.db");
    let told = Arc::new(AtomicU64::new(0));
    let ends = Arc::clone(&told);
    // The first call at the end of the copy; the calls after it are made by the verification.
    let after_the_copy = move |progress: Progress| {
        let again = progress.done == progress.total && ends.fetch_add(1, Relaxed) > 0;
        if again { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(store.backup_to_with(&copy, after_the_copy), Err(Error::Cancelled)));
    assert_eq!(told.load(Relaxed), 2);
    assert_eq!(names(&file), ["kpis.db", "kpis.db-shm", "kpis.db-wal"].map(PathBuf::from));
}

#[cfg(unix)]
#[test]
fn a_target_may_have_a_name_that_is_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let (file, store, created) = store_with(3);
    let copy = file.folder.path().join(std::ffi::OsStr::from_bytes(b"c\xff'\"; --\xfe?mode=memory.db"));
    store.backup_to(&copy).unwrap();
    assert!(copy.exists());
    holds(&copy, &created);
}

#[cfg(unix)]
#[test]
fn a_target_may_have_the_longest_name_that_a_store_can_have() {
    let (file, store, created) = store_with(3);
    let copy = file.folder.path().join("n".repeat(255 - "-journal".len()));
    store.backup_to(&copy).unwrap();
    holds(&copy, &created);
    let names = names(&file);
    let too_long = file.folder.path().join("n".repeat(256));
    assert_eq!(store.backup_to(too_long).unwrap_err().code(), "invalid_path");
    assert_eq!(self::names(&file), names);
}

#[test]
fn a_store_in_memory_can_be_kept_in_a_file() {
    let file = TestFile::new();
    let store = Store::open_in_memory().unwrap();
    let ours = organization(&store);
    let created: Vec<_> = (0..20).map(|count| ours.create_dataset(request_with_kpis(count)).unwrap()).collect();
    store.backup_to(&file.path).unwrap();
    ours.create_dataset(NewDataset::new("Later")).unwrap();
    holds(&file.path, &created);
}

#[test]
fn a_damaged_store_is_not_copied_and_the_error_names_what_is_damaged() {
    let (file, store, created) = store_with(5);
    plain_sqlite(&file.path).execute_batch("UPDATE dataset SET name = 'Wate' WHERE seq = 3").unwrap();
    let before = names(&file);
    let error = store.backup_to(file.folder.path().join("copy.db")).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { dataset, .. } if *dataset == Some(created[2].id)), "{error:?}");
    assert_eq!(names(&file), before, "neither a copy nor a draft");
}

#[test]
fn progress_rises_to_the_end_and_a_callback_may_use_the_store() {
    let (file, store, created) = large_store(400);
    let (heard, progress) = mpsc::channel();
    let theirs = organization(&store);
    let copy = file.folder.path().join("copy.db");
    let watch = move |progress: Progress| {
        heard.send((progress.done, progress.total)).unwrap();
        theirs.create_dataset(NewDataset::new("Meanwhile")).unwrap();
        ControlFlow::Continue(())
    };
    store.backup_to_with(&copy, watch).unwrap();

    let heard: Vec<(u64, u64)> = progress.iter().collect();
    assert!(heard.len() > 3, "{heard:?}");
    assert!(heard.is_sorted_by_key(|(done, _)| *done) && heard[0].0 < heard[heard.len() - 1].0, "{heard:?}");
    assert!(heard.iter().all(|(done, total)| done <= total && *total == heard[0].1), "{heard:?}");
    holds(&copy, &created);
}

#[test]
fn a_backup_that_is_cancelled_at_any_moment_leaves_nothing() {
    let (file, store, created) = large_store(60);
    let copy = file.folder.path().join("copy.db");
    let before = names(&file);
    let calls = (1..1_000).find(|&last| {
        let mut calls = 0;
        let watch = move |_| {
            calls += 1;
            if calls == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match store.backup_to_with(&copy, watch) {
            Ok(()) => true,
            Err(Error::Cancelled) => {
                assert_eq!(names(&file), before, "cancelled at call {last}");
                false
            }
            Err(error) => panic!("{error:?}"),
        }
    });
    assert!(calls > Some(3), "it was cancelled at {calls:?} moments");
    holds(&copy, &created);
}

#[test]
fn a_closed_store_is_not_copied() {
    let (file, store, _) = store_with(1);
    store.clone().close().unwrap();
    assert!(matches!(store.backup_to(file.folder.path().join("copy.db")), Err(Error::Closed)));
    assert_eq!(names(&file), ["kpis.db"].map(PathBuf::from));
}

/// A store with this number of datasets of up to seven KPIs, and the datasets.
fn store_with(count: usize) -> (TestFile, Store, Vec<Dataset>) {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let requests = (0..count).map(|index| request_with_kpis(index % 8));
    let created = organization(&store).create_datasets(requests).unwrap();
    (file, store, created)
}

/// A store of some megabytes: large enough for several progress calls.
fn large_store(datasets: usize) -> (TestFile, Store, Vec<Dataset>) {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let created = organization(&store).create_datasets((0..datasets).map(|_| request_with_kpis(100))).unwrap();
    (file, store, created)
}

fn names(file: &TestFile) -> Vec<PathBuf> {
    entries(file.folder.path()).into_iter().map(|entry| entry.path).collect()
}

/// The file is a sound store of exactly these datasets, all of one organization.
fn holds(file: &Path, created: &[Dataset]) {
    let store = Store::options().read_only(true).open(file).unwrap();
    assert_eq!(store.organizations().unwrap(), [created[0].organization_id]);
    assert_eq!(listed(&store.organization(created[0].organization_id)), created);
    assert!(store.verify().unwrap().is_whole());
}

/// A number from the header of a file, by plain SQLite.
fn pragma(file: &Path, name: &str) -> i64 {
    plain_sqlite(file).pragma_query_value(None, name, |row| row.get(0)).unwrap()
}
