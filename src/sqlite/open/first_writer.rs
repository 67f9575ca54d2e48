//! The first connection of a file that is written: the file is inspected, switched to WAL mode and brought up to date.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::database::Database;
use super::inspect::{inspect, refuse_log_of_another};
use super::upgrade::migrate;
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::connection::{self, Access, set_pragma};
use crate::sqlite::failure::Failure;
use crate::sqlite::file::{companions, folder};
use crate::sqlite::schema::{APPLICATION_ID, PAGE_SIZE};
use crate::sqlite::{backup, transaction};

/// The pause between two attempts, where SQLite does not wait by itself.
const PAUSE: Duration = Duration::from_millis(1);

impl Database {
    pub(super) fn first_writer(&mut self, started: Instant) -> Result<Connection, Failure> {
        let left = || self.settings.busy_timeout.saturating_sub(started.elapsed());
        let wal = companions::wal_length(&self.file)?;
        refuse_log_of_another(&self.file, wal)?;
        let mut connection = connection::connect(&self.file, Access::ReadWrite, left())?;
        // A refused file must not be checkpointed when this connection, perhaps its last, is closed.
        let keep_log = |connection: &Connection, keep| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep && wal.is_some())
        };
        keep_log(&connection, true)?;
        let found = inspect(&self.file, self.schema, &mut connection, wal.is_some())?;
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
            folder::sync_folder(&self.file)?;
        }
        Ok(connection)
    }

    fn back_up_before_upgrade(&self, version: i64) -> Result<Option<PathBuf>, Failure> {
        if !self.settings.backup_before_upgrade {
            return Ok(None);
        }
        let connection = connection::connect(&self.file, Access::ReadWrite, self.settings.busy_timeout)?;
        backup::before_upgrade(connection, &self.file, version, self.schema).map(Some)
    }
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
                    return Err(error.with_waited(waited).into());
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Makes the contents of a log that was there durable; false on a full disk, where it stays as it is: it can be read, and
/// nothing written yet.
fn settle_log(connection: &Connection, file: &Path) -> Result<bool, Failure> {
    match transaction::checkpoint_leftover_log(connection) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => return Ok(false),
        settled => settled?,
    }
    // IMPORTANT: SQLite does not. A part of what was in the log, found again after a power cut, would lie over the newer
    // pages of the file.
    if companions::wal_length(file)? == Some(0) {
        companions::sync_log(file)?;
    }
    Ok(true)
}
