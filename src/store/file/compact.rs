//! Erasing removed rows from the file, and giving free space back.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::progress::Progress;
use crate::store::Store;

impl Store {
    /// Writes the file anew and empties the write-ahead log: afterwards neither contains anything that was purged or
    /// pruned before, and free space is given back to the disk.
    ///
    /// A purge alone overwrites the rows that it removes, but copies may be left in the log, and in pages from which
    /// rows were moved. Copies outside of the file stay: backups, copies made before an upgrade, exports, and blocks of
    /// the disk or the file system that keep earlier contents.
    ///
    /// Until it ends, it takes as much memory as the file has bytes, and up to twice as many bytes on the disk, since
    /// the new pages are in the log first. Reads go on, except for a moment at its beginning and its end. Writes of all
    /// processes wait, and are [`Busy`](crate::Error::Busy) if it takes longer than their busy timeout. Nothing else
    /// changes: ids, cursors and histories stay valid.
    ///
    /// # Errors
    ///
    /// - [`Busy`](crate::Error::Busy) if another thread or process was writing past the busy timeout, or was reading
    ///   from the log, in which case the source says so; at once during a verification or backup of this store. The new
    ///   pages may already be in the log, with the old ones still in the file: call it again.
    /// - [`Corrupt`](crate::Error::Corrupt) if the file is too damaged to be copied.
    /// - [`ReadOnly`](crate::Error::ReadOnly) if the store was opened for reading only.
    /// - [`StorageFull`](crate::Error::StorageFull), [`InvalidPath`](crate::Error::InvalidPath),
    ///   [`TooNew`](crate::Error::TooNew), [`Storage`](crate::Error::Storage), [`Closed`](crate::Error::Closed).
    ///
    /// After any of these errors the datasets are as they were.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("kpis.db");
    /// let store = Store::open(&path)?;
    /// let organization = store.organization(OrganizationId::new());
    /// let dataset = organization.create_dataset(NewDataset::new("Confidential"))?;
    /// organization.delete_dataset(dataset.id)?;
    /// organization.purge_dataset(dataset.id)?;
    /// store.compact()?;
    ///
    /// // The file must not be opened by other means while the store is open.
    /// drop((store, organization));
    /// let bytes = std::fs::read(path)?;
    /// assert!(!bytes.windows(12).any(|window| window == b"Confidential"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self) -> Result<()> {
        self.compact_with(|_| ControlFlow::Continue(()))
    }

    /// [`compact`](Self::compact) with a progress callback.
    ///
    /// The callback is called at the beginning, in a large file regularly, and at the end, with an estimate of the
    /// bytes that were copied. If it returns [`Break`](ControlFlow::Break) before the end, the compaction is cancelled,
    /// and the file is as it was. During the last part, in which the copy replaces the file, it is not called, and the
    /// compaction cannot be cancelled.
    ///
    /// Before the end the callback runs while the writer is held. From inside it, a store in a file can be read, but
    /// writes to the same store are [`Busy`](crate::Error::Busy) at once, and in memory so are all calls. A panic is
    /// propagated, and the file is as it was.
    ///
    /// # Errors
    ///
    /// Those of [`compact`](Self::compact), and [`Cancelled`](crate::Error::Cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # let store = kpi_store::Store::open_in_memory()?;
    /// store.compact_with(|progress| {
    ///     println!("{} of {} bytes", progress.done, progress.total);
    ///     ControlFlow::Continue(())
    /// })?;
    /// let result = store.compact_with(|_| ControlFlow::Break(()));
    /// assert!(matches!(result, Err(kpi_store::Error::Cancelled)));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn compact_with(&self, callback: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static) -> Result<()> {
        self.access().compact(Box::new(callback))
    }
}
