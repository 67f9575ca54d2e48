//! Opening: from a path to a connection to a file that is known to be a store with the current schema.
//!
//! The order of the steps matters. Nothing is written before the file is accepted, so that a rejected file and its
//! folder stay unchanged to the byte. SQLite does two things regardless: it rolls back a hot rollback journal, and
//! creates a `-shm` beside an existing `-wal`.
//!
//! - [`first_writer`], [`first_reader`]: the steps of the first connection.
//! - [`inspect`]: checking that the file is a store. [`upgrade`]: migrating it to the current schema.

mod first_reader;
mod first_writer;
pub(super) mod inspect;
mod upgrade;
#[cfg(test)]
#[path = "../../../tests/faults/upgrades/mod.rs"]
pub(crate) mod upgrade_tests;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::connection;
use super::database::{Database, Settings};
use super::deadline::Deadline;
use super::diagnosis::Diagnosis;
use super::file::{companions, draft, folder, path};
use super::read_connection::OpenedReader;
use super::schema::{SCHEMA, Schema};
use crate::error::Error;
use crate::sqlite::failure::{Failure, invalid_path, moved};

/// The number of attempts to open a file whose identity changes: one for the first identity, one for the identity after
/// it was opened for writing, and one in reserve.
const ATTEMPTS: u32 = 3;

/// The first connection to a file.
pub(crate) enum First {
    Writer(Connection),
    /// The settings are read-only.
    Reader(OpenedReader),
}

impl First {
    pub(crate) fn connection(&self) -> &Connection {
        match self {
            First::Writer(connection) => connection,
            First::Reader(opened) => &opened.connection,
        }
    }

    /// Whether the connection reads the file without locks and without a log.
    fn is_immutable(&self) -> bool {
        matches!(self, First::Reader(OpenedReader { frozen: Some(_), .. }))
    }

    #[cfg(test)]
    pub(crate) fn into_connection(self) -> Connection {
        match self {
            First::Writer(connection) => connection,
            First::Reader(opened) => opened.connection,
        }
    }
}

impl Database {
    /// Opens the file at `path` with a first connection.
    ///
    /// Unless the settings are read-only, the connection can write, a missing file is created and an older file is
    /// upgraded. The schema is an argument so that tests can upgrade.
    pub(crate) fn open(path: &Path, settings: Settings, schema: &'static Schema) -> Result<(Self, First), Error> {
        connection::check_sqlite()?;
        let deadline = Deadline::after(settings.busy_timeout);
        let find = if settings.read_only { path::find_existing } else { path::find_or_create };
        let file = find(path)?;
        // An overlay file system copies a file when it is first opened for writing, which changes its inode once. If
        // the identity has changed, the file is opened again.
        for _ in 0..ATTEMPTS {
            let (mut database, first) = Self::open_file(path, &file, settings, schema, &deadline)?;
            match database.check_unmoved() {
                Ok(()) => {
                    if let Err(error) = database.remember_log(first.is_immutable()) {
                        connection::set_keeps_log(first.connection(), true).map_err(|Failure(error)| error)?;
                        return Err(error);
                    }
                    return Ok((database, first));
                }
                Err(Error::InvalidPath { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(moved(&file, None))
    }

    fn open_file(
        path: &Path,
        file: &Path,
        settings: Settings,
        schema: &'static Schema,
        deadline: &Deadline,
    ) -> Result<(Self, First), Error> {
        let opened = Diagnosis::default().decide(file, |_| {
            let mut database = Self::new(file.to_owned(), settings, schema)?;
            companions::check_kind(&database.file)?;
            let first = if settings.read_only {
                First::Reader(database.first_reader()?)
            } else {
                First::Writer(database.first_writer(deadline)?)
            };
            Ok((database, first))
        });
        opened.map_err(|Failure(error)| refused(error, path, file).with_waited(deadline.waited()))
    }
}

/// Opens a new database in memory.
pub(crate) fn open_in_memory() -> Result<Connection, Failure> {
    connection::check_sqlite()?;
    let connection = connection::connect_in_memory()?;
    upgrade::migrate(&connection, &SCHEMA, &Deadline::after(Duration::ZERO), |_| Ok(None))?;
    Ok(connection)
}

/// The error of a file that could not be opened; a failure to open it or to recognize it concerns the given path. A file
/// that was busy all the time may be on a file system without locks.
fn refused(error: Error, path: &Path, file: &Path) -> Error {
    if let Error::Busy { .. } = error {
        return draft::lack_of_locks(file).unwrap_or(error);
    }
    let (Error::Storage { source: Some(source) } | Error::Corrupt { source: Some(source), .. }) = &error else {
        return error;
    };
    match source.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::CannotOpen) => folder::lack_of_descriptors(file)
            .or_else(|| companions::unreadable(file))
            .or_else(|| draft::lack_of_room_beside(file))
            .unwrap_or_else(|| invalid_path(path, "SQLite cannot open the file", Some(source.clone()))),
        Some(ErrorCode::NotADatabase) => {
            Error::NotAStore { reason: "not a SQLite database", source: Some(source.clone()) }
        }
        _ => error,
    }
}
