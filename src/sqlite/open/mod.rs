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

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

use super::connection;
use super::database::{Database, Settings};
use super::file::{companions, draft, folder, path};
use super::schema::{SCHEMA, Schema};
use crate::error::Error;
use crate::sqlite::failure::{Failure, invalid_path, moved};

/// The number of attempts to open a file whose identity changes: one for the first identity, one for the identity after
/// it was opened for writing, and one in reserve.
const ATTEMPTS: u32 = 3;

impl Database {
    /// Opens the file at `path` with a first connection.
    ///
    /// Unless the settings are read-only, the connection can write, a missing file is created and an older file is
    /// upgraded. The schema is an argument so that tests can upgrade.
    pub(crate) fn open(path: &Path, settings: Settings, schema: &'static Schema) -> Result<(Self, Connection), Error> {
        connection::check_sqlite()?;
        let started = Instant::now();
        let find = if settings.read_only { path::find_existing } else { path::find_or_create };
        let file = find(path)?;
        // An overlay file system copies a file when it is first opened for writing, which changes its inode once. If
        // the identity has changed, the file is opened again.
        for _ in 0..ATTEMPTS {
            let (mut database, connection) = Self::open_file(path, file.clone(), settings, schema, started)?;
            match database.check_unmoved() {
                Ok(()) => {
                    if let Err(error) = database.remember_log() {
                        connection::set_keeps_log(&connection, true).map_err(|Failure(error)| error)?;
                        return Err(error);
                    }
                    return Ok((database, connection));
                }
                Err(Error::InvalidPath { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(moved(&file, None))
    }

    fn open_file(
        path: &Path,
        file: PathBuf,
        settings: Settings,
        schema: &'static Schema,
        started: Instant,
    ) -> Result<(Self, Connection), Error> {
        let mut database = Self::new(file, settings, schema)?;
        companions::check_kind(&database.file)?;
        let opened = if settings.read_only { database.first_reader() } else { database.first_writer(started) };
        let refused = |Failure(error)| refused(error, path, &database.file).with_waited(started.elapsed());
        let connection = opened.map_err(refused)?;
        Ok((database, connection))
    }
}

/// Opens a new database in memory.
pub(crate) fn open_in_memory() -> Result<Connection, Failure> {
    connection::check_sqlite()?;
    let connection = connection::connect_in_memory()?;
    upgrade::migrate(&connection, &SCHEMA, |_| Ok(None))?;
    Ok(connection)
}

/// The error of a file that could not be opened; a failure to open it or to recognize it concerns the given path.
fn refused(error: Error, path: &Path, file: &Path) -> Error {
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
