//! The public handle: a store, seen through an organization. A folder for each noun, a file for each operation; no SQL, no
//! threads.
//!
//! - [`options`]: how a store is opened.
//! - [`organization`]: the view through which everything is read and written, and which of them there are.
//! - [`dataset`]: the operations on datasets.
//! - [`file`]: the operations on the file as a whole.

pub(crate) mod dataset;
mod file;
pub(crate) mod options;
pub(crate) mod organization;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::options::StoreOptions;
use self::organization::Organization;
use crate::access::Access;
use crate::error::{Error, Result};
use crate::model::ids::OrganizationId;
use crate::model::time;
use crate::model::uuid_v7::IdSource;

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
    access: Access,
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
        self.shared.access.file()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.shared.access
    }

    /// Where the ids come from that a request does not give.
    fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    /// The time of one write: the clock is asked once.
    fn now(&self) -> Result<DateTime<Utc>> {
        let now = (self.shared.clock)();
        time::to_micros(now).and_then(time::from_micros).ok_or(Error::ClockOutOfRange { now })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
