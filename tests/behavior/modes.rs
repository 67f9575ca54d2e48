//! Only the owner can read a store: the file, its companions, a backup and its draft have mode 0600 from the first byte
//! on, under any umask.
//!
//! A second thread lists the folder all the while. It cannot be made to do so between two given system calls, but it
//! does so thousands of times while files are created and removed, and under the umask 000 every mistake is visible.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use kpi_store::{Durability, Error, Store};

use crate::support::unprivileged::{in_a_child, in_a_child_with_umask};
use crate::support::{organization, request_with_kpis, with_suffix};

#[test]
fn only_the_owner_can_read_files_under_a_permissive_umask() {
    let test = "modes::only_the_owner_can_read_files_under_a_permissive_umask";
    in_a_child_with_umask("000", test, |folder| {
        fs::write(folder.join("control"), b"").unwrap();
        assert_eq!(modes(folder).get("control"), Some(&0o666), "the umask is in force");
        fs::remove_file(folder.join("control")).unwrap();
        all_files_are_private(folder);
    });
}

#[test]
fn only_the_owner_can_read_files_under_a_restrictive_umask() {
    let test = "modes::only_the_owner_can_read_files_under_a_restrictive_umask";
    in_a_child_with_umask("077", test, all_files_are_private);
}

#[test]
fn the_owner_can_write_files_under_a_umask_that_forbids_it() {
    let test = "modes::the_owner_can_write_files_under_a_umask_that_forbids_it";
    in_a_child_with_umask("277", test, |folder| {
        fs::write(folder.join("control"), b"").unwrap();
        assert_eq!(modes(folder).get("control"), Some(&0o400), "the umask is in force");
        fs::remove_file(folder.join("control")).unwrap();
        let store = Store::open(folder.join("kpis.db")).unwrap();
        organization(&store).create_dataset(request_with_kpis(2)).unwrap();
        store.backup_to(folder.join("copy.db")).unwrap();
        assert!(modes(folder).values().all(|mode| *mode == 0o600), "{:?}", modes(folder));
        store.close().unwrap();
        for name in ["kpis.db", "copy.db"] {
            organization(&Store::open(folder.join(name)).unwrap()).create_dataset(request_with_kpis(2)).unwrap();
        }
    });
}

/// The control: a file that is created with default permissions and made private later is detected.
#[test]
fn the_harness_detects_a_file_that_becomes_private_late() {
    in_a_child_with_umask("000", "modes::the_harness_detects_a_file_that_becomes_private_late", |folder| {
        let seen = watching(folder, || {
            for index in 0.. {
                let file = folder.join(format!("{index}"));
                fs::write(&file, b"secret").unwrap();
                fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
                fs::remove_file(&file).unwrap();
                if index > 2_000 {
                    break;
                }
            }
        });
        assert!(seen.keys().any(|(_, mode)| *mode == 0o666), "{seen:?}");
    });
}

fn all_files_are_private(folder: &Path) {
    let seen = watching(folder, || {
        for (round, durability) in [Durability::Full, Durability::Normal].into_iter().cycle().take(20).enumerate() {
            let file = folder.join(format!("{round}.db"));
            let store = Store::options().durability(durability).open(&file).unwrap();
            organization(&store).create_dataset(request_with_kpis(100)).unwrap();
            let beside = ["", "-wal", "-shm"].map(|suffix| fs::metadata(with_suffix(&file, suffix)).unwrap().mode());
            assert_eq!(beside.map(|mode| mode & 0o7777), [0o600; 3]);
            let backup = folder.join(format!("{round}.backup"));
            let inside = folder.to_owned();
            store
                .backup_to_with(&backup, move |_| {
                    assert!(modes(&inside).values().all(|mode| *mode == 0o600), "{:?}", modes(&inside));
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o7777, 0o600);
            let restored = Store::open(&backup).unwrap();
            organization(&restored).create_dataset(request_with_kpis(1)).unwrap();
            assert!(modes(folder).values().all(|mode| *mode == 0o600), "{:?}", modes(folder));
        }
    });
    let bad: Vec<_> = seen.keys().filter(|(_, mode)| *mode != 0o600).collect();
    assert!(bad.is_empty(), "{bad:?}");
    // It saw the temporary files too, not only those that stay.
    for kind in [".db-wal", ".db-shm", ".draft", ".backup-wal"] {
        assert!(seen.keys().any(|(name, _)| name.ends_with(kind)), "{kind}: {seen:?}");
    }
}

/// Every name with every mode that was seen while `work` ran, and how often.
fn watching(folder: &Path, work: impl FnOnce()) -> BTreeMap<(String, u32), usize> {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = BTreeMap::new();
            while !is_done.load(Relaxed) {
                for (name, mode) in modes(folder) {
                    *seen.entry((name, mode)).or_default() += 1;
                }
            }
            seen
        });
        // Also when the work panics, so that the scope ends.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_done.store(true, Relaxed);
        let seen = watch.join().unwrap();
        worked.unwrap();
        seen
    })
}

fn modes(folder: &Path) -> BTreeMap<String, u32> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    // A file removed between the two calls does not count.
    let mode = |entry: fs::DirEntry| {
        let metadata = entry.metadata().ok()?;
        Some((entry.file_name().into_string().unwrap(), metadata.mode() & 0o7777))
    };
    entries.filter_map(mode).collect()
}

/// Such a folder cannot be opened, and so not be synced; SQLite passes over that too.
#[test]
fn a_store_is_made_and_backed_up_in_a_folder_that_cannot_be_read() {
    in_a_child("modes::a_store_is_made_and_backed_up_in_a_folder_that_cannot_be_read", |own| {
        let folder = own.join("unreadable");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o300)).unwrap();
        assert!(fs::read_dir(&folder).is_err(), "the control");
        let store = Store::open(folder.join("kpis.db")).unwrap();
        let created = organization(&store).create_dataset(request_with_kpis(2)).unwrap();
        store.backup_to(folder.join("copy.db")).unwrap();
        store.close().unwrap();
        for name in ["kpis.db", "copy.db"] {
            let again = Store::open(folder.join(name)).unwrap().organization(created.organization_id);
            assert_eq!(again.dataset(created.id).unwrap().as_ref(), Some(&created), "{name}");
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn a_log_that_may_not_be_read_is_named() {
    in_a_child("modes::a_log_that_may_not_be_read_is_named", |own| {
        let file = own.join("kpis.db");
        let store = Store::open(&file).unwrap();
        organization(&store).create_dataset(request_with_kpis(2)).unwrap();
        let other = own.join("other.db");
        for suffix in ["", "-wal"] {
            fs::copy(with_suffix(&file, suffix), with_suffix(&other, suffix)).unwrap();
        }
        let log = with_suffix(&other, "-wal");
        fs::set_permissions(&log, Permissions::from_mode(0o000)).unwrap();
        let error = Store::open(&other).unwrap_err();
        let named = std::error::Error::source(&error).unwrap().to_string();
        assert!(matches!(error, Error::ReadOnly { .. }) && named.contains(log.to_str().unwrap()), "{error:?}");
        let error = Store::options().read_only(true).open(&other).unwrap_err();
        assert!(matches!(&error, Error::InvalidPath { path, .. } if *path == log), "{error:?}");
    });
}
