//! The folder of a file.

use std::io;
use std::path::Path;

use super::disk;
use crate::error::Error;
use crate::sqlite::failure::{cause, is_lack_of_descriptors, write_failed};

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs the folder of a new file, so that its name is as durable as its contents.
pub(in crate::sqlite) fn sync_folder(file: &Path) -> Result<(), Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    disk::sync_folder(folder_of(file)).map_err(|error| write_failed(file, error))
}

/// The error if this process or the system has too many open files. SQLite's own error does not tell this reason why it
/// cannot open a file.
pub(in crate::sqlite) fn lack_of_descriptors(file: &Path) -> Option<Error> {
    // SQLite needs the file, its log and the log's index open at the same time; the fourth is a reserve.
    let opened = [(); 4].map(|()| disk::open_folder(folder_of(file)));
    let errors: Vec<io::Error> = opened.into_iter().filter_map(Result::err).collect();
    errors.into_iter().find(is_lack_of_descriptors).map(|error| Error::Storage { source: cause(error) })
}
