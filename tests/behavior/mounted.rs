//! A file that is mounted under a second name, as by `mount --bind` or `docker -v kpis.db:/data/kpis.db`: it has one
//! hard link, but SQLite keeps a log beside each name. Mounted folders are no problem.
//!
//! A mount takes a privileged user; without one the tests are skipped, and only the unit tests of the numbers of mounts
//! run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kpi_store::{Error, Store};

use crate::support::{
    TestFile, checkpointed_store, entries, folder_in_memory, ids_in_a_sound_file, may_mount, organization,
    request_with_kpis, skipped,
};

#[test]
fn a_file_that_is_mounted_is_refused_under_that_name_and_stays_unchanged() {
    for name in ["kpis.db", "a name with spaces.db", "tab\tand\nline.db", "back\\slash \\040.db"] {
        let (original, place) = (checkpointed_store(), TestFile::new());
        let mounted = place.folder.path().join(name);
        fs::write(&mounted, "").unwrap();
        let Some(_mount) = Mount::bind(&original.path, &mounted) else { return };
        let link = place.folder.path().join("link");
        std::os::unix::fs::symlink(&mounted, &link).unwrap();
        let before = [entries(original.folder.path()), entries(place.folder.path())];
        for path in [&mounted, &link] {
            for options in [Store::options(), Store::options().read_only(true)] {
                let error = options.open(path).unwrap_err();
                let Error::InvalidPath { path: named, reason, .. } = error else { panic!("{name}: {error:?}") };
                assert_eq!(&named, path, "{name}");
                assert_eq!(reason, "the file is mounted by itself, and so has another name; mount its folder");
            }
        }
        assert_eq!([entries(original.folder.path()), entries(place.folder.path())], before, "{name}");
        // Where it is not a mount point it can be used.
        assert_eq!(ids_in_a_sound_file(&original.path).len(), 1, "{name}");
    }
}

#[test]
fn a_store_in_a_mounted_folder_is_one_store_under_both_names() {
    let (original, place) = (TestFile::new(), TestFile::new());
    let Some(_mount) = Mount::bind(original.folder.path(), place.folder.path()) else { return };
    let stores = [&original.path, &place.path].map(|path| Store::open(path).unwrap());
    for _ in 0..5 {
        for store in &stores {
            organization(store).create_dataset(request_with_kpis(2)).unwrap();
        }
    }
    for store in stores {
        store.close().unwrap();
    }
    assert_eq!(ids_in_a_sound_file(&original.path).len(), 10);
}

/// An overlay copies a file when it is first opened for writing, which changes its inode once on
/// some kernels.
#[test]
fn a_store_in_the_lower_folder_of_an_overlay_is_opened_and_written() {
    let (lower, upper, place) = (checkpointed_store(), folder_in_memory(), TestFile::new());
    let [changes, work] = ["changes", "work"].map(|name| upper.path().join(name));
    fs::create_dir(&changes).unwrap();
    fs::create_dir(&work).unwrap();
    let before = fs::read(&lower.path).unwrap();
    let folders = [("lowerdir", lower.folder.path()), ("upperdir", &changes), ("workdir", &work)];
    let options = folders.map(|(name, folder)| format!("{name}={}", folder.display())).join(",");
    let Some(_mount) = Mount::new(&["-t", "overlay", "-o", &options, "overlay"], place.folder.path()) else { return };
    let store = Store::open(&place.path).unwrap();
    organization(&store).create_dataset(request_with_kpis(2)).unwrap();
    store.close().unwrap();
    assert_eq!(ids_in_a_sound_file(&place.path).len(), 2);
    assert!(fs::read(&lower.path).unwrap() == before, "the lower file stays");
}

/// A mount; it ends when this is dropped.
struct Mount(PathBuf);

impl Mount {
    fn bind(original: &Path, place: &Path) -> Option<Self> {
        Self::new(&["--bind", original.to_str().unwrap()], place)
    }

    fn new(arguments: &[&str], place: &Path) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(place).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(place.to_owned()));
        }
        skipped("nothing can be mounted", may_mount());
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
