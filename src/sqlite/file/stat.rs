//! The metadata of a file, from `stat`.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::disk;
use super::folder::folder_of;
use crate::error::Error;
use crate::sqlite::failure::{moved, stat_failed};

/// The identity of a file, independent of its name: device and inode. On other systems than Unix an open file cannot be
/// renamed, so none is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sqlite) struct Identity(u64, u64);

/// The identity of the regular file that has this name now.
pub(in crate::sqlite) fn identity(file: &Path) -> Result<Identity, Error> {
    identity_if_any(file)?.ok_or_else(|| moved(file, None))
}

/// The same; `None` if there is no regular file of this name. A symbolic link is none, wherever it leads: SQLite would
/// keep a log beside the file that it leads to.
pub(in crate::sqlite) fn identity_if_any(file: &Path) -> Result<Option<Identity>, Error> {
    Ok(identity_and_length(file)?.map(|(identity, _)| identity))
}

/// The same with the length of the file in bytes.
pub(in crate::sqlite) fn identity_and_length(file: &Path) -> Result<Option<(Identity, u64)>, Error> {
    let found = disk::look_up(file).map_err(|error| stat_failed(file, error))?;
    let Some(metadata) = found.filter(Metadata::is_file) else { return Ok(None) };
    Ok(Some((identity_of(&metadata), metadata.len())))
}

#[cfg_attr(not(unix), allow(unused_variables, reason = "there is no identity"))]
fn identity_of(metadata: &Metadata) -> Identity {
    #[cfg(unix)]
    let identity = (std::os::unix::fs::MetadataExt::dev(metadata), std::os::unix::fs::MetadataExt::ino(metadata));
    #[cfg(not(unix))]
    let identity = (0, 1);
    Identity(identity.0, identity.1)
}

/// A folder as it is now: its identity, and when a name in it was last added, changed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sqlite) struct Folder(Identity, Option<SystemTime>);

/// Longer than the steps in which systems count the time of a change, some 10 ms at most.
const TIME_STEP: Duration = Duration::from_millis(20);

impl Folder {
    /// Whether a later change has another time for certain: if the last one is as recent as a step of the clock of the
    /// file system, a later one may have the same.
    pub(in crate::sqlite) fn is_settled(&self) -> bool {
        let age = self.1.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        age.is_some_and(|age| age > TIME_STEP)
    }
}

/// The folder of the file.
pub(in crate::sqlite) fn folder(file: &Path) -> Result<Folder, Error> {
    let folder = folder_of(file);
    let found = disk::look_up(folder).map_err(|error| stat_failed(file, error))?;
    let metadata = found.ok_or_else(|| moved(file, None))?;
    Ok(Folder(identity_of(&metadata), metadata.modified().ok()))
}

/// The length of the file in bytes.
pub(in crate::sqlite) fn length(file: &Path) -> Result<u64, Error> {
    Ok(stat(file)?.len())
}

/// Whether the permissions of the file allow no one to write it.
pub(in crate::sqlite) fn is_read_only(file: &Path) -> Result<bool, Error> {
    Ok(stat(file)?.permissions().readonly())
}

/// The length of the file and the time of its last change, if the file system records one.
pub(in crate::sqlite) fn last_change(file: &Path) -> Result<(u64, Option<SystemTime>), Error> {
    let metadata = stat(file)?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// The user id of the owner of the file; on other systems than Unix always the same.
pub(super) fn owner(file: &Path) -> Result<u32, Error> {
    let metadata = stat(file)?;
    #[cfg(unix)]
    let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
    #[cfg(not(unix))]
    let owner = u32::from(metadata.is_file());
    Ok(owner)
}

fn stat(file: &Path) -> Result<Metadata, Error> {
    let found = disk::look_up(file).map_err(|error| stat_failed(file, error))?;
    found.ok_or_else(|| moved(file, None))
}
