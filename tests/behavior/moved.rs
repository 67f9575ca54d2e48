//! A file that is renamed, replaced or removed while it is open: a write is refused, since its data would be lost; a
//! read returns what was stored or an error, never what another file holds. A file that comes back is complete and can
//! be written again.

use std::fs;
use std::path::Path;

use kpi_store::{Dataset, DatasetQuery, LoadOptions, NewDataset, Organization, Store};

use crate::support::{
    TestFile, checkpointed_store, entries, listed, organization, plain_sqlite, request_with_kpis,
    rows_seen_by_plain_sqlite, with_suffix,
};

/// Does something to the file at a path, and returns how to undo it, if that is possible.
type Event = fn(&Path) -> Option<Box<dyn FnOnce()>>;

const EVENTS: &[(&str, Event)] = &[
    ("renamed", |file| {
        rename(file, ".aside");
        Some(back(file, &with_suffix(file, ".aside")))
    }),
    ("renamed into another folder", |file| {
        fs::create_dir(file.with_file_name("other")).unwrap();
        let other = file.with_file_name("other").join("kpis.db");
        fs::rename(file, &other).unwrap();
        Some(back(file, &other))
    }),
    ("renamed and an empty file in its place", |file| {
        rename(file, ".aside");
        fs::write(file, b"").unwrap();
        Some(back(file, &with_suffix(file, ".aside")))
    }),
    ("renamed and a folder in its place", |file| {
        rename(file, ".aside");
        fs::create_dir(file).unwrap();
        let (file, aside) = (file.to_owned(), with_suffix(file, ".aside"));
        Some(Box::new(move || {
            fs::remove_dir(&file).unwrap();
            fs::rename(aside, file).unwrap();
        }))
    }),
    ("renamed and a link to nothing in its place", |file| {
        rename(file, ".aside");
        std::os::unix::fs::symlink("missing", file).unwrap();
        Some(back(file, &with_suffix(file, ".aside")))
    }),
    ("moved into another folder and a link to it in its place", |file| {
        fs::create_dir(file.with_file_name("synced")).unwrap();
        let other = file.with_file_name("synced").join("kpis.db");
        fs::rename(file, &other).unwrap();
        std::os::unix::fs::symlink(&other, file).unwrap();
        Some(back(file, &other))
    }),
    ("renamed and replaced by another store", |file| {
        rename(file, ".aside");
        fs::copy(checkpointed_store().path, file).unwrap();
        Some(back(file, &with_suffix(file, ".aside")))
    }),
    ("renamed and replaced by a copy of itself", |file| {
        rename(file, ".aside");
        fs::copy(with_suffix(file, ".aside"), file).unwrap();
        Some(back(file, &with_suffix(file, ".aside")))
    }),
    ("overwritten by another store that is renamed", |file| {
        let other = with_suffix(file, ".other");
        fs::copy(checkpointed_store().path, &other).unwrap();
        fs::rename(other, file).unwrap();
        None
    }),
    ("removed", |file| {
        fs::remove_file(file).unwrap();
        None
    }),
    ("removed with all that lies beside it", |file| {
        remove(file, &["", "-wal", "-shm"]);
        None
    }),
    ("its folder renamed", |file| {
        let (folder, aside) = (file.parent().unwrap().to_owned(), with_suffix(file.parent().unwrap(), ".aside"));
        fs::rename(&folder, &aside).unwrap();
        Some(Box::new(move || fs::rename(aside, folder).unwrap()))
    }),
    ("its folder renamed and another in its place", |file| {
        let (folder, aside) = (file.parent().unwrap().to_owned(), with_suffix(file.parent().unwrap(), ".aside"));
        fs::rename(&folder, &aside).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::copy(checkpointed_store().path, file).unwrap();
        Some(Box::new(move || {
            fs::remove_dir_all(&folder).unwrap();
            fs::rename(aside, folder).unwrap();
        }))
    }),
    ("its folder removed", |file| {
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
        None
    }),
];

fn rename(file: &Path, suffix: &str) {
    fs::rename(file, with_suffix(file, suffix)).unwrap();
}

fn remove(file: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        fs::remove_file(with_suffix(file, suffix)).unwrap();
    }
}

/// Moves the file back, over whatever is there.
fn back(file: &Path, aside: &Path) -> Box<dyn FnOnce()> {
    let (file, aside) = (file.to_owned(), aside.to_owned());
    Box::new(move || fs::rename(aside, file).unwrap())
}

/// A store in a nested folder with some datasets, the later of which are only in the log.
struct Open {
    file: std::path::PathBuf,
    store: Store,
    ours: Organization,
    stored: Vec<Dataset>,
    // The last, so that no store is open when its folder is removed: another file may get its inode.
    temporary: TestFile,
}

impl Open {
    fn new() -> Self {
        let temporary = TestFile::new();
        let folder = temporary.folder.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("kpis.db");
        let first = Store::open(&file).unwrap();
        let id = organization(&first).id();
        let create = |store: &Store, count| store.organization(id).create_dataset(request_with_kpis(count)).unwrap();
        let mut stored = vec![create(&first, 1), create(&first, 30)];
        first.close().unwrap();
        let store = Store::open(&file).unwrap();
        stored.extend([create(&store, 2), create(&store, 50)]);
        Self { ours: store.organization(id), temporary, file, store, stored }
    }

    fn write(&self) -> Result<(), &'static str> {
        self.ours.create_dataset(NewDataset::new("Waste")).map(drop).map_err(|error| error.code())
    }

    /// Reads return what was stored, or an error about the path.
    fn reads_are_right(&self, what: &str) {
        for dataset in &self.stored {
            match self.ours.dataset(dataset.id) {
                Ok(found) => assert_eq!(found.as_ref(), Some(dataset), "{what}"),
                Err(error) => assert_eq!(error.code(), "invalid_path", "{what}"),
            }
        }
        match self.ours.datasets(&DatasetQuery::new()) {
            Ok(page) => assert_eq!(page.items, self.stored, "{what}"),
            Err(error) => assert_eq!(error.code(), "invalid_path", "{what}"),
        }
    }
}

#[test]
fn a_write_is_refused_and_a_read_is_right_or_refused_until_the_file_is_back() {
    for (what, event) in EVENTS {
        for has_reader in [true, false] {
            let what = format!("{what}, a reader before: {has_reader}");
            let open = Open::new();
            if has_reader {
                // The first reads open none.
                (0..9).for_each(|_| open.reads_are_right(&what));
            }
            let undo = event(&open.file);
            assert_eq!(open.write(), Err("invalid_path"), "{what}");
            open.reads_are_right(&what);
            assert_eq!(open.ours.dataset(open.stored[0].id).is_ok(), has_reader, "{what}");
            assert_eq!(open.store.verify().unwrap_err().code(), "invalid_path", "{what}");
            let copy = open.temporary.folder.path().join("copy.db");
            assert_eq!(open.store.backup_to(&copy).unwrap_err().code(), "invalid_path", "{what}");
            assert!(!copy.exists(), "{what}");
            if let Some(undo) = undo {
                undo();
                open.reads_are_right(&what);
                assert_eq!(open.write(), Ok(()), "{what}");
                assert!(open.store.verify().unwrap().is_whole(), "{what}");
                is_whole_for_all(open, &what);
            }
        }
    }
}

/// The iterator of a load runs between the beginning of the transaction and the commit.
#[test]
fn a_commit_into_a_file_that_was_just_moved_is_not_acknowledged() {
    for (what, event) in EVENTS {
        let open = Open::new();
        let file = open.file.clone();
        let mut undo = None;
        let new = std::iter::once_with(|| {
            undo = event(&file);
            request_with_kpis(1)
        });
        let failed = open.ours.load_datasets(new, LoadOptions::new()).unwrap_err();
        assert_eq!(failed.code(), "outcome_unknown", "{what}: {failed:?}");
    }
}

/// A create that waits for the lock of another process begins after the file was moved.
#[test]
fn a_create_that_waited_while_the_file_was_moved_is_refused() {
    let open = Open::new();
    let other = plain_sqlite(&open.file);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| open.write());
        // No event tells that it waits.
        std::thread::sleep(std::time::Duration::from_millis(100));
        rename(&open.file, ".aside");
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap(), Err("invalid_path"));
    });
}

/// However the store is closed, another one finds everything that was acknowledged.
fn is_whole_for_all(open: Open, what: &str) {
    let Open { temporary: _temporary, file, store, ours, stored } = open;
    let id = ours.id();
    drop((store, ours));
    assert_eq!(rows_seen_by_plain_sqlite(&file), (5, 83), "{what}");
    let again = Store::open(&file).unwrap().organization(id);
    let found = listed(&again);
    assert_eq!(found[..stored.len()], stored, "{what}");
}

/// Closing or dropping a store whose file was replaced leaves the replacement and its companions alone.
#[test]
fn a_replacement_stays_unchanged_and_the_moved_file_is_complete() {
    for is_closed in [true, false] {
        let Open { temporary: _temporary, file, store, ours, stored } = Open::new();
        let aside = with_suffix(&file, ".aside");
        fs::rename(&file, &aside).unwrap();
        fs::copy(checkpointed_store().path, &file).unwrap();
        let before = fs::read(&file).unwrap();
        let id = ours.id();
        assert!(ours.create_dataset(NewDataset::new("Waste")).is_err());
        drop(ours);
        if is_closed {
            store.close().unwrap();
        } else {
            drop(store);
        }
        assert_eq!(fs::read(&file).unwrap(), before, "closed: {is_closed}");

        // With the log, which kept its old name, the moved file is complete.
        fs::rename(&aside, &file).unwrap();
        let again = Store::open(&file).unwrap().organization(id);
        let found = listed(&again);
        assert_eq!(found, stored, "closed: {is_closed}");
    }
}

/// The log of the store that is still open would be mixed into it; the mark of a backup prevents that.
#[test]
fn a_backup_that_replaces_an_open_store_is_refused_until_that_is_closed() {
    let Open { temporary: _temporary, file, store, ours, stored } = Open::new();
    let backup = file.with_file_name("backup.db");
    store.backup_to(&backup).unwrap();
    ours.create_dataset(request_with_kpis(3)).unwrap();
    fs::rename(&backup, &file).unwrap();
    let before = entries(file.parent().unwrap());
    for options in [Store::options(), Store::options().read_only(true)] {
        assert_eq!(options.open(&file).map(drop).unwrap_err().code(), "corrupt");
    }
    assert_eq!(entries(file.parent().unwrap()), before);
    let id = ours.id();
    drop((store, ours));
    remove(&file, &["-wal", "-shm"]);
    let restored = Store::open(&file).unwrap().organization(id);
    let found = listed(&restored);
    assert_eq!(found, stored);
}

/// The control: without a check of the name, a write into a file that was removed is acknowledged and lost.
#[test]
fn plain_sqlite_writes_into_a_file_that_was_removed() {
    let Open { file, store, .. } = &Open::new();
    store.organizations().unwrap();
    let plain = plain_sqlite(file);
    plain.query_row("SELECT count(*) FROM dataset", [], |row| row.get::<_, i64>(0)).unwrap();
    fs::remove_file(file).unwrap();
    assert_eq!(plain.execute("DELETE FROM kpi", []), Ok(83));
    assert!(!file.exists());
}
