//! An open file, and further connections to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::open::inspect::inspect;
use super::open_files::Opened;
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::connection::{self, OpenMode, set_pragma};
use crate::sqlite::failure::{Failure, ReadOnlyCause, cause, lost_log, moved};
use crate::sqlite::file::companions;
use crate::sqlite::file::stat::{self, Identity};
use crate::sqlite::read_connection::ReadConnection;
use crate::sqlite::schema::Schema;

/// How a store's connections are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) read_only: bool,
    pub(crate) backup_before_upgrade: bool,
}

/// An open file, from which further connections can be obtained.
#[derive(Debug)]
pub(crate) struct Database {
    /// The absolute path, without symbolic links.
    pub(crate) file: PathBuf,
    /// The identity of the file when it was opened.
    identity: Identity,
    /// The path of the write-ahead log.
    log: PathBuf,
    /// The identity of the log that the connections use; `None` before the first connection is set up, and if there is
    /// no log: an immutable file, or one that is read in rollback mode.
    log_identity: Option<Identity>,
    /// Whether the log was found removed or replaced.
    is_log_lost: AtomicBool,
    opened: Opened,
    pub(in crate::sqlite) mode: OpenMode,
    pub(in crate::sqlite) settings: Settings,
    pub(in crate::sqlite) schema: &'static Schema,
    /// Whether the log that the file had when it was opened is durable. If not, no frame may be appended to it.
    pub(crate) is_log_durable: bool,
}

impl Database {
    /// The file that has this name now. Opens no connection.
    pub(in crate::sqlite) fn new(file: PathBuf, settings: Settings, schema: &'static Schema) -> Result<Self, Error> {
        let identity = stat::identity(&file)?;
        let log = companions::beside(&file, "-wal");
        let opened = Opened::new(identity, &log)?;
        let mode = if settings.read_only { OpenMode::ReadOnly } else { OpenMode::ReadWrite };
        let (log_identity, is_log_lost) = (None, AtomicBool::new(false));
        Ok(Self {
            file,
            identity,
            log,
            log_identity,
            is_log_lost,
            opened,
            mode,
            settings,
            schema,
            is_log_durable: true,
        })
    }

    /// Opens a further connection for writing.
    pub(crate) fn writer(&self) -> Result<Connection, Failure> {
        self.writer_within(self.settings.busy_timeout)
    }

    /// The same, with `timeout` as the busy timeout of the connection.
    pub(crate) fn writer_within(&self, timeout: Duration) -> Result<Connection, Failure> {
        self.connect(self.mode, timeout)
    }

    /// Opens a further connection for reading.
    pub(crate) fn reader(&self) -> Result<ReadConnection, Failure> {
        Ok(self.reading(self.plain_reader()?))
    }

    /// Wraps a connection of this file for reading.
    pub(crate) fn reading(&self, connection: Connection) -> ReadConnection {
        ReadConnection::new(connection, self.file.clone(), self.schema.current())
    }

    pub(in crate::sqlite) fn plain_reader(&self) -> Result<Connection, Failure> {
        self.reader_with(self.mode)
    }

    pub(in crate::sqlite) fn reader_with(&self, mode: OpenMode) -> Result<Connection, Failure> {
        let connection = self.connect(mode, self.settings.busy_timeout)?;
        set_pragma(&connection, "query_only", 1)?;
        Ok(connection)
    }

    /// Opens a connection to a file that already has the current schema.
    fn connect(&self, mode: OpenMode, timeout: Duration) -> Result<Connection, Failure> {
        self.check_files()?;
        let has_wal = companions::wal_length(&self.file)?.is_some();
        let mut connection = connection::connect(&self.file, mode, timeout)?;
        connection::set_keeps_log(&connection, true)?;
        let version = inspect(&self.file, self.schema, &mut connection, has_wal)?.version;
        if version == 0 {
            return Err(Error::NotAStore { reason: "the file is empty", source: None }.into());
        }
        if version < self.schema.current() {
            return Err(Error::ReadOnly { source: cause(ReadOnlyCause::OldVersion(version)) }.into());
        }
        connection::set_durability(&connection, self.settings.durability)?;
        Ok(connection)
    }

    /// Fails if a later version of this crate has upgraded the file since it was opened: its schema is unknown here.
    ///
    /// Call it inside a transaction; otherwise the version may change right after the check.
    pub(crate) fn check_version(&self, connection: &Connection) -> Result<(), Failure> {
        let found = connection.prepare_cached("PRAGMA user_version")?.query_one([], |row| row.get(0))?;
        let supported = self.schema.current();
        if found > supported { Err(Error::TooNew { found, supported }.into()) } else { Ok(()) }
    }

    /// Remembers which log the first connection uses. The connection has read from the file, so SQLite has opened the
    /// log.
    pub(in crate::sqlite) fn remember_log(&mut self) -> Result<(), Error> {
        if self.mode == OpenMode::Immutable {
            return Ok(());
        }
        self.log_identity = self.opened.register_log(self.identity, &self.log)?;
        let is_missing = self.log_identity.is_none() && self.mode == OpenMode::ReadWrite;
        if is_missing { Err(lost_log(&self.log)) } else { Ok(()) }
    }

    /// Lets other stores of this process use another log. Call it before the last connection is closed.
    pub(crate) fn forget_log(&self) {
        self.opened.forget_log();
    }

    /// Fails if the name of the file or of its log now belongs to another file or to none: writes to the old ones would
    /// be lost.
    pub(crate) fn check_files(&self) -> Result<(), Error> {
        self.check_unmoved()?;
        self.check_log()
    }

    pub(in crate::sqlite) fn check_unmoved(&self) -> Result<(), Error> {
        if stat::identity(&self.file)? == self.identity { Ok(()) } else { Err(moved(&self.file, None)) }
    }

    /// Fails if the log was removed or replaced: once it was, SQLite's index of the log, which this process keeps in
    /// memory, belongs to no log that another process can see.
    ///
    /// That happens without a defect of SQLite. If this process opens and closes the file by other means, the locks of
    /// its connections are dropped; the next process that closes the file is then the last one, and removes the log.
    pub(crate) fn check_log(&self) -> Result<(), Error> {
        self.check_log_was_kept()?;
        if self.log_identity.is_none() || stat::identity_if_any(&self.log)? == self.log_identity {
            return Ok(());
        }
        self.is_log_lost.store(true, Ordering::Relaxed);
        Err(lost_log(&self.log))
    }

    /// Fails if a check has found that the log was removed or replaced. Makes no system call.
    pub(crate) fn check_log_was_kept(&self) -> Result<(), Error> {
        if self.is_log_lost.load(Ordering::Relaxed) { Err(lost_log(&self.log)) } else { Ok(()) }
    }

    /// Before the last connection of a store is closed: lets it checkpoint and remove the log, and fails if the log is
    /// not its own any more.
    pub(crate) fn release_log(&self, connection: &Connection) -> Result<(), Failure> {
        // If the file itself was moved, SQLite leaves the log alone, which may have been moved with it.
        if self.check_unmoved().is_ok() {
            self.check_log()?;
        }
        connection::set_keeps_log(connection, false)
    }
}

#[cfg(test)]
mod tests {
    use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};

    use super::*;
    use crate::sqlite::schema::SCHEMA;

    const SETTINGS: Settings = Settings {
        durability: Durability::Full,
        busy_timeout: Duration::from_secs(5),
        read_only: false,
        backup_before_upgrade: true,
    };

    #[test]
    fn a_file_whose_metadata_cannot_be_read_is_not_said_to_be_moved() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        let (database, _connection) = Database::open(&file, SETTINGS, &SCHEMA).unwrap();
        let disk = Disk::new(folder.path());
        disk.fail(Fault { kinds: vec![Kind::Length], at: 1, cause: Cause::Io, lasting: true });
        assert_eq!(database.check_files().unwrap_err().code(), "storage");
        disk.calm();
        let before = disk.count(Kind::Length);
        assert!(database.check_files().is_ok());
        assert_eq!(disk.count(Kind::Length), before + 2, "two lookups before each write");
        std::fs::rename(&file, folder.path().join("other.db")).unwrap();
        assert_eq!(database.check_files().unwrap_err().code(), "invalid_path");
        std::fs::write(&file, "").unwrap();
        assert_eq!(database.check_files().unwrap_err().code(), "invalid_path");
    }
}
