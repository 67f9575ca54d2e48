//! The first connection to a file that is opened for writing: inspects it, switches it to WAL mode and upgrades it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::inspect::{inspect, refuse_foreign_log};
use super::upgrade::migrate;
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::connection::{self, OpenMode, set_pragma};
use crate::sqlite::database::Database;
use crate::sqlite::failure::Failure;
use crate::sqlite::file::{companions, folder};
use crate::sqlite::schema::{APPLICATION_ID, PAGE_SIZE};
use crate::sqlite::{backup, wal};

/// The pause between two attempts to switch to WAL mode.
const PAUSE: Duration = Duration::from_millis(1);

impl Database {
    pub(super) fn first_writer(&mut self, started: Instant) -> Result<Connection, Failure> {
        let left = || self.settings.busy_timeout.saturating_sub(started.elapsed());
        let wal = companions::wal_length(&self.file)?;
        refuse_foreign_log(&self.file, wal)?;
        let mut connection = connection::connect(&self.file, OpenMode::ReadWrite, left())?;
        // If the file is rejected, closing this connection, which may be the last one, must not checkpoint it.
        connection::set_keeps_log(&connection, wal.is_some())?;
        let found = inspect(&self.file, self.schema, &mut connection, wal.is_some())?;
        if found.version == 0 {
            set_pragma(&connection, "page_size", PAGE_SIZE)?;
        }
        // IMPORTANT: this stays until the file is in WAL mode. With a rollback journal, `synchronous=NORMAL` syncs too
        // little: a power cut can damage the file.
        connection::set_durability(&connection, Durability::Full)?;
        if found.is_backup {
            // IMPORTANT: this precedes the write-ahead log, because a log beside a backup counts as that of another
            // file.
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        switch_to_wal(&connection, started, self.settings.busy_timeout)?;
        if self.settings.durability != Durability::Full {
            connection::set_durability(&connection, self.settings.durability)?;
        }
        connection::set_keeps_log(&connection, false)?;
        if wal.is_some_and(|length| length > 0) {
            self.is_log_durable = wal::checkpoint_leftover(&connection, &self.file)?;
            connection::set_busy_timeout(&connection, left())?;
        }
        if found.version < self.schema.current() {
            connection::set_busy_timeout(&connection, left())?;
            migrate(&connection, self.schema, |version| self.back_up_before_upgrade(version))?;
        }
        if found.version == 0 {
            folder::sync_folder(&self.file)?;
        }
        // SQLite opens the log with the first read after the switch to WAL mode.
        self.check_version(&connection)?;
        Ok(connection)
    }

    fn back_up_before_upgrade(&self, version: i64) -> Result<Option<PathBuf>, Failure> {
        if !self.settings.backup_before_upgrade {
            return Ok(None);
        }
        let connection = connection::connect(&self.file, OpenMode::ReadWrite, self.settings.busy_timeout)?;
        backup::before_upgrade(connection, &self.file, version, self.schema).map(Some)
    }
}

/// Switches to WAL mode. SQLite does not call its busy handler here, so this function retries.
fn switch_to_wal(connection: &Connection, started: Instant, timeout: Duration) -> Result<(), Failure> {
    loop {
        // IMPORTANT: SQLite commits the switch after it has returned the row with the new mode. `query_one` asks for a
        // second row, so that it gets to the commit.
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
