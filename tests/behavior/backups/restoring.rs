//! A backup is a store: it opens where it is, and in the place of a lost one once that one's log is gone.

use std::fs;

use kpi_store::{NewDataset, Store};

use super::{BACKUP, STORE, holds, listed, pragma, store_with};
use crate::support::{Place, entries, organization, plain_sqlite, request_with_kpis, with_text};

#[test]
fn reading_a_backup_leaves_it_as_it_was() {
    let (place, store, created) = store_with(5);
    let copy = Place::new();
    store.backup_to(&copy.file).unwrap();
    drop(place);
    let before = entries(copy.folder.path());
    for _ in 0..2 {
        holds(&copy.file, &created);
        let reader = Store::options().read_only(true).open(&copy.file).unwrap();
        assert_eq!(organization(&reader).create_dataset(request_with_kpis(1)).unwrap_err().code(), "read_only");
        reader.clone().close().unwrap();
        assert_eq!(reader.organizations().unwrap_err().code(), "closed");
        assert!(entries(copy.folder.path()) == before, "reading changed it");
    }
    assert_eq!(pragma(&copy.file, "application_id"), BACKUP);
}

#[test]
fn a_backup_that_is_opened_for_writing_is_a_store_like_any_other() {
    let (_place, store, mut created) = store_with(5);
    let copy = Place::new();
    store.backup_to(&copy.file).unwrap();
    assert_eq!(pragma(&copy.file, "application_id"), BACKUP);

    let opened = Store::open(&copy.file).unwrap();
    assert_eq!(pragma(&copy.file, "application_id"), STORE);
    let ours = opened.organization(created[0].organization_id);
    created.push(ours.create_dataset(request_with_kpis(3)).unwrap());
    // Its log is its own now: others open it, and a crashed one is recovered.
    holds(&copy.file, &created);
    let crashed = Place::new();
    for suffix in ["", "-wal"] {
        fs::copy(with_text(&copy.file, suffix), with_text(&crashed.file, suffix)).unwrap();
    }
    Store::open(&crashed.file).unwrap().close().unwrap();
    holds(&crashed.file, &created);
    opened.close().unwrap();
    holds(&copy.file, &created);
    assert_eq!(pragma(&copy.file, "application_id"), STORE);
}

#[test]
fn a_backup_of_a_backup_holds_the_same_in_the_same_bytes() {
    let (_place, store, created) = store_with(30);
    let [first, second, third] = [(); 3].map(|()| Place::new());
    store.backup_to(&first.file).unwrap();
    // Once of a backup that is only read, once of one that became a store.
    Store::options().read_only(true).open(&first.file).unwrap().backup_to(&second.file).unwrap();
    Store::open(&second.file).unwrap().backup_to(&third.file).unwrap();
    for place in [&first, &second, &third] {
        holds(&place.file, &created);
    }
    let header_and_rest = |place: &Place| {
        let bytes = fs::read(&place.file).unwrap();
        // The change counter and the version that wrote it differ.
        (bytes[..24].to_vec(), bytes[96..].to_vec(), pragma(&place.file, "application_id"))
    };
    assert!(header_and_rest(&first) == header_and_rest(&third));
}

#[test]
fn a_backup_in_the_place_of_a_lost_store_is_refused_until_the_old_log_is_gone() {
    let (lost, backup, created) = lost_store_and_backup();
    fs::copy(&backup.file, &lost.file).unwrap();

    let before = entries(lost.folder.path());
    for read_only in [false, true, false] {
        let error = Store::options().read_only(read_only).open(&lost.file).unwrap_err();
        assert_eq!(error.code(), "corrupt", "{error:?}");
        assert!(error.to_string().contains("write-ahead log of another file"), "{error}");
        assert!(entries(lost.folder.path()) == before, "something changed");
    }

    for suffix in ["-wal", "-shm"] {
        fs::remove_file(with_text(&lost.file, suffix)).unwrap();
    }
    let restored = Store::open(&lost.file).unwrap();
    assert_eq!(listed(&restored, created[0].organization_id), created);
    restored.organization(created[0].organization_id).create_dataset(NewDataset::new("After")).unwrap();
    assert!(restored.verify().unwrap().is_whole());
    assert_eq!(listed(&restored, created[0].organization_id).len(), created.len() + 1);
}

/// What the refusal keeps away: plain SQLite takes the old log for the backup's own.
#[test]
fn plain_sqlite_mixes_the_old_log_into_the_backup() {
    let (lost, backup, created) = lost_store_and_backup();
    fs::copy(&backup.file, &lost.file).unwrap();
    let plain = plain_sqlite(&lost.file);
    let count = plain.query_row("SELECT count(*) FROM dataset", [], |row| row.get(0));
    let check = plain.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    let is_the_backup = count == Ok(i64::try_from(created.len()).unwrap()) && check.as_deref() == Ok("ok");
    assert!(!is_the_backup, "{count:?} {check:?}");
}

#[test]
fn what_else_a_lost_store_leaves_does_no_harm() {
    for left in [&["-shm"][..], &["-wal"], &["-wal", "-shm"]] {
        let (lost, backup, created) = lost_store_and_backup();
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(with_text(&lost.file, suffix)).unwrap();
        }
        for suffix in left {
            // A log without a byte is what a checkpoint leaves; the index beside it is only a hint.
            let bytes = vec![0xA5; if *suffix == "-wal" { 0 } else { 32_768 }];
            fs::write(with_text(&lost.file, suffix), bytes).unwrap();
        }
        fs::copy(&backup.file, &lost.file).unwrap();
        let restored = Store::open(&lost.file).unwrap();
        assert_eq!(listed(&restored, created[0].organization_id), created, "{left:?}");
        assert!(restored.verify().unwrap().is_whole(), "{left:?}");
    }
}

/// A store as a crash leaves it, log and all, and an older backup of it with what that holds.
fn lost_store_and_backup() -> (Place, Place, Vec<kpi_store::Dataset>) {
    let (place, store, created) = store_with(40);
    let (lost, backup) = (Place::new(), Place::new());
    store.backup_to(&backup.file).unwrap();
    organization(&store).create_datasets((0..60).map(|_| request_with_kpis(9))).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(with_text(&place.file, suffix), with_text(&lost.file, suffix)).unwrap();
    }
    (lost, backup, created)
}
