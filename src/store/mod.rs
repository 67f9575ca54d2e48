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

use crate::access::Access;
use crate::error::{Error, Result};
use crate::model::id_source::IdSource;
use crate::model::time;

/// A store of datasets: one SQLite file, or a database in memory.
///
/// Everything is read and written through an [`Organization`](crate::Organization). A clone is another handle to the
/// same store; handles can be used from any number of threads at the same time. A file can also be opened several times,
/// in one process or in several. Dropping the last handle closes the store; [`close`](Self::close) does so too, and
/// returns errors.
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
    access: Arc<Access>,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ids: IdSource,
}

impl Store {
    /// The absolute path of the file, with symbolic links resolved; `None` for a store in memory.
    ///
    /// Do not open the file in this process while the store is open, neither to read nor to copy it, nor the `-wal` and
    /// the `-shm` beside it: closing any descriptor of a file drops the locks that SQLite holds on it for the whole
    /// process, and other processes then remove or overwrite what this one uses. To archive, hash or upload the store,
    /// call [`backup_to`](Self::backup_to) and use the copy.
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

impl Drop for Shared {
    fn drop(&mut self) {
        self.access.end_watches();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
