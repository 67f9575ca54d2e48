//! A file that is read without locks: it has no log and no journal, so nothing is writing it.
//!
//! SQLite looks for no change then ("immutable"): it would go on serving the pages that it has read, and mix them with
//! newer ones. So the file is compared with what it was before each read, and after it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;
use crate::sqlite::file::{companions, stat};

/// A file without log and journal, as it was at one time.
#[derive(Debug)]
pub(crate) struct Frozen {
    file: PathBuf,
    last_change: (u64, Option<SystemTime>),
}

impl Frozen {
    /// The file as it is now; `None` if it has a log or a journal.
    pub(in crate::sqlite) fn now(file: &Path) -> Result<Option<Self>, Error> {
        let last_change = stat::last_change(file)?;
        Ok((!is_in_use(file)?).then(|| Self { file: file.to_owned(), last_change }))
    }

    /// Whether the file has neither changed since nor been given a log or a journal.
    pub(crate) fn is_unchanged(&self) -> Result<bool, Error> {
        Ok(!is_in_use(&self.file)? && stat::last_change(&self.file)? == self.last_change)
    }
}

fn is_in_use(file: &Path) -> Result<bool, Error> {
    Ok(companions::wal_length(file)?.is_some() || companions::has_journal(file)?)
}
