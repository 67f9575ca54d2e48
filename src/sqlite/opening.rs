//! From a path to a connection on a file that is known to be a store, up to date and ours.
//!
//! The order of the steps matters. Nothing is written before the file is accepted, so that a refused file stays byte
//! for byte as it was, and its folder too; two things SQLite does regardless: it plays back a hot rollback journal, and
//! makes a `-shm` beside a `-wal` that was there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::connection::{self, Durability, set_pragma};
use super::schema::{APPLICATION_ID, SCHEMA, Schema};
use super::{files, migration, transaction};
use crate::error::{Error, Failure};

/// In bytes. The rows of a dataset fill a few such pages; twice as large, and texts of full length triple the file.
const PAGE_SIZE: i64 = 4096;

/// Between two attempts, where SQLite does not wait by itself.
const PAUSE: Duration = Duration::from_millis(1);

/// How a store's connections are set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
}

/// A file that was opened once; further connections to it can be had.
#[derive(Debug)]
pub(crate) struct Database {
    /// Absolute, with no symbolic link in it.
    pub(crate) file: PathBuf,
    settings: Settings,
    schema: &'static Schema,
}

impl Database {
    /// Opens the file at `path`, which is made if there is none and brought up to date if it is older.
    pub(crate) fn open(path: &Path, settings: Settings) -> Result<(Self, Connection), Error> {
        Self::open_with_schema(path, settings, &SCHEMA)
    }

    /// The same for any list of migrations, so that tests can upgrade.
    pub(crate) fn open_with_schema(
        path: &Path,
        settings: Settings,
        schema: &'static Schema,
    ) -> Result<(Self, Connection), Error> {
        connection::check_sqlite()?;
        let started = Instant::now();
        let file = files::find_or_make(path)?;
        let database = Self { file, settings, schema };
        let connection = database
            .connect(Expect::AnyVersion, started)
            .map_err(|Failure(error)| refused(error, path).having_waited(started.elapsed()))?;
        Ok((database, connection))
    }

    /// A further connection, for writing.
    pub(crate) fn writer(&self) -> Result<Connection, Failure> {
        self.connect(Expect::Current, Instant::now())
    }

    /// A further connection, for reading.
    pub(crate) fn reader(&self) -> Result<Connection, Failure> {
        let connection = self.connect(Expect::Current, Instant::now())?;
        set_pragma(&connection, "query_only", 1)?;
        Ok(connection)
    }

    fn connect(&self, expect: Expect, started: Instant) -> Result<Connection, Failure> {
        let Settings { durability, busy_timeout } = self.settings;
        let connection = connection::connect(&self.file, busy_timeout)?;
        // A refused file must not be checkpointed when this connection, perhaps its last, is closed.
        let has_wal = files::has_wal(&self.file);
        if has_wal {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        let version = inspect(&connection, self.schema)?;
        self.check_length(&connection, has_wal)?;
        if expect == Expect::Current && version != self.schema.current() {
            return Err(Error::damaged("another file took its place while it was open").into());
        }
        if version == 0 {
            set_pragma(&connection, "page_size", PAGE_SIZE)?;
        }
        connection::set_durability(&connection, durability)?;
        switch_to_wal(&connection, started, busy_timeout)?;
        if has_wal {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        }
        if version < self.schema.current() {
            connection::set_busy_timeout(&connection, busy_timeout.saturating_sub(started.elapsed()))?;
            migrate(&connection, self.schema)?;
        }
        if version == 0 {
            files::sync_folder(&self.file)?;
        }
        Ok(connection)
    }

    /// A file with part of a page, and neither log nor journal that could mend it, was cut.
    fn check_length(&self, connection: &Connection, had_wal: bool) -> Result<(), Failure> {
        let page_size = pragma(connection, "page_size")?.cast_unsigned().max(1);
        let is_mended_later = had_wal || files::has_journal(&self.file);
        if !files::length(&self.file)?.is_multiple_of(page_size) && !is_mended_later {
            return Err(Error::damaged("it was cut inside a page").into());
        }
        Ok(())
    }
}

/// Which version of the file a connection may find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// Any: it is brought up to date.
    AnyVersion,
    /// The current one: the file was brought up to date when it was opened.
    Current,
}

/// Opens a database of its own in memory.
pub(crate) fn open_in_memory() -> Result<Connection, Failure> {
    connection::check_sqlite()?;
    let connection = connection::connect_in_memory()?;
    migrate(&connection, &SCHEMA)?;
    Ok(connection)
}

/// What SQLite's refusal of a file means to the one who gave the path.
fn refused(error: Error, path: &Path) -> Error {
    let (Error::Storage { source: Some(source) } | Error::Corrupt { source: Some(source), .. }) = &error else {
        return error;
    };
    match source.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::CannotOpen) => Error::invalid_path(path, "SQLite cannot open it", Some(source.clone())),
        Some(ErrorCode::NotADatabase) => {
            Error::NotAStore { reason: "it is no SQLite database", source: Some(source.clone()) }
        }
        _ => error,
    }
}

/// The version of the file, 0 if it is empty; refuses what is not a store. Reads one snapshot and writes nothing.
fn inspect(connection: &Connection, schema: &Schema) -> Result<i64, Failure> {
    transaction::begin_read(connection)?;
    let version = identify(connection, schema).and_then(|version| {
        if version > 0 {
            schema.check(connection, version)?;
        }
        Ok(version)
    });
    transaction::roll_back(connection);
    version
}

fn identify(connection: &Connection, schema: &Schema) -> Result<i64, Failure> {
    let application_id = pragma(connection, "application_id")?;
    let version = pragma(connection, "user_version")?;
    let refuse = |reason| Err(Error::NotAStore { reason, source: None }.into());
    match (application_id, version) {
        (0, 0) if connection.query_one("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))? => {
            if is_fresh(connection)? { Ok(0) } else { refuse("it is an empty database made by something else") }
        }
        (0, _) => refuse("it is a database without a mark of its application"),
        (APPLICATION_ID, version) if version > schema.current() => {
            Err(Error::TooNew { found: version, supported: schema.current() }.into())
        }
        (APPLICATION_ID, 1..) => Ok(version),
        (APPLICATION_ID, _) => Err(Error::damaged("the schema version was altered").into()),
        _ => refuse("it is the database of another application"),
    }
}

/// Whether an empty database is one that this crate made, or a file without a byte: in its own form, in which others do
/// not need to be.
fn is_fresh(connection: &Connection) -> rusqlite::Result<bool> {
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    let has_our_form =
        encoding == "UTF-8" && pragma(connection, "page_size")? == PAGE_SIZE && pragma(connection, "auto_vacuum")? == 0;
    Ok(has_our_form || pragma(connection, "page_count")? == 0)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Switches to a write-ahead log. SQLite does not call its busy handler here, so the waiting is ours.
fn switch_to_wal(connection: &Connection, started: Instant, timeout: Duration) -> Result<(), Failure> {
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Error::Storage { source: None }.into()),
            Err(error) => {
                let Failure(error) = error.into();
                let waited = started.elapsed();
                if !matches!(error, Error::Busy { .. }) || waited >= timeout {
                    return Err(error.having_waited(waited).into());
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Brings the file up to date in one transaction.
fn migrate(connection: &Connection, schema: &Schema) -> Result<(), Failure> {
    // IMPORTANT: with foreign keys on, the DROP TABLE of a migration that rebuilds a table would delete every KPI. The
    // pragma does nothing inside a transaction, so it stands around it, and comes back on whatever happens.
    set_pragma(connection, "foreign_keys", 0)?;
    let migrated = migrate_in_transaction(connection, schema);
    transaction::roll_back(connection);
    set_pragma(connection, "foreign_keys", 1)?;
    migrated
}

fn migrate_in_transaction(connection: &Connection, schema: &Schema) -> Result<(), Failure> {
    transaction::begin_write(connection)?;
    // Another process may have done it since.
    if identify(connection, schema)? == schema.current() {
        return Ok(());
    }
    migration::run(connection, schema)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", schema.current())?;
    if connection.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(Error::damaged("a KPI belongs to no dataset").into());
    }
    schema.check(connection, schema.current())?;
    transaction::commit(connection)?;
    Ok(())
}
