//! The file-system calls outside SQLite: where the file is, making it, keeping its name.
//!
//! IMPORTANT: an existing file is never opened here. Closing any descriptor of a file drops all POSIX locks that the
//! process holds on it, those of SQLite included (<https://sqlite.org/howtocorrupt.html>, section 2.2); so its length
//! comes from `stat`, and a file that is being made is hidden from other threads until its descriptor is closed.

use std::fs::{self, FileType, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, from_io, shared};

/// The longest path, in bytes, that SQLite's Unix VFS opens: 512, less the suffix `-journal`.
const PATH_MAX_BYTES: usize = 504;

/// Held from the look at a path to the closing of the file made there.
static MAKING: Mutex<()> = Mutex::new(());

/// The absolute path of the one real file behind `path`; an empty file is made if there is none.
///
/// Its folder is canonicalised and a symbolic link at its end followed, so that every handle agrees on the file. An
/// absolute path is also never taken for a URI, as SQLite would take `file:x?mode=memory`.
pub(super) fn find_or_make(path: &Path) -> Result<PathBuf, Error> {
    check_spelling(path)?;
    let _made_by_one_thread = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    match fs::symlink_metadata(path) {
        Ok(metadata) => find(path, &metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(Error::invalid_path(path, "it cannot be looked up", shared(error))),
    }
}

fn check_spelling(path: &Path) -> Result<(), Error> {
    let text = path.as_os_str().as_encoded_bytes();
    let refuse = |reason| Err(Error::invalid_path(path, reason, None));
    let last = text.rsplit(|byte| std::path::is_separator(char::from(*byte))).next().unwrap_or_default();
    match (text, last) {
        (b"", _) => refuse("it is empty"),
        (b":memory:", _) => refuse("a store in memory is opened with open_in_memory"),
        (text, _) if text.contains(&0) => refuse("it contains a NUL byte"),
        (_, b"" | b"." | b"..") => refuse("it names a folder"),
        (_, name) if cfg!(windows) && name.contains(&b':') => refuse("a colon names an alternate stream"),
        _ => Ok(()),
    }
}

fn find(path: &Path, metadata: &Metadata) -> Result<PathBuf, Error> {
    let (real, metadata) = if metadata.is_symlink() {
        let dangles = |error| Error::invalid_path(path, "it is a link that leads nowhere", shared(error));
        let real = fs::canonicalize(path).map_err(dangles)?;
        let metadata = fs::metadata(&real).map_err(dangles)?;
        (real, metadata)
    } else {
        (real_path(path)?, metadata.clone())
    };
    check_kind(path, metadata.file_type())?;
    // SQLite takes a file of one byte for an empty one and overwrites it.
    if metadata.len() == 1 {
        return Err(Error::NotAStore { reason: "it is one byte long", source: None });
    }
    Ok(real)
}

fn check_kind(path: &Path, kind: FileType) -> Result<(), Error> {
    if kind.is_dir() {
        return Err(Error::invalid_path(path, "it is a folder", None));
    }
    if !kind.is_file() {
        return Err(Error::invalid_path(path, "it is no regular file", None));
    }
    Ok(())
}

fn make(path: &Path) -> Result<PathBuf, Error> {
    let real = real_path(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&real) {
        Ok(_) => Ok(real),
        // Another process was faster: it is as good as ours.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(real),
        Err(error) => {
            Err(from_io(error).unwrap_or_else(|error| Error::invalid_path(path, "it cannot be created", shared(error))))
        }
    }
}

/// The path with its folder canonicalised.
fn real_path(path: &Path) -> Result<PathBuf, Error> {
    let Some(name) = path.file_name() else {
        return Err(Error::invalid_path(path, "it names a folder", None));
    };
    let folder = fs::canonicalize(folder_of(path))
        .map_err(|error| Error::invalid_path(path, "its folder cannot be found", shared(error)))?;
    let real = folder.join(name);
    if cfg!(unix) && real.as_os_str().len() > PATH_MAX_BYTES {
        return Err(Error::invalid_path(path, "it is longer than SQLite opens, 504 bytes", None));
    }
    Ok(real)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a write-ahead log lies beside the file.
pub(super) fn has_wal(file: &Path) -> bool {
    fs::symlink_metadata(beside(file, "-wal")).is_ok()
}

/// Whether a rollback journal lies beside the file.
pub(super) fn has_journal(file: &Path) -> bool {
    fs::symlink_metadata(beside(file, "-journal")).is_ok()
}

/// The path of a file whose name begins with that of `file`.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// How many bytes the file has.
pub(super) fn length(file: &Path) -> Result<u64, Error> {
    fs::metadata(file).map(|metadata| metadata.len()).map_err(|error| Error::Storage { source: shared(error) })
}

/// Makes the name of a new file as durable as its contents.
pub(super) fn sync_folder(file: &Path) -> Result<(), Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    let synced = fs::File::open(folder_of(file)).and_then(|folder| folder.sync_all());
    synced.map_err(|error| from_io(error).unwrap_or_else(|error| Error::Storage { source: shared(error) }))
}
