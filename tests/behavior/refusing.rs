//! Refusing to open: what is not a store is refused with the right error, and it and its folder stay byte for byte as
//! they were.

mod altered;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kpi_store::Store;

use crate::support::unprivileged::in_a_child;
use crate::support::{
    TestFile, checkpointed_store, entries, organization, plain_sqlite, request_with_kpis, with_suffix,
};

/// Makes something in a folder, and returns the path to open.
type Make = fn(&Path) -> PathBuf;

/// Paths that cannot be those of a store.
const PATHS: &[(&str, Make)] = &[
    ("empty", |_| PathBuf::new()),
    (":memory:", |_| ":memory:".into()),
    ("a NUL in the name", |folder| folder.join("kpis\0.db")),
    ("a NUL in the folder", |folder| folder.join("a\0b").join("kpis.db")),
    ("the folder", Path::to_owned),
    ("the folder, with a separator", |folder| folder.join("")),
    ("the folder as a dot", |folder| with_suffix(folder, "/.")),
    ("the folder above", |folder| folder.join("..")),
    ("two dots", |_| "..".into()),
    ("one dot", |_| ".".into()),
    ("the root", |_| "/".into()),
    ("a new file, with a separator", |folder| folder.join("kpis.db").join("")),
    ("a new file, as a folder", |folder| with_suffix(folder, "/kpis.db/.")),
    ("a missing folder", |folder| folder.join("missing").join("kpis.db")),
    ("a file in the place of a folder", |folder| file(folder, "file", b"text").join("kpis.db")),
    ("a name longer than a name can be", |folder| folder.join("n".repeat(256))),
];

#[cfg(unix)]
const PATHS_ON_UNIX: &[(&str, Make)] = &[
    ("a FIFO", |folder| {
        let fifo = folder.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        fifo
    }),
    ("a device", |_| "/dev/null".into()),
    ("a socket", |folder| {
        drop(std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap());
        folder.join("socket")
    }),
    ("a link to nothing", |folder| link(folder, "link", "missing.db")),
    ("a link to a file in a missing folder", |folder| link(folder, "link", "missing/kpis.db")),
    ("a link to itself", |folder| link(folder, "link", "link")),
    ("a link to a folder", |folder| link(folder, "link", ".")),
    ("a link to a device", |folder| link(folder, "link", "/dev/null")),
    ("a path longer than SQLite opens", |folder| long_path(folder, 505)),
    ("a name with which no journal can be named", |folder| folder.join("n".repeat(248))),
    ("the longest name", |folder| folder.join("n".repeat(255))),
    ("a folder in which SQLite can open no draft of a backup", |folder| long_folder(folder, 472).join("kpis.db")),
];

#[test]
fn refuses_a_path_that_cannot_be_that_of_a_store_and_makes_nothing() {
    #[cfg(unix)]
    let paths = PATHS.iter().chain(PATHS_ON_UNIX);
    #[cfg(not(unix))]
    let paths = PATHS.iter();
    for (what, make) in paths {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path());
        refuses(what, folder.path(), &path, "invalid_path");
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_too_long_only_for_a_journal_is_refused_with_that_reason() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open(folder.path().join("n".repeat(248))).unwrap_err();
    assert!(error.to_string().contains("-journal"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_one_byte_shorter_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_path(folder.path(), 504);
    assert_eq!(Store::open(&path).unwrap().path(), Some(path.as_path()));
}

#[cfg(unix)]
#[test]
fn a_store_in_a_folder_that_is_one_byte_shorter_opens_and_can_be_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = long_folder(folder.path(), 471).join("kpis.db");
    Store::open(&path).unwrap().backup_to(path.with_extension("copy")).unwrap();
}

/// Contents that are not a store, made from those of one.
type Content = fn(Vec<u8>) -> Vec<u8>;

const FILES: &[(&str, &str, Content)] = &[
    ("one byte", "not_a_store", |_| b"x".to_vec()),
    ("the first byte of a store", "not_a_store", |store| store[..1].to_vec()),
    ("a short text", "not_a_store", |_| b"hello".to_vec()),
    ("a long text", "not_a_store", |_| b"hello ".repeat(2_000)),
    ("a hundred zeros", "not_a_store", |_| vec![0; 100]),
    ("a page of zeros", "not_a_store", |_| vec![0; 4_096]),
    ("the magic of SQLite alone", "not_a_store", |store| store[..16].to_vec()),
    ("half a header of SQLite", "corrupt", |store| store[..50].to_vec()),
    ("a store whose magic is gone", "not_a_store", |mut store| {
        store[0] = b'X';
        store
    }),
    ("a store cut to a page", "corrupt", |store| store[..4_096].to_vec()),
    ("a store without its last page", "corrupt", |store| store[..store.len() - 4_096].to_vec()),
];

#[test]
fn refuses_a_file_that_is_not_a_store_and_leaves_it_unchanged() {
    let store = fs::read(checkpointed_store().path).unwrap();
    for (what, code, content) in FILES {
        let file = TestFile::with(content(store.clone()));
        refuses(what, file.folder.path(), &file.path, code);
    }
}

#[cfg(unix)]
#[test]
fn refuses_to_write_a_read_only_file_and_leaves_it_unchanged() {
    use std::os::unix::fs::PermissionsExt;
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    in_a_child("refusing::refuses_to_write_a_read_only_file_and_leaves_it_unchanged", |folder| {
        let file = folder.join("kpis.db");
        Store::open(&file).unwrap();
        allow(&file, 0o400);
        let refuses = |what, path: &Path| refuses_to_open(what, folder, path, "read_only", false);
        refuses("a file that may only be read", &file);
        allow(&file, 0o600);
        allow(folder, 0o500);
        refuses("in a folder that may only be read", &file);
        refuses("a new file in a folder that may only be read", &folder.join("new.db"));
        allow(folder, 0o700);
        Store::open(&file).unwrap();
    });
}

#[test]
fn refuses_a_file_that_was_cut_within_its_last_page_and_leaves_it_unchanged() {
    let store = fs::read(checkpointed_store().path).unwrap();
    for length in [store.len() - 1, store.len() - 4_095, store.len() + 1] {
        let file = TestFile::new();
        let mut content = store.clone();
        content.resize(length, 0);
        fs::write(&file.path, content).unwrap();
        refuses(&format!("{length} bytes of {}", store.len()), file.folder.path(), &file.path, "corrupt");
    }
}

/// A tool that only reads leaves such a log.
#[test]
fn refuses_a_file_that_was_cut_beside_an_empty_log() {
    let store = fs::read(checkpointed_store().path).unwrap();
    for log in [&[][..], &[0; 31]] {
        let file = TestFile::with(&store[..store.len() - 1]);
        fs::write(with_suffix(&file.path, "-wal"), log).unwrap();
        assert_eq!(Store::open(&file.path).unwrap_err().code(), "corrupt", "a log of {} bytes", log.len());
    }
}

#[test]
fn refuses_a_cut_store_if_its_log_lacks_the_missing_pages() {
    let file = checkpointed_store();
    let store = Store::open(&file.path).unwrap();
    let ours = store.organization(store.organizations().unwrap()[0]);
    ours.create_datasets((0..20).map(|_| request_with_kpis(100))).unwrap();
    store.close().unwrap();
    let store = Store::open(&file.path).unwrap();
    store.organization(ours.id()).create_dataset(request_with_kpis(1)).unwrap();
    let [whole, log] = ["", "-wal"].map(|suffix| fs::read(with_suffix(&file.path, suffix)).unwrap());
    let cut_to = |length: usize| {
        let file = TestFile::with(&whole[..length]);
        fs::write(with_suffix(&file.path, "-wal"), &log).unwrap();
        file
    };
    for length in [whole.len() / 2, whole.len() / 2 - 1, 3 * 4_096, 4_097, 4_096, 100] {
        let file = cut_to(length);
        refuses(&format!("{length} bytes of {}", whole.len()), file.folder.path(), &file.path, "corrupt");
    }
    // The control: the last page is in the log.
    for length in [whole.len() - 1, whole.len() - 4_095, whole.len() - 4_096] {
        let file = cut_to(length);
        let store = Store::open(&file.path).unwrap();
        let found = store.verify().unwrap();
        assert_eq!((found.kpis, found.is_whole()), (2_061, true), "{length} bytes of {}", whole.len());
    }
}

/// The log may hold everything that is left of the store; SQLite would remove it.
#[test]
fn refuses_a_log_beside_an_empty_or_missing_file_and_keeps_it() {
    let file = checkpointed_store();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let dataset = ours.create_dataset(request_with_kpis(3)).unwrap();
    let left = TestFile::new();
    for suffix in ["", "-wal"] {
        fs::copy(with_suffix(&file.path, suffix), with_suffix(&left.path, suffix)).unwrap();
    }
    let whole = fs::read(&left.path).unwrap();
    fs::write(&left.path, b"").unwrap();
    refuses("an empty file beside its log", left.folder.path(), &left.path, "corrupt");
    fs::remove_file(&left.path).unwrap();
    refuses_to_open("a log alone", left.folder.path(), &left.path, "corrupt", false);
    refuses_to_open("a log alone", left.folder.path(), &left.path, "invalid_path", true);
    // The control: together with its file it opens.
    fs::write(&left.path, whole).unwrap();
    let store = Store::open(&left.path).unwrap();
    assert_eq!(store.organization(ours.id()).dataset(dataset.id).unwrap(), Some(dataset));
}

/// Things under the names that SQLite uses for its own files.
#[cfg(unix)]
#[test]
fn refuses_a_file_if_one_of_its_companions_is_not_a_regular_file() {
    use std::os::unix::fs::symlink;
    type Put = fn(&Path);
    let put: [(&str, Put); 4] = [
        ("a folder", |there| fs::create_dir(there).unwrap()),
        ("a FIFO", |there| assert!(Command::new("mkfifo").arg(there).status().unwrap().success())),
        ("a link to nothing", |there| symlink("nothing", there).unwrap()),
        ("a link to a file", |there| {
            fs::write(there.with_file_name("precious.txt"), "Water").unwrap();
            symlink("precious.txt", there).unwrap();
        }),
    ];
    for suffix in ["-wal", "-shm", "-journal"] {
        for (what, put) in put {
            let file = checkpointed_store();
            put(&with_suffix(&file.path, suffix));
            refuses(&format!("{what} at {suffix}"), file.folder.path(), &file.path, "invalid_path");
        }
    }
}

#[test]
fn refuses_a_file_of_two_names_by_either() {
    let file = checkpointed_store();
    let other = file.folder.path().join("other.db");
    fs::hard_link(&file.path, &other).unwrap();
    for path in [&file.path, &other] {
        refuses("a file of two names", file.folder.path(), path, "invalid_path");
    }
    fs::remove_file(other).unwrap();
    Store::open(&file.path).unwrap();
}

#[test]
fn a_refusal_names_the_remedy() {
    let file = checkpointed_store();
    plain_sqlite(&file.path).execute_batch("PRAGMA user_version = 7").unwrap();
    let error = Store::open(&file.path).unwrap_err();
    assert!(matches!(error, kpi_store::Error::TooNew { found: 7, supported: 1, .. }), "{error:?}");

    let error = Store::open(":memory:").unwrap_err();
    assert!(error.to_string().contains("open_in_memory"), "{error}");
}

#[test]
fn the_comparison_of_folders_detects_every_change() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("a byte", |folder| drop(file(folder, "b", b"2"))),
        ("a length", |folder| drop(file(folder, "b", b"11"))),
        ("a new file", |folder| drop(file(folder, "b-wal", b""))),
        ("a file less", |folder| fs::remove_file(folder.join("b")).unwrap()),
        ("a new folder", |folder| fs::create_dir(folder.join("c")).unwrap()),
        ("a new file in a folder", |folder| drop(file(folder, "a/b", b""))),
    ];
    for (what, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        file(folder.path(), "b", b"1");
        let before = entries(folder.path());
        assert_eq!(entries(folder.path()), before, "{what}");
        change(folder.path());
        assert_ne!(entries(folder.path()), before, "{what}");
    }
}

/// Opening `path` fails with `code`, for writing and read-only, and `folder` stays byte for byte as it was.
fn refuses(what: &str, folder: &Path, path: &Path, code: &str) {
    refuses_to_open(what, folder, path, code, false);
    refuses_to_open(what, folder, path, code, true);
}

fn refuses_to_open(what: &str, folder: &Path, path: &Path, code: &str, read_only: bool) {
    let mut before = entries(folder);
    let found = Store::options().read_only(read_only).open(path).map(drop).map_err(|error| error.code());
    let what = format!("{what}, read only: {read_only}");
    assert_eq!(found, Err(code), "{what}");
    let mut after = entries(folder);
    // SQLite creates it beside an existing -wal, and cannot read without it.
    if before.iter().any(|entry| entry.has_suffix("-wal")) {
        for entries in [&mut before, &mut after] {
            entries.retain(|entry| !entry.has_suffix("-shm"));
        }
    }
    assert_eq!(after, before, "{what}");
}

fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[cfg(unix)]
fn link(folder: &Path, name: &str, to: &str) -> PathBuf {
    let path = folder.join(name);
    std::os::unix::fs::symlink(to, &path).unwrap();
    path
}

/// A path in an existing folder whose canonical form has this number of bytes.
#[cfg(unix)]
fn long_path(folder: &Path, bytes: usize) -> PathBuf {
    let mut folder = fs::canonicalize(folder).unwrap();
    while folder.as_os_str().len() < bytes - 120 {
        folder.push("f".repeat(100));
    }
    fs::create_dir_all(&folder).unwrap();
    let name = "n".repeat(bytes - folder.as_os_str().len() - 1);
    folder.join(name)
}

/// A folder in this one, which has a path of so many bytes.
#[cfg(unix)]
fn long_folder(folder: &Path, bytes: usize) -> PathBuf {
    let folder = long_path(folder, bytes);
    fs::create_dir(&folder).unwrap();
    folder
}
