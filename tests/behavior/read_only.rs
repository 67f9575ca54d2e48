//! Reading only: nothing is ever written, and what cannot be read without writing is refused with the reason.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::Path;

use kpi_store::{DatasetQuery, Error, NewDataset, OrganizationId, Result, Store};

use crate::support::{self, Place};

fn open(file: &Path) -> Result<Store> {
    Store::options().read_only(true).open(file)
}

#[test]
fn it_sees_what_others_write_and_writes_nothing() {
    let place = Place::new();
    let writing = Store::open(&place.file).unwrap();
    let ours = support::organization(&writing);
    let first = ours.create_dataset(support::request_with_kpis(3)).unwrap();

    let reading = open(&place.file).unwrap();
    let read = reading.organization(ours.id());
    assert_eq!(read.dataset(first.id).unwrap(), Some(first));
    ours.create_dataset(NewDataset::new("Later")).unwrap();
    assert_eq!(read.count_datasets(&DatasetQuery::new()).unwrap(), 2);
    assert_eq!(read.iter_datasets(&DatasetQuery::new()).map(Result::unwrap).count(), 2);
    assert!(reading.verify().unwrap().is_whole());

    let refused = read.create_dataset(NewDataset::new("No")).unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    assert!(refused.source().unwrap().to_string().contains("reading only"));
    assert!(matches!(read.create_datasets([NewDataset::new("No")]), Err(Error::ReadOnly { .. })));
    let id = read.datasets(&DatasetQuery::new()).unwrap().items[0].id;
    assert!(matches!(read.accept_dataset(id), Err(Error::ReadOnly { .. })));
    reading.backup_to(place.folder.path().join("copy.db")).unwrap();
    reading.close().unwrap();
    assert!(matches!(read.dataset(id), Err(Error::Closed)));
}

#[test]
fn the_file_must_be_there_and_be_a_store() {
    let place = Place::new();
    let missing = open(&place.file).unwrap_err();
    assert_eq!(missing.code(), "invalid_path");
    assert!(!place.file.exists());
    for (content, code) in
        [(&b""[..], "not_a_store"), (b"Water, waste and energy\n", "not_a_store"), (b"x", "not_a_store")]
    {
        fs::write(&place.file, content).unwrap();
        assert_eq!(open(&place.file).unwrap_err().code(), code);
        assert_eq!(fs::read(&place.file).unwrap(), content);
    }
}

/// As a user whom modes bind: the superuser ignores them.
#[cfg(unix)]
#[test]
fn a_file_in_a_folder_that_cannot_be_written_is_read_and_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    support::in_a_child("read_only::a_file_in_a_folder_that_cannot_be_written_is_read_and_left_as_it_is", |folder| {
        let locked = folder.join("locked 100% ? #");
        fs::create_dir(&locked).unwrap();
        let file = locked.join("kpis ü.db");
        let organization = OrganizationId::new();
        let store = Store::open(&file).unwrap();
        let dataset = store.organization(organization).create_dataset(support::request_with_kpis(3)).unwrap();
        store.close().unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        let before = contents(&locked);

        assert_eq!(Store::open(&file).unwrap_err().code(), "read_only");
        let store = open(&file).unwrap();
        assert_eq!(store.organization(organization).dataset(dataset.id).unwrap(), Some(dataset));
        assert!(store.verify().unwrap().is_whole());
        store.backup_to(folder.join("copy.db")).unwrap();
        store.close().unwrap();

        assert_eq!(contents(&locked), before);
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[cfg(unix)]
#[test]
fn a_log_that_cannot_be_used_without_writing_is_the_reason_given() {
    use std::os::unix::fs::PermissionsExt;
    support::in_a_child("read_only::a_log_that_cannot_be_used_without_writing_is_the_reason_given", |folder| {
        let (live, locked) = (folder.join("live.db"), folder.join("locked"));
        let store = Store::open(&live).unwrap();
        support::organization(&store).create_dataset(NewDataset::new("Water")).unwrap();
        fs::create_dir(&locked).unwrap();
        // The file of a process that crashed: with its log, without the shared memory that a reader needs.
        fs::copy(&live, locked.join("kpis.db")).unwrap();
        fs::copy(folder.join("live.db-wal"), locked.join("kpis.db-wal")).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        let before = contents(&locked);

        match open(&locked.join("kpis.db")) {
            // Newer versions of SQLite read the log without shared memory; then what it holds is read.
            Ok(store) => assert_eq!(store.organizations().unwrap().len(), 1),
            Err(error) => {
                assert_eq!(error.code(), "read_only");
                assert!(error.source().unwrap().to_string().contains("write-ahead log"), "{error:?}");
            }
        }
        assert_eq!(contents(&locked), before);
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[cfg(unix)]
#[test]
fn every_file_is_private_from_its_first_moment_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    const FOLDER: &str = "KPI_STORE_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = Path::new(&folder);
        let store = Store::open(folder.join("kpis.db")).unwrap();
        support::organization(&store).create_dataset(NewDataset::new("Water")).unwrap();
        store.backup_to(folder.join("copy.db")).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let mode = entry.as_ref().unwrap().metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{entry:?}");
        }
        return assert_eq!(fs::read_dir(folder).unwrap().count(), 4, "file, log, shared memory, backup");
    }
    for umask in ["000", "077"] {
        let place = Place::new();
        let this = "read_only::every_file_is_private_from_its_first_moment_whatever_the_umask";
        let child = std::process::Command::new("sh")
            .args(["-c", "umask $0; exec \"$@\"", umask])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(FOLDER, place.folder.path())
            .output()
            .unwrap();
        assert!(child.status.success(), "umask {umask}: {}", String::from_utf8_lossy(&child.stdout));
    }
}

#[cfg(unix)]
#[test]
fn a_file_of_two_names_is_refused_by_either() {
    let place = Place::new();
    Store::open(&place.file).unwrap().close().unwrap();
    let other = place.folder.path().join("other.db");
    fs::hard_link(&place.file, &other).unwrap();
    for path in [&place.file, &other] {
        assert_eq!(Store::open(path).unwrap_err().code(), "invalid_path");
        assert_eq!(open(path).unwrap_err().code(), "invalid_path");
    }
    fs::remove_file(other).unwrap();
    Store::open(&place.file).unwrap();
}

/// Elsewhere than on Unix a file that is open cannot be moved.
#[cfg(unix)]
#[test]
fn a_file_that_was_moved_replaced_or_removed_while_open_is_not_written_and_loses_nothing() {
    type Change = fn(&Path, &Path);
    let changes: [(&str, Change); 4] = [
        ("moved", |file, away| fs::rename(file, away).unwrap()),
        ("replaced", |file, away| {
            fs::rename(file, away).unwrap();
            Store::open(file).unwrap().close().unwrap();
        }),
        ("removed", |file, away| {
            fs::copy(file, away).unwrap();
            fs::remove_file(file).unwrap();
        }),
        ("folder moved", |file, away| {
            fs::create_dir(away).unwrap();
            fs::rename(file.parent().unwrap(), away.join("folder")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let (file, away) = (folder.join("kpis.db"), outer.path().join("away"));
        let store = Store::open(&file).unwrap();
        let organization = support::organization(&store);
        let dataset = organization.create_dataset(NewDataset::new("Water")).unwrap();
        assert_eq!(organization.dataset(dataset.id).unwrap(), Some(dataset.clone()));

        change(&file, &away);

        let refused = organization.create_dataset(NewDataset::new("Waste")).unwrap_err();
        assert_eq!(refused.code(), "invalid_path", "{what}: {refused:?}");
        // A connection that is open goes on with the file it has: the answer is right, or an error.
        if let Ok(read) = organization.dataset(dataset.id) {
            assert_eq!(read, Some(dataset.clone()), "{what}");
        }
        if what == "moved" {
            fs::rename(&away, &file).unwrap();
            organization.create_dataset(NewDataset::new("Waste")).unwrap();
            assert_eq!(organization.count_datasets(&DatasetQuery::new()).unwrap(), 2);
            assert!(store.verify().unwrap().is_whole());
        }
    }
}

/// The names in a folder, each with its bytes.
fn contents(folder: &Path) -> BTreeMap<std::ffi::OsString, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::<_, _>::unwrap);
    entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}
