//! Opening: a store opens under any name and beside other handles, and everything acknowledged is in it.

use std::fs;
use std::path::{Path, PathBuf};

use kpi_store::{Durability, NewDataset, Store};

use crate::support::unprivileged::in_a_child;
use crate::support::{
    TestFile, checkpointed_store, entries, listed, organization, plain_sqlite, request_with_kpis,
    rows_seen_by_plain_sqlite, with_suffix,
};

/// File names that are special to SQLite, a shell or a URI.
const NAMES: [&str; 9] = [
    "kpis",
    "a name with spaces.db",
    "größe-水.db",
    "100%25 %20.db",
    "what?mode=memory#fragment.db",
    "file:x?mode=memory",
    "file:///x.db?mode=ro",
    "'; DROP TABLE dataset; --",
    "...",
];

#[test]
fn opens_a_file_of_any_name_in_its_folder_and_nowhere_else() {
    for name in NAMES.iter().filter(|name| cfg!(unix) || !name.contains([':', '?', ';'])) {
        let TestFile { folder, .. } = TestFile::new();
        // A name with a separator also names folders.
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        holds_what_is_stored(&file);
        let found: Vec<PathBuf> = entries(folder.path()).into_iter().map(|entry| entry.path).collect();
        let real = fs::canonicalize(&file).unwrap();
        assert!(found.contains(&real.strip_prefix(fs::canonicalize(folder.path()).unwrap()).unwrap().to_owned()));
        assert_eq!(found.len(), file.strip_prefix(folder.path()).unwrap().components().count(), "{name}: {found:?}");
    }
}

#[cfg(unix)]
#[test]
fn opens_a_file_with_a_name_that_is_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    holds_what_is_stored(&folder.path().join(std::ffi::OsStr::from_bytes(b"kp\xff\xfe.db")));
}

#[test]
fn opens_a_relative_path_in_the_current_folder() {
    let paths = ["kpis.db", "./dot.db", "sub/../up.db", "sub/down.db", "file:x?mode=memory"];
    let paths = paths.iter().filter(|path| cfg!(unix) || !path.contains(':'));
    in_a_child("opening::opens_a_relative_path_in_the_current_folder", |folder| {
        fs::create_dir("sub").unwrap();
        for path in paths {
            holds_what_is_stored(Path::new(path));
            assert_eq!(rows_seen_by_plain_sqlite(&folder.join(path)), (1, 2));
        }
    });
}

#[cfg(unix)]
#[test]
fn every_handle_agrees_on_the_one_real_file_behind_links() {
    let folder = tempfile::tempdir().unwrap();
    let real_folder = folder.path().join("real");
    fs::create_dir(&real_folder).unwrap();
    let real = Store::open(real_folder.join("kpis.db")).unwrap();
    let dataset = organization(&real).create_dataset(request_with_kpis(3)).unwrap();
    for (link, to) in [("to-file.db", "real/kpis.db"), ("to-link.db", "to-file.db"), ("to-folder", "real")] {
        std::os::unix::fs::symlink(to, folder.path().join(link)).unwrap();
    }
    for path in ["to-file.db", "to-link.db", "to-folder/kpis.db"].map(|link| folder.path().join(link)) {
        let store = Store::open(&path).unwrap();
        assert_eq!(store.path(), real.path(), "{path:?}");
        let same = store.organization(dataset.organization_id);
        assert_eq!(same.dataset(dataset.id).unwrap().as_ref(), Some(&dataset), "{path:?}");
    }
    drop(real);
    let left: Vec<_> = entries(folder.path()).into_iter().map(|entry| entry.path).collect();
    assert_eq!(left, ["real", "real/kpis.db", "to-file.db", "to-folder", "to-link.db"].map(PathBuf::from));
}

#[test]
fn takes_an_empty_file_for_a_new_one() {
    let file = TestFile::with(b"");
    holds_what_is_stored(&file.path);
}

#[test]
fn a_store_that_is_open_can_be_opened_again() {
    let file = TestFile::new();
    let first = Store::open(&file.path).unwrap();
    let ours = organization(&first);
    let second = Store::open(&file.path).unwrap();
    let water = ours.create_dataset(request_with_kpis(2)).unwrap();
    let theirs = second.organization(ours.id());
    assert_eq!(theirs.dataset(water.id).unwrap(), Some(water));
    let waste = theirs.create_dataset(NewDataset::new("Waste")).unwrap();
    second.close().unwrap();
    assert_eq!(ours.dataset(waste.id).unwrap(), Some(waste));
}

#[test]
fn a_file_with_a_leftover_log_has_everything_acknowledged() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created: Vec<_> = (0..20).map(|count| ours.create_dataset(request_with_kpis(count)).unwrap()).collect();
    // A killed process leaves these two; the third, -shm, is rebuilt.
    let left = TestFile::new();
    fs::copy(&file.path, &left.path).unwrap();
    let without_log = TestFile::new();
    fs::copy(&file.path, &without_log.path).unwrap();
    fs::copy(with_suffix(&file.path, "-wal"), with_suffix(&left.path, "-wal")).unwrap();

    let recovered = Store::open(&left.path).unwrap();
    let theirs = recovered.organization(ours.id());
    let read = listed(&theirs);
    assert_eq!(read, created);
    recovered.close().unwrap();
    assert_eq!(entries(left.folder.path()).len(), 1, "the log was copied into the file");

    // The control: the log was needed.
    assert_eq!(rows_seen_by_plain_sqlite(&without_log.path), (0, 0));
}

#[test]
fn tolerates_the_statistics_of_analyze() {
    let file = checkpointed_store();
    let plain = plain_sqlite(&file.path);
    plain.execute_batch("ANALYZE").unwrap();
    let tables =
        plain.query_row("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'sqlite_stat*'", [], |row| row.get(0));
    assert!(tables.is_ok_and(|tables: i64| tables > 0));
    drop(plain);
    let store = Store::open(&file.path).unwrap();
    assert_eq!(store.organizations().unwrap().len(), 1);
}

#[test]
fn the_file_has_the_documented_settings_at_either_durability() {
    for durability in [Durability::Full, Durability::Normal] {
        let file = TestFile::new();
        let store = Store::options().durability(durability).open(&file.path).unwrap();
        organization(&store).create_dataset(request_with_kpis(1)).unwrap();
        let plain = plain_sqlite(&file.path);
        let pragma = |name: &str| plain.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        let found = ["page_size", "application_id", "user_version", "auto_vacuum"].map(pragma);
        assert_eq!(found, [4_096, 0x4B50_4953, 1, 0], "{durability:?}");
        let text = |name: &str| plain.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(["journal_mode", "encoding", "integrity_check"].map(text), ["wal", "UTF-8", "ok"], "{durability:?}");
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file_and_its_companions() {
    use std::os::unix::fs::PermissionsExt;
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    organization(&store).create_dataset(request_with_kpis(1)).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(with_suffix(&file.path, suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix:?}");
    }
}

/// A dataset stored in a new file at `path` is found there again, by this crate and by plain SQLite.
fn holds_what_is_stored(path: &Path) {
    let store = Store::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let created = organization(&store).create_dataset(request_with_kpis(2)).unwrap();
    assert_eq!(store.path(), Some(fs::canonicalize(path).unwrap().as_path()));
    drop(store);
    let store = Store::open(path).unwrap();
    assert_eq!(
        store.organization(created.organization_id).dataset(created.id).unwrap(),
        Some(created),
        "{}",
        path.display()
    );
    drop(store);
    assert_eq!(rows_seen_by_plain_sqlite(&fs::canonicalize(path).unwrap()), (1, 2), "{}", path.display());
}

/// On its own, SQLite does this only when the last connection to the file closes.
#[test]
fn closing_copies_the_log_into_the_file_also_while_another_handle_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (file, alone) = (folder.path().join("kpis.db"), folder.path().join("without its log.db"));
    let (first, second) = (Store::open(&file).unwrap(), Store::open(&file).unwrap());
    let organization = organization(&second);
    let created = organization.create_dataset(request_with_kpis(3)).unwrap();

    // In the file itself, and not only in the log beside it.
    let found = |store: &Path| {
        fs::copy(store, &alone).unwrap();
        let copy = Store::open(&alone).unwrap();
        let found = copy.organization(organization.id()).dataset(created.id).unwrap();
        copy.close().unwrap();
        found
    };
    assert_eq!(found(&file), None, "the control: it is in the log");
    second.close().unwrap();
    assert_eq!(found(&file), Some(created));
    drop(first);
}

/// SQLite never writes the page that contains the bytes that it locks, at 1 GiB: it is in no log either.
#[test]
fn opens_a_file_that_a_log_lengthens_beyond_the_page_of_locks() {
    const PAGES: u64 = (1 << 30) / 4_096;
    let file = TestFile::in_memory();
    Store::open(&file.path).unwrap().close().unwrap();
    // The file is sparse, and the header counts all of its pages.
    let mut bytes = fs::read(&file.path).unwrap();
    bytes[28..32].copy_from_slice(&u32::try_from(PAGES).unwrap().to_be_bytes());
    fs::write(&file.path, bytes).unwrap();
    fs::File::options().write(true).open(&file.path).unwrap().set_len(1 << 30).unwrap();

    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..3).map(|_| request_with_kpis(100))).unwrap();
    assert_eq!(fs::metadata(&file.path).unwrap().len(), 1 << 30, "the control: the new pages are in the log");
    assert!(fs::metadata(with_suffix(&file.path, "-wal")).unwrap().len() > 0);
    for read_only in [true, false] {
        let again = Store::options().read_only(read_only).open(&file.path).unwrap();
        assert_eq!(listed(&again.organization(ours.id())), created);
    }
    store.close().unwrap();
    let pages: u64 = plain_sqlite(&file.path)
        .query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .cast_unsigned();
    assert!(pages > PAGES + 1, "the control: {pages} pages, of which the next after the {PAGES} is never written");
    assert_eq!(listed(&Store::open(&file.path).unwrap().organization(ours.id())), created);
}
