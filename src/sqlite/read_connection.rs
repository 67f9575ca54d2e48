//! A connection for reading, which serves one snapshot at a time.

use std::path::PathBuf;

use rusqlite::Connection;

use super::budget::Budget;
use super::connection;
use super::failure::{Failure, changed_while_read};
use super::frozen::Frozen;
use super::snapshot::{self, Snapshot};
use super::transaction;
use crate::error::Error;

/// A connection that cannot write its file.
#[derive(Debug)]
pub(crate) struct OpenedReader {
    pub(super) connection: Connection,
    /// The file; `None` for a copy in memory.
    pub(super) file: Option<PathBuf>,
    /// The file as it was before it was opened, if the connection sees no later change of it.
    pub(super) frozen: Option<Frozen>,
}

impl OpenedReader {
    /// A connection to a copy of a database in memory.
    pub(crate) fn copy_of(snapshot: &Snapshot<'_>) -> Result<Self, Failure> {
        Ok(Self { connection: connection::copy_in_memory(snapshot.connection())?, file: None, frozen: None })
    }

    /// Fails if the file changed since it was opened, and the connection does not notice.
    pub(super) fn check_current(&self) -> Result<(), Error> {
        if is_current(self.frozen.as_ref())? { Ok(()) } else { Err(changed_while_read()) }
    }
}

/// A connection for reading. Every read uses [`snapshot`](Self::snapshot).
#[derive(Debug)]
pub(crate) struct ReadConnection {
    connection: Connection,
    frozen: Option<Frozen>,
    budget: Budget,
    /// The latest schema version that this version of the crate supports.
    supported: i64,
}

impl ReadConnection {
    pub(super) fn new(opened: OpenedReader, supported: i64) -> Self {
        let OpenedReader { mut connection, file, frozen } = opened;
        let budget = Budget::install(&mut connection, file);
        Self { connection, frozen, budget, supported }
    }

    /// Runs `work` on a snapshot of the file, and interrupts it if it exceeds its budget. Fails if a later version of
    /// this crate has upgraded the file since it was opened: its schema is unknown here.
    ///
    /// IMPORTANT: it is a snapshot only if the connection [is current](Self::is_current) before and after.
    pub(crate) fn snapshot<T>(
        &self,
        damage_is_known: bool,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.budget.spend(|| snapshot::read_supported(self.supported, &self.connection, damage_is_known, work))
    }

    /// Whether the connection sees the file as it is now.
    pub(crate) fn is_current(&self) -> Result<bool, Error> {
        is_current(self.frozen.as_ref())
    }

    /// A number that changes when another connection has changed the file, if it [is current](Self::is_current).
    ///
    /// IMPORTANT: inside a snapshot it does not change.
    pub(super) fn data_version(&self) -> Result<i64, Failure> {
        self.budget.spend(|| Ok(transaction::data_version(&self.connection)?))
    }

    /// The connection itself.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> &Connection {
        &self.connection
    }
}

fn is_current(frozen: Option<&Frozen>) -> Result<bool, Error> {
    frozen.map_or(Ok(true), Frozen::is_unchanged)
}
