//! Copying a store while it is in use.

use std::ops::ControlFlow;
use std::path::Path;

use crate::error::Result;
use crate::model::progress::Progress;
use crate::sqlite::{backup, progress};
use crate::store::Store;

impl Store {
    /// Copies a snapshot of the store into one new file, compact and verified, while reads and writes continue. A store
    /// in memory is copied in memory first.
    ///
    /// The file gets its name only when it is complete and durable. It is not encrypted; it is created with mode 0600,
    /// so only its owner can read it. It is itself a store; open it with [`read_only`](crate::StoreOptions::read_only)
    /// to inspect it, because opening it for writing removes its mark as a backup.
    ///
    /// To restore a backup, close all handles, delete the `-wal`, `-shm` and `-journal` of the lost file, and replace
    /// the file with a copy of the backup. Opening a marked backup with a stale `-wal` beside it fails with
    /// [`Corrupt`](crate::Error::Corrupt). A backup that was opened for writing has no mark, and SQLite would apply a
    /// stale `-wal` to it.
    ///
    /// # Errors
    ///
    /// - [`InvalidPath`](crate::Error::InvalidPath) if the file, or a `-wal`, `-shm` or `-journal` of it, already exists,
    ///   if the name itself ends in one of these, or if no file can be created at the path.
    /// - [`Corrupt`](crate::Error::Corrupt) if the store is damaged; [`verify`](Self::verify) lists every finding.
    /// - [`StorageFull`](crate::Error::StorageFull), [`ReadOnly`](crate::Error::ReadOnly),
    ///   [`Storage`](crate::Error::Storage), [`Closed`](crate::Error::Closed).
    ///
    /// With every error there is no new file. Of several calls with the same path, in any process, one succeeds.
    ///
    /// A killed process may leave an incomplete file in the same folder, with a name like
    /// `kpi-store-0123456789abcdef.draft`. If it is killed while the backup gets its name, the complete file may have both
    /// names; it is refused as one with two hard links until the draft is removed. Where the file system has no hard
    /// links, an empty file of that name may be left instead.
    ///
    /// A folder that cannot be synced is passed over, as SQLite does: where the file system does not offer it, a power
    /// cut right after the call may take the name of the file.
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

    /// [`backup_to`](Self::backup_to) with a progress callback.
    ///
    /// It is called regularly and at the end with the number of copied bytes. If it returns
    /// [`Break`](ControlFlow::Break), the backup is cancelled and no file is created. It may use the store. A panic is
    /// propagated, and no file is created either.
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
    /// let result = store.backup_to_with(&path, |_| ControlFlow::Break(()));
    /// assert!(matches!(result, Err(Error::Cancelled)));
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup_to_with(
        &self,
        path: impl AsRef<Path>,
        callback: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<()> {
        let (path, callback) = (path.as_ref(), progress::shared(Box::new(callback)));
        self.access().with_own_connection(|source, _| backup::write(source, path, &callback))
    }
}
