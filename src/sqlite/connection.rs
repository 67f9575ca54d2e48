//! One connection, set up so that neither a hostile file nor a default of SQLite's can do harm.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::failure::{Failure, cause};

/// The features of SQLite that are switched on or off, each read back.
const FEATURES: [(DbConfig, bool); 10] = [
    // A KPI has its dataset.
    (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
    // No writing to shadow tables and no writable_schema, whatever SQL runs.
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    // Nothing in the schema may call functions with side effects.
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    // The schema has no triggers and no views; none that a file brings along may act.
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    // A misspelled column is an error, not a string.
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    // The bundled build has STAT4, which prepares some statements anew on every call; this keeps their plans.
    (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
];

/// The limits of <https://sqlite.org/security.html>, as far as the statements of this crate allow, each read back.
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
    // A statement that inserts many rows at once binds a value for each of their columns.
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
];

/// How long SQLite's program may be for a check of every table: some thousands of tables of 50 columns.
const STEPS_BESIDE_OTHERS: i32 = 2_500_000;

/// How many prepared statements are kept: all that this crate has, with one for each number of KPIs up to 32.
const STATEMENTS: usize = 64;

/// Refuses a linked SQLite with the defect by which two connections can lose commits in WAL mode.
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

/// How a connection uses its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
    /// Read-only, of a file that does not change: without locks and write-ahead log, which need a folder that can be
    /// written.
    Immutable,
}

/// A hardened connection to an existing file, of which nothing was read yet.
pub(super) fn connect(file: &Path, access: Access, busy_timeout: Duration) -> Result<Connection, Failure> {
    // No CREATE: a file is made elsewhere. No URI, but for one of our own: the path is a path. NO_MUTEX: a connection
    // is used by one thread at a time.
    let common =
        OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let read_only = common | OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = match access {
        Access::ReadWrite => Connection::open_with_flags(file, common | OpenFlags::SQLITE_OPEN_READ_WRITE)?,
        Access::ReadOnly => Connection::open_with_flags(file, read_only)?,
        Access::Immutable => Connection::open_with_flags(immutable_uri(file), read_only | OpenFlags::SQLITE_OPEN_URI)?,
    };
    // SQLite falls back to reading without a word.
    if access == Access::ReadWrite && connection.is_readonly("main")? {
        return Err(Error::ReadOnly { source: None }.into());
    }
    set_busy_timeout(&connection, busy_timeout)?;
    harden(&connection)?;
    Ok(connection)
}

/// The URI of a file, every byte but the plainest percent-encoded.
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

/// A hardened connection to a database of its own in memory.
pub(super) fn connect_in_memory() -> Result<Connection, Failure> {
    let connection = Connection::open_in_memory()?;
    harden(&connection)?;
    Ok(connection)
}

/// How long SQLite waits for locks of other connections, in whole milliseconds: rounded up, never less than was asked for,
/// and at most 2^31 of them, beyond which rusqlite panics.
pub(crate) fn set_busy_timeout(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    const MAX: Duration = Duration::from_millis(i32::MAX as u64);
    let almost_one = Duration::from_nanos(999_999);
    connection.busy_timeout(timeout.saturating_add(almost_one).min(MAX))
}

/// Does `work` on a connection that may attach one database, as VACUUM INTO does with its target.
pub(super) fn with_attach<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    let worked = work(connection);
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    worked
}

/// Does `work`, which visits every table of the file, where there are tables of others: with a program that may be longer, and
/// without CHECK constraints, since those of others may fail in any way.
pub(super) fn with_tables_of_others<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let limit = connection.limit(Limit::SQLITE_LIMIT_VDBE_OP)?;
    connection.set_limit(Limit::SQLITE_LIMIT_VDBE_OP, STEPS_BESIDE_OTHERS)?;
    connection.pragma_update(None, "ignore_check_constraints", 1)?;
    let worked = work();
    connection.pragma_update(None, "ignore_check_constraints", 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_VDBE_OP, limit)?;
    worked
}

fn harden(connection: &Connection) -> Result<(), Failure> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    for (feature, on) in FEATURES {
        expect_set("feature", connection.set_db_config(feature, on)? == on)?;
    }
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
        expect_set("limit", connection.limit(limit)? == value)?;
    }
    set_pragma(connection, "cell_size_check", 1)?;
    // It answers with what it is set to; without a file there is nothing to map, and no answer.
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
    // Apple's disks have written what they say only after F_FULLFSYNC. Elsewhere these would do nothing.
    if cfg!(target_vendor = "apple") {
        set_pragma(connection, "fullfsync", 1)?;
        set_pragma(connection, "checkpoint_fullfsync", 1)?;
    }
    Ok(())
}

/// The value of a pragma that is a number.
pub(crate) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Sets a pragma and reads it back.
pub(super) fn set_pragma(connection: &Connection, name: &'static str, value: i64) -> Result<(), Failure> {
    connection.pragma_update(None, name, value)?;
    let found: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    expect_set(name, found == value)
}

fn expect_set(what: &'static str, set: bool) -> Result<(), Failure> {
    if set { Ok(()) } else { Err(Error::Storage { source: cause(NotSet(what)) }.into()) }
}

/// The linked SQLite was built without something that this crate relies on.
#[derive(Debug, thiserror::Error)]
#[error("the linked SQLite does not let a {0} be set")]
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
