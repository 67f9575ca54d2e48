//! An open file, and further connections to it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::commit_signal::CommitSignal;
use super::diagnosis::Diagnosis;
use super::open::inspect::inspect;
use super::open_files::Opened;
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::connection::{self, OpenMode, set_pragma};
use crate::sqlite::failure::{Failure, ReadOnlyCause, cause, lost_log, moved};
use crate::sqlite::file::companions;
use crate::sqlite::file::stat::{self, Folder, Identity};
use crate::sqlite::read_connection::{OpenedReader, ReadConnection};
use crate::sqlite::schema::Schema;

/// How a store's connections are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) read_only: bool,
    pub(crate) backup_before_upgrade: bool,
    /// A longer log is begun anew. In bytes.
    pub(crate) log_max: u64,
}

impl Settings {
    /// Four times the length at which SQLite checkpoints by itself.
    pub(crate) const LOG_MAX: u64 = 16 * 1024 * 1024;
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
    /// The path of the index of the log, and the identity of the file, likewise.
    index: PathBuf,
    index_identity: Option<Identity>,
    /// Whether the log or its index was found removed or replaced.
    is_log_lost: AtomicBool,
    /// The last look at the files that found them in order, if the folder tells every later change.
    last_look: Mutex<Option<Look>>,
    opened: Opened,
    pub(crate) settings: Settings,
    pub(in crate::sqlite) schema: &'static Schema,
    diagnosis: Diagnosis,
    /// Whether the log that the file had when it was opened is durable. If not, no frame may be appended to it.
    pub(crate) is_log_durable: bool,
}

/// A look at the file and its companions.
#[derive(Debug)]
struct Look {
    /// The folder before it.
    folder: Folder,
    at: Instant,
    log_length: u64,
    /// How many checks have relied on it.
    relied_on: u64,
}

/// How long an unchanged folder is trusted, which some file systems do not mark as changed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How much the log grows from one check to the next, as a small create writes it: its length is to be known.
const BYTES_PER_CHECK: u64 = 128 * 1024;

impl Database {
    /// The file that has this name now. Opens no connection.
    pub(in crate::sqlite) fn new(file: PathBuf, settings: Settings, schema: &'static Schema) -> Result<Self, Error> {
        let identity = stat::identity(&file)?;
        let log = companions::beside(&file, "-wal");
        let index = companions::beside(&file, "-shm");
        let opened = Opened::new(identity, &log)?;
        let (log_identity, is_log_lost, diagnosis) = (None, AtomicBool::new(false), Diagnosis::default());
        Ok(Self {
            file,
            identity,
            log,
            log_identity,
            index,
            index_identity: None,
            is_log_lost,
            last_look: Mutex::default(),
            opened,
            settings,
            schema,
            diagnosis,
            is_log_durable: true,
        })
    }

    /// Runs `work` up to three times, so that a read that failed is not answered as damage. It is given whether the file
    /// is known to be damaged, to [read](crate::sqlite::snapshot::read) with.
    pub(crate) fn diagnosed<T>(&self, mut work: impl FnMut(bool) -> Result<T, Failure>) -> Result<T, Failure> {
        self.diagnosis
            .decide(&self.file, |damage_is_known| work(damage_is_known).map_err(|failure| self.checked(failure)))
    }

    /// A connection whose file or log was moved or replaced reads pages that do not belong together: that is not damage.
    fn checked(&self, failure: Failure) -> Failure {
        let moved = if failure.is_damage() { self.check_files().err() } else { None };
        moved.map_or(failure, Failure::from)
    }

    /// The error of work that cannot be done again: damage only if the file is damaged.
    pub(crate) fn diagnosed_error(&self, failure: Failure) -> Failure {
        self.diagnosis.decide_error(&self.file, self.checked(failure))
    }

    /// Wakes the watches of the file in this process.
    pub(crate) fn signal(&self) -> &Arc<CommitSignal> {
        self.opened.signal()
    }

    /// Opens a further connection for writing, with `timeout` as its busy timeout.
    pub(crate) fn writer_within(&self, timeout: Duration) -> Result<Connection, Failure> {
        self.connect(OpenMode::ReadWrite, timeout)
    }

    /// Opens a further connection for reading.
    pub(crate) fn reader(&self) -> Result<ReadConnection, Failure> {
        self.reading(self.open_reader()?)
    }

    /// Wraps a connection of this file for reading.
    pub(crate) fn reading(&self, opened: OpenedReader) -> Result<ReadConnection, Failure> {
        set_pragma(&opened.connection, "query_only", 1)?;
        Ok(ReadConnection::new(opened, self.schema.current()))
    }

    /// Opens a connection for work on the file as a whole.
    ///
    /// If possible one that can write: SQLite evaluates CHECK constraints only there.
    pub(crate) fn whole_reader(&self) -> Result<OpenedReader, Failure> {
        if self.settings.read_only {
            return self.open_only_reading();
        }
        match self.connect_in(OpenMode::ReadWrite) {
            Err(Failure(Error::ReadOnly { .. })) => self.open_reader(),
            opened => opened,
        }
    }

    /// Opens a connection that cannot write the file, though it can write a copy of it.
    ///
    /// Also in a store that writes, since reading must go on when the file can no longer be written. All connections
    /// of a process share the index of the log, which the writer has opened for writing.
    fn open_reader(&self) -> Result<OpenedReader, Failure> {
        if self.settings.read_only { self.open_only_reading() } else { self.connect_in(OpenMode::ReadOnly) }
    }

    pub(in crate::sqlite) fn connect_in(&self, mode: OpenMode) -> Result<OpenedReader, Failure> {
        let connection = self.connect(mode, self.settings.busy_timeout)?;
        Ok(OpenedReader { connection, file: Some(self.file.clone()), frozen: None })
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
    /// log, unless it `is_immutable`.
    pub(in crate::sqlite) fn remember_log(&mut self, is_immutable: bool) -> Result<(), Error> {
        if is_immutable {
            return Ok(());
        }
        self.log_identity = self.opened.register_log(self.identity, &self.log)?;
        self.index_identity = stat::identity_if_any(&self.index)?;
        let is_missing = self.log_identity.is_none() && !self.settings.read_only;
        if is_missing { Err(lost_log(&self.log)) } else { Ok(()) }
    }

    /// Lets other stores of this process use another log. Call it before the last connection is closed, which removes the
    /// log.
    ///
    /// If the log was lost, no other store may be opened before [all connections are closed](Self::forget_lost_log), which
    /// use the old one.
    pub(crate) fn forget_log(&self) {
        if self.check_log().is_ok() {
            self.opened.forget_log();
        }
    }

    /// Lets other stores of this process use another log, after the last connection was closed.
    pub(crate) fn forget_lost_log(&self) {
        self.opened.forget_log();
    }

    /// Fails if the name of the file, of its log or of the index of the log now belongs to another file or to none: writes
    /// to the old ones would be lost. Returns the length of the log.
    ///
    /// IMPORTANT: it looks at the folder first, and at the files only if a name in the folder has changed or
    /// [`LOOK_AGAIN`] has passed. A look at the log before each commit would make each commit write the metadata of the
    /// log too: since Linux 6.13 a write changes the time of the last change of a file if that was asked for.
    pub(crate) fn check_files(&self) -> Result<u64, Error> {
        self.check_log_was_kept()?;
        let (folder, at) = (stat::folder(&self.file).ok(), Instant::now());
        let mut last = self.last_look.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &mut *last
            && Some(last.folder) == folder
            && at.duration_since(last.at) < LOOK_AGAIN
            && last.relied_on < self.settings.log_max / BYTES_PER_CHECK
        {
            last.relied_on += 1;
            return Ok(last.log_length);
        }
        *last = None;
        let log_length = self.look_at_files()?;
        *last = folder.filter(Folder::is_settled).map(|folder| Look { folder, at, log_length, relied_on: 0 });
        Ok(log_length)
    }

    fn look_at_files(&self) -> Result<u64, Error> {
        self.check_unmoved()?;
        let length = self.check_log()?;
        if self.index_identity.is_some() && stat::identity_if_any(&self.index)? != self.index_identity {
            self.is_log_lost.store(true, Ordering::Relaxed);
            return Err(lost_log(&self.index));
        }
        Ok(length)
    }

    pub(in crate::sqlite) fn check_unmoved(&self) -> Result<(), Error> {
        if stat::identity(&self.file)? == self.identity { Ok(()) } else { Err(moved(&self.file, None)) }
    }

    /// Fails if the log was removed or replaced: once it was, SQLite's index of the log, which this process keeps in
    /// memory, belongs to no log that another process can see. Returns the length of its file; 0 if there is no log.
    ///
    /// That happens without a defect of SQLite. If this process opens and closes the file by other means, the locks of
    /// its connections are dropped; the next process that closes the file is then the last one, and removes the log.
    pub(crate) fn check_log(&self) -> Result<u64, Error> {
        self.check_log_was_kept()?;
        if self.log_identity.is_none() {
            return Ok(0);
        }
        match stat::identity_and_length(&self.log)? {
            Some((identity, length)) if Some(identity) == self.log_identity => Ok(length),
            _ => {
                self.is_log_lost.store(true, Ordering::Relaxed);
                Err(lost_log(&self.log))
            }
        }
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
        log_max: Settings::LOG_MAX,
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
        std::fs::write(folder.path().join("another"), "").unwrap();
        assert!(database.check_files().is_ok());
        assert_eq!(disk.count(Kind::Length), before + 3, "the file, its log and the index of the log");
        std::fs::remove_file(folder.path().join("another")).unwrap();
        assert!(database.check_files().is_ok());
        assert_eq!(
            disk.count(Kind::Length),
            before + 6,
            "the folder has just changed, and may change again at that time"
        );
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(1);
        std::fs::File::open(folder.path()).unwrap().set_modified(long_ago).unwrap();
        let lookups = || {
            let before = disk.count(Kind::Length);
            database.check_files().unwrap();
            disk.count(Kind::Length) - before
        };
        assert!((0..100).any(|_| lookups() == 0), "a folder that has not changed is enough");
        std::fs::rename(&file, folder.path().join("other.db")).unwrap();
        assert_eq!(database.check_files().unwrap_err().code(), "invalid_path");
        std::fs::write(&file, "").unwrap();
        assert_eq!(database.check_files().unwrap_err().code(), "invalid_path");
    }
}
