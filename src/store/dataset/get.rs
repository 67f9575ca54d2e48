//! Reading one dataset.

use crate::error::Result;
use crate::model::dataset::Dataset;
use crate::model::ids::DatasetId;
use crate::sqlite::table::dataset;
use crate::store::organization::Organization;

impl Organization {
    /// The dataset with this id and its KPIs, as of one moment; none if this organization has none with this id.
    ///
    /// It never waits for a write in progress, except in memory.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::Error::Corrupt) if the stored rows are not what was written; [`Closed`](crate::Error::Closed);
    /// [`Busy`](crate::Error::Busy) if every reader was in use past the busy timeout;
    /// [`Storage`](crate::Error::Storage).
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
