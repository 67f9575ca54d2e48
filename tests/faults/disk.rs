//! The simulated disk fails and records as it says: the other tests here rest on that.

use std::error::Error as _;
use std::time::Duration;

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind, Operation};
use kpi_store_test_support::{TestFile, plain_sqlite};

use super::session::request;
use crate::{Error, OrganizationId, Store};

/// A disk, and the path of a store on it.
fn disk() -> (Disk, TestFile) {
    let file = TestFile::new();
    (Disk::new(file.folder.path()), file)
}

fn create(store: &Store) -> crate::Result<crate::Dataset> {
    store.organization(OrganizationId::new()).create_dataset(request(1))
}

fn fault(kind: Kind, at: u64) -> Fault {
    Fault { kinds: vec![kind], at, cause: Cause::Io, lasting: false }
}

#[test]
fn each_kind_of_operation_is_counted_and_only_the_requested_one_fails() {
    for kind in Kind::ALL {
        let work = |file: &TestFile| {
            let store = Store::open(&file.path)?;
            create(&store)?;
            store.backup_to(file.path.with_extension("copy"))?;
            store.organizations()?;
            store.close()
        };
        // Files are renamed only where they cannot be linked.
        let disk = || {
            let (disk, file) = disk();
            if kind == Kind::Rename {
                disk.lack(Kind::Link);
            }
            (disk, file)
        };
        let (calm, file) = disk();
        work(&file).unwrap();
        assert!(calm.count(kind) > 0, "{kind:?} is never seen");
        assert!(!calm.has_failed());

        let (failing, file) = disk();
        // The first four are of the folder, to find out whether descriptors are left.
        failing.fail(fault(kind, if kind == Kind::Open { 5 } else { 1 }));
        let error = work(&file);
        assert!(failing.has_failed(), "{kind:?}");
        // A file that cannot be deleted is left, and a read is tried again: the call succeeds.
        assert!(error.is_err() || matches!(kind, Kind::Delete | Kind::Read), "{kind:?}");
    }
}

/// Some file systems cannot sync a folder, or link a file.
#[test]
fn a_store_is_opened_and_backed_up_where_folders_cannot_be_synced_nor_files_linked() {
    for lacking in [&[Kind::SyncFolder][..], &[Kind::Link], &[Kind::SyncFolder, Kind::Link]] {
        let (disk, file) = disk();
        for kind in lacking {
            disk.lack(*kind);
        }
        let store = Store::open(&file.path).unwrap();
        let created = create(&store).unwrap();
        let copy = file.path.with_extension("copy");
        store.backup_to(&copy).unwrap();
        assert_eq!(store.backup_to(&copy).unwrap_err().code(), "invalid_path");
        let backup = Store::options().read_only(true).open(&copy).unwrap();
        let found = backup.organization(created.organization_id).dataset(created.id).unwrap();
        assert_eq!(found, Some(created), "without {lacking:?}");
    }
}

/// An empty file claims the name.
#[test]
fn of_threads_that_back_up_to_one_name_one_succeeds_where_files_cannot_be_linked() {
    const THREADS: usize = 4;
    let (disk, file) = disk();
    disk.lack(Kind::Link);
    let store = Store::open(&file.path).unwrap();
    create(&store).unwrap();
    for round in 0..60 {
        let (copy, barrier) = (file.with_suffix(&format!(".copy{round}")), std::sync::Barrier::new(THREADS));
        let back_up = || {
            barrier.wait();
            store.backup_to(&copy).map_err(|error| error.code())
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| scope.spawn(back_up));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, ["invalid_path"; THREADS - 1], "round {round}");
        Store::options().read_only(true).open(&copy).unwrap();
    }
}

#[test]
fn a_lasting_fault_ends_when_it_is_cleared_and_a_full_disk_is_reported_as_full() {
    let (disk, file) = disk();
    let store = Store::open(&file.path).unwrap();
    disk.fail(Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: true });
    for _ in 0..3 {
        let error = create(&store).unwrap_err();
        assert!(matches!(error, Error::StorageFull { .. }), "{error:?}");
    }
    disk.calm();
    create(&store).unwrap();
    assert!(disk.has_failed());
}

#[test]
fn files_in_other_folders_are_not_affected() {
    let (disk, _file) = disk();
    let other = TestFile::new();
    disk.record();
    disk.fail(Fault { kinds: Kind::ALL.to_vec(), at: 1, cause: Cause::Io, lasting: true });
    let store = Store::open(&other.path).unwrap();
    create(&store).unwrap();
    store.close().unwrap();
    assert!(!disk.has_failed());
    assert_eq!(disk.take_record(), []);
}

#[test]
fn replaying_the_record_gives_the_same_files() {
    let (disk, file) = disk();
    disk.record();
    let store = Store::open(&file.path).unwrap();
    create(&store).unwrap();
    store.backup_to(file.path.with_extension("copy")).unwrap();
    let record = disk.take_record();

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
            Operation::Link { from, to } => {
                let bytes = files[&from].clone();
                files.insert(to, bytes);
            }
            Operation::Rename { from, to } => {
                let bytes = files.remove(&from).unwrap();
                files.insert(to, bytes);
            }
            Operation::Sync { .. } | Operation::SyncFailed { .. } | Operation::SyncFolder => {}
        }
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), ["kpis.copy", "kpis.db", "kpis.db-wal"]);
    for (name, bytes) in files {
        assert!(std::fs::read(file.path.with_file_name(&name)).unwrap() == bytes, "{name} differs");
    }
}

/// SQLite reports a lock that the file system does not have like one that is held.
#[test]
fn a_file_system_without_locks_is_an_error_of_the_storage_and_not_busy() {
    let (disk, file) = disk();
    Store::open(&file.path).unwrap().close().unwrap();
    let options = |read_only| Store::options().busy_timeout(Duration::from_millis(20)).read_only(read_only);
    for read_only in [false, true] {
        disk.fail(Fault { kinds: vec![Kind::Lock], at: 1, cause: Cause::Other, lasting: true });
        let error = options(read_only).open(&file.path).unwrap_err();
        disk.calm();
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!((error.code(), source.and_then(std::io::Error::raw_os_error)), ("storage", Some(37)), "{error:?}");
        assert_eq!(std::fs::read_dir(file.folder.path()).unwrap().count(), 1, "a file is left");

        let plain = plain_sqlite(&file.path);
        plain.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
        let held = options(read_only).open(&file.path).unwrap_err();
        assert_eq!(held.code(), "busy", "the control: {held:?}");
    }
}

/// SQLite returns the row that reports WAL mode before it commits the switch.
#[test]
fn opening_fails_if_the_switch_to_wal_mode_fails_and_succeeds_the_next_time() {
    for at in 1..=3 {
        let (disk, file) = disk();
        disk.fail(fault(Kind::Sync, at));
        let error = Store::open(&file.path).unwrap_err();
        assert!(disk.has_failed());
        assert!(matches!(error, Error::Storage { .. }), "{at}: {error:?}");
        let store = Store::open(&file.path).unwrap();
        let mode = plain_sqlite(&file.path).pragma_query_value(None, "journal_mode", |row| row.get(0));
        assert_eq!(mode, Ok("wal".to_owned()), "{at}");
        create(&store).unwrap();
    }
}

/// SQLite would roll back a journal of several files and delete the file that it names, and would ignore a log of
/// another version. Neither goes unnoticed because the disk fails while it is read.
#[test]
fn a_dangerous_log_or_journal_is_not_ignored_when_it_cannot_be_read() {
    let journal = [&[0; 512][..], &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]].concat();
    let log = [&[0x37, 0x7f, 0x06, 0x82, 0, 0, 0, 1][..], &[0; 512]].concat();
    for (suffix, bytes) in [("-journal", journal), ("-wal", log)] {
        let (disk, file) = disk();
        Store::open(&file.path).unwrap().close().unwrap();
        let companion = file.with_suffix(suffix);
        std::fs::write(&companion, &bytes).unwrap();
        for kind in [Kind::Length, Kind::Open] {
            let mut failed = 0;
            for at in 1.. {
                disk.fail(Fault { kinds: vec![kind], at, cause: Cause::Io, lasting: false });
                let refused = Store::open(&file.path).unwrap_err();
                let has_failed = disk.has_failed();
                disk.calm();
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
