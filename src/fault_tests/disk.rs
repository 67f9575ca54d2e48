//! The disk of these tests does what it says: without that nothing here would show anything.

use std::path::PathBuf;

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind, Operation};
use tempfile::TempDir;

use crate::{Error, NewDataset, NewKpi, OrganizationId, Store};

/// A folder that is a disk, and the path of a store on it.
struct Place {
    disk: Disk,
    file: PathBuf,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { disk: Disk::new(folder.path()), file: folder.path().join("kpis.db"), _folder: folder }
    }
}

fn create(store: &Store) -> crate::Result<crate::Dataset> {
    store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))
}

fn fault(kind: Kind, at: u64) -> Fault {
    Fault { kinds: vec![kind], at, cause: Cause::Io, lasting: false }
}

#[test]
fn every_kind_is_seen_and_fails_the_one_call_that_was_asked_for() {
    for kind in Kind::ALL {
        let work = |place: &Place| {
            let store = Store::open(&place.file)?;
            create(&store)?;
            store.backup_to(place.file.with_extension("copy"))?;
            store.organizations()?;
            store.close()
        };
        let calm = Place::new();
        work(&calm).unwrap();
        assert!(calm.disk.count(kind) > 0, "{kind:?} is never seen");
        assert!(!calm.disk.has_failed());

        let failing = Place::new();
        failing.disk.fail(fault(kind, 1));
        let error = work(&failing);
        assert!(failing.disk.has_failed(), "{kind:?}");
        // What cannot be deleted is left, and its failure is no one's.
        assert!(error.is_err() || kind == Kind::Delete, "{kind:?}");
    }
}

#[test]
fn a_lasting_fault_lasts_until_the_disk_is_calm_and_a_full_disk_says_so() {
    let place = Place::new();
    let store = Store::open(&place.file).unwrap();
    place.disk.fail(Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: true });
    for _ in 0..3 {
        let error = create(&store).unwrap_err();
        assert!(matches!(error, Error::StorageFull { .. }), "{error:?}");
    }
    place.disk.calm();
    create(&store).unwrap();
    assert!(place.disk.has_failed());
}

#[test]
fn another_folder_is_left_alone() {
    let (place, other) = (Place::new(), tempfile::tempdir().unwrap());
    place.disk.record();
    place.disk.fail(Fault { kinds: Kind::ALL.to_vec(), at: 1, cause: Cause::Io, lasting: true });
    let store = Store::open(other.path().join("kpis.db")).unwrap();
    create(&store).unwrap();
    store.close().unwrap();
    assert!(!place.disk.has_failed());
    assert_eq!(place.disk.take_record(), []);
}

#[test]
fn what_was_recorded_makes_the_same_files_again() {
    let place = Place::new();
    place.disk.record();
    let store = Store::open(&place.file).unwrap();
    create(&store).unwrap();
    store.backup_to(place.file.with_extension("copy")).unwrap();
    let record = place.disk.take_record();

    let mut files = std::collections::BTreeMap::<String, Vec<u8>>::new();
    for operation in record {
        match operation {
            Operation::Create { file } => assert!(files.insert(file, Vec::new()).is_none(), "made twice"),
            Operation::Write { file, offset, data } => {
                let (bytes, offset) = (files.get_mut(&file).unwrap(), usize::try_from(offset).unwrap());
                bytes.resize(bytes.len().max(offset + data.len()), 0);
                bytes[offset..][..data.len()].copy_from_slice(&data);
            }
            Operation::Truncate { file, length } => {
                files.get_mut(&file).unwrap().resize(usize::try_from(length).unwrap(), 0);
            }
            Operation::Delete { file } => drop(files.remove(&file).unwrap()),
            Operation::Rename { from, to } => {
                let bytes = files.remove(&from).unwrap();
                files.insert(to, bytes);
            }
            Operation::Sync { .. } | Operation::SyncFailed { .. } | Operation::SyncFolder => {}
        }
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), ["kpis.copy", "kpis.db", "kpis.db-wal"]);
    for (name, bytes) in files {
        assert!(std::fs::read(place.file.with_file_name(&name)).unwrap() == bytes, "{name} differs");
    }
}

/// SQLite answers with a row that the log is in use, and only then commits the switch.
#[test]
fn an_opening_whose_switch_to_the_log_fails_says_so_and_the_next_one_succeeds() {
    for at in 1..=3 {
        let place = Place::new();
        place.disk.fail(fault(Kind::Sync, at));
        let error = Store::open(&place.file).unwrap_err();
        assert!(place.disk.has_failed());
        assert!(matches!(error, Error::Storage { .. }), "{at}: {error:?}");
        let store = Store::open(&place.file).unwrap();
        let mode =
            rusqlite::Connection::open(&place.file).unwrap().pragma_query_value(None, "journal_mode", |row| row.get(0));
        assert_eq!(mode, Ok("wal".to_owned()), "{at}");
        create(&store).unwrap();
    }
}

/// A journal of several files would be played back and the file deleted that it names; a log of another version would be
/// taken for none. Neither is passed by because the disk fails when it is looked at.
#[test]
fn what_sqlite_must_not_see_is_not_passed_by_when_it_cannot_be_looked_at() {
    let journal = [&[0; 512][..], &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]].concat();
    let log = [&[0x37, 0x7f, 0x06, 0x82, 0, 0, 0, 1][..], &[0; 512]].concat();
    for (suffix, bytes) in [("-journal", journal), ("-wal", log)] {
        let place = Place::new();
        Store::open(&place.file).unwrap().close().unwrap();
        let companion = place.file.with_file_name(format!("kpis.db{suffix}"));
        std::fs::write(&companion, &bytes).unwrap();
        for kind in [Kind::Length, Kind::Open] {
            let mut failed = 0;
            for at in 1.. {
                place.disk.fail(Fault { kinds: vec![kind], at, cause: Cause::Io, lasting: false });
                let refused = Store::open(&place.file).unwrap_err();
                let has_failed = place.disk.has_failed();
                place.disk.calm();
                assert_eq!(std::fs::read(&companion).unwrap(), bytes, "{suffix}, {kind:?} {at}: {refused:?}");
                if !has_failed {
                    assert_eq!(refused.code(), "corrupt", "the control: {refused:?}");
                    break;
                }
                assert!(
                    matches!(refused, Error::Storage { source: Some(_), .. }),
                    "{suffix}, {kind:?} {at}: {refused:?}"
                );
                failed += 1;
            }
            assert!(failed > 0, "{suffix}, {kind:?}: nothing could fail");
        }
    }
}
