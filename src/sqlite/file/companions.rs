//! The files that SQLite keeps beside a database: `-wal`, `-journal` and `-shm`.
//!
//! Only the database carries locks of SQLite's, so that its log and journal may be opened here.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::disk;
use crate::error::Error;
use crate::sqlite::failure::{damaged, invalid_path, write_failed};

/// The suffixes of the files that SQLite keeps beside a database.
const SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The path of a file whose name begins with that of `file`.
pub(in crate::sqlite) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Whether SQLite would take a file of this name for a companion of another.
pub(super) fn has_name_of_companion(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    SUFFIXES.iter().any(|suffix| text.ends_with(suffix.as_bytes()))
}

/// Whether something lies where SQLite would look for a companion of `file`.
pub(super) fn has_any(file: &Path) -> Result<bool, Error> {
    for suffix in SUFFIXES {
        if look_up(&beside(file, suffix))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a file beside which something else stands in the place of a companion: SQLite would wait for a pipe for ever.
pub(in crate::sqlite) fn check_kind(file: &Path) -> Result<(), Error> {
    for suffix in SUFFIXES {
        let companion = beside(file, suffix);
        if look_up(&companion)?.is_some_and(|metadata| !metadata.is_file()) {
            return Err(invalid_path(
                &companion,
                "SQLite keeps a file under this name, and this is not a regular file",
                None,
            ));
        }
    }
    Ok(())
}

/// Refuses a log without its file, which may be all that there is of a store: SQLite would take the file for new, and
/// remove the log.
pub(super) fn refuse_orphaned_log(file: &Path) -> Result<(), Error> {
    // In this order: another process that makes the file writes its first page before there is a log.
    let has_log = wal_length(file)?.is_some_and(|length| length > 0);
    if has_log && look_up(file)?.is_none_or(|metadata| metadata.len() == 0) {
        return Err(damaged("the file is empty or missing, and only its write-ahead log is left"));
    }
    Ok(())
}

/// The length of the write-ahead log in bytes; none if there is no log.
pub(in crate::sqlite) fn wal_length(file: &Path) -> Result<Option<u64>, Error> {
    Ok(look_up(&beside(file, "-wal"))?.map(|metadata| metadata.len()))
}

/// Makes durable that the log was cut.
pub(in crate::sqlite) fn sync_log(file: &Path) -> Result<(), Error> {
    disk::sync_file(&beside(file, "-wal")).map_err(|error| write_failed(file, error))
}

/// The numbers of the pages that the write-ahead log holds (<https://sqlite.org/fileformat2.html#walformat>).
pub(in crate::sqlite) fn pages_in_log(file: &Path, page_size: u64) -> Result<HashSet<u64>, Error> {
    read_pages(&beside(file, "-wal"), page_size).map_err(|error| write_failed(file, error))
}

fn read_pages(log: &Path, page_size: u64) -> io::Result<HashSet<u64>> {
    let mut log = io::BufReader::new(disk::open(log)?);
    let (mut pages, mut header, mut frame) = (HashSet::new(), [0; 32], [0; 24]);
    if !is_read(&mut log, &mut header)? {
        // A connection that only reads leaves an empty log behind.
        return Ok(pages);
    }
    // Frames with other salts are left from before the log was begun anew.
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

/// Whether a rollback journal lies beside the file.
pub(in crate::sqlite) fn has_journal(file: &Path) -> Result<bool, Error> {
    Ok(look_up(&beside(file, "-journal"))?.is_some())
}

/// Whether the rollback journal beside the file is one of a transaction over several files. It names another file, which
/// SQLite deletes once it has played the journal back, whatever that file is.
pub(in crate::sqlite) fn has_journal_of_several_files(file: &Path) -> Result<bool, Error> {
    const MAGIC_AT_THE_END: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    Ok(eight_bytes(&beside(file, "-journal"), SeekFrom::End(-8))? == Some(MAGIC_AT_THE_END))
}

/// Whether the write-ahead log beside the file is of a version that SQLite does not read.
pub(in crate::sqlite) fn has_log_of_another_version(file: &Path) -> Result<bool, Error> {
    const VERSION: [u8; 4] = 3_007_000_u32.to_be_bytes();
    let begins = eight_bytes(&beside(file, "-wal"), SeekFrom::Start(0))?;
    Ok(begins.is_some_and(|bytes| matches!(bytes, [0x37, 0x7f, 0x06, 0x82 | 0x83, version @ ..] if version != VERSION)))
}

/// Eight bytes of a log or journal; none if it is shorter.
fn eight_bytes(file: &Path, position: SeekFrom) -> Result<Option<[u8; 8]>, Error> {
    // Opening a FIFO would wait.
    if !look_up(file)?.is_some_and(|metadata| metadata.is_file() && metadata.len() >= 8) {
        return Ok(None);
    }
    let mut bytes = [0; 8];
    let read = disk::open(file).and_then(|mut file| file.seek(position).and_then(|_| file.read_exact(&mut bytes)));
    match read {
        Ok(()) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            // Another process has removed or cut it meanwhile, as SQLite does when it is done with it.
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput
            // SQLite may not read it either, and says what that means for the file.
            | ErrorKind::PermissionDenied => Ok(None),
            _ => Err(write_failed(file, error)),
        },
    }
}

/// Removes a file of ours that is open nowhere, and what SQLite may have left beside it. Best effort: missing is fine,
/// and a file that cannot be removed has a name that says what it is.
pub(in crate::sqlite) fn remove_with_companions(file: &Path) {
    for suffix in [""].into_iter().chain(SUFFIXES) {
        let _ = disk::remove(&beside(file, suffix));
    }
}

/// IMPORTANT: a companion that cannot be looked up is not taken for missing. SQLite would act on what it finds there.
fn look_up(file: &Path) -> Result<Option<Metadata>, Error> {
    match disk::look_up(file) {
        // Nothing can have a name that is too long.
        Err(error) if error.kind() == ErrorKind::InvalidFilename => Ok(None),
        found => found.map_err(|error| write_failed(file, error)),
    }
}
