//! The public handle: a store, seen through an organization. One operation per file; no SQL.
//!
//! - [`options`]: how a store is opened. [`close`]: how it is left.
//! - [`organization`]: the view through which everything is read and written.
//! - [`create`], [`dataset`], [`datasets`], [`count`], [`organizations`]: the operations.
//! - [`load`]: any number of datasets; [`loading`]: what it is told, and tells.
//! - [`verify`], [`accept`], [`backup`]: keeping the file whole.
//! - [`query`]: what a listing is asked, and a page of its answer.
//! - [`door`]: every write; [`line`]: who waits for it; [`group`]: writes that share a transaction. [`readers`]: every read.

mod accept;
mod backup;
mod close;
mod count;
mod create;
mod dataset;
pub(crate) mod datasets;
mod door;
mod group;
mod line;
mod load;
pub(crate) mod loading;
pub(crate) mod options;
pub(crate) mod organization;
mod organizations;
pub(crate) mod query;
mod readers;
#[cfg(test)]
mod statement_tests;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use self::door::Door;
use self::options::StoreOptions;
use self::organization::Organization;
use self::readers::Readers;
use crate::error::{Error, Failure, Forked, Result, shared};
use crate::model::ids::{DatasetId, IdSource, OrganizationId};
use crate::model::time;
use crate::sqlite::opening::Database;

/// A store of datasets: one SQLite file, or a database in memory.
///
/// Everything is read and written through an [`Organization`]. A clone is another handle on the same store; handles
/// can be used from any number of threads at once. A file can also be opened several times, in one process and in
/// others. Dropping the last handle closes the store; [`close`](Self::close) does so and says what went wrong.
///
/// # Examples
///
/// ```
/// use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("kpis.db");
/// let store = Store::open(&path)?;
/// let organization = store.organization(OrganizationId::new());
/// let dataset = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal").unit("m³")))?;
/// assert_eq!(organization.dataset(dataset.id)?, Some(dataset));
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What all handles on a store share.
struct Shared {
    // IMPORTANT: the readers stand before the door, so that the writer is dropped last: the last connection to close is
    // the one that SQLite lets checkpoint.
    readers: Option<Readers>,
    door: Door,
    database: Option<Arc<Database>>,
    /// The process that opened the store.
    process: u32,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ids: IdSource,
}

impl Store {
    /// Opens the store in the file at `path`, which is created if there is none, with the default [options](Self::options).
    ///
    /// The folder must exist. A new file can be read and written by its owner alone (mode 0600). While the store is
    /// open, SQLite keeps two files of the same name with `-wal` and `-shm` beside it.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPath`] if no store can be there: a folder, a device, a missing folder, a dangling link.
    /// - [`Error::NotAStore`] if the file is something else, [`Error::TooNew`] if a later version of this crate made it.
    /// - [`Error::Corrupt`] if it is a store, but its schema or history was altered, or it was cut.
    ///   In all of these, file and folder stay as they were, except for what SQLite must do to read at all: play back the
    ///   journal of a process that crashed, and make a `-shm` beside a `-wal` that was there.
    /// - [`Error::ReadOnly`], [`Error::StorageFull`], [`Error::Busy`] if the file cannot be written (now).
    /// - [`Error::UnsupportedSqlite`] if the linked SQLite is one that can lose commits.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{Error, Store};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// let store = Store::open(folder.join("kpis.db"))?;
    /// assert_eq!(store.path(), Some(folder.canonicalize()?.join("kpis.db").as_path()));
    ///
    /// std::fs::write(folder.join("notes.txt"), "Water, waste, energy")?;
    /// assert!(matches!(Store::open(folder.join("notes.txt")), Err(Error::NotAStore { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Opens a new, empty store in memory, private to this handle and its clones.
    ///
    /// It gives the same answers as one in a file, but has a single connection: reads wait for writes.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedSqlite`] if the linked SQLite is one that can lose commits.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = kpi_store::Store::open_in_memory()?;
    /// assert_eq!(store.path(), None);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn open_in_memory() -> Result<Self> {
        Self::options().open_in_memory()
    }

    /// Options to open a store with: durability, waiting, clock, ids.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{Durability, Store};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("kpis.db");
    /// let store = Store::options().durability(Durability::Normal).open(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn options() -> StoreOptions {
        StoreOptions::default()
    }

    /// The store seen through one organization, acting as no user.
    ///
    /// An organization needs no registration: it is its id.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{OrganizationId, Store};
    ///
    /// let id: OrganizationId = "018f4e9a-5b1c-7d30-8a52-3f6d1c2b9e47".parse()?;
    /// let organization = Store::open_in_memory()?.organization(id);
    /// assert_eq!((organization.id(), organization.user()), (id, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn organization(&self, id: OrganizationId) -> Organization {
        Organization::new(self.clone(), id)
    }

    /// The file: an absolute path, in which symbolic links are resolved. None for a store in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.shared.database.as_deref().map(|database| database.file.as_path())
    }

    /// Does `work` in one transaction that writes the datasets `ids`.
    fn write<T: Send + 'static>(
        &self,
        ids: Vec<DatasetId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.shared.check_process()?;
        self.shared.door.write(ids, work)
    }

    /// Does `work`, in which code of the caller's may run, in one transaction in this thread. It gives the last dataset
    /// that it wrote.
    fn write_alone(&self, work: impl FnOnce(&Connection) -> Result<Option<DatasetId>, Failure>) -> Result<()> {
        self.shared.check_process()?;
        self.shared.door.write_alone(work)
    }

    /// Does `work`, which must read by one statement, or by others while the first stands: one snapshot.
    fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        self.shared.check_process()?;
        match &self.shared.readers {
            Some(readers) => readers.read(work),
            None => self.shared.door.read(work),
        }
    }

    /// Does `work` on a connection of its own, which reads one snapshot or writes elsewhere; in memory, on the only one.
    fn aside<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        self.shared.check_process()?;
        self.shared.door.check_open()?;
        match &self.shared.database {
            Some(database) => Ok(database.writer().and_then(|mut connection| work(&mut connection))?),
            None => self.shared.door.read(work),
        }
    }

    /// The time of one write: the clock is asked once.
    fn now(&self) -> Result<DateTime<Utc>> {
        let now = (self.shared.clock)();
        time::to_micros(now).and_then(time::from_micros).ok_or(Error::ClockOutOfRange { now })
    }
}

impl Shared {
    /// Refuses in a child of the process that opened a file: a connection must not be carried across a fork
    /// (<https://sqlite.org/howtocorrupt.html>, section 2.6).
    fn check_process(&self) -> Result<()> {
        if self.was_forked() { Err(Error::Storage { source: shared(Forked) }) } else { Ok(()) }
    }

    fn was_forked(&self) -> bool {
        self.database.is_some() && self.process != std::process::id()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Not even closed: the connections are the parent's, and so are the locks.
        if self.was_forked() {
            self.door.forget();
            self.readers.iter_mut().for_each(Readers::forget);
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
