//! Concurrency: when a thread may read or write. This layer knows nothing of datasets and has no SQL.
//!
//! - [`writer`]: the single writer, and the group commit of the jobs that wait for it at the same time.
//! - [`leader`]: the thread that has the writer's connection, runs the jobs and commits.
//! - [`job`]: a write that any thread can run. [`queue`]: the threads that wait for the writer, each with its job.
//! - [`recovery`]: the writer's connection, and the recovery after a failed commit. [`log`]: how long the write-ahead log
//!   may become. [`closing`]: closing a store.
//! - [`early`]: the first reads. [`readers`]: the pool of connections for reading. [`watch`]: waiting until something was
//!   committed.
//! - [`compaction`]: writing the database anew.

mod closing;
mod compaction;
mod early;
pub(crate) mod job;
pub(crate) mod leader;
mod log;
mod queue;
pub(crate) mod readers;
mod recovery;
pub(crate) mod watch;
pub(crate) mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::early::EarlyReads;
use self::job::Job;
use self::readers::{Begin, Readers};
use self::watch::{Patience, Watch, WatchedStore};
use self::writer::Writer;
use crate::error::{Error, Result, Source};
use crate::sqlite::commit_signal::CommitSignal;
use crate::sqlite::connection::set_keeps_log;
use crate::sqlite::database::{Database, Settings};
use crate::sqlite::failure::{Failure, Forked, cause};
use crate::sqlite::open::{self, First};
use crate::sqlite::progress::{self, Callback};
use crate::sqlite::read_connection::OpenedReader;
use crate::sqlite::schema::Schema;
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

/// All access to a store: one writer and, for a file, up to eight readers, and one more for watches.
pub(crate) struct Access {
    // IMPORTANT: fields are dropped in this order, and the writer must be the last: SQLite lets the last connection that
    // is closed checkpoint.
    pub(crate) readers: Option<Readers>,
    pub(crate) writer: Writer,
    early: EarlyReads,
    database: Option<Arc<Database>>,
    watched: Arc<WatchedStore>,
    /// The process that opened the store.
    process: u32,
}

impl Access {
    /// Opens the file at `path`.
    pub(crate) fn open(path: &Path, settings: Settings, schema: &'static Schema) -> Result<Arc<Self>> {
        let (database, first) = Database::open(path, settings, schema)?;
        set_keeps_log(first.connection(), true)?;
        let (database, busy_timeout) = (Arc::new(database), settings.busy_timeout);
        let watched = WatchedStore::new(Arc::clone(database.signal()), false);
        let signal = Arc::clone(&watched.signal);
        let (writer, reader) = match first {
            First::Writer(first) => (Writer::new(first, Some(Arc::clone(&database)), busy_timeout, signal)?, None),
            First::Reader(first) => (Writer::read_only(signal), Some(database.reading(first).map_err(Error::from)?)),
        };
        let readers = Readers::new(Arc::clone(&database), reader, busy_timeout);
        Ok(Self::new(Some(readers), writer, Some(database), watched))
    }

    /// Opens a new database in memory with a single connection: reads wait for writes.
    pub(crate) fn open_in_memory(busy_timeout: Duration) -> Result<Arc<Self>> {
        let watched = WatchedStore::new(Arc::<CommitSignal>::default(), true);
        let writer = Writer::new(open::open_in_memory()?, None, busy_timeout, Arc::clone(&watched.signal))?;
        Ok(Self::new(None, writer, None, watched))
    }

    fn new(
        readers: Option<Readers>,
        writer: Writer,
        database: Option<Arc<Database>>,
        watched: Arc<WatchedStore>,
    ) -> Arc<Self> {
        let access = Arc::new(Self {
            readers,
            writer,
            early: EarlyReads::default(),
            database,
            watched,
            process: std::process::id(),
        });
        access.watched.begin(&access);
        access
    }

    /// The path of the file; `None` in memory.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.database.as_deref().map(|database| database.file.as_path())
    }

    /// Runs the job in one transaction, possibly shared with other jobs, and returns it with its output.
    pub(crate) fn write<J: Job>(&self, job: J) -> Result<(J, J::Output)> {
        self.check_process()?;
        self.writer.write(job, self.readers.as_ref())
    }

    /// Runs `work`, which may call code of the application, in a transaction of its own in this thread. If the outcome
    /// of the commit is unknown, `outcome_unknown` makes the error from the result of `work`.
    pub(crate) fn write_exclusively<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
        outcome_unknown: impl FnOnce(T, Option<Source>) -> Error,
    ) -> Result<()> {
        self.check_process()?;
        self.writer.write_exclusively(work, outcome_unknown, self.readers.as_ref())
    }

    /// Runs `work` on a snapshot of the store; the amount of work is bounded by the length of the file. It may be called
    /// again, if a read failed or the file changed while it was read without locks.
    pub(crate) fn read<T>(&self, work: impl Fn(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T> {
        self.check_process()?;
        match &self.readers {
            Some(readers) => match self.early.read(&self.writer, readers, &work) {
                Some(read) => Ok(read),
                None => readers.read(Begin::AfterPause, work),
            },
            None => self.writer.read(None, work),
        }
    }

    /// The same for a watch, which waits neither for the other reads of a file nor while the log begins anew. In memory
    /// it waits for writes and other reads, no longer than its patience lasts.
    pub(crate) fn read_at_once<T>(
        &self,
        patience: Patience<'_>,
        work: impl Fn(&Snapshot<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        self.check_process()?;
        match &self.readers {
            Some(readers) => readers.read(Begin::AtOnce(patience.timeout), work),
            None => self.writer.read(Some(patience), work),
        }
    }

    /// Runs `work`, which may call code of the application, on a connection of its own to the whole store; in memory,
    /// to a copy of it. It is also given whether what SQLite calls malformed is known to be damage, and called again if a
    /// read fails.
    pub(crate) fn with_own_connection<T>(&self, work: impl Fn(OpenedReader, bool) -> Result<T, Failure>) -> Result<T> {
        self.check_process()?;
        let Some(readers) = &self.readers else {
            let attempt = || work(self.writer.read(None, OpenedReader::copy_of)?, true);
            // Reads of a database in memory do not fail, but those of the file that a backup writes do.
            return Ok(
                attempt().or_else(|failure| if failure.may_be_failed_read() { attempt() } else { Err(failure) })?
            );
        };
        let worked = readers.with_own_connection(work);
        // Its snapshot was held for long, and the log may have grown meanwhile.
        self.writer.keep_log_short(readers);
        worked
    }

    /// Copies the log into the file and truncates the log. Returns false if another thread or process prevents it.
    pub(crate) fn checkpoint(&self) -> Result<bool> {
        self.check_process()?;
        match &self.readers {
            Some(readers) => self.writer.checkpoint(readers),
            None => self.writer.check_open().map(|()| true),
        }
    }

    /// Writes the database anew and empties the log. `callback` is called while the writer is held; it can cancel.
    pub(crate) fn compact(&self, callback: Callback) -> Result<()> {
        self.check_process()?;
        let callback = match &self.database {
            Some(_) => compaction::cancelled_by_fork(self.process, callback),
            None => callback,
        };
        let compacted = compaction::compact(&self.writer, self.readers.as_ref(), progress::shared(callback));
        // The callback may have forked.
        self.check_process()?;
        compacted
    }

    /// Fails if the store was closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.check_process()?;
        self.writer.check_open()
    }

    /// Closes the store: later calls fail with [`Error::Closed`].
    pub(crate) fn close(&self) -> Result<()> {
        self.check_process()?;
        let closed = self.writer.close(self.readers.as_ref(), || self.watched.end());
        // In memory a watch waits for the writer when it reads, so watches end after the writer was closed.
        if self.writer.check_open().is_err() {
            self.watched.end();
        }
        closed
    }

    /// Watches the store.
    pub(crate) fn watch(&self) -> Result<Watch> {
        self.check_open()?;
        Watch::new(self)
    }

    /// Whether another connection may have changed the file since the last poll.
    fn poll(&self) -> Result<bool> {
        self.check_process()?;
        self.readers.as_ref().map_or(Ok(false), Readers::poll)
    }

    /// Fails if the log was lost, after which every call fails until the store is closed.
    fn check_log_was_kept(&self) -> Result<()> {
        self.database.as_ref().map_or(Ok(()), |database| database.check_log_was_kept())
    }

    /// Ends the watches, before the last handle to the store is dropped.
    pub(crate) fn end_watches(&self) {
        self.watched.end();
    }

    /// Fails in a forked child of the process that opened the file: a connection must not be carried across a fork
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
        // After a fork the connections and their locks belong to the parent: closing them here would release its locks.
        if self.was_forked() {
            self.writer.leak();
            self.readers.iter_mut().for_each(Readers::leak);
        } else if let Some(database) = &self.database {
            self.writer.release_log();
            database.forget_log();
        }
    }
}
