//! A store that was opened for writing and whose file can no longer be written: everything that only reads goes on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kpi_store::{Dataset, DatasetQuery, Organization, Store};

use crate::support::unprivileged::in_a_child;
use crate::support::{TestFile, listed, may_mount, organization, request_with_kpis, skipped};

/// Eight threads read at the same time, so that every connection of the pool is opened.
fn assert_readable(store: &Store, ours: &Organization, expected: &[Dataset], copy: &Path) {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(listed(ours), expected);
                assert_eq!(ours.dataset(expected[0].id).unwrap().as_ref(), Some(&expected[0]));
                assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), expected.len() as u64);
                assert_eq!(store.organizations().unwrap(), [ours.id()]);
            });
        }
    });
    let verification = store.verify().unwrap();
    assert!(verification.is_whole(), "{verification:?}");
    assert_eq!(verification.datasets, expected.len() as u64);
    store.backup_to(copy).unwrap();
    assert_eq!(listed(&Store::open(copy).unwrap().organization(ours.id())), expected);
}

#[test]
fn a_file_that_becomes_read_only_is_read_copied_and_still_written_by_the_open_store() {
    let test = "became_read_only::a_file_that_becomes_read_only_is_read_copied_and_still_written_by_the_open_store";
    in_a_child(test, |folder| {
        let other = folder.join("other");
        fs::create_dir(&other).unwrap();
        for (index, folder_mode) in [0o700, 0o500].into_iter().enumerate() {
            let own = folder.join(format!("own {index}"));
            fs::create_dir(&own).unwrap();
            let file = own.join("kpis.db");
            let store = Store::open(&file).unwrap();
            let ours = organization(&store);
            let mut expected = vec![ours.create_dataset(request_with_kpis(40)).unwrap()];
            for (path, mode) in [(&file, 0o444), (&own, folder_mode)] {
                fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
            assert_readable(&store, &ours, &expected, &other.join(format!("copy {index}.db")));
            expected.push(ours.create_dataset(request_with_kpis(3)).unwrap());
            assert_eq!(listed(&ours), expected);
            // The connection that can write is the last to be closed: the log is copied into the file.
            store.close().unwrap();
            fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
            let again = Store::options().read_only(true).open(&file).unwrap();
            assert_eq!(listed(&again.organization(ours.id())), expected);
        }
    });
}

/// As the system does after an error of the disk.
#[test]
fn a_disk_that_becomes_read_only_is_read_and_copied_and_a_create_says_why_it_fails() {
    let Some(disk) = Disk::mount() else { return };
    let store = Store::open(disk.folder().join("kpis.db")).unwrap();
    let ours = organization(&store);
    let expected = [ours.create_dataset(request_with_kpis(40)).unwrap()];
    disk.make_read_only();
    let elsewhere = tempfile::tempdir().unwrap();
    assert_readable(&store, &ours, &expected, &elsewhere.path().join("first.db"));
    // The first one learns it from the commit.
    let codes = [(); 3].map(|()| ours.create_dataset(request_with_kpis(1)).unwrap_err().code());
    assert_eq!(codes, ["outcome_unknown", "read_only", "read_only"]);
    assert_readable(&store, &ours, &expected, &elsewhere.path().join("second.db"));
    assert!(store.close().is_err());
}

/// A disk in a file, with a file system of its own; unmounted when this is dropped.
struct Disk(TestFile);

impl Disk {
    fn mount() -> Option<Self> {
        let disk = Self(TestFile::new());
        fs::create_dir(disk.folder()).unwrap();
        fs::File::create(disk.image()).unwrap().set_len(16 << 20).unwrap();
        let is_formatted = run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()));
        if is_formatted && run(Command::new("mount").args(["-o", "loop"]).arg(disk.image()).arg(disk.folder())) {
            return Some(disk);
        }
        skipped("a file system in a file cannot be made and mounted", is_formatted && may_mount());
        None
    }

    fn image(&self) -> PathBuf {
        self.0.folder.path().join("image")
    }

    fn folder(&self) -> PathBuf {
        self.0.folder.path().join("disk")
    }

    /// Makes the file system read-only, as it does by itself after an error. A plain remount is refused while files are open for writing.
    fn make_read_only(&self) {
        assert!(run(Command::new("mount").args(["-o", "remount,abort"]).arg(self.folder())));
        assert!(fs::write(self.folder().join("any"), "").is_err(), "the control: the disk is read-only");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Detached, since handles may be dropped later than this.
        run(Command::new("umount").arg("--lazy").arg(self.folder()));
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|done| done.status.success())
}
