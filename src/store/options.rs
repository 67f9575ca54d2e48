//! How a store is opened.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Shared, Store};
use crate::access::Access;
use crate::error::Result;
use crate::model::durability::Durability;
use crate::model::time;
use crate::model::uuid_v7::IdSource;
use crate::sqlite::open::Settings;
use crate::sqlite::schema::{SCHEMA, Schema};

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
}

/// Options to open a [`Store`] with; had from [`Store::options`].
///
/// # Examples
///
/// A store whose times and waits a test controls:
///
/// ```
/// use std::time::Duration;
///
/// use chrono::{DateTime, Utc};
/// use kpi_store::{NewDataset, OrganizationId, Store};
///
/// let store = Store::options()
///     .busy_timeout(Duration::from_millis(200))
///     .clock(|| DateTime::UNIX_EPOCH)
///     .open_in_memory()?;
/// let dataset = store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water"))?;
/// assert_eq!(dataset.created_at, DateTime::UNIX_EPOCH);
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[must_use]
pub struct StoreOptions {
    settings: Settings,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ids: IdSource,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            settings: Settings {
                durability: Durability::default(),
                busy_timeout: Duration::from_secs(5),
                read_only: false,
                backup_before_upgrade: true,
            },
            clock: Box::new(time::system_clock),
            ids: IdSource::Fresh,
        }
    }
}

impl StoreOptions {
    /// What an acknowledged write survives. By default [`Durability::Full`]. In memory nothing survives either way.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// How long a call may wait in all for other writers, in this process and others, before it answers
    /// [`Busy`](crate::Error::Busy). By default 5 seconds.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.settings.busy_timeout = timeout;
        self
    }

    /// Whether the file is only read. By default it is not.
    ///
    /// The file must be there and up to date. What others write is seen. Every call that would write answers
    /// [`ReadOnly`](crate::Error::ReadOnly), and so does opening, if a write-ahead log lies beside the file that SQLite
    /// cannot use without writing. Without such a log, a file that nobody may write, or one in a folder that cannot be
    /// written, is read as one that nobody changes. Otherwise SQLite makes a `-wal` and a `-shm`, which a store that only
    /// reads cannot remove: they stay, empty of data, until the next that writes. In memory this has no meaning.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{Error, NewDataset, OrganizationId, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("kpis.db");
    /// # Store::open(&path)?.close()?;
    /// let store = Store::options().read_only(true).open(&path)?;
    /// let refused = store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water"));
    /// assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.settings.read_only = read_only;
        self
    }

    /// Whether a file of an older version is copied before it is upgraded. By default it is.
    ///
    /// The copy lies beside it, `<file>.v<version>.backup` or with a number behind that, verified and durable before the
    /// upgrade begins, and stays: remove it when the upgraded application has proved itself. Without room for it the
    /// upgrade fails with [`StorageFull`](crate::Error::StorageFull), and the file is as it was. An upgrade that fails
    /// removes its copy again, unless the disk failed in the commit, so that nobody knows what is on it. One that is killed
    /// leaves it, or a part of it under a name like
    /// `kpi-store-0123456789abcdef.draft`, which goes with the next attempt.
    pub fn backup_before_upgrade(mut self, backup: bool) -> Self {
        self.settings.backup_before_upgrade = backup;
        self
    }

    /// Where times come from. By default the system clock.
    ///
    /// It is asked once for each call that writes, of a load for each transaction, while no lock is held, and its answer
    /// cut to the microsecond.
    pub fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Where the ids come from that a request does not give. By default each is a UUIDv7 greater than every one before
    /// it in this process.
    ///
    /// It is asked while no lock is held, but for a [load](crate::Organization::load_datasets). An id that is taken makes the call fail with
    /// [`AlreadyExists`](crate::Error::AlreadyExists).
    pub fn ids(mut self, ids: impl Fn() -> Uuid + Send + Sync + 'static) -> Self {
        self.ids = IdSource::Given(Box::new(ids));
        self
    }

    /// Opens the store in the file at `path`, which is created if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        self.open_with_schema(path.as_ref(), &SCHEMA)
    }

    /// The same for any list of migrations, so that tests can upgrade.
    pub(crate) fn open_with_schema(self, path: &Path, schema: &'static Schema) -> Result<Store> {
        let access = Access::open(path, self.settings, schema)?;
        Ok(self.store(access))
    }

    /// Opens a new, empty store in memory, private to the handle and its clones.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open_in_memory`].
    pub fn open_in_memory(self) -> Result<Store> {
        let access = Access::open_in_memory(self.settings.busy_timeout)?;
        Ok(self.store(access))
    }

    fn store(self, access: Access) -> Store {
        let Self { clock, ids, .. } = self;
        Store { shared: Arc::new(Shared { access, clock, ids }) }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("settings", &self.settings).finish_non_exhaustive()
    }
}
