//! Resolving a path to the real file.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::folder::{folder_of, lack_of_descriptors};
use super::{companions, disk, mounts};
use crate::error::Error;
use crate::sqlite::failure::{creation_failed, invalid_path, lookup_failed};

/// The maximum length of a path in bytes: SQLite's Unix VFS opens 512, including the suffix `-journal`.
const PATH_MAX_BYTES: usize = 504;

/// The maximum length of the path of a folder in bytes: SQLite must also open the draft of a backup there, whose name has
/// 32 bytes.
const FOLDER_MAX_BYTES: usize = PATH_MAX_BYTES - 33;

/// Held from the lookup of a path until the file that is created there is closed.
static CREATING: Mutex<()> = Mutex::new(());

/// The absolute path of the real file; an empty file is created if there is none.
///
/// The folder is canonicalized and a symbolic link at the end is followed, so that all handles use the same path.
/// Besides, SQLite never parses an absolute path as a URI, as it would parse `file:x?mode=memory`.
pub(in crate::sqlite) fn find_or_create(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    let _one_thread_creates = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metadata) = look_up(path)? {
        return find(path, &metadata);
    }
    let real = real_path(path)?;
    companions::refuse_orphaned_log(&real)?;
    // Otherwise the new file would be left, though SQLite cannot open it.
    if let Some(error) = lack_of_descriptors(&real) {
        return Err(error);
    }
    create(path, real)
}

/// The same for a file that must exist.
pub(in crate::sqlite) fn find_existing(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    let _not_being_created = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    match look_up(path)? {
        Some(metadata) => find(path, &metadata),
        None => Err(invalid_path(path, "the file does not exist", None)),
    }
}

/// The same for a file that must not exist yet; it is not created.
pub(in crate::sqlite) fn find_vacant(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    // If another store is opened under the name without the suffix, SQLite would treat this file as its journal, roll
    // it back and delete it.
    if companions::has_name_of_companion(path) {
        return Err(invalid_path(path, "SQLite reserves names that end in -wal, -shm or -journal", None));
    }
    let real = real_path(path)?;
    refuse_taken(path, &real)?;
    Ok(real)
}

/// Whether the name, or that of one of its companions, is taken.
pub(in crate::sqlite) fn is_taken(file: &Path) -> Result<bool, Error> {
    Ok(look_up(file)?.is_some() || companions::has_any(file)?)
}

pub(super) fn refuse_taken(path: &Path, real: &Path) -> Result<(), Error> {
    if look_up(real)?.is_some() {
        return Err(already_exists(path));
    }
    if companions::has_any(real)? {
        return Err(invalid_path(path, "a -wal, -shm or -journal of another file lies beside it", None));
    }
    Ok(())
}

pub(super) fn already_exists(path: &Path) -> Error {
    invalid_path(path, "the file already exists", None)
}

fn look_up(path: &Path) -> Result<Option<Metadata>, Error> {
    disk::look_up(path).map_err(|error| lookup_failed(path, "the file cannot be found", error))
}

fn check_spelling(path: &Path) -> Result<(), Error> {
    let text = path.as_os_str().as_encoded_bytes();
    let refuse = |reason| Err(invalid_path(path, reason, None));
    let last = text.rsplit(|byte| std::path::is_separator(char::from(*byte))).next().unwrap_or_default();
    match (text, last) {
        (b"", _) => refuse("the path is empty"),
        (b":memory:", _) => refuse("call open_in_memory to open a store in memory"),
        (text, _) if text.contains(&0) => refuse("the path contains a NUL byte"),
        (_, b"" | b"." | b"..") => refuse("the path is that of a folder"),
        (_, name) if cfg!(windows) && name.contains(&b':') => refuse("the file name contains a colon"),
        _ => Ok(()),
    }
}

fn find(path: &Path, metadata: &Metadata) -> Result<PathBuf, Error> {
    let (real, metadata) = if metadata.is_symlink() {
        let dangles = |error| lookup_failed(path, "the symbolic link is dangling", error);
        let real = disk::canonicalize(path).map_err(dangles)?;
        let metadata = disk::look_up(&real).and_then(|found| found.ok_or_else(|| ErrorKind::NotFound.into()));
        let metadata = metadata.map_err(dangles)?;
        (real, metadata)
    } else {
        (real_path(path)?, metadata.clone())
    };
    check_kind(path, &metadata)?;
    if mounts::is_mount_point(&real) {
        return Err(invalid_path(
            path,
            "the file is mounted by itself, and so has another name; mount its folder",
            None,
        ));
    }
    match metadata.len() {
        0 => companions::refuse_orphaned_log(&real)?,
        // SQLite treats a file of one byte as empty and overwrites it.
        1 => return Err(Error::NotAStore { reason: "it is one byte long", source: None }),
        _ => {}
    }
    Ok(real)
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let refuse = |reason| Err(invalid_path(path, reason, None));
    if metadata.is_dir() {
        return refuse("the path is that of a folder");
    }
    if !metadata.is_file() {
        return refuse("it is not a regular file");
    }
    // Each name would have its own write-ahead log, and the handles would overwrite each other's commits. So would those
    // of a file that is mounted under a second name.
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(metadata) > 1 {
        return refuse(
            "the file has more than one hard link; if it is a backup, a killed process left another name of it \
            beside it: remove the kpi-store-*.draft",
        );
    }
    Ok(())
}

fn create(path: &Path, real: PathBuf) -> Result<PathBuf, Error> {
    match disk::create_private(&real) {
        Ok(()) => Ok(real),
        // Another process has created it meanwhile; it is just as empty.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(real),
        Err(error) => Err(creation_failed(path, error)),
    }
}

/// The path with its folder canonicalized.
fn real_path(path: &Path) -> Result<PathBuf, Error> {
    let Some(name) = path.file_name() else {
        return Err(invalid_path(path, "the path is that of a folder", None));
    };
    let folder = disk::canonicalize(folder_of(path))
        .map_err(|error| lookup_failed(path, "its folder cannot be found", error))?;
    let real = folder.join(name);
    if cfg!(unix) && real.as_os_str().len() > PATH_MAX_BYTES {
        return Err(invalid_path(path, "the path is longer than 504 bytes, the limit of SQLite", None));
    }
    if cfg!(unix) && folder.as_os_str().len() > FOLDER_MAX_BYTES {
        const REASON: &str = "the path of its folder is longer than 471 bytes, and SQLite could open no backup there";
        return Err(invalid_path(path, REASON, None));
    }
    companions::check_names(path, &real)?;
    Ok(real)
}

#[cfg(test)]
mod tests {
    use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};

    use super::*;

    #[test]
    fn a_path_that_cannot_be_looked_up_is_an_error_of_the_storage_and_not_taken_for_free() {
        type Find = fn(&Path) -> Result<(), Error>;
        let finds: [(&str, bool, Find); 4] = [
            ("an existing file", true, |file| find_existing(file).map(drop)),
            ("a file to create", false, |file| find_or_create(file).map(drop)),
            ("a vacant name", false, |file| find_vacant(file).map(drop)),
            ("whether a name is taken", false, |file| is_taken(file).map(drop)),
        ];
        for (what, exists, find) in finds {
            for at in 1.. {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().canonicalize().unwrap().join("kpis.db");
                if exists {
                    std::fs::write(&file, "").unwrap();
                }
                let disk = Disk::new(folder.path());
                disk.fail(Fault { kinds: vec![Kind::Length], at, cause: Cause::Io, lasting: false });
                let found = find(&file).map_err(|error| error.code());
                if !disk.has_failed() {
                    assert!(found.is_ok() && at > 3, "{what}, lookup {at}: {found:?}");
                    break;
                }
                assert_eq!(found, Err("storage"), "{what}, lookup {at}");
            }
        }
    }
}
