//! Which files are mount points.
//!
//! A file that is mounted under a second name has one inode and one hard link, but a write-ahead log beside each name.
//! Only Linux tells: a file that is a mount point belongs to another mount than its folder. Where the numbers of mounts
//! are missing, the list of mount points is searched for the file, which takes longer.

use std::path::Path;

use super::disk;
use super::folder::folder_of;

/// Whether the file, given by a path without symbolic links, is a mount point itself. False if the system does not
/// tell.
pub(super) fn is_mount_point(file: &Path) -> bool {
    match (disk::mount_of(file), disk::mount_of(folder_of(file))) {
        (Ok(of_file), Ok(of_folder)) => of_file != of_folder,
        _ => is_listed(file),
    }
}

fn is_listed(file: &Path) -> bool {
    disk::mounts().is_ok_and(|list| lists(&list, file.as_os_str().as_encoded_bytes()))
}

/// Whether the list has a mount point of this path: the fifth field of a line.
fn lists(list: &[u8], path: &[u8]) -> bool {
    let points = list.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.into_iter().any(|point| is_escaped(point, path))
}

/// Whether a mount point is the escaped form of a path: Linux writes a space, a tab, a line end and a backslash as a
/// backslash with three octal digits.
fn is_escaped(mut point: &[u8], path: &[u8]) -> bool {
    for byte in path {
        point = match point {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..]
                if (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0') == *byte =>
            {
                rest
            }
            [first, rest @ ..] if first == byte => rest,
            _ => return false,
        };
    }
    point.is_empty()
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
        assert!(is_listed(Path::new("/proc")) && !is_listed(&file));
    }

    #[test]
    fn mount_points_are_recognized_with_their_escapes_and_nothing_else_is() {
        const LIST: &[u8] = b"\
22 28 0:20 / /proc rw,nosuid - proc proc rw
36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
37 35 98:0 /kpis.db /data/kpis.db rw,relatime - ext4 /dev/sda1 rw
38 35 98:0 /a /data/with\\040space\\011tab\\012line\\134backslash.db rw - ext4 /dev/sda1 rw
39 35 98:0 /b /data/\xc3\xa9\xff.db rw - ext4 /dev/sda1 rw
40 35 98:0 /c /data/\\134040.db rw - ext4 /dev/sda1 rw
cut off";
        for path in [
            b"/proc".as_slice(),
            b"/mnt2",
            b"/data/kpis.db",
            b"/data/with space\ttab\nline\\backslash.db",
            b"/data/\xc3\xa9\xff.db",
            b"/data/\\040.db",
        ] {
            assert!(lists(LIST, path), "{}", path.escape_ascii());
        }
        for path in [
            b"/mnt1".as_slice(),
            b"/kpis.db",
            b"/data",
            b"/data/kpis.d",
            b"/data/kpis.db-wal",
            b"/data/ .db",
            b"/data/with",
            b"/data/with_space\ttab\nline\\backslash.db",
            b"/data/with\\040space\\011tab\\012line\\134backslash",
            b"rw",
            b"",
        ] {
            assert!(!lists(LIST, path), "{}", path.escape_ascii());
        }
        assert!(!lists(b"", b"/data/kpis.db"));
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
