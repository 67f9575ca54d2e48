//! Every call to the file system outside SQLite, so that a simulated disk can record it and make it fail in tests.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[cfg(test)]
use kpi_store_fault_vfs::{Kind, Operation, done, may};

/// Creates an empty file with mode 0600; it never has a wider mode.
pub(super) fn create_private(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Open, file)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let created = options.open(file)?;
    #[cfg(unix)]
    give_to_owner(&created);
    drop(created);
    #[cfg(test)]
    done(file, |file| Operation::Create { file });
    Ok(())
}

/// Lets the owner read and write the file where the umask took that away. Best effort: a file system without modes
/// refuses it, and a file that its owner cannot use is refused when it is opened.
#[cfg(unix)]
fn give_to_owner(created: &File) {
    use std::os::unix::fs::PermissionsExt;
    if created.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o600 != 0o600) {
        let _ = created.set_permissions(fs::Permissions::from_mode(0o600));
    }
}

/// The metadata of the directory entry, without following a link; `None` only if it does not exist.
pub(super) fn look_up(file: &Path) -> io::Result<Option<Metadata>> {
    #[cfg(test)]
    may(Kind::Length, file)?;
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The absolute path without symbolic links of a file or folder that exists.
pub(super) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    #[cfg(test)]
    may(Kind::Length, path).and_then(|()| may(Kind::Length, &path.join("any")))?;
    fs::canonicalize(path)
}

/// The number of the mount that a file or folder belongs to, as Linux tells it. Fails elsewhere, where `/proc` is not
/// mounted, and where it has no such number (gVisor).
///
/// IMPORTANT: `O_PATH` refers to the file without opening it, and the file may be a database: closing such a descriptor
/// drops no locks (`filp_flush` in `fs/open.c` of Linux), and nothing of the file is read.
#[cfg(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64"))))]
pub(super) fn mount_of(path: &Path) -> io::Result<u64> {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    // Another value on SPARC.
    const O_PATH: i32 = 0o10_000_000;
    let place = OpenOptions::new().read(true).custom_flags(O_PATH).open(path)?;
    // One read returns all of it: four lines.
    let mut text = [0; 256];
    let length = File::open(format!("/proc/thread-self/fdinfo/{}", place.as_raw_fd()))?.read(&mut text)?;
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(not(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64")))))]
pub(super) fn mount_of(_: &Path) -> io::Result<u64> {
    Err(ErrorKind::Unsupported.into())
}

/// The mounts of this process, as Linux lists them. Fails elsewhere, and where `/proc` is not mounted.
pub(super) fn mounts() -> io::Result<Vec<u8>> {
    if cfg!(target_os = "linux") { fs::read("/proc/self/mountinfo") } else { Err(ErrorKind::Unsupported.into()) }
}

/// Opens a file on which SQLite holds no locks, for reading. In tests a failing read fails here, with the same effect.
pub(super) fn open(file: &Path) -> io::Result<File> {
    #[cfg(test)]
    may(Kind::Open, file).and_then(|()| may(Kind::Read, file))?;
    File::open(file)
}

/// Opens a file on which SQLite holds no locks, for writing.
pub(super) fn open_to_write(file: &Path) -> io::Result<File> {
    #[cfg(test)]
    may(Kind::Open, file)?;
    File::options().write(true).open(file)
}

/// Opens a folder, which succeeds as long as file descriptors are left.
pub(super) fn open_folder(folder: &Path) -> io::Result<File> {
    #[cfg(test)]
    may(Kind::Open, &folder.join("any"))?;
    File::open(folder)
}

/// Syncs the contents of a file. Closing its descriptor drops all locks that the process holds on the file.
pub(super) fn sync_file(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Sync, file).inspect_err(|_| done(file, |file| Operation::SyncFailed { file }))?;
    File::options().write(true).open(file)?.sync_all()?;
    #[cfg(test)]
    done(file, |file| Operation::Sync { file });
    Ok(())
}

/// Shortens a file on which SQLite holds no locks.
pub(super) fn truncate(file: &Path, length: u64) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Truncate, file)?;
    File::options().write(true).open(file)?.set_len(length)?;
    #[cfg(test)]
    done(file, |file| Operation::Truncate { file, length });
    Ok(())
}

/// Takes a lock on a file of this crate and releases it. A lock that is held elsewhere is no error.
pub(super) fn try_lock(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Lock, file)?;
    match File::options().write(true).open(file)?.try_lock() {
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
    }
}

/// Gives a file a second name in its folder. Fails if the name is taken.
pub(super) fn link(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Link, from)?;
    fs::hard_link(from, to)?;
    #[cfg(test)]
    done(from, |from| Operation::Link { from, to: to.file_name().unwrap().to_string_lossy().into() });
    Ok(())
}

/// Renames a file within its folder.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Rename, from)?;
    fs::rename(from, to)?;
    #[cfg(test)]
    done(from, |from| Operation::Rename { from, to: to.file_name().unwrap().to_string_lossy().into() });
    Ok(())
}

/// Removes a file.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::Delete, file)?;
    fs::remove_file(file)?;
    #[cfg(test)]
    done(file, |file| Operation::Delete { file });
    Ok(())
}

/// Syncs a folder, so that the names of its files are durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(test)]
    may(Kind::SyncFolder, &folder.join("any"))?;
    File::open(folder)?.sync_all()?;
    #[cfg(test)]
    done(&folder.join("any"), |_| Operation::SyncFolder);
    Ok(())
}
