//! Leaving a store.

use crate::error::Result;
use crate::store::Store;

impl Store {
    /// Closes the store for all its handles: later calls through any of them answer [`Closed`](crate::Error::Closed).
    ///
    /// It waits for a write in progress, copies the write-ahead log into the file as far as other processes let it, and
    /// reports what dropping the last handle cannot. Whatever it reports, what was acknowledged is stored. Reads in
    /// progress run to their end.
    ///
    /// # Errors
    ///
    /// - [`Busy`](crate::Error::Busy) if a write was in progress past the busy timeout, or what a failed commit left cannot be
    ///   done away with while another reads: the store stays open.
    /// - [`Closed`](crate::Error::Closed) if it was closed before.
    /// - [`StorageFull`](crate::Error::StorageFull), [`Storage`](crate::Error::Storage) if the log could not be copied;
    ///   the next opening does that. The store is closed.
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
