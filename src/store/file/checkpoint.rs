//! Copying the write-ahead log into the file.

use crate::error::Result;
use crate::store::Store;

impl Store {
    /// Copies the write-ahead log into the file, durably, and truncates the log.
    ///
    /// Call it before another program, such as one that synchronizes folders, is to see the latest writes in the file
    /// itself: after `true` and until the next write, the file alone is a complete store. The store does this by
    /// itself as far as it needs to, so no call is necessary for durability or to keep the log short. To copy the
    /// store within this process, use [`backup_to`](Self::backup_to); [`path`](Self::path) says why.
    ///
    /// It returns `false` if another thread or process was reading or writing past the busy timeout, or at once during a
    /// verification or backup of this store. Nothing is lost then: what was not copied is in the log. In memory there
    /// is nothing to copy, and it returns `true`.
    ///
    /// It tries again and again until the busy timeout. Reads of this store and writes of all processes wait during each
    /// attempt, for at most 0.4 seconds, and go on in between.
    ///
    /// # Errors
    ///
    /// - [`ReadOnly`](crate::Error::ReadOnly) if the store was opened for reading only.
    /// - [`InvalidPath`](crate::Error::InvalidPath) if the file was moved, replaced or removed since it was opened.
    /// - [`StorageFull`](crate::Error::StorageFull), [`Storage`](crate::Error::Storage), [`Closed`](crate::Error::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// let store = Store::open(folder.join("kpis.db"))?;
    /// let id = OrganizationId::new();
    /// store.organization(id).create_dataset(NewDataset::new("Water"))?;
    /// if store.checkpoint()? {
    ///     // `kpis.db` alone has everything; a program that synchronizes files may take it now.
    ///     assert_eq!(std::fs::metadata(folder.join("kpis.db-wal"))?.len(), 0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(&self) -> Result<bool> {
        self.access().checkpoint()
    }
}
