//! A backup is a store: it opens where it is, and under the name of a lost store once the log of that is removed.

use std::fs;

use kpi_store::{NewDataset, Store};

use super::{BACKUP, STORE, holds, pragma, store_with};
use crate::support::{TestFile, entries, listed, organization, plain_sqlite, request_with_kpis, with_suffix};

#[test]
fn reading_a_backup_leaves_it_unchanged() {
    let (file, store, created) = store_with(5);
    let copy = TestFile::new();
    store.backup_to(&copy.path).unwrap();
    drop(file);
    let before = entries(copy.folder.path());
    for _ in 0..2 {
        holds(&copy.path, &created);
        let reader = Store::options().read_only(true).open(&copy.path).unwrap();
        assert_eq!(organization(&reader).create_dataset(request_with_kpis(1)).unwrap_err().code(), "read_only");
        reader.clone().close().unwrap();
        assert_eq!(reader.organizations().unwrap_err().code(), "closed");
        assert!(entries(copy.folder.path()) == before, "reading changed it");
    }
    assert_eq!(pragma(&copy.path, "application_id"), BACKUP);
}

#[test]
fn a_backup_that_is_opened_for_writing_is_a_store_like_any_other() {
    let (_place, store, mut created) = store_with(5);
    let copy = TestFile::new();
    store.backup_to(&copy.path).unwrap();
    assert_eq!(pragma(&copy.path, "application_id"), BACKUP);

    let opened = Store::open(&copy.path).unwrap();
    assert_eq!(pragma(&copy.path, "application_id"), STORE);
    let ours = opened.organization(created[0].organization_id);
    created.push(ours.create_dataset(request_with_kpis(3)).unwrap());
    // Now it has a log of its own: others open it, and it is recovered after a crash.
    holds(&copy.path, &created);
    let crashed = TestFile::new();
    for suffix in ["", "-wal"] {
        fs::copy(with_suffix(&copy.path, suffix), with_suffix(&crashed.path, suffix)).unwrap();
    }
    Store::open(&crashed.path).unwrap().close().unwrap();
    holds(&crashed.path, &created);
    opened.close().unwrap();
    holds(&copy.path, &created);
    assert_eq!(pragma(&copy.path, "application_id"), STORE);
}

#[test]
fn a_backup_of_a_backup_holds_the_same_in_the_same_bytes() {
    let (_place, store, created) = store_with(30);
    let [first, second, third] = [(); 3].map(|()| TestFile::new());
    store.backup_to(&first.path).unwrap();
    // Once from a backup that is only read, once from one that became a store.
    Store::options().read_only(true).open(&first.path).unwrap().backup_to(&second.path).unwrap();
    Store::open(&second.path).unwrap().backup_to(&third.path).unwrap();
    for file in [&first, &second, &third] {
        holds(&file.path, &created);
    }
    let header_and_rest = |file: &TestFile| {
        let bytes = fs::read(&file.path).unwrap();
        // The change counter and the version of the last writer differ.
        (bytes[..24].to_vec(), bytes[96..].to_vec(), pragma(&file.path, "application_id"))
    };
    // One that became a store has a generation of its own.
    let generation: i64 =
        plain_sqlite(&first.path).query_row("SELECT generation FROM counter", [], |row| row.get(0)).unwrap();
    plain_sqlite(&third.path).execute("UPDATE counter SET generation = ?1", [generation]).unwrap();
    assert!(header_and_rest(&first) == header_and_rest(&third));
}

#[test]
fn a_backup_in_the_place_of_a_lost_store_is_refused_until_the_old_log_is_gone() {
    let (lost, backup, created) = lost_store_and_backup();
    fs::copy(&backup.path, &lost.path).unwrap();

    let before = entries(lost.folder.path());
    for read_only in [false, true, false] {
        let error = Store::options().read_only(read_only).open(&lost.path).unwrap_err();
        assert_eq!(error.code(), "corrupt", "{error:?}");
        assert!(error.to_string().contains("write-ahead log of another file"), "{error}");
        assert!(entries(lost.folder.path()) == before, "something changed");
    }

    for suffix in ["-wal", "-shm"] {
        fs::remove_file(with_suffix(&lost.path, suffix)).unwrap();
    }
    let restored = Store::open(&lost.path).unwrap();
    assert_eq!(listed(&restored.organization(created[0].organization_id)), created);
    restored.organization(created[0].organization_id).create_dataset(NewDataset::new("After")).unwrap();
    assert!(restored.verify().unwrap().is_whole());
    assert_eq!(listed(&restored.organization(created[0].organization_id)).len(), created.len() + 1);
}

/// What the refusal prevents: plain SQLite takes the old log for that of the backup.
#[test]
fn plain_sqlite_mixes_the_old_log_into_the_backup() {
    let (lost, backup, created) = lost_store_and_backup();
    fs::copy(&backup.path, &lost.path).unwrap();
    let plain = plain_sqlite(&lost.path);
    let count = plain.query_row("SELECT count(*) FROM dataset", [], |row| row.get(0));
    let check = plain.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    let is_the_backup = count == Ok(i64::try_from(created.len()).unwrap()) && check.as_deref() == Ok("ok");
    assert!(!is_the_backup, "{count:?} {check:?}");
}

#[test]
fn other_leftovers_of_a_lost_store_are_harmless() {
    for left in [&["-shm"][..], &["-wal"], &["-wal", "-shm"]] {
        let (lost, backup, created) = lost_store_and_backup();
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(with_suffix(&lost.path, suffix)).unwrap();
        }
        for suffix in left {
            // A checkpoint leaves an empty log; the index beside it is only a hint.
            let bytes = vec![0xA5; if *suffix == "-wal" { 0 } else { 32_768 }];
            fs::write(with_suffix(&lost.path, suffix), bytes).unwrap();
        }
        fs::copy(&backup.path, &lost.path).unwrap();
        let restored = Store::open(&lost.path).unwrap();
        assert_eq!(listed(&restored.organization(created[0].organization_id)), created, "{left:?}");
        assert!(restored.verify().unwrap().is_whole(), "{left:?}");
    }
}

/// A store as a crash leaves it, with its log, and an older backup with the datasets in that.
fn lost_store_and_backup() -> (TestFile, TestFile, Vec<kpi_store::Dataset>) {
    let (file, store, created) = store_with(40);
    let (lost, backup) = (TestFile::new(), TestFile::new());
    store.backup_to(&backup.path).unwrap();
    organization(&store).create_datasets((0..60).map(|_| request_with_kpis(9))).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(with_suffix(&file.path, suffix), with_suffix(&lost.path, suffix)).unwrap();
    }
    (lost, backup, created)
}
