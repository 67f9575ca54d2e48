//! The first connection to a file that is opened for writing: inspects it, switches it to WAL mode and upgrades it.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::inspect::{inspect, refuse_foreign_log};
use super::upgrade::migrate;
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::connection::{self, OpenMode, set_pragma};
use crate::sqlite::database::Database;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::Failure;
use crate::sqlite::file::{companions, folder};
use crate::sqlite::schema::{APPLICATION_ID, PAGE_SIZE};
use crate::sqlite::{backup, wal};

impl Database {
    pub(super) fn first_writer(&mut self, deadline: &Deadline) -> Result<Connection, Failure> {
        let wal = companions::wal_length(&self.file)?;
        refuse_foreign_log(&self.file, wal)?;
        let mut connection = connection::connect(&self.file, OpenMode::ReadWrite, deadline.left())?;
        // If the file is rejected, closing this connection, which may be the last one, must not checkpoint it.
        let keep_log = |connection: &Connection, keep| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep && wal.is_some())
        };
        keep_log(&connection, true)?;
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
        switch_to_wal(&connection, deadline)?;
        if self.settings.durability != Durability::Full {
            connection::set_durability(&connection, self.settings.durability)?;
        }
        keep_log(&connection, false)?;
        if wal.is_some_and(|length| length > 0) {
            self.is_log_durable = wal::checkpoint_at_opening(&connection, &self.file)?;
        }
        if found.version < self.schema.current() {
            connection.busy_timeout(Duration::ZERO)?;
            migrate(&connection, self.schema, deadline, |version| self.back_up_before_upgrade(version))?;
            // Until then even the schema is only in the log: a copy of the file alone would be an empty store.
            self.is_log_durable = wal::checkpoint_at_opening(&connection, &self.file)?;
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
        let connection = connection::connect(&self.file, OpenMode::ReadWrite, self.settings.busy_timeout)?;
        backup::before_upgrade(connection, &self.file, version, self.schema).map(Some)
    }
}

/// Switches to WAL mode. SQLite does not call its busy handler here, so this function retries.
fn switch_to_wal(connection: &Connection, deadline: &Deadline) -> Result<(), Failure> {
    loop {
        // IMPORTANT: SQLite commits the switch after it has returned the row with the new mode. `query_one` asks for a
        // second row, so that it gets to the commit.
        match connection.query_one("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Error::Storage { source: None }.into()),
            Err(error) => {
                let Failure(error) = error.into();
                if !matches!(error, Error::Busy { .. }) || !deadline.pause() {
                    return Err(error.into());
                }
            }
        }
    }
}
