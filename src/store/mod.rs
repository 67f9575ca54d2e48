//! The public handles: the store, and the view of one organization. A folder for each noun, a file for each operation;
//! no SQL, no threads.
//!
//! - [`options`]: the options for opening a store.
//! - [`organization`]: the view through which everything is read and written, and the list of organizations.
//! - [`dataset`]: the operations on datasets.
//! - [`mod@file`]: the operations on the file as a whole.

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
/// Everything is read and written through an [`Organization`]. A clone is another handle to the same store; handles can
/// be used from any number of threads at the same time. A file can also be opened several times, in one process or in
/// several. Dropping the last handle closes the store; [`close`](Self::close) does so too, and returns errors.
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

/// The state that all handles to a store share.
struct Shared {
    access: Access,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ids: IdSource,
}

impl Store {
    /// Opens the store in the file at `path` with the default [options](Self::options). The file is created if there is
    /// none.
    ///
    /// The folder must exist. A new file has mode 0600: only its owner can read and write it. While the store is open,
    /// SQLite keeps two files beside it, with `-wal` and `-shm` appended to the name.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidPath`] if the path cannot be used: a folder, a device, a missing folder, a dangling link.
    /// - [`Error::NotAStore`] if the file was not created by this crate.
    /// - [`Error::TooNew`] if a later version of this crate created or upgraded it.
    /// - [`Error::Corrupt`] if it is a store, but its schema or history was altered, or it was truncated.
    /// - [`Error::ReadOnly`], [`Error::StorageFull`], [`Error::Busy`] if the file cannot be written, or not at the
    ///   moment.
    /// - [`Error::UnsupportedSqlite`] if the linked SQLite can lose commits.
    ///
    /// With the first four, file and folder stay unchanged, except for what SQLite does at the first read: it rolls
    /// back the journal of a crashed process, and creates a `-shm` beside an existing `-wal`.
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
    /// It behaves like a store in a file, but has a single connection: reads wait for writes.
    ///
    /// # Errors
    ///
    /// - [`Error::UnsupportedSqlite`] if the linked SQLite can lose commits.
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

    /// Options for opening a store: durability, busy timeout, clock, ids and more.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{Durability, Store};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("kpis.db");
    /// let store = Store::options().durability(Durability::Normal).open(&path)?;
    /// assert!(path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn options() -> StoreOptions {
        StoreOptions::default()
    }

    /// The view of one organization, acting as no user.
    ///
    /// An organization needs no registration; any id will do.
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

    /// The absolute path of the file, with symbolic links resolved; `None` for a store in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.shared.access.file()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.shared.access
    }

    /// The source of the ids that a request does not set.
    fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    /// Reads the clock, once for each write.
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
