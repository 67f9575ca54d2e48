//! Inspecting a file without writing to it: rejects a file that is not an intact store.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::error::Error;
use crate::sqlite::connection::{self, OpenMode, pragma};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::file::{companions, stat};
use crate::sqlite::schema::{APPLICATION_ID, BACKUP_ID, PAGE_SIZE, Schema};
use crate::sqlite::{budget, snapshot};

/// The offset of the bytes that SQLite locks; the page that contains them is never written.
const LOCK_BYTE_OFFSET: u64 = 0x4000_0000;

/// The result of an inspection.
#[derive(Clone, Copy)]
pub(in crate::sqlite) struct Inspection {
    /// The schema version; 0 if the file is empty.
    pub(in crate::sqlite) version: i64,
    pub(in crate::sqlite) is_backup: bool,
}

/// Inspects the file in one snapshot.
///
/// `had_wal` must be determined before, because reading creates an empty write-ahead log.
pub(in crate::sqlite) fn inspect(
    file: &Path,
    schema: &Schema,
    connection: &mut Connection,
    had_wal: bool,
) -> Result<Inspection, Failure> {
    budget::bounded_by_schema(connection, |connection| {
        snapshot::read(connection, false, |_| {
            let found = identify(connection, schema)?;
            if found.version > 0 {
                schema.check(connection, found.version)?;
            }
            check_length(file, connection, had_wal)?;
            Ok(found)
        })
    })
}

/// Reads the header of the file.
pub(in crate::sqlite) fn identify(connection: &Connection, schema: &Schema) -> Result<Inspection, Failure> {
    let application_id = pragma(connection, "application_id")?;
    let version = pragma(connection, "user_version")?;
    let refuse = |reason| Err(Error::NotAStore { reason, source: None }.into());
    let is_backup = application_id == BACKUP_ID;
    match (application_id, version) {
        (0, 0) if connection.query_one("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))? => {
            if is_fresh(connection)? {
                Ok(Inspection { version, is_backup })
            } else {
                refuse("it is an empty database with another encoding, page size or vacuum mode")
            }
        }
        (0, _) => refuse("it is a database without an application id"),
        (APPLICATION_ID | BACKUP_ID, version) if version > schema.current() => {
            Err(Error::TooNew { found: version, supported: schema.current() }.into())
        }
        (APPLICATION_ID | BACKUP_ID, 1..) if !is_utf_8(connection)? => {
            Err(damaged("its texts are stored in UTF-16, and this crate stores UTF-8").into())
        }
        (APPLICATION_ID | BACKUP_ID, 1..) => Ok(Inspection { version, is_backup }),
        (APPLICATION_ID | BACKUP_ID, _) => Err(damaged("the schema version was altered").into()),
        _ => refuse("it is the database of another application"),
    }
}

/// Whether an empty database has the settings of this crate, or the file has no bytes.
fn is_fresh(connection: &Connection) -> rusqlite::Result<bool> {
    let has_our_settings = is_utf_8(connection)?
        && pragma(connection, "page_size")? == PAGE_SIZE
        && pragma(connection, "auto_vacuum")? == 0;
    Ok(has_our_settings || pragma(connection, "page_count")? == 0)
}

fn is_utf_8(connection: &Connection) -> rusqlite::Result<bool> {
    connection.pragma_query_value(None, "encoding", |row| Ok(row.get_ref(0)?.as_str() == Ok("UTF-8")))
}

/// Rejects a truncated file, unless its log or journal contains the missing pages.
fn check_length(file: &Path, connection: &Connection, had_wal: bool) -> Result<(), Failure> {
    let page_size = pragma(connection, "page_size")?.cast_unsigned().max(1);
    let length = stat::length(file)?;
    if had_wal {
        // Without a log SQLite itself compares the length with the page count.
        let (complete, pages) = (length / page_size, pragma(connection, "page_count")?.cast_unsigned());
        return check_log_contains(file, complete + 1..=pages, page_size);
    }
    if !length.is_multiple_of(page_size) && !companions::has_journal(file)? {
        return Err(damaged("the file ends inside a page").into());
    }
    Ok(())
}

/// Fails if the log lacks one of the pages: in WAL mode SQLite writes every page that a transaction appends to the
/// file.
fn check_log_contains(file: &Path, mut pages: RangeInclusive<u64>, page_size: u64) -> Result<(), Failure> {
    if pages.is_empty() {
        return Ok(());
    }
    let in_log = companions::pages_in_log(file, page_size)?;
    let lock_page = LOCK_BYTE_OFFSET / page_size + 1;
    if pages.all(|page| page == lock_page || in_log.contains(&page)) {
        Ok(())
    } else {
        Err(damaged("the file ends too early, and its write-ahead log does not contain the missing pages").into())
    }
}

/// Rejects a file with a log or journal that this crate never leaves beside it. SQLite would act on it at the first
/// read. These are a journal that also belongs to other files, a log of an unknown version, and a log beside a backup:
/// the log of the file that the backup has replaced, which SQLite would apply to the backup.
pub(in crate::sqlite) fn refuse_foreign_log(file: &Path, wal_length: Option<u64>) -> Result<(), Failure> {
    if companions::has_journal_of_several_files(file)? {
        return Err(damaged("the journal beside it belongs to a transaction over several files").into());
    }
    if wal_length.is_none_or(|length| length == 0) {
        return Ok(());
    }
    if companions::has_log_of_another_version(file)? {
        return Err(damaged("the write-ahead log beside it has an unknown version").into());
    }
    let without_log = connection::connect(file, OpenMode::Immutable, Duration::ZERO)?;
    let application_id = || pragma(&without_log, "application_id").map_err(Failure::from);
    // The read may fail only once. If SQLite calls the file malformed again, the file is no backup, since a backup can
    // always be read without a log.
    let found =
        application_id().or_else(|failure| if failure.may_be_failed_read() { application_id() } else { Err(failure) });
    let is_backup = match found {
        Err(failure) if failure.is_damage() => false,
        found => found? == BACKUP_ID,
    };
    if is_backup {
        return Err(
            damaged("it is a backup, and the write-ahead log of another file lies beside it; remove the log").into()
        );
    }
    Ok(())
}
