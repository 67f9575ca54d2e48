//! A new file that appears under its name only when it is whole and durable.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::companions::remove_with_companions;
use super::disk;
use super::folder::{folder_of, sync_folder};
use super::path::refuse_taken;
use crate::error::Error;
use crate::sqlite::failure::write_failed;

/// A file that is being written under another name; removed when it is dropped without being published.
pub(in crate::sqlite) struct Draft {
    file: PathBuf,
}

impl Draft {
    /// An empty draft of `target`, in the same folder.
    pub(in crate::sqlite) fn new(target: &Path) -> Result<Self, Error> {
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        Self::named(target, random)
    }

    /// The same where no other process can be making one: the draft of a process that was killed is removed.
    pub(in crate::sqlite) fn only(target: &Path) -> Result<Self, Error> {
        let number = xxh3_64(target.as_os_str().as_encoded_bytes());
        remove_with_companions(&Self::path_of(target, number));
        Self::named(target, number)
    }

    fn named(target: &Path, number: u64) -> Result<Self, Error> {
        let file = Self::path_of(target, number);
        disk::create_private(&file).map_err(|error| write_failed(target, error))?;
        Ok(Self { file })
    }

    /// A name without the target's, which may be as long as names can be.
    fn path_of(target: &Path, number: u64) -> PathBuf {
        folder_of(target).join(format!("kpi-store-{number:016x}.draft"))
    }

    pub(in crate::sqlite) fn path(&self) -> &Path {
        &self.file
    }

    /// Makes the draft durable and gives it the name `target`, unless something has that name.
    ///
    /// Race: a file created under that name between the check and the rename is overwritten. A hard link would close the
    /// gap, but after a crash leave a file of two names, which an opening refuses.
    pub(in crate::sqlite) fn publish(self, target: &Path) -> Result<(), Error> {
        let failed = |error| write_failed(target, error);
        // No connection has the draft open any more, so that this descriptor drops no locks.
        disk::sync_file(&self.file).map_err(failed)?;
        refuse_taken(target, target)?;
        disk::rename(&self.file, target).map_err(failed)?;
        // A copy that may not outlive a power cut is worth nothing, and would be in the way of the next.
        sync_folder(target).inspect_err(|_| remove_with_companions(target))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove_with_companions(&self.file);
    }
}

/// Whether the permissions let a file be made in the folder of `file`; other failures are no answer, and count as yes.
pub(in crate::sqlite) fn may_create_beside(file: &Path) -> bool {
    !matches!(Draft::new(file), Err(Error::ReadOnly { .. }))
}
