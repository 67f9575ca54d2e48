//! Who may write and read when: nothing of datasets, and no SQL.
//!
//! - [`writer`]: the one connection that writes, and the group commit of jobs that wait for it at the same time.
//! - [`job`]: a write, as its caller hands it over. [`queue`]: the threads that wait for the writer, each with its job.
//! - [`recovery`]: the connection that writes, and what must happen after a commit that failed.
//! - [`readers`]: the connections that read a file. [`deadline`]: how long a call may wait in all.

mod deadline;
pub(crate) mod job;
mod queue;
pub(crate) mod readers;
mod recovery;
pub(crate) mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use self::job::Job;
use self::readers::Readers;
use self::writer::Writer;
use crate::error::{Error, Result, Source};
use crate::sqlite::failure::{Failure, Forked, cause};
use crate::sqlite::open::{self, Database, Settings};
use crate::sqlite::schema::Schema;
use crate::sqlite::transaction::Snapshot;
use crate::sqlite::write_connection::Transaction;

/// All access to a store: one writer, and of a file up to eight readers.
pub(crate) struct Access {
    // IMPORTANT: the readers stand before the writer, so that the writer is dropped last: the last connection to close is
    // the one that SQLite lets checkpoint.
    pub(crate) readers: Option<Readers>,
    pub(crate) writer: Writer,
    database: Option<Arc<Database>>,
    /// The process that opened the store.
    process: u32,
}

impl Access {
    /// To the file at `path`.
    pub(crate) fn open(path: &Path, settings: Settings, schema: &'static Schema) -> Result<Self> {
        let (database, first) = Database::open(path, settings, schema)?;
        let (database, busy_timeout) = (Arc::new(database), settings.busy_timeout);
        let (writer, reader) = if settings.read_only {
            (Writer::read_only(), Some(database.reading(first)))
        } else {
            (Writer::new(first, Some(Arc::clone(&database)), busy_timeout), None)
        };
        let readers = Readers::new(Arc::clone(&database), reader, busy_timeout);
        Ok(Self { readers: Some(readers), writer, database: Some(database), process: std::process::id() })
    }

    /// To a new database in memory, over a single connection: reads wait for writes.
    pub(crate) fn open_in_memory(busy_timeout: Duration) -> Result<Self> {
        let writer = Writer::new(open::open_in_memory()?, None, busy_timeout);
        Ok(Self { readers: None, writer, database: None, process: std::process::id() })
    }

    /// The file; none in memory.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.database.as_deref().map(|database| database.file.as_path())
    }

    /// Runs the job in one transaction, perhaps shared with others, and gives it back with its output.
    pub(crate) fn write<J: Job>(&self, job: J) -> Result<(J, J::Output)> {
        self.check_process()?;
        self.writer.write(job)
    }

    /// Runs `work`, in which code of the caller's may run, in one transaction in this thread. Of a commit whose outcome is
    /// unknown, `outcome_unknown` makes the error from what `work` gave.
    pub(crate) fn write_exclusively<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
        outcome_unknown: impl FnOnce(T, Option<Source>) -> Error,
    ) -> Result<()> {
        self.check_process()?;
        self.writer.write_exclusively(work, outcome_unknown)
    }

    /// Runs `work` on one moment of the store, bounded by the length of its file.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T> {
        self.check_process()?;
        match &self.readers {
            Some(readers) => readers.read(work),
            None => self.writer.read(work),
        }
    }

    /// Runs `work` on a connection of its own to the file, or in memory on the only one.
    pub(crate) fn with_own_connection<T>(
        &self,
        work: impl FnOnce(&mut Connection, Option<&Path>) -> Result<T, Failure>,
    ) -> Result<T> {
        self.check_process()?;
        self.writer.check_open()?;
        match &self.database {
            Some(database) => {
                Ok(database.writer().and_then(|mut connection| work(&mut connection, Some(&database.file)))?)
            }
            None => self.writer.with_connection(|connection| work(connection, None)),
        }
    }

    /// Closes the store: later calls answer [`Error::Closed`].
    pub(crate) fn close(&self) -> Result<()> {
        self.check_process()?;
        self.writer.close(|| {
            if let Some(readers) = &self.readers {
                readers.close();
            }
        })
    }

    /// Refuses in a child of the process that opened a file: a connection must not be carried across a fork
    /// (<https://sqlite.org/howtocorrupt.html>, section 2.6).
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.was_forked() { Err(Error::Storage { source: cause(Forked) }) } else { Ok(()) }
    }

    fn was_forked(&self) -> bool {
        self.database.is_some() && self.process != std::process::id()
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // Not even closed: after a fork the connections are the parent's, and so are the locks.
        if self.was_forked() {
            self.writer.leak();
            self.readers.iter_mut().for_each(Readers::leak);
        }
    }
}
