//! Reading one dataset.

use crate::error::Result;
use crate::model::dataset::Dataset;
use crate::model::ids::DatasetId;
use crate::sqlite::table::dataset;
use crate::store::organization::Organization;

impl Organization {
    /// The dataset with this id and its KPIs, read from one snapshot; `None` if this organization has no such dataset.
    ///
    /// The read does not wait for writes, except in memory.
    ///
    /// # Errors
    ///
    /// - [`Corrupt`](crate::Error::Corrupt) if the stored rows are not the ones that were written.
    /// - [`Busy`](crate::Error::Busy) if all eight readers, or in memory the writer, were in use past the busy timeout.
    /// - [`InvalidPath`](crate::Error::InvalidPath) if the file or its write-ahead log was moved, replaced or removed
    ///   since it was opened, and [`TooNew`](crate::Error::TooNew) if a later version of this crate has upgraded it.
    /// - [`Closed`](crate::Error::Closed), [`Storage`](crate::Error::Storage).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetId, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let created = organization.create_dataset(NewDataset::new("Water"))?;
    /// assert_eq!(organization.dataset(created.id)?, Some(created));
    /// assert_eq!(organization.dataset(DatasetId::new())?, None);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn dataset(&self, id: DatasetId) -> Result<Option<Dataset>> {
        self.store.access().read(|snapshot| dataset::get(snapshot, self.id, id))
    }
}
