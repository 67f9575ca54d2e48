//! Opening a store with the default options.

use std::path::Path;

use crate::error::Result;
use crate::store::Store;
use crate::store::options::StoreOptions;

impl Store {
    /// Opens the store in the file at `path` with the default [options](Self::options). The file is created if there is
    /// none.
    ///
    /// The folder must exist. A new file has mode 0600: only its owner can read and write it. While the store is open,
    /// SQLite keeps two files beside it, with `-wal` and `-shm` appended to the name.
    ///
    /// # Errors
    ///
    /// - [`InvalidPath`](crate::Error::InvalidPath) if the path cannot be used: a folder, a device, a missing folder, a
    ///   dangling link; or if the file has another name, beside which SQLite would keep another log: one with several hard
    ///   links or, where Linux tells it in `/proc`, one that is mounted by itself (mount its folder). Also if this process
    ///   has the file open and its write-ahead log was removed or replaced.
    /// - [`NotAStore`](crate::Error::NotAStore) if the file was not created by this crate.
    /// - [`TooNew`](crate::Error::TooNew) if a later version of this crate created or upgraded it.
    /// - [`Corrupt`](crate::Error::Corrupt) if it is a store, but its schema or history was altered, or it was truncated.
    /// - [`ReadOnly`](crate::Error::ReadOnly), [`StorageFull`](crate::Error::StorageFull), [`Busy`](crate::Error::Busy) if the file cannot be written, or not at the
    ///   moment.
    /// - [`UnsupportedSqlite`](crate::Error::UnsupportedSqlite) if the linked SQLite can lose commits.
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
    /// - [`UnsupportedSqlite`](crate::Error::UnsupportedSqlite) if the linked SQLite can lose commits.
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
}
