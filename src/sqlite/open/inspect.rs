//! What a file is: refuses what is not a store, without writing anything.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::error::Error;
use crate::sqlite::connection::{self, Access, pragma};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::file::{companions, stat};
use crate::sqlite::schema::{APPLICATION_ID, BACKUP_ID, PAGE_SIZE, Schema};
use crate::sqlite::{budget, transaction};

/// Where the bytes begin that SQLite locks; the page that holds them is never written.
const LOCK_BYTES_FROM: u64 = 0x4000_0000;

/// What a file is when it is opened.
#[derive(Clone, Copy)]
pub(super) struct Inspection {
    /// The version of its schema; 0 if it is empty.
    pub(super) version: i64,
    pub(super) is_backup: bool,
}

/// Inspects the file in one snapshot.
///
/// Whether there was a write-ahead log must be known from before: reading makes an empty one.
pub(super) fn inspect(
    file: &Path,
    schema: &Schema,
    connection: &mut Connection,
    had_wal: bool,
) -> Result<Inspection, Failure> {
    budget::bounded_by_schema(connection, |connection| {
        transaction::read(connection, |_| {
            let found = identify(connection, schema)?;
            if found.version > 0 {
                schema.check(connection, found.version)?;
            }
            check_length(file, connection, had_wal)?;
            Ok(found)
        })
    })
}

/// What the header of the file says.
pub(super) fn identify(connection: &Connection, schema: &Schema) -> Result<Inspection, Failure> {
    let application_id = pragma(connection, "application_id")?;
    let version = pragma(connection, "user_version")?;
    let refuse = |reason| Err(Error::NotAStore { reason, source: None }.into());
    let is_backup = application_id == BACKUP_ID;
    match (application_id, version) {
        (0, 0) if connection.query_one("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))? => {
            if is_fresh(connection)? {
                Ok(Inspection { version, is_backup })
            } else {
                refuse("it is an empty database of another encoding or page size")
            }
        }
        (0, _) => refuse("it is a database that does not say which application it belongs to"),
        (APPLICATION_ID | BACKUP_ID, version) if version > schema.current() => {
            Err(Error::TooNew { found: version, supported: schema.current() }.into())
        }
        (APPLICATION_ID | BACKUP_ID, 1..) => Ok(Inspection { version, is_backup }),
        (APPLICATION_ID | BACKUP_ID, _) => Err(damaged("the schema version was altered").into()),
        _ => refuse("it is the database of another application"),
    }
}

/// Whether an empty database has the form that this crate gives it, or is a file without a byte.
fn is_fresh(connection: &Connection) -> rusqlite::Result<bool> {
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    let has_our_form =
        encoding == "UTF-8" && pragma(connection, "page_size")? == PAGE_SIZE && pragma(connection, "auto_vacuum")? == 0;
    Ok(has_our_form || pragma(connection, "page_count")? == 0)
}

/// Refuses a file that ends before its last page, unless its log or journal holds what is missing.
fn check_length(file: &Path, connection: &Connection, had_wal: bool) -> Result<(), Failure> {
    let page_size = pragma(connection, "page_size")?.cast_unsigned().max(1);
    let length = stat::length(file)?;
    if had_wal {
        // Without a log SQLite compares the two itself.
        let (whole, pages) = (length / page_size, pragma(connection, "page_count")?.cast_unsigned());
        return check_log_holds(file, whole + 1..=pages, page_size);
    }
    if !length.is_multiple_of(page_size) && !companions::has_journal(file)? {
        return Err(damaged("the file ends inside a page").into());
    }
    Ok(())
}

/// Refuses if pages are missing: in WAL mode SQLite writes every page by which a transaction makes the file longer.
fn check_log_holds(file: &Path, mut pages: RangeInclusive<u64>, page_size: u64) -> Result<(), Failure> {
    if pages.is_empty() {
        return Ok(());
    }
    let in_log = companions::pages_in_log(file, page_size)?;
    let page_of_locks = LOCK_BYTES_FROM / page_size + 1;
    if pages.all(|page| page == page_of_locks || in_log.contains(&page)) {
        Ok(())
    } else {
        Err(damaged("the file ends too early: its write-ahead log does not hold the missing pages").into())
    }
}

/// Refuses a file beside which lies what this crate never leaves there, and what SQLite acts on as soon as it reads:
/// a journal that also concerns other files, a log that SQLite cannot read, and beside a backup, which was put in the
/// place of a file whose log is still there, that log: SQLite would mix the two.
pub(super) fn refuse_log_of_another(file: &Path, wal_length: Option<u64>) -> Result<(), Failure> {
    if companions::has_journal_of_several_files(file)? {
        return Err(damaged("the journal beside it is one of several files").into());
    }
    if wal_length.is_none_or(|length| length == 0) {
        return Ok(());
    }
    if companions::has_log_of_another_version(file)? {
        return Err(damaged("the write-ahead log beside it is of another version").into());
    }
    let without_log = connection::connect(file, Access::Immutable, Duration::ZERO)?;
    // A file that cannot be read without its log is no backup, which has none.
    if pragma(&without_log, "application_id").is_ok_and(|id| id == BACKUP_ID) {
        return Err(damaged("it is a backup with the write-ahead log of another file beside it").into());
    }
    Ok(())
}
