//! Which files are mount points.
//!
//! A file that is mounted under a second name has one inode and one hard link, but a write-ahead log beside each name.
//! Only Linux tells, by the number of the mount that a file and its folder belong to.

use std::path::Path;

use super::disk;
use super::folder::folder_of;

/// Whether the file, given by a path without symbolic links, is a mount point itself. False if the system does not tell.
pub(super) fn is_mount_point(file: &Path) -> bool {
    let mounts = (disk::mount_of(file), disk::mount_of(folder_of(file)));
    matches!(mounts, (Ok(of_file), Ok(of_folder)) if of_file != of_folder)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::Store;

    #[test]
    fn a_file_of_the_folder_and_what_does_not_exist_are_no_mount_points_and_a_mounted_folder_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("kpis.db");
        fs::write(&file, "").unwrap();
        assert_eq!(disk::mount_of(&file).unwrap(), disk::mount_of(folder.path()).unwrap());
        assert!(!is_mount_point(&file));
        assert!(!is_mount_point(&folder.path().join("missing")));
        assert!(is_mount_point(Path::new("/proc")));
    }

    /// The control shows that the locks of this process are seen, and that closing an ordinary descriptor drops them.
    #[test]
    fn looking_for_the_mount_of_a_file_drops_no_locks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        let store = Store::open(&file).unwrap();
        let inode = format!(":{} ", fs::metadata(&file).unwrap().ino());
        let locks = || {
            let all = fs::read_to_string("/proc/locks").unwrap();
            all.lines().filter(|line| line.contains("POSIX") && line.contains(&inode)).count()
        };
        let before = locks();
        disk::mount_of(&file).unwrap();
        assert_eq!(locks(), before);
        drop(File::open(&file).unwrap());
        assert!(locks() < before, "{before}");
        // Its locks are lost, so SQLite could remove the log of a store that is open.
        drop(store);
    }
}
