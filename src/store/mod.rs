//! The public handle: a store, seen through an organization. A folder for each noun, a file for each operation; no SQL, no
//! threads.
//!
//! - [`options`]: how a store is opened.
//! - [`organization`]: the view through which everything is read and written, and which of them there are.
//! - [`dataset`]: the operations on datasets.
//! - [`file`]: the operations on the file as a whole.

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
use crate::model::time;
use crate::model::uuid_v7::IdSource;

/// A store of datasets: one SQLite file, or a database in memory.
///
/// Everything is read and written through an [`Organization`]. A clone is another handle on the same store; handles
/// can be used from any number of threads at once. A file can also be opened several times, in one process and in
/// others. Dropping the last handle closes the store; [`close`](Self::close) does so and says what went wrong.
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

/// What all handles on a store share.
struct Shared {
    access: Access,
    clock: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ids: IdSource,
}

impl Store {
    /// The file: an absolute path, in which symbolic links are resolved. None for a store in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.shared.access.file()
    }

    pub(crate) fn access(&self) -> &Access {
        &self.shared.access
    }

    /// Where the ids come from that a request does not give.
    fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    /// The time of one write: the clock is asked once.
    fn now(&self) -> Result<DateTime<Utc>> {
        let now = (self.shared.clock)();
        time::to_micros(now).and_then(time::from_micros).ok_or(Error::ClockOutOfRange { now })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
