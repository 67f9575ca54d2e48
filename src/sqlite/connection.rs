//! Hardened connections: neither a malicious file nor an unsafe default of SQLite can do harm.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::failure::{Failure, cause};

/// The features of SQLite that are switched on or off, each read back.
const FEATURES: [(DbConfig, bool); 10] = [
    // A KPI cannot be stored without its dataset.
    (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
    // No writing to shadow tables and no writable_schema, whatever SQL runs.
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    // The schema must not call functions with side effects.
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    // This crate's schema has no triggers and no views, and those of a malicious file must not run.
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    // A misspelled column is an error, not a string.
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    // The bundled build has STAT4, with which some statements are prepared again on every call; this keeps their plans.
    (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
];

/// The limits of <https://sqlite.org/security.html>, adapted to this crate's statements; each is read back.
const LIMITS: [(Limit, i32); 11] = [
    (Limit::SQLITE_LIMIT_LENGTH, 1_000_000),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 3),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    // A statement that inserts several rows has a parameter for every column of each row.
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
];

/// The maximum length of the bytecode of a check of every table: enough for some thousands of tables of 50 columns.
const VDBE_OP_WITH_OTHER_TABLES: i32 = 2_500_000;

/// The capacity of the statement cache: all statements of this crate, including one for each number of KPIs up to 20.
const CACHED_STATEMENTS: usize = 128;

/// Fails if the linked SQLite has the defect by which two connections can lose commits in WAL mode.
pub(super) fn check_sqlite() -> Result<(), Error> {
    if is_supported(rusqlite::version_number()) {
        Ok(())
    } else {
        Err(Error::UnsupportedSqlite { found: rusqlite::version() })
    }
}

/// 3.51.3 and later have the fix, except 3.52.0 (<https://sqlite.org/wal.html#walresetbug>).
fn is_supported(version: i32) -> bool {
    version >= 3_051_003 && version != 3_052_000
}

/// How a connection opens its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenMode {
    ReadWrite,
    ReadOnly,
    /// Read-only, for a file that does not change: without locks and without a write-ahead log, which would require a
    /// writable folder.
    Immutable,
}

/// Opens a hardened connection to an existing file, without reading from it.
pub(super) fn connect(file: &Path, mode: OpenMode, busy_timeout: Duration) -> Result<Connection, Failure> {
    // Without CREATE: another module creates the file. Without URI, except for the one that this module builds: a path
    // must never be parsed as a URI. NO_MUTEX: a connection is used by one thread at a time.
    let common =
        OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let read_only = common | OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = match mode {
        OpenMode::ReadWrite => Connection::open_with_flags(file, common | OpenFlags::SQLITE_OPEN_READ_WRITE)?,
        OpenMode::ReadOnly => Connection::open_with_flags(file, read_only)?,
        OpenMode::Immutable => {
            Connection::open_with_flags(immutable_uri(file), read_only | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    // SQLite silently falls back to read-only.
    if mode == OpenMode::ReadWrite && connection.is_readonly("main")? {
        return Err(Error::ReadOnly { source: None }.into());
    }
    set_busy_timeout(&connection, busy_timeout)?;
    harden(&connection)?;
    Ok(connection)
}

/// The URI of a file; all bytes except unreserved ASCII characters are percent-encoded.
fn immutable_uri(file: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte => uri.extend(["%", &format!("{byte:02X}")]),
        }
    }
    uri + "?immutable=1"
}

/// Opens a hardened connection to a new database in memory.
pub(super) fn connect_in_memory() -> Result<Connection, Failure> {
    let connection = Connection::open_in_memory()?;
    harden(&connection)?;
    Ok(connection)
}

/// A copy of a database in memory, in a new one.
pub(super) fn copy_in_memory(source: &Connection) -> Result<Connection, Failure> {
    let mut copy = connect_in_memory()?;
    let step = Backup::new(source, &mut copy)?.step(-1)?;
    match step {
        StepResult::Done => Ok(copy),
        // Of a database with a single connection, only if it has an open transaction.
        _ => Err(Error::busy(Duration::ZERO).into()),
    }
}

/// Sets how long SQLite waits for locks of other connections. It counts whole milliseconds, so the timeout is rounded
/// up; it is capped at 2^31 - 1 ms, beyond which rusqlite panics.
pub(crate) fn set_busy_timeout(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    const MAX: Duration = Duration::from_millis(i32::MAX as u64);
    let almost_one = Duration::from_nanos(999_999);
    connection.busy_timeout(timeout.saturating_add(almost_one).min(MAX))
}

/// Runs `work`, while the connection may attach one database, as VACUUM does with its target. `work` must not panic.
pub(super) fn with_attach<T>(connection: &Connection, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    let worked = work();
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    worked
}

/// Runs `work`, which visits every table of a file with other tables than this crate's: with longer bytecode allowed,
/// and without CHECK constraints, since those of other tables may fail in any way.
pub(super) fn with_other_tables<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let limit = connection.limit(Limit::SQLITE_LIMIT_VDBE_OP)?;
    connection.set_limit(Limit::SQLITE_LIMIT_VDBE_OP, VDBE_OP_WITH_OTHER_TABLES)?;
    connection.pragma_update(None, "ignore_check_constraints", 1)?;
    let worked = work();
    connection.pragma_update(None, "ignore_check_constraints", 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_VDBE_OP, limit)?;
    worked
}

fn harden(connection: &Connection) -> Result<(), Failure> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    for (feature, on) in FEATURES {
        expect_set("db config", connection.set_db_config(feature, on)? == on)?;
    }
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
        expect_set("limit", connection.limit(limit)? == value)?;
    }
    set_pragma(connection, "cell_size_check", 1)?;
    // MEMORY: a long statement journal would be a file in the system's temporary folder, which may be full or missing.
    set_pragma(connection, "temp_store", 2)?;
    // Deleted rows are overwritten with zeros. Not FAST, which leaves them in pages that become free.
    set_pragma(connection, "secure_delete", 1)?;
    // The pragma returns the new value; in memory there is nothing to map, and it returns no row.
    match connection.pragma_update_and_check(None, "mmap_size", 0, |row| row.get::<_, i64>(0)) {
        Ok(size) => expect_set("mmap_size", size == 0),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sets how writes reach the disk.
pub(super) fn set_durability(connection: &Connection, durability: Durability) -> Result<(), Failure> {
    let synchronous = match durability {
        Durability::Full => 2,
        Durability::Normal => 1,
    };
    set_pragma(connection, "synchronous", synchronous)?;
    // On Apple's systems only F_FULLFSYNC makes the disk write its cache. Elsewhere these pragmas have no effect.
    if cfg!(target_vendor = "apple") {
        set_pragma(connection, "fullfsync", 1)?;
        set_pragma(connection, "checkpoint_fullfsync", 1)?;
    }
    Ok(())
}

/// The value of a numeric pragma.
pub(crate) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Sets a pragma and reads it back.
pub(super) fn set_pragma(connection: &Connection, name: &'static str, value: i64) -> Result<(), Failure> {
    connection.pragma_update(None, name, value)?;
    let found: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    expect_set(name, found == value)
}

/// Sets whether the connection keeps the log when it is closed as the last one. Otherwise SQLite checkpoints and removes
/// the log. As long as a store is open all of its connections keep the log, since the store relies on it: even a
/// connection that is closed after a failure, before a fresh one replaces it.
pub(crate) fn set_keeps_log(connection: &Connection, keeps: bool) -> Result<(), Failure> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keeps)?;
    Ok(())
}

fn expect_set(setting: &'static str, is_set: bool) -> Result<(), Failure> {
    if is_set { Ok(()) } else { Err(Error::Storage { source: cause(NotSet(setting)) }.into()) }
}

/// The linked SQLite was built without a feature that this crate relies on.
#[derive(Debug, thiserror::Error)]
#[error("the linked SQLite ignored the setting \"{0}\" that this crate relies on")]
struct NotSet(&'static str);

#[cfg(test)]
mod tests {
    use super::is_supported;

    #[test]
    fn sqlite_versions_that_can_lose_commits_are_refused() {
        assert!(!is_supported(3_050_004));
        assert!(!is_supported(3_051_002));
        assert!(is_supported(3_051_003));
        assert!(!is_supported(3_052_000));
        assert!(is_supported(3_052_001));
        assert!(is_supported(3_053_000));
    }
}
