//! The first connection to a file that is opened for writing: inspects it, switches it to WAL mode and upgrades it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::ffi::{SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_READONLY_CANTINIT};
use rusqlite::{Connection, ErrorCode};

use super::inspect::{inspect, refuse_foreign_log};
use super::upgrade::migrate;
use crate::error::Error;
use crate::model::durability::Durability;
use crate::sqlite::connection::{self, OpenMode, pragma, set_pragma};
use crate::sqlite::database::Database;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::{CommitFailure, Failure, ReadOnlyCause, cause};
use crate::sqlite::file::{companions, folder};
use crate::sqlite::schema::{APPLICATION_ID, BACKUP_ID, PAGE_SIZE};
use crate::sqlite::table::counter;
use crate::sqlite::{backup, transaction, wal};

impl Database {
    /// Opens the first connection. Fails if a companion of the file cannot be written, and names it.
    pub(super) fn first_writer(&mut self, deadline: &Deadline) -> Result<Connection, Failure> {
        let has_companions = companions::has_any(&self.file)?;
        self.open_to_write(deadline)
            .and_then(|connection| {
                if has_companions {
                    check_writable(&connection)?;
                }
                Ok(connection)
            })
            .map_err(|failure| if has_companions { unwritable_companion(&self.file, failure) } else { failure })
    }

    fn open_to_write(&mut self, deadline: &Deadline) -> Result<Connection, Failure> {
        let wal = companions::wal_length(&self.file)?;
        refuse_foreign_log(&self.file, wal)?;
        let mut connection = connection::connect(&self.file, OpenMode::ReadWrite, deadline.left())?;
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
            unmark_backup(&connection, deadline)?;
        }
        switch_to_wal(&connection, deadline)?;
        if self.settings.durability != Durability::Full {
            connection::set_durability(&connection, self.settings.durability)?;
        }
        connection::set_keeps_log(&connection, false)?;
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

/// Makes a store of a backup. In the same transaction it gets a generation of its own: its changes are counted from
/// those of the backup on, and so are those that the restored file had after the backup.
fn unmark_backup(connection: &Connection, deadline: &Deadline) -> Result<(), Failure> {
    transaction::begin(connection, deadline)?;
    let unmarked = unmark_in_transaction(connection);
    let rolled_back = transaction::roll_back(connection);
    unmarked.and_then(|()| Ok(rolled_back?))
}

fn unmark_in_transaction(connection: &Connection) -> Result<(), Failure> {
    // Another process may have done it meanwhile.
    if pragma(connection, "application_id")? == BACKUP_ID {
        counter::draw_generation(connection)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction::commit(connection).map_err(|failed| match failed {
        CommitFailure::WithoutEffect(error) => error.into(),
        CommitFailure::Unknown(source) => Error::Storage { source }.into(),
    })
}

/// Fails if SQLite opened the log or its index for reading only, which it reports at the first write.
fn check_writable(connection: &Connection) -> Result<(), Failure> {
    connection.busy_timeout(Duration::ZERO)?;
    match transaction::begin(connection, &Deadline::after(Duration::ZERO)) {
        // Another connection writes, and SQLite would have reported this before.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        begun => Ok(begun.and_then(|()| transaction::roll_back(connection))?),
    }
}

/// The error of an opening that failed because of a companion that this account cannot write; any other as it is.
fn unwritable_companion(file: &Path, failure: Failure) -> Failure {
    let Failure(Error::ReadOnly { source: Some(source) } | Error::Storage { source: Some(source) }) = &failure else {
        return failure;
    };
    let code = source.downcast_ref().and_then(rusqlite::Error::sqlite_error).map(|error| error.extended_code);
    let (log, index) = (companions::beside(file, "-wal"), companions::beside(file, "-shm"));
    let companion = match code {
        Some(SQLITE_READONLY | SQLITE_READONLY_CANTINIT | SQLITE_CANTOPEN) if companions::is_unwritable(&log) => log,
        // The index is not opened here: closing its descriptor would drop the locks of another store of this process.
        Some(SQLITE_READONLY | SQLITE_READONLY_CANTINIT) => index,
        Some(SQLITE_CANTOPEN) if companions::has_another_owner(&index, file) => index,
        _ => return failure,
    };
    Error::ReadOnly { source: cause(ReadOnlyCause::Companion(companion, source.clone())) }.into()
}

/// Switches to WAL mode. SQLite does not call its busy handler here, so this function retries.
fn switch_to_wal(connection: &Connection, deadline: &Deadline) -> Result<(), Failure> {
    loop {
        let attempt = Instant::now();
        // IMPORTANT: SQLite commits the switch after it has returned the row with the new mode. `query_one` asks for a
        // second row, so that it gets to the commit.
        match connection.query_one("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Error::Storage { source: None }.into()),
            Err(error) => {
                let Failure(error) = error.into();
                if !matches!(error, Error::Busy { .. }) || !deadline.pause(attempt) {
                    return Err(error.into());
                }
            }
        }
    }
}
