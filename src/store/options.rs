//! The options for opening a store.

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
use crate::model::id_source::IdSource;
use crate::model::time;
use crate::sqlite::database::Settings;
use crate::sqlite::schema::{SCHEMA, Schema};

/// Options for opening a [`Store`], obtained from [`Store::options`].
///
/// # Examples
///
/// A store for a test, with a fixed time and a short busy timeout:
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
                log_max: Settings::LOG_MAX,
            },
            clock: Box::new(time::system_clock),
            ids: IdSource::Fresh,
        }
    }
}

impl StoreOptions {
    /// The failures that an acknowledged write survives. By default [`Durability::Full`]. It has no effect in memory.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// How long a call may wait in total, for other threads and other processes, before it fails with
    /// [`Busy`](crate::Error::Busy). By default 5 seconds.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.settings.busy_timeout = timeout;
        self
    }

    /// Whether to open the file for reading only. By default it is also opened for writing. It has no effect in memory.
    ///
    /// The file must exist and have the current schema. Writes by other stores and processes are visible. Every call
    /// that would write fails with [`ReadOnly`](crate::Error::ReadOnly). So does opening a file with a write-ahead log
    /// that SQLite cannot use without writing.
    ///
    /// If there is no log, SQLite creates a `-wal` and a `-shm`, which a read-only store cannot remove: they stay, without
    /// data, until a store that writes is closed. It creates none if the file or its folder is not writable, or if the
    /// file belongs to another account, which could not use them. Then the file is read without locks, and compared with
    /// its state at the opening (its length, the time of its last change, a log beside it) before and after each read. A
    /// read during which it changed runs again, up to the busy timeout; a verification or a backup fails with
    /// [`Busy`](crate::Error::Busy).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{Error, NewDataset, OrganizationId, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("kpis.db");
    /// # Store::open(&path)?.close()?;
    /// let store = Store::options().read_only(true).open(&path)?;
    /// let result = store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water"));
    /// assert!(matches!(result, Err(Error::ReadOnly { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.settings.read_only = read_only;
        self
    }

    /// Whether to copy a file of an older version before it is upgraded. By default it is copied.
    ///
    /// The copy is named `<file>.v<version>.backup`, with a number appended if that name is taken. It is verified and
    /// durable before the upgrade begins, and it stays: delete it when you no longer need it. Without space for it, the
    /// upgrade fails with [`StorageFull`](crate::Error::StorageFull), and the file is unchanged.
    ///
    /// A failed upgrade removes its copy, unless the outcome of its commit is unknown. A killed upgrade leaves the
    /// copy, or an incomplete one with a name like `kpi-store-0123456789abcdef.draft`, which the next attempt removes.
    pub fn backup_before_upgrade(mut self, backup: bool) -> Self {
        self.settings.backup_before_upgrade = backup;
        self
    }

    /// How long the log may become. By default [`Settings::LOG_MAX`].
    #[cfg(test)]
    pub(crate) fn log_max(mut self, bytes: u64) -> Self {
        self.settings.log_max = bytes;
        self
    }

    /// The clock for `created_at` and `updated_at`. By default the system clock.
    ///
    /// It is called once per write (once per transaction in a load), with no lock held. Its time is truncated to
    /// microseconds.
    pub fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The source of the ids that a request does not set. By default each is a UUIDv7, greater than every previous one
    /// of this process.
    ///
    /// It is called with no lock held, except in a [load](crate::Organization::load_datasets). If it returns an id that
    /// is taken, the call fails with [`AlreadyExists`](crate::Error::AlreadyExists).
    pub fn ids(mut self, ids: impl Fn() -> Uuid + Send + Sync + 'static) -> Self {
        self.ids = IdSource::Given(Box::new(ids));
        self
    }

    /// Opens the store in the file at `path`. The file is created if there is none, unless the options are read-only.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        self.open_with_schema(path.as_ref(), &SCHEMA)
    }

    /// The same with another schema, so that tests can upgrade.
    pub(crate) fn open_with_schema(self, path: &Path, schema: &'static Schema) -> Result<Store> {
        let access = Access::open(path, self.settings, schema)?;
        Ok(self.store(access))
    }

    /// Opens a new, empty store in memory, private to this handle and its clones.
    ///
    /// # Errors
    ///
    /// Those of [`Store::open_in_memory`].
    pub fn open_in_memory(self) -> Result<Store> {
        let access = Access::open_in_memory(self.settings.busy_timeout)?;
        Ok(self.store(access))
    }

    fn store(self, access: Arc<Access>) -> Store {
        let Self { clock, ids, .. } = self;
        Store { shared: Arc::new(Shared { access, clock, ids }) }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("settings", &self.settings).finish_non_exhaustive()
    }
}
