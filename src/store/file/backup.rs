//! Copying a store while it is in use.

use std::ops::ControlFlow;
use std::path::Path;

use crate::error::Result;
use crate::model::progress::Progress;
use crate::sqlite::backup;
use crate::store::Store;

impl Store {
    /// Copies the store as it is at this moment into one new file, compact and verified, while others read and write.
    ///
    /// The file appears under its name only when it is whole and durable; its owner alone can read it (mode 0600). It is a
    /// store itself; to look at it, open it for [reading only](crate::StoreOptions::read_only), which leaves it the backup
    /// that it is. To restore it, put it in the place of the lost one with all handles closed and the `-wal`, `-shm` and
    /// `-journal` beside that one removed. If a `-wal` is forgotten, a backup is refused as
    /// [`Corrupt`](crate::Error::Corrupt) until it is gone; a copy of a store that was once opened for writing cannot be told
    /// from the file that the log belongs to, and would be mixed with it.
    ///
    /// # Errors
    ///
    /// - [`InvalidPath`](crate::Error::InvalidPath) if something has that name already or would be taken for its log or
    ///   journal, or no file can be there.
    /// - [`Corrupt`](crate::Error::Corrupt) if the store is damaged: [`verify`](Self::verify) says all about it.
    /// - [`StorageFull`](crate::Error::StorageFull), [`ReadOnly`](crate::Error::ReadOnly),
    ///   [`Storage`](crate::Error::Storage), [`Closed`](crate::Error::Closed).
    ///   In all of these there is no new file. A process that is killed may leave a part of one beside it, under a name
    ///   like `kpi-store-0123456789abcdef.draft`.
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
    /// store.backup_to(folder.join("kpis-2026-11-24.db"))?;
    ///
    /// let copy = Store::options().read_only(true).open(folder.join("kpis-2026-11-24.db"))?;
    /// assert_eq!(copy.organization(id).count_datasets(&DatasetQuery::new())?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup_to(&self, path: impl AsRef<Path>) -> Result<()> {
        self.backup_to_with(path, |_| ControlFlow::Continue(()))
    }

    /// [`backup_to`](Self::backup_to), telling from time to time and at the end how many bytes were copied,
    /// and ending without a file when the callback breaks.
    ///
    /// # Errors
    ///
    /// Those of [`backup_to`](Self::backup_to), and [`Cancelled`](crate::Error::Cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # use kpi_store::{Error, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("copy.db");
    /// # let store = Store::open_in_memory()?;
    /// let given_up = store.backup_to_with(&path, |_| ControlFlow::Break(()));
    /// assert!(matches!(given_up, Err(Error::Cancelled)));
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup_to_with(
        &self,
        path: impl AsRef<Path>,
        callback: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<()> {
        let path = path.as_ref();
        self.access().with_own_connection(|connection, file| backup::write(connection, file, path, Box::new(callback)))
    }
}
