//! From a path to a connection on a file that is known to be a store, up to date and ours.
//!
//! The order of the steps matters. Nothing is written before the file is accepted, so that a refused file stays byte
//! for byte as it was, and its folder too; two things SQLite does regardless: it plays back a hot rollback journal, and
//! makes a `-shm` beside a `-wal` that was there.
//!
//! - [`first_writer`], [`first_reader`]: the steps of the first connection.
//! - [`inspect`]: what the file is. [`upgrade`]: how it gets the current schema.
//! - [`database`]: a file that was opened, and further connections to it. [`forks`]: which files are open.

mod database;
mod first_reader;
mod first_writer;
mod forks;
mod inspect;
mod upgrade;
#[cfg(test)]
#[path = "../../../tests/faults/upgrades/mod.rs"]
pub(crate) mod upgrade_tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

pub(crate) use self::database::{Database, Settings};
use super::connection;
use super::file::{companions, folder, path};
use super::schema::{SCHEMA, Schema};
use crate::error::Error;
use crate::sqlite::failure::{Failure, invalid_path, moved};

/// How many identities one file may show: its first, the one that it has once it was opened for writing, and one to spare.
const IDENTITIES: u32 = 3;

impl Database {
    /// Opens the file at `path`, with a first connection: for writing, unless the settings say that it is only read.
    ///
    /// The file is made if there is none and upgraded if it is older, unless it is only read. The list of migrations is an
    /// argument so that tests can upgrade.
    pub(crate) fn open(path: &Path, settings: Settings, schema: &'static Schema) -> Result<(Self, Connection), Error> {
        connection::check_sqlite()?;
        let started = Instant::now();
        let find = if settings.read_only { path::find_existing } else { path::find_or_make };
        let file = find(path)?;
        // Layered file systems copy a file when it is first opened for writing; from then on it keeps its number. A file
        // that took the name of another meanwhile is opened anew.
        for _ in 0..IDENTITIES {
            let (database, connection) = Self::open_file(path, file.clone(), settings, schema, started)?;
            match database.check_unmoved() {
                Ok(()) => return Ok((database, connection)),
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

/// Opens a database of its own in memory.
pub(crate) fn open_in_memory() -> Result<Connection, Failure> {
    connection::check_sqlite()?;
    let connection = connection::connect_in_memory()?;
    upgrade::migrate(&connection, &SCHEMA, |_| Ok(None))?;
    Ok(connection)
}

/// What an error of SQLite's means for the path that was given.
fn refused(error: Error, path: &Path, file: &Path) -> Error {
    let (Error::Storage { source: Some(source) } | Error::Corrupt { source: Some(source), .. }) = &error else {
        return error;
    };
    match source.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::CannotOpen) => folder::lack_of_descriptors(file)
            .unwrap_or_else(|| invalid_path(path, "SQLite cannot open it", Some(source.clone()))),
        Some(ErrorCode::NotADatabase) => {
            Error::NotAStore { reason: "not a SQLite database", source: Some(source.clone()) }
        }
        _ => error,
    }
}
