//! Listing the organizations that own datasets.

use crate::error::Result;
use crate::model::ids::OrganizationId;
use crate::sqlite::table::dataset;
use crate::store::Store;

impl Store {
    /// The organizations that own at least one dataset, in the trash or not, sorted by id.
    ///
    /// An organization that has only [properties](crate::Organization::set_properties) is not listed;
    /// [`purge_organization`](Self::purge_organization) removes them all the same.
    ///
    /// This call and those on the file as a whole are the only ones that read data of several organizations.
    ///
    /// # Errors
    ///
    /// Those of [`Organization::dataset`](crate::Organization::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// let store = Store::open_in_memory()?;
    /// let id = OrganizationId::new();
    /// store.organization(id).create_dataset(NewDataset::new("Water"))?;
    /// assert_eq!(store.organizations()?, [id]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn organizations(&self) -> Result<Vec<OrganizationId>> {
        self.access().read(dataset::organizations)
    }
}
