//! A file that is not empty is copied beside itself before it is upgraded; the copy has the old version.

use super::*;
use crate::sqlite::schema::BACKUP_ID;

#[test]
fn the_backup_is_beside_the_file_and_equals_the_file_before_the_upgrade() {
    let place = Place::new();
    open(&place.file, &REBUILDS).unwrap();
    assert_eq!(place.names(), ["kpis.db", "kpis.db.v1.backup"]);
    let backup = place.folder.path().join("kpis.db.v1.backup");
    assert_eq!(pragma(&plain(&backup), "application_id").unwrap(), BACKUP_ID);
    is_version_1(&backup);
    // It is a store of that version, also when it is opened for reading only.
    let settings = Settings { read_only: true, ..SETTINGS };
    let (_, reader) = Database::open(&backup, settings, &V1).unwrap();
    assert!(verification::verify(&reader.into_connection(), true, &AtomicU64::new(0)).unwrap().is_whole());
    open(&backup, &V1).unwrap();
    assert_eq!(pragma(&plain(&backup), "application_id").unwrap(), APPLICATION_ID);
    is_version_1(&backup);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_backup_under_any_umask() {
    use std::os::unix::fs::MetadataExt;
    if std::env::var_os("HAS_A_UMASK").is_some() {
        let place = Place::new();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&place.file, private).unwrap();
        let _open = open(&place.file, &REBUILDS).unwrap();
        let modes = place.names().into_iter().map(|name| {
            let mode = fs::metadata(place.folder.path().join(&name)).unwrap().mode();
            (name, mode & 0o7777)
        });
        let names = ["kpis.db", "kpis.db-shm", "kpis.db-wal", "kpis.db.v1.backup"];
        assert_eq!(modes.collect::<Vec<_>>(), names.map(|name| (name.to_owned(), 0o600)));
        return;
    }
    let test = concat!(module_path!(), "::only_the_owner_can_read_the_backup_under_any_umask");
    let (_crate, test) = test.split_once("::").unwrap();
    for umask in ["000", "077"] {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(std::env::current_exe().unwrap());
        let done = shell.args(["--exact", test]).env("HAS_A_UMASK", "1").output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "umask {umask}: {said}");
    }
}

/// A backup of a damaged file is useless, and an upgrade might overwrite data that can still be saved.
#[test]
fn a_damaged_file_is_not_upgraded() {
    let place = Place::new();
    plain(&place.file)
        .execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE dataset SET name = '' WHERE seq = 1")
        .unwrap();
    let before = fs::read(&place.file).unwrap();
    let error = open(&place.file, &ADDS_A_COLUMN).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_eq!(place.names(), ["kpis.db"], "no copy is left");
    assert!(fs::read(&place.file).unwrap() == before);
}

#[test]
fn an_existing_file_with_the_name_of_the_backup_is_kept() {
    let place = Place::new();
    for round in 1..=3 {
        fs::write(&place.file, FILE).unwrap();
        open(&place.file, &ADDS_A_COLUMN).unwrap();
        assert_eq!(place.names().len(), 1 + round);
    }
    assert_eq!(place.names(), ["kpis.db", "kpis.db.v1.backup", "kpis.db.v1.backup.2", "kpis.db.v1.backup.3"]);
    place.names().iter().skip(1).for_each(|name| is_version_1(&place.folder.path().join(name)));

    let place = Place::new();
    let existing = ["kpis.db.v1.backup", "kpis.db.v1.backup.2"].map(|name| place.folder.path().join(name));
    fs::write(&existing[0], "text").unwrap();
    fs::create_dir(&existing[1]).unwrap();
    open(&place.file, &ADDS_A_COLUMN).unwrap();
    assert_eq!(fs::read(&existing[0]).unwrap(), b"text");
    is_version_1(&place.folder.path().join("kpis.db.v1.backup.3"));
}

#[test]
fn there_is_no_backup_if_the_option_is_off_or_the_file_was_empty_or_missing() {
    let without = Settings { backup_before_upgrade: false, ..SETTINGS };
    let place = Place::new();
    Database::open(&place.file, without, &REBUILDS).unwrap();
    assert_eq!(place.names(), ["kpis.db"]);

    let place = Place::new();
    let options = crate::Store::options().busy_timeout(Duration::from_secs(30)).backup_before_upgrade(false);
    drop(options.open_with_schema(&place.file, &REBUILDS).unwrap());
    assert_eq!(place.names(), ["kpis.db"], "the option of the store");

    for content in [None, Some(b"")] {
        let place = Place::new();
        fs::remove_file(&place.file).unwrap();
        if let Some(content) = content {
            fs::write(&place.file, content).unwrap();
        }
        open(&place.file, &DOES_BOTH).unwrap();
        assert_eq!(place.names(), ["kpis.db"]);
    }
}

#[test]
fn a_backup_that_replaces_the_upgraded_file_is_upgraded_again() {
    let place = Place::new();
    open(&place.file, &REBUILDS).unwrap();
    fs::rename(place.folder.path().join("kpis.db.v1.backup"), &place.file).unwrap();
    let upgraded = open(&place.file, &REBUILDS).unwrap();
    assert_eq!(rows(&upgraded), rows(&plain(&Place::new().file)));
    drop(upgraded);
    is_version_1(&place.folder.path().join("kpis.db.v1.backup"));
}

/// A reader of the older version continues in its snapshot; the upgrade waits for a writer of the older version.
#[test]
fn an_upgrade_waits_for_an_open_write_and_not_for_an_open_read() {
    let place = Place::new();
    let reader = open(&place.file, &V1).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let before = rows(&reader);
    let writer = open(&place.file, &V1).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();

    let impatient = Settings { busy_timeout: Duration::from_millis(20), ..SETTINGS };
    let error = Database::open(&place.file, impatient, &REBUILDS).map(drop).unwrap_err();
    // SQLite counts whole milliseconds.
    let least = Duration::from_millis(19);
    assert!(matches!(error, Error::Busy { waited, .. } if waited >= least), "{error:?}");
    assert!(!place.names().iter().any(|name| name.contains("backup")), "{:?}", place.names());
    is_version_1(&place.file);

    transaction::roll_back(&writer).unwrap();
    open(&place.file, &REBUILDS).unwrap();
    assert_eq!(rows(&reader), before);
}

/// A store that was opened before the upgrade does not know what the later version means by its rows.
#[test]
fn a_store_opened_before_the_upgrade_fails_reads_and_writes_with_too_new() {
    let place = Place::new();
    let store = crate::Store::open(&place.file).unwrap();
    let ours = store.organization(store.organizations().unwrap()[0]);
    let before = ours.datasets(&crate::DatasetQuery::new()).unwrap().items;
    ours.create_dataset(crate::NewDataset::new("Water")).unwrap();
    open(&place.file, &REBUILDS).unwrap();

    let is_too_new = |error: Error| matches!(error, Error::TooNew { found: 2, supported: 1 });
    let count = rows(&plain(&place.file)).len();
    assert!(is_too_new(ours.create_dataset(crate::NewDataset::new("Waste")).unwrap_err()));
    assert!(is_too_new(ours.accept_dataset(before[0].id).unwrap_err()));
    assert_eq!(rows(&plain(&place.file)).len(), count);
    assert!(is_too_new(store.verify().unwrap_err()));
    // Reads too: rows of the later version might look like damage, or have another meaning.
    assert!(is_too_new(ours.dataset(before[0].id).unwrap_err()));
    assert!(is_too_new(ours.datasets(&crate::DatasetQuery::new()).unwrap_err()));
    assert!(is_too_new(ours.count_datasets(&crate::DatasetQuery::new()).unwrap_err()));
    store.close().unwrap();
}

/// The name of the copy is longer than the file system allows.
#[test]
fn a_file_that_cannot_be_backed_up_is_upgraded_only_if_the_option_is_off() {
    let place = Place::new();
    let file = place.folder.path().join("n".repeat(255 - "-journal".len()));
    fs::rename(&place.file, &file).unwrap();
    let error = open(&file, &REBUILDS).map(drop).unwrap_err();
    assert!(matches!(error, Error::InvalidPath { .. }), "{error:?}");
    is_version_1(&file);
    let without = Settings { backup_before_upgrade: false, ..SETTINGS };
    Database::open(&file, without, &REBUILDS).unwrap();
}
