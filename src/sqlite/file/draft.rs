//! Drafts: temporary files that get their final name only when they are complete and durable.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::companions::remove_with_companions;
use super::disk;
use super::folder::{folder_of, sync_folder};
use super::path::{already_exists, refuse_taken};
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
        Self::remove_leftover(target);
        Self::named(target, Self::number_of(target))
    }

    fn number_of(target: &Path) -> u64 {
        xxh3_64(target.as_os_str().as_encoded_bytes())
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

    /// Removes the draft of `target` that a killed process left, which excluded others as for
    /// [`replacing`](Self::replacing).
    pub(in crate::sqlite) fn remove_leftover(target: &Path) {
        remove_with_companions(&Self::path_of(target, Self::number_of(target)));
    }

    /// Syncs the draft and gives it the name `target`, unless a file of that name exists. Of several callers with the
    /// same target, one succeeds.
    ///
    /// A process that is killed between the two changes of names leaves a complete file with two names, which cannot be
    /// opened until the draft is removed.
    pub(in crate::sqlite) fn publish(self, target: &Path) -> Result<(), Error> {
        let failed = |error| write_failed(target, error);
        // No connection has the draft open any more, so closing this descriptor drops no locks.
        disk::sync_file(&self.file).map_err(failed)?;
        refuse_taken(target, target)?;
        self.name(target)?;
        // A copy that may not survive a power cut is useless, and would block the name for the next attempt.
        sync_folder(target).inspect_err(|_| remove_with_companions(target))
    }

    /// Gives the draft the name `target` instead of its own.
    fn name(&self, target: &Path) -> Result<(), Error> {
        let failed = |error| write_failed(target, error);
        // Unlike a rename, a link fails if the name was taken meanwhile.
        match disk::link(&self.file, target) {
            Ok(()) => disk::remove(&self.file).map_err(failed).inspect_err(|_| remove_with_companions(target)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(already_exists(target)),
            Err(error) if has_no_links(&error) => {
                // The name is claimed by an empty file, which the rename replaces. Until then another process could
                // take it for a new store.
                disk::create_private(target).map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => already_exists(target),
                    _ => failed(error),
                })?;
                disk::rename(&self.file, target).map_err(failed).inspect_err(|_| remove_with_companions(target))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Whether the file system has no hard links: EPERM, ENOTSUP, ENOSYS or EMLINK.
fn has_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::TooManyLinks)
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

/// The error if the disk has no room for another file. SQLite's own error does not tell this reason why it cannot open a
/// file.
pub(in crate::sqlite) fn lack_of_room_beside(file: &Path) -> Option<Error> {
    Draft::new(file).err().filter(|error| matches!(error, Error::StorageFull { .. }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_replacing_draft_has_a_name_for_its_target_alone_and_replaces_the_one_that_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.db"), folder.path().join("other.db"));
        let draft = Draft::replacing(&one).unwrap();
        fs::write(draft.path(), "left").unwrap();
        let of_other = Draft::replacing(&other).unwrap();
        assert_ne!(draft.path(), of_other.path());
        assert_eq!(fs::read_to_string(draft.path()).unwrap(), "left");

        let again = Draft::replacing(&one).unwrap();

        assert_eq!(again.path(), draft.path());
        assert_eq!(fs::read_to_string(again.path()).unwrap(), "");
        Draft::remove_leftover(&one);
        assert!(!again.path().exists() && of_other.path().exists());
    }
}
