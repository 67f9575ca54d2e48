//! The folder of a file.

use std::io;
use std::path::Path;

use super::disk;
use crate::error::Error;
use crate::sqlite::failure::{cause, is_lack_of_descriptors, write_failed};

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name of a new file as durable as its contents.
pub(in crate::sqlite) fn sync_folder(file: &Path) -> Result<(), Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    disk::sync_folder(folder_of(file)).map_err(|error| write_failed(file, error))
}

/// The error of SQLite not being able to open the files it needs, if the reason is that this process or the system has too
/// many open: SQLite's own error does not say it.
pub(in crate::sqlite) fn lack_of_descriptors(file: &Path) -> Option<Error> {
    // The file, its log, the log's index, and one to spare, all open at the same time.
    let opened = [(); 4].map(|()| disk::open_folder(folder_of(file)));
    let errors: Vec<io::Error> = opened.into_iter().filter_map(Result::err).collect();
    errors.into_iter().find(is_lack_of_descriptors).map(|error| Error::Storage { source: cause(error) })
}
