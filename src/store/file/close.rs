//! Closing a store.

use crate::error::Result;
use crate::store::Store;

impl Store {
    /// Closes the store for all its handles: later calls through any of them fail with
    /// [`Closed`](crate::Error::Closed).
    ///
    /// It waits for a write in progress, checkpoints the write-ahead log as far as other processes allow, and returns
    /// the errors that dropping the last handle would ignore. Even if it fails, every acknowledged write stays stored.
    /// Reads in progress are completed.
    ///
    /// # Errors
    ///
    /// - [`Busy`](crate::Error::Busy) if a write was in progress past the busy timeout, or if the log cannot be
    ///   recovered after a failed commit because another process or store reads it. The store stays open.
    /// - [`Closed`](crate::Error::Closed) if it was already closed.
    /// - [`InvalidPath`](crate::Error::InvalidPath) if the write-ahead log was removed or replaced while the store was
    ///   open. The store is closed, and leaves the file and what lies beside it as they are.
    /// - [`StorageFull`](crate::Error::StorageFull), [`Storage`](crate::Error::Storage) if the log could not be
    ///   checkpointed; the next opening does that. The store is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, Error, OrganizationId, Store};
    /// let store = Store::open_in_memory()?;
    /// let organization = store.organization(OrganizationId::new());
    /// store.close()?;
    /// assert!(matches!(organization.count_datasets(&DatasetQuery::new()), Err(Error::Closed)));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn close(self) -> Result<()> {
        self.access().close()
    }
}
