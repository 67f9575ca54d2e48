//! Whether the file was changed since the last poll.

use super::database::Database;
use super::failure::Failure;
use super::read_connection::ReadConnection;

/// A connection that has no snapshot between two polls, and is used for nothing else meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// `None` before the first poll, and after one that failed.
    connection: Option<ReadConnection>,
    /// Its `data_version` at the last poll.
    version: Option<i64>,
}

impl Polling {
    pub(crate) fn with(connection: Option<ReadConnection>) -> Self {
        Self { connection, version: None }
    }

    /// Whether another connection may have changed the file since the last poll, or since the watch began. A checkpoint
    /// can count as a change. Fails if the file or its log was moved, after which no change would be noticed.
    pub(crate) fn poll(&mut self, database: &Database) -> Result<bool, Failure> {
        database.check_files()?;
        // If this fails, the next poll opens a connection, which counts as a change.
        let connection = match self.connection.take() {
            Some(connection) if connection.is_current()? => connection,
            _ => {
                self.version = None;
                database.reader()?
            }
        };
        let version = connection.data_version()?;
        self.connection = Some(connection);
        Ok(self.version.replace(version) != Some(version))
    }

    /// The connection, for other reads.
    pub(crate) fn into_connection(self) -> Option<ReadConnection> {
        self.connection
    }
}
