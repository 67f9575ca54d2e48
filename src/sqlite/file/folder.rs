//! The folder of a file.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::disk;
use crate::error::Error;
use crate::sqlite::failure::{cause, is_lack_of_descriptors, write_failed};

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs the folder of a new file, so that its name is as durable as its contents.
///
/// A folder that cannot be synced is passed over, as SQLite does: some file systems, such as those over a network or in
/// user space, do not offer it, and a folder without the permission to read it cannot be opened for it.
pub(in crate::sqlite) fn sync_folder(file: &Path) -> Result<(), Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    match disk::sync_folder(folder_of(file)) {
        Err(error) if !cannot_be_synced(&error) => Err(write_failed(file, error)),
        _ => Ok(()),
    }
}

/// Whether the folder cannot be synced at all: EINVAL, ENOTSUP, ENOSYS, EACCES, EPERM, or EBADF, which some systems
/// answer for a descriptor that is open for reading only.
fn cannot_be_synced(error: &io::Error) -> bool {
    const EBADF: i32 = 9;
    let kinds = [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::PermissionDenied];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(EBADF)
}

/// The error if this process or the system has too many open files. SQLite's own error does not tell this reason why it
/// cannot open a file.
pub(in crate::sqlite) fn lack_of_descriptors(file: &Path) -> Option<Error> {
    // SQLite needs the file, its log and the log's index open at the same time; the fourth is a reserve.
    let opened = [(); 4].map(|()| disk::open_folder(folder_of(file)));
    let errors: Vec<io::Error> = opened.into_iter().filter_map(Result::err).collect();
    errors.into_iter().find(is_lack_of_descriptors).map(|error| Error::Storage { source: cause(error) })
}
