//! The files that SQLite keeps beside a database: `-wal`, `-journal` and `-shm`.
//!
//! SQLite holds POSIX locks on the database and on `-shm`, but not on the log and the journal, so only these two may be
//! opened here.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{disk, stat};
use crate::error::Error;
use crate::sqlite::failure::{cause, damaged, invalid_path, lookup_failed, write_failed};

/// The suffixes of the files that SQLite keeps beside a database.
const SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The path of `file` with a suffix appended to its name.
pub(in crate::sqlite) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Whether SQLite would treat a file of this name as a companion of another file.
pub(super) fn has_name_of_companion(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    SUFFIXES.iter().any(|suffix| text.ends_with(suffix.as_bytes()))
}

/// Fails if the file system allows no companion of `file`, given as `path`, because their names are too long.
pub(super) fn check_names(path: &Path, file: &Path) -> Result<(), Error> {
    const REASON: &str = "the file name is too long: SQLite keeps a file beside it with -journal appended to the name";
    match disk::look_up(&beside(file, "-journal")) {
        Err(error) if error.kind() == ErrorKind::InvalidFilename => Err(invalid_path(path, REASON, cause(error))),
        found => found.map(drop).map_err(|error| lookup_failed(path, "the file cannot be found", error)),
    }
}

/// The error that names the log or the journal, if its permissions forbid reading it.
pub(in crate::sqlite) fn unreadable(file: &Path) -> Option<Error> {
    const REASON: &str = "SQLite must open this file too, but its permissions forbid it";
    let companions = [beside(file, "-wal"), beside(file, "-journal")];
    companions.into_iter().find_map(|companion| match disk::open(&companion) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Some(invalid_path(&companion, REASON, cause(error)))
        }
        _ => None,
    })
}

/// Whether any companion of `file` exists.
pub(in crate::sqlite) fn has_any(file: &Path) -> Result<bool, Error> {
    for suffix in SUFFIXES {
        if look_up(&beside(file, suffix))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fails if a companion is not a regular file: SQLite would block forever on a FIFO.
pub(in crate::sqlite) fn check_kind(file: &Path) -> Result<(), Error> {
    for suffix in SUFFIXES {
        let companion = beside(file, suffix);
        if look_up(&companion)?.is_some_and(|metadata| !metadata.is_file()) {
            return Err(invalid_path(
                &companion,
                "SQLite needs this name for a regular file, but something else has it",
                None,
            ));
        }
    }
    Ok(())
}

/// Fails if there is a log but no file, or an empty one. The log may contain all that is left of a store, and SQLite
/// would treat the file as new and delete the log.
pub(super) fn refuse_orphaned_log(file: &Path) -> Result<(), Error> {
    // In this order: another process that creates the file writes its first page before it creates the log.
    let has_log = wal_length(file)?.is_some_and(|length| length > 0);
    if has_log && look_up(file)?.is_none_or(|metadata| metadata.len() == 0) {
        return Err(damaged("the file is empty or missing, and only its write-ahead log is left"));
    }
    Ok(())
}

/// The length of the write-ahead log in bytes; `None` if there is no log.
pub(in crate::sqlite) fn wal_length(file: &Path) -> Result<Option<u64>, Error> {
    Ok(look_up(&beside(file, "-wal"))?.map(|metadata| metadata.len()))
}

/// Makes the truncation of the log durable.
pub(in crate::sqlite) fn sync_log(file: &Path) -> Result<(), Error> {
    disk::sync_file(&beside(file, "-wal")).map_err(|error| write_failed(file, error))
}

/// Shortens the log to `length` bytes, durably.
pub(in crate::sqlite) fn truncate_log(file: &Path, length: u64) -> Result<(), Error> {
    let log = beside(file, "-wal");
    disk::truncate(&log, length).and_then(|()| disk::sync_file(&log)).map_err(|error| write_failed(file, error))
}

/// Whether the permissions do not allow writing this log.
pub(in crate::sqlite) fn is_unwritable(log: &Path) -> bool {
    disk::open_to_write(log).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whether the companion and the file belong to different accounts.
pub(in crate::sqlite) fn has_another_owner(companion: &Path, file: &Path) -> bool {
    matches!((stat::owner(companion), stat::owner(file)), (Ok(companion), Ok(file)) if companion != file)
}

/// The numbers of the pages in the write-ahead log (<https://sqlite.org/fileformat2.html#walformat>).
pub(in crate::sqlite) fn pages_in_log(file: &Path, page_size: u64) -> Result<HashSet<u64>, Error> {
    read_pages(&beside(file, "-wal"), page_size).map_err(|error| write_failed(file, error))
}

fn read_pages(log: &Path, page_size: u64) -> io::Result<HashSet<u64>> {
    let mut log = io::BufReader::new(disk::open(log)?);
    let (mut pages, mut header, mut frame) = (HashSet::new(), [0; 32], [0; 24]);
    if !is_read(&mut log, &mut header)? {
        // A connection that only reads may leave an empty log.
        return Ok(pages);
    }
    // Frames with other salts are leftovers from before the log was restarted.
    while is_read(&mut log, &mut frame)? && frame.get(8..16) == header.get(16..24) {
        let [a, b, c, d, ..] = frame;
        pages.insert(u32::from_be_bytes([a, b, c, d]).into());
        log.seek_relative(page_size.try_into().unwrap_or(i64::MAX))?;
    }
    Ok(pages)
}

/// Fills the buffer; false at the end of the file.
fn is_read(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// Whether the index of the write-ahead log lies beside the file.
pub(in crate::sqlite) fn has_index(file: &Path) -> Result<bool, Error> {
    Ok(look_up(&beside(file, "-shm"))?.is_some())
}

/// Whether a rollback journal lies beside the file.
pub(in crate::sqlite) fn has_journal(file: &Path) -> Result<bool, Error> {
    Ok(look_up(&beside(file, "-journal"))?.is_some())
}

/// Whether the rollback journal beside the file belongs to a transaction over several files. Such a journal names a
/// super-journal, and SQLite deletes the file of that name after the rollback, whatever that file is.
pub(in crate::sqlite) fn has_journal_of_several_files(file: &Path) -> Result<bool, Error> {
    const MAGIC_AT_THE_END: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    Ok(eight_bytes(&beside(file, "-journal"), SeekFrom::End(-8))? == Some(MAGIC_AT_THE_END))
}

/// Whether the write-ahead log beside the file has a format version that SQLite cannot read.
pub(in crate::sqlite) fn has_log_of_another_version(file: &Path) -> Result<bool, Error> {
    const VERSION: [u8; 4] = 3_007_000_u32.to_be_bytes();
    let begins = eight_bytes(&beside(file, "-wal"), SeekFrom::Start(0))?;
    Ok(begins.is_some_and(|bytes| matches!(bytes, [0x37, 0x7f, 0x06, 0x82 | 0x83, version @ ..] if version != VERSION)))
}

/// Eight bytes of a log or journal; `None` if it is shorter.
fn eight_bytes(file: &Path, position: SeekFrom) -> Result<Option<[u8; 8]>, Error> {
    // Opening a FIFO would block.
    if !look_up(file)?.is_some_and(|metadata| metadata.is_file() && metadata.len() >= 8) {
        return Ok(None);
    }
    let mut bytes = [0; 8];
    let read = disk::open(file).and_then(|mut file| file.seek(position).and_then(|_| file.read_exact(&mut bytes)));
    match read {
        Ok(()) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            // Another process has deleted or truncated it meanwhile, as SQLite does after a commit or a checkpoint.
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput
            // SQLite cannot read it either, and reports the error when it needs the file.
            | ErrorKind::PermissionDenied => Ok(None),
            _ => Err(write_failed(file, error)),
        },
    }
}

/// Removes a file of this crate that nothing has open, and its companions. Best effort: a missing file is fine, and the
/// name of a file that cannot be removed tells what it is.
pub(in crate::sqlite) fn remove_with_companions(file: &Path) {
    for suffix in [""].into_iter().chain(SUFFIXES) {
        let _ = disk::remove(&beside(file, suffix));
    }
}

/// IMPORTANT: a companion whose lookup fails is not treated as missing, because SQLite may find it and act on it.
fn look_up(file: &Path) -> Result<Option<Metadata>, Error> {
    match disk::look_up(file) {
        // No file can have a name that is too long.
        Err(error) if error.kind() == ErrorKind::InvalidFilename => Ok(None),
        found => found.map_err(|error| write_failed(file, error)),
    }
}
