//! Drafts: temporary files that get their final name only when they are complete and durable.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::companions::remove_with_companions;
use super::disk;
use super::folder::{folder_of, sync_folder};
use super::path::refuse_taken;
use super::stat;
use crate::error::Error;
use crate::sqlite::failure::{cause, write_failed};

/// The user id of root.
const ROOT: u32 = 0;

/// A temporary file; removed if it is dropped without being published.
pub(in crate::sqlite) struct Draft {
    file: PathBuf,
}

impl Draft {
    /// An empty draft of `target`, in the same folder.
    pub(in crate::sqlite) fn new(target: &Path) -> Result<Self, Error> {
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        Self::named(target, random)
    }

    /// The same for a caller that excludes other processes: a draft left by a killed process is replaced.
    pub(in crate::sqlite) fn replacing(target: &Path) -> Result<Self, Error> {
        let number = xxh3_64(target.as_os_str().as_encoded_bytes());
        remove_with_companions(&Self::path_of(target, number));
        Self::named(target, number)
    }

    fn named(target: &Path, number: u64) -> Result<Self, Error> {
        let file = Self::path_of(target, number);
        disk::create_private(&file).map_err(|error| write_failed(target, error))?;
        Ok(Self { file })
    }

    /// A name that does not contain the target's, which may already have the maximum length.
    fn path_of(target: &Path, number: u64) -> PathBuf {
        folder_of(target).join(format!("kpi-store-{number:016x}.draft"))
    }

    pub(in crate::sqlite) fn path(&self) -> &Path {
        &self.file
    }

    /// Syncs the draft and renames it to `target`, unless a file of that name exists.
    ///
    /// Race: a file created under that name between the check and the rename is overwritten. A hard link would prevent
    /// that, but a crash could leave a file with two names, which cannot be opened.
    pub(in crate::sqlite) fn publish(self, target: &Path) -> Result<(), Error> {
        let failed = |error| write_failed(target, error);
        // No connection has the draft open any more, so closing this descriptor drops no locks.
        disk::sync_file(&self.file).map_err(failed)?;
        refuse_taken(target, target)?;
        disk::rename(&self.file, target).map_err(failed)?;
        // A copy that may not survive a power cut is useless, and would block the name for the next attempt.
        sync_folder(target).inspect_err(|_| remove_with_companions(target))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove_with_companions(&self.file);
    }
}

/// Whether the companions that SQLite would create beside `file` would belong to its owner. SQLite gives those that root
/// creates to the owner.
pub(in crate::sqlite) fn may_create_companions(file: &Path) -> Result<bool, Error> {
    match Draft::new(file) {
        Ok(draft) => {
            let ours = stat::owner(draft.path())?;
            Ok(ours == ROOT || ours == stat::owner(file)?)
        }
        Err(Error::ReadOnly { .. }) => Ok(false),
        // A full or failing disk: SQLite reports it too. An immutable connection would hide it.
        Err(_) => Ok(true),
    }
}

/// The error if the file system of the folder has no locks. SQLite reports a lock that cannot be taken for this reason
/// like one that is held.
pub(in crate::sqlite) fn lack_of_locks(file: &Path) -> Option<Error> {
    let draft = Draft::new(file).ok()?;
    let error = disk::try_lock(draft.path()).err()?;
    // Without a code the error is of a system for which the standard library has no locks.
    error.raw_os_error().map(|_| Error::Storage { source: cause(error) })
}
