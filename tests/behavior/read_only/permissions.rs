//! Opening read-only what may only be read, as a user other than root, which may write anywhere.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kpi_store::{Error, Organization, Store};

use super::{open, source};
use crate::support::unprivileged::in_a_child;
use crate::support::{entries, listed, organization, request_with_kpis, with_suffix};

/// File names that are special to SQLite, a shell or a URI.
const NAMES: &[&[u8]] = &[
    b"kpis.db",
    b"a name with spaces.db",
    b"100%25 %20 %00.db",
    b"what?mode=rw&vfs=none.db",
    b"what#fragment.db",
    b"gr\xc3\xb6\xc3\x9fe.db",
    b"'\"\\\n.db",
    b"kp\xff\xfe.db",
    b"file:x?immutable=0",
];

#[test]
fn a_file_that_was_closed_is_read_in_a_folder_that_may_only_be_read() {
    in_a_child("read_only::permissions::a_file_that_was_closed_is_read_in_a_folder_that_may_only_be_read", |folder| {
        for (index, name) in NAMES.iter().enumerate() {
            let folder = folder.join(format!("folder %41?{index}"));
            fs::create_dir(&folder).unwrap();
            let file = folder.join(OsStr::from_bytes(name));
            let (store, ours) = store_with_one(&file);
            let expected = listed(&ours);
            store.close().unwrap();
            for file_mode in [0o600, 0o400] {
                allow(&file, file_mode);
                allow(&folder, 0o500);
                let before = entries(&folder);
                let reader = open(&file).unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
                assert_eq!(listed(&reader.organization(ours.id())), expected, "{}", file.display());
                assert!(reader.verify().unwrap().is_whole());
                let copy = folder.with_extension(format!("copy {file_mode}"));
                reader.backup_to(&copy).unwrap();
                assert_eq!(listed(&Store::open(&copy).unwrap().organization(ours.id())), expected);
                let refused = reader.organization(ours.id()).create_dataset(request_with_kpis(1));
                assert_eq!(refused.unwrap_err().code(), "read_only");
                reader.close().unwrap();
                assert_eq!(entries(&folder), before, "{}", file.display());
                allow(&folder, 0o700);
            }
        }
    });
}

#[test]
fn a_backup_into_a_folder_that_may_only_be_read_is_refused() {
    in_a_child("read_only::permissions::a_backup_into_a_folder_that_may_only_be_read_is_refused", |folder| {
        let (store, _ours) = store_with_one(&folder.join("kpis.db"));
        let other = folder.join("other");
        fs::create_dir(&other).unwrap();
        allow(&other, 0o500);
        assert_eq!(store.backup_to(other.join("copy.db")).unwrap_err().code(), "read_only");
        assert!(entries(&other).is_empty());
        allow(&other, 0o700);
    });
}

#[test]
fn a_file_that_may_only_be_read_is_read_and_can_be_written_once_it_may() {
    in_a_child(
        "read_only::permissions::a_file_that_may_only_be_read_is_read_and_can_be_written_once_it_may",
        |folder| {
            let file = folder.join("kpis.db");
            let (store, ours) = store_with_one(&file);
            let expected = listed(&ours);
            store.close().unwrap();
            let content = fs::read(&file).unwrap();
            allow(&file, 0o400);
            let reader = open(&file).unwrap();
            assert_eq!(listed(&reader.organization(ours.id())), expected);
            assert!(reader.verify().unwrap().is_whole());
            drop(reader);
            assert_eq!(fs::read(&file).unwrap(), content);

            allow(&file, 0o600);
            let store = Store::open(&file).unwrap();
            store.organization(ours.id()).create_dataset(request_with_kpis(2)).unwrap();
            store.close().unwrap();
        },
    );
}

#[test]
fn a_log_that_can_be_used_is_read_where_nothing_can_be_written() {
    in_a_child("read_only::permissions::a_log_that_can_be_used_is_read_where_nothing_can_be_written", |folder| {
        let file = folder.join("kpis.db");
        let (store, ours) = store_with_one(&file);
        let expected = listed(&ours);
        let frozen = folder.join("frozen");
        fs::create_dir(&frozen).unwrap();
        // All three, as a killed process leaves them.
        for suffix in ["", "-wal", "-shm"] {
            let copy = with_suffix(&frozen.join("kpis.db"), suffix);
            fs::copy(with_suffix(&file, suffix), &copy).unwrap();
            allow(&copy, 0o400);
        }
        allow(&frozen, 0o500);
        let before = entries(&frozen);
        let reader = open(&frozen.join("kpis.db")).unwrap();
        assert_eq!(listed(&reader.organization(ours.id())), expected);
        drop(reader);
        assert_eq!(entries(&frozen), before);
        allow(&frozen, 0o700);
        drop(store);
    });
}

/// A log that cannot be used: the companions of the file with their modes, and the mode of the folder.
const UNUSABLE: &[Beside] = &[
    ("a log alone", &[("-wal", 0o600)], 0o500),
    ("a log that may only be read", &[("-wal", 0o400)], 0o500),
    ("a log that may not be read", &[("-wal", 0o000)], 0o500),
    ("a log that may not be read, in a folder that may be written", &[("-wal", 0o000)], 0o700),
    ("an index that may not be read", &[("-wal", 0o400), ("-shm", 0o000)], 0o500),
];

type Beside = (&'static str, &'static [(&'static str, u32)], u32);

#[test]
fn an_unusable_log_is_refused_and_named_as_the_reason() {
    in_a_child("read_only::permissions::an_unusable_log_is_refused_and_named_as_the_reason", |folder| {
        let file = folder.join("kpis.db");
        let (_store, ours) = store_with_one(&file);
        for (what, beside, folder_mode) in UNUSABLE {
            let frozen = folder.join(what);
            fs::create_dir(&frozen).unwrap();
            let copy = frozen.join("kpis.db");
            fs::copy(&file, &copy).unwrap();
            for (suffix, mode) in *beside {
                fs::copy(with_suffix(&file, suffix), with_suffix(&copy, suffix)).unwrap();
                allow(&with_suffix(&copy, suffix), *mode);
            }
            allow(&frozen, *folder_mode);
            let error = open(&copy).map(drop).unwrap_err();
            if beside.contains(&("-wal", 0o000)) {
                let log = with_suffix(&copy.canonicalize().unwrap(), "-wal");
                assert!(matches!(&error, Error::InvalidPath { path, .. } if *path == log), "{what}: {error:?}");
            } else {
                assert_eq!(error.code(), "read_only", "{what}: {error:?}");
                assert!(source(&error).contains("write-ahead log"), "{what}: {error:?}");
            }
            allow(&frozen, 0o700);
            // The control: with permissions it is read.
            for (suffix, _) in *beside {
                allow(&with_suffix(&copy, suffix), 0o600);
            }
            assert_eq!(listed(&open(&copy).unwrap().organization(ours.id())), listed(&ours), "{what}");
        }
    });
}

/// A writer may be about to fill it.
#[test]
fn an_empty_log_does_not_prove_that_there_is_no_writer() {
    in_a_child("read_only::permissions::an_empty_log_does_not_prove_that_there_is_no_writer", |folder| {
        let file = folder.join("kpis.db");
        let (store, ours) = store_with_one(&file);
        store.close().unwrap();
        fs::write(with_suffix(&file, "-wal"), b"").unwrap();
        allow(folder, 0o500);
        let error = open(&file).map(drop).unwrap_err();
        assert_eq!(error.code(), "read_only");
        assert!(source(&error).contains("write-ahead log"), "{error:?}");
        allow(folder, 0o700);
        assert_eq!(listed(&open(&file).unwrap().organization(ours.id())).len(), 1);
    });
}

#[test]
fn what_may_not_be_read_is_refused() {
    in_a_child("read_only::permissions::what_may_not_be_read_is_refused", |folder| {
        let file = folder.join("kpis.db");
        store_with_one(&file).0.close().unwrap();
        for (path, mode) in [(file.as_path(), 0o000), (&file, 0o200), (folder, 0o000), (folder, 0o600)] {
            allow(path, mode);
            let codes = [open(&file), Store::open(&file)].map(|opened| opened.map(drop).unwrap_err().code());
            assert_eq!(codes, ["invalid_path"; 2], "{} {mode:o}", path.display());
            allow(path, 0o700);
        }
        assert_eq!(entries(folder).len(), 1);
        open(&file).unwrap();
    });
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn store_with_one(file: &Path) -> (Store, Organization) {
    let store = Store::open(file).unwrap();
    let ours = organization(&store);
    ours.create_dataset(request_with_kpis(40)).unwrap();
    (store, ours)
}
