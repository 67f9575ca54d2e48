//! From a path to a connection on a file that is known to be a store, up to date and ours.
//!
//! The order of the steps matters. Nothing is written before the file is accepted, so that a refused file stays byte
//! for byte as it was, and its folder too; two things SQLite does regardless: it plays back a hot rollback journal, and
//! makes a `-shm` beside a `-wal` that was there.

mod reading;
#[cfg(test)]
pub(crate) mod upgrade_tests;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::connection::{self, Access, Durability, set_pragma};
use super::files::{self, Identity};
use super::forks::Opened;
use super::schema::{APPLICATION_ID, BACKUP_ID, SCHEMA, Schema};
use super::{backup, migration, progress, transaction};
use crate::error::{Error, Failure, ReadOnlyCause, shared};

/// In bytes. The rows of a dataset fill a few such pages; twice as large, and texts of full length triple the file.
const PAGE_SIZE: i64 = 4096;

/// As many bytes a write-ahead log may keep: four times what it has when SQLite begins to copy it by itself.
const LOG_MAX: u64 = 16 * 1024 * 1024;

/// Where the bytes begin that SQLite locks; the page that holds them is never written.
const LOCK_BYTES_FROM: u64 = 0x4000_0000;

/// As many identities of one file are looked at: its first, and the one that it has when it was opened for writing.
const IDENTITIES: u32 = 3;

/// Between two attempts, where SQLite does not wait by itself.
const PAUSE: Duration = Duration::from_millis(1);

/// How a store's connections are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) read_only: bool,
    pub(crate) backup_before_upgrade: bool,
}

/// A file that was opened once; further connections to it can be had.
#[derive(Debug)]
pub(crate) struct Database {
    /// Absolute, with no symbolic link in it.
    pub(crate) file: PathBuf,
    /// What the file was when it was opened.
    identity: Identity,
    _opened: Opened,
    access: Access,
    settings: Settings,
    schema: &'static Schema,
    /// Whether the log that was there is durable, as far as this process knows; if not, nothing may be written behind it.
    pub(crate) is_settled: bool,
}

impl Database {
    /// Opens the file at `path`, with a first connection: for writing, unless the settings say that it is only read.
    ///
    /// It is made if there is none and brought up to date if it is older, unless it is only read.
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
        let find = if settings.read_only { files::find_existing } else { files::find_or_make };
        let file = find(path)?;
        // Layered file systems copy a file when it is first opened for writing; from then on it keeps its number. A file
        // that took another's name meanwhile is looked at anew.
        for _ in 0..IDENTITIES {
            let (database, connection) = Self::open_file(path, file.clone(), settings, schema, started)?;
            if database.check_unmoved().is_ok() {
                return Ok((database, connection));
            }
        }
        Err(Error::moved(&file, None))
    }

    fn open_file(
        path: &Path,
        file: PathBuf,
        settings: Settings,
        schema: &'static Schema,
        started: Instant,
    ) -> Result<(Self, Connection), Error> {
        let identity = files::identity(&file).map_err(|error| Error::moved(&file, shared(error)))?;
        let access = if settings.read_only { Access::ReadOnly } else { Access::ReadWrite };
        let mut database =
            Self { file, identity, _opened: Opened::new(identity)?, access, settings, schema, is_settled: true };
        files::check_companions(&database.file)?;
        let opened = if settings.read_only { database.first_reader() } else { database.first_writer(started) };
        let refused = |Failure(error)| refused(error, path, &database.file).having_waited(started.elapsed());
        let connection = opened.map_err(refused)?;
        Ok((database, connection))
    }

    fn first_writer(&mut self, started: Instant) -> Result<Connection, Failure> {
        let left = || self.settings.busy_timeout.saturating_sub(started.elapsed());
        let wal = files::wal_length(&self.file)?;
        self.refuse_log_of_another(wal)?;
        let mut connection = connection::connect(&self.file, Access::ReadWrite, left())?;
        // A refused file must not be checkpointed when this connection, perhaps its last, is closed.
        let keep_log = |connection: &Connection, keep| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep && wal.is_some())
        };
        keep_log(&connection, true)?;
        let found = self.inspect(&mut connection, wal.is_some())?;
        if found.version == 0 {
            set_pragma(&connection, "page_size", PAGE_SIZE)?;
        }
        // IMPORTANT: until there is a log. A rollback journal that is not synced twice can damage the file at a power cut.
        connection::set_durability(&connection, Durability::Full)?;
        if found.is_backup {
            // IMPORTANT: before there is a write-ahead log, which beside a backup is taken for another file's.
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        switch_to_wal(&connection, started, self.settings.busy_timeout)?;
        if self.settings.durability != Durability::Full {
            connection::set_durability(&connection, self.settings.durability)?;
        }
        keep_log(&connection, false)?;
        if wal.is_some_and(|length| length > 0) {
            self.is_settled = settle_log(&connection, &self.file)?;
            connection::set_busy_timeout(&connection, left())?;
        }
        if found.version < self.schema.current() {
            connection::set_busy_timeout(&connection, left())?;
            migrate(&connection, self.schema, |version| self.back_up_before_upgrade(version))?;
        }
        if found.version == 0 {
            files::sync_folder(&self.file)?;
        }
        Ok(connection)
    }

    /// A further connection, for writing.
    pub(crate) fn writer(&self) -> Result<Connection, Failure> {
        self.writer_within(self.settings.busy_timeout)
    }

    /// The same, waiting for others no longer than `timeout`, then and later.
    pub(crate) fn writer_within(&self, timeout: Duration) -> Result<Connection, Failure> {
        self.connect(self.access, timeout)
    }

    /// A further connection, for reading.
    pub(crate) fn reader(&self) -> Result<Connection, Failure> {
        self.reader_by(self.access)
    }

    fn reader_by(&self, access: Access) -> Result<Connection, Failure> {
        let connection = self.connect(access, self.settings.busy_timeout)?;
        set_pragma(&connection, "query_only", 1)?;
        Ok(connection)
    }

    /// A connection to a file that has this version of the schema already.
    fn connect(&self, access: Access, timeout: Duration) -> Result<Connection, Failure> {
        self.check_unmoved()?;
        let has_wal = files::wal_length(&self.file)?.is_some();
        let mut connection = connection::connect(&self.file, access, timeout)?;
        let version = self.inspect(&mut connection, has_wal)?.version;
        if version == 0 {
            return Err(Error::NotAStore { reason: "it is empty", source: None }.into());
        }
        if version < self.schema.current() {
            return Err(Error::ReadOnly { source: shared(ReadOnlyCause::OldVersion(version)) }.into());
        }
        connection::set_durability(&connection, self.settings.durability)?;
        Ok(connection)
    }

    /// Refuses a file that a later version of this crate has upgraded since it was opened: what it keeps is not known here.
    ///
    /// Only inside a transaction does the answer hold for longer than a moment.
    pub(crate) fn check_version(&self, connection: &Connection) -> Result<(), Failure> {
        let found = connection.prepare_cached("PRAGMA user_version")?.query_one([], |row| row.get(0))?;
        let supported = self.schema.current();
        if found > supported { Err(Error::TooNew { found, supported }.into()) } else { Ok(()) }
    }

    /// Copies all of the write-ahead log into the file and begins the log anew, both durably; busy if another connection
    /// prevents it.
    pub(crate) fn empty_log(&self, connection: &Connection) -> Result<(), Failure> {
        transaction::empty_log(connection)?;
        Ok(files::sync_log(&self.file)?)
    }

    /// Empties the write-ahead log if a large transaction has made it long and nobody reads it now. SQLite itself would
    /// write over it, but never shorten it before the last connection is closed.
    ///
    /// It is a matter of tidiness: what keeps it from being done is no failure of what was committed before.
    pub(crate) fn shorten_log(&self, connection: &Connection) {
        if files::wal_length(&self.file).is_ok_and(|length| length > Some(LOG_MAX)) {
            let at_once = connection::set_busy_timeout(connection, Duration::ZERO);
            let _ = at_once.and_then(|()| transaction::checkpoint_and_truncate(connection));
        }
    }

    /// Refuses when another file has the name by now, or none: what is written would be found by nobody.
    pub(crate) fn check_unmoved(&self) -> Result<(), Error> {
        match files::identity(&self.file) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(Error::moved(&self.file, None)),
            Err(error) => Err(Error::moved(&self.file, shared(error))),
        }
    }

    /// Refuses a file beside which lies what this crate never leaves there, and what SQLite acts on as soon as it reads:
    /// a journal that also concerns other files, a log that SQLite cannot read, and beside a backup, which was put in the
    /// place of a file whose log is still there, that log: SQLite would mix the two.
    fn refuse_log_of_another(&self, wal_length: Option<u64>) -> Result<(), Failure> {
        if files::has_journal_of_several_files(&self.file)? {
            return Err(Error::damaged("the journal beside it is one of several files").into());
        }
        if wal_length.is_none_or(|length| length == 0) {
            return Ok(());
        }
        if files::has_log_of_another_version(&self.file)? {
            return Err(Error::damaged("the write-ahead log beside it is of another version").into());
        }
        let without_log = connection::connect(&self.file, Access::Immutable, Duration::ZERO)?;
        // What cannot be read without its log is no backup, which has none.
        if pragma(&without_log, "application_id").is_ok_and(|id| id == BACKUP_ID) {
            return Err(Error::damaged("it is a backup with the write-ahead log of another file beside it").into());
        }
        Ok(())
    }

    fn back_up_before_upgrade(&self, version: i64) -> Result<Option<PathBuf>, Failure> {
        if !self.settings.backup_before_upgrade {
            return Ok(None);
        }
        let connection = connection::connect(&self.file, Access::ReadWrite, self.settings.busy_timeout)?;
        backup::before_upgrade(connection, &self.file, version, self.schema).map(Some)
    }

    /// What the file is; refuses what is no store. Reads one snapshot and writes nothing.
    ///
    /// Whether there was a write-ahead log must be known from before: reading makes an empty one.
    fn inspect(&self, connection: &mut Connection, had_wal: bool) -> Result<Found, Failure> {
        transaction::begin_read(connection)?;
        let found = progress::bounded_by_schema(connection, |connection| {
            let found = identify(connection, self.schema)?;
            if found.version > 0 {
                self.schema.check(connection, found.version)?;
            }
            self.check_length(connection, had_wal)?;
            Ok(found)
        });
        // A connection that stayed inside would see this snapshot for ever.
        let ended = transaction::end(connection);
        found.and_then(|found| ended.map(|()| found).map_err(Failure::from))
    }

    /// A file that ends before its last page was cut, unless its log or journal holds what is missing.
    fn check_length(&self, connection: &Connection, had_wal: bool) -> Result<(), Failure> {
        let page_size = pragma(connection, "page_size")?.cast_unsigned().max(1);
        let length = files::length(&self.file).map_err(|error| Error::moved(&self.file, shared(error)))?;
        if had_wal {
            // Without a log SQLite compares the two itself.
            let (whole, pages) = (length / page_size, pragma(connection, "page_count")?.cast_unsigned());
            return self.check_log_holds(whole + 1..=pages, page_size);
        }
        if !length.is_multiple_of(page_size) && !files::has_journal(&self.file)? {
            return Err(Error::damaged("it was cut inside a page").into());
        }
        Ok(())
    }

    /// Refuses if pages are missing: in WAL mode SQLite writes every page by which a transaction makes the file longer.
    fn check_log_holds(&self, mut pages: RangeInclusive<u64>, page_size: u64) -> Result<(), Failure> {
        if pages.is_empty() {
            return Ok(());
        }
        let in_log = files::pages_in_log(&self.file, page_size).map_err(|error| files::failed(&self.file, error))?;
        let page_of_locks = LOCK_BYTES_FROM / page_size + 1;
        if pages.all(|page| page == page_of_locks || in_log.contains(&page)) {
            Ok(())
        } else {
            Err(Error::damaged("it was cut: pages are missing that its write-ahead log does not hold").into())
        }
    }
}

/// Opens a database of its own in memory.
pub(crate) fn open_in_memory() -> Result<Connection, Failure> {
    connection::check_sqlite()?;
    let connection = connection::connect_in_memory()?;
    migrate(&connection, &SCHEMA, |_| Ok(None))?;
    Ok(connection)
}

/// What SQLite's refusal of a file means to the one who gave the path.
fn refused(error: Error, path: &Path, file: &Path) -> Error {
    let (Error::Storage { source: Some(source) } | Error::Corrupt { source: Some(source), .. }) = &error else {
        return error;
    };
    match source.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::CannotOpen) => files::lacks_descriptors(file)
            .unwrap_or_else(|| Error::invalid_path(path, "SQLite cannot open it", Some(source.clone()))),
        Some(ErrorCode::NotADatabase) => {
            Error::NotAStore { reason: "it is no SQLite database", source: Some(source.clone()) }
        }
        _ => error,
    }
}

/// What a file is when it is found.
#[derive(Clone, Copy)]
struct Found {
    /// 0 if it is empty.
    version: i64,
    is_backup: bool,
}

fn identify(connection: &Connection, schema: &Schema) -> Result<Found, Failure> {
    let application_id = pragma(connection, "application_id")?;
    let version = pragma(connection, "user_version")?;
    let refuse = |reason| Err(Error::NotAStore { reason, source: None }.into());
    let is_backup = application_id == BACKUP_ID;
    match (application_id, version) {
        (0, 0) if connection.query_one("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))? => {
            if is_fresh(connection)? {
                Ok(Found { version, is_backup })
            } else {
                refuse("it is an empty database made by something else")
            }
        }
        (0, _) => refuse("it is a database without a mark of its application"),
        (APPLICATION_ID | BACKUP_ID, version) if version > schema.current() => {
            Err(Error::TooNew { found: version, supported: schema.current() }.into())
        }
        (APPLICATION_ID | BACKUP_ID, 1..) => Ok(Found { version, is_backup }),
        (APPLICATION_ID | BACKUP_ID, _) => Err(Error::damaged("the schema version was altered").into()),
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

pub(crate) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Switches to a write-ahead log. SQLite does not call its busy handler here, so the waiting is ours.
fn switch_to_wal(connection: &Connection, started: Instant, timeout: Duration) -> Result<(), Failure> {
    loop {
        // IMPORTANT: SQLite commits the switch after the row that says that it was made; this asks for a second row.
        match connection.query_one("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
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

/// Settles a log that was there; false on a full disk, where it stays as it is: what is in it can be read, and nothing
/// written yet.
fn settle_log(connection: &Connection, file: &Path) -> Result<bool, Failure> {
    match transaction::settle_log(connection) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => return Ok(false),
        settled => settled?,
    }
    // IMPORTANT: SQLite does not. A part of what was in the log, found again after a power cut, would lie over the newer
    // pages of the file.
    if files::wal_length(file)? == Some(0) {
        files::sync_log(file)?;
    }
    Ok(true)
}

/// Brings the file up to date in one transaction. `back_up` is told the version of a file that is not empty, when nobody
/// else can change it any more and nothing was changed yet.
fn migrate(
    connection: &Connection,
    schema: &Schema,
    back_up: impl FnOnce(i64) -> Result<Option<PathBuf>, Failure>,
) -> Result<(), Failure> {
    // IMPORTANT: with foreign keys on, the DROP TABLE of a migration that rebuilds a table would delete every KPI. The
    // pragma does nothing inside a transaction, so it stands around it, and comes back on whatever happens.
    set_pragma(connection, "foreign_keys", 0)?;
    let migrated = migrate_in_transaction(connection, schema, back_up);
    let ended = transaction::end(connection);
    set_pragma(connection, "foreign_keys", 1)?;
    migrated.and_then(|()| ended.map_err(Failure::from))
}

fn migrate_in_transaction(
    connection: &Connection,
    schema: &Schema,
    back_up: impl FnOnce(i64) -> Result<Option<PathBuf>, Failure>,
) -> Result<(), Failure> {
    transaction::begin_write(connection)?;
    // Another process may have done it since.
    let Found { version, .. } = identify(connection, schema)?;
    if version == schema.current() {
        return Ok(());
    }
    let copy = if version > 0 { back_up(version)? } else { None };
    let migrated = run_migrations(connection, schema);
    let committed = if migrated.is_ok() { transaction::commit(connection) } else { Ok(()) };
    let is_as_it_was = migrated.is_err() || committed.as_ref().is_err_and(transaction::is_without_effect);
    // An application that tries again on every start would fill the disk with copies.
    if let Some(copy) = copy.filter(|_| is_as_it_was) {
        files::remove_with_companions(&copy);
    }
    migrated?;
    Ok(committed?)
}

fn run_migrations(connection: &Connection, schema: &Schema) -> Result<(), Failure> {
    migration::run(connection, schema)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", schema.current())?;
    if connection.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(Error::damaged("a KPI belongs to no dataset").into());
    }
    schema.check(connection, schema.current())
}
