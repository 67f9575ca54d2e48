//! A full disk: the error is `StorageFull`, nothing is written, reads still work, and the same handle can write again
//! once there is space.
//!
//! A disk of one mebibyte in memory is mounted for each test, which takes a privileged user on Linux. Elsewhere the
//! tests are skipped, and only the unit tests of the writer see a full disk: they limit the pages of the file instead.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use kpi_store::{Error, NewDataset, NewKpi, Store};

use crate::support::{TestFile, entries, listed, may_mount, organization, request_with_kpis, skipped};

#[test]
fn a_create_on_a_full_disk_is_storage_full_and_succeeds_once_there_is_space() {
    // A single small dataset finds the disk full in its commit, a batch already in its statements.
    for (what, batch) in [("one", 1), ("a few", 5), ("many", 150)] {
        let Some(disk) = Disk::mount() else { return };
        disk.fill(500_000);
        let store = Store::open(disk.file()).unwrap();
        let ours = organization(&store);
        let mut created = Vec::new();
        let create = || ours.create_datasets((0..batch).map(|_| request_with_kpis(3)));

        let error = loop {
            match create() {
                Ok(datasets) => created.extend(datasets),
                Err(error) => break error,
            }
        };
        is_full(&error, what);
        // With the last byte taken too, it stays full however often it is tried.
        disk.fill_to_the_end();
        for _ in 0..3 {
            is_full(&create().unwrap_err(), what);
            assert_eq!(listed(&ours), created, "{what}: reads continue");
        }

        disk.make_room();
        created.extend(create().unwrap_or_else(|error| panic!("{what}: there is room again: {error:?}")));
        assert_eq!(listed(&ours), created, "{what}");
        assert!(store.verify().unwrap().is_whole(), "{what}");
        store.close().unwrap();
        let again = Store::open(disk.file()).unwrap();
        assert_eq!(listed(&again.organization(ours.id())), created, "{what}: nothing more, nothing less");
    }
}

#[test]
fn a_backup_on_a_full_disk_is_storage_full_and_leaves_no_file() {
    let Some(disk) = Disk::mount() else { return };
    let store = Store::open(disk.file()).unwrap();
    let created = organization(&store).create_datasets((0..30).map(|_| request_with_kpis(30))).unwrap();
    disk.fill_to_the_end();
    let before = names(&disk);

    let copy = disk.folder().join("copy.db");
    is_full(&store.backup_to(&copy).unwrap_err(), "a backup");
    assert_eq!(names(&disk), before, "neither a copy nor a draft");

    disk.make_room();
    store.backup_to(&copy).unwrap();
    let copy = Store::open(&copy).unwrap();
    assert_eq!(listed(&copy.organization(created[0].organization_id)), created);
}

#[test]
fn a_compaction_on_a_full_disk_is_storage_full_and_leaves_the_store_as_it_was() {
    // The disk is full from the start, or once the log has some of the new pages.
    for room in [0, 20_000, 60_000, 120_000] {
        let Some(disk) = Disk::mount() else { return };
        let store = Store::open(disk.file()).unwrap();
        let ours = organization(&store);
        let mut created = ours.create_datasets((0..30).map(|_| request_with_kpis(60))).unwrap();
        assert!(store.checkpoint().unwrap());
        fs::write(disk.folder().join("room"), vec![0; room]).unwrap();
        disk.fill_to_the_end();
        fs::remove_file(disk.folder().join("room")).unwrap();
        for _ in 0..3 {
            is_full(&store.compact().unwrap_err(), &format!("{room} bytes left"));
            assert_eq!(listed(&ours), created, "{room}");
        }
        if room > 20_000 {
            created.push(ours.create_dataset(request_with_kpis(1)).unwrap());
        }
        let error = store.purge_organization(organization(&store).id()).unwrap_err();
        is_full(&error, "removing an organization");

        disk.make_room();
        store.compact().unwrap();
        created.push(ours.create_dataset(request_with_kpis(3)).unwrap());
        assert_eq!(listed(&ours), created, "{room}");
        assert!(store.verify().unwrap().is_whole(), "{room}");
        store.close().unwrap();
        let again = Store::open(disk.file()).unwrap();
        assert_eq!(listed(&again.organization(ours.id())), created, "{room}");
    }
}

#[test]
fn a_store_cannot_be_made_on_a_full_disk_but_once_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    disk.fill_to_the_end();
    for _ in 0..2 {
        is_full(&Store::open(disk.file()).unwrap_err(), "opening");
    }
    disk.make_room();
    let store = Store::open(disk.file()).unwrap();
    organization(&store).create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal"))).unwrap();
    assert!(store.verify().unwrap().is_whole());
}

/// Neither the file nor those of SQLite beside it can be made.
#[test]
fn a_first_opening_without_inodes_is_storage_full() {
    let mut full = 0;
    for inodes in 1.. {
        let Some(disk) = Disk::mount_with(&format!("size=1m,nr_inodes={inodes}")) else { return };
        match Store::open(disk.file()) {
            Ok(_) => break,
            Err(error) => is_full(&error, &format!("{inodes} inodes")),
        }
        full += 1;
    }
    assert!(full >= 3, "the file, its log, the index: {full}");
}

/// A reader needs a log, too. The file is not opened as one that does not change, since later writes would not be seen.
#[test]
fn opening_for_reading_only_without_inodes_is_storage_full() {
    let Some(disk) = Disk::mount_with("size=1m,nr_inodes=20") else { return };
    let store = Store::open(disk.file()).unwrap();
    organization(&store).create_dataset(request_with_kpis(3)).unwrap();
    store.close().unwrap();
    let more = |number: usize| fs::write(disk.folder().join(format!("more {number}")), "");
    let taken = (0..100).take_while(|number| more(*number).is_ok()).count();
    let open = || Store::options().read_only(true).open(disk.file());
    is_full(&open().unwrap_err(), "no inodes");
    for number in 0..taken {
        fs::remove_file(disk.folder().join(format!("more {number}"))).unwrap();
    }
    assert!(open().unwrap().verify().unwrap().is_whole());
}

fn is_full(error: &Error, what: &str) {
    assert!(matches!(error, Error::StorageFull { .. }) && error.is_retryable(), "{what}: {error:?}");
}

fn names(disk: &Disk) -> Vec<PathBuf> {
    entries(disk.folder()).into_iter().map(|entry| entry.path).collect()
}

/// A disk of one mebibyte, in memory; unmounted when this is dropped.
struct Disk(TestFile);

impl Disk {
    fn mount() -> Option<Self> {
        Self::mount_with("size=1m")
    }

    fn mount_with(options: &str) -> Option<Self> {
        let file = TestFile::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(file.folder.path());
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Self(file));
        }
        skipped("a file system in memory cannot be mounted", may_mount());
        None
    }

    fn folder(&self) -> &Path {
        self.0.folder.path()
    }

    fn file(&self) -> &Path {
        &self.0.path
    }

    fn fill(&self, bytes: usize) {
        fs::write(self.folder().join("ballast"), vec![0; bytes]).unwrap();
    }

    fn fill_to_the_end(&self) {
        let mut rest = fs::File::create(self.folder().join("rest")).unwrap();
        while rest.write(&[0; 4_096]).is_ok() {}
    }

    /// Removes what fills the disk.
    fn make_room(&self) {
        for name in ["ballast", "rest"] {
            let _ = fs::remove_file(self.folder().join(name));
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Detached, since handles may be dropped later than this.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.folder()).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "the disk stays mounted at {}",
            self.folder().display()
        );
    }
}
