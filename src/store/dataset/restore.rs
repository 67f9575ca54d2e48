//! Restoring datasets from the trash.

use super::change::no_updated_at;
use super::delete::{BYTES_OF_A_STATE, distinct};
use crate::error::Result;
use crate::model::dataset::Dataset;
use crate::model::ids::DatasetId;
use crate::sqlite::table::change;
use crate::store::organization::Organization;

impl Organization {
    /// Restores a dataset from the trash, exactly as it was deleted.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if the trash of this organization has no dataset with this id.
    /// - [`Corrupt`](crate::Error::Corrupt) if the dataset is damaged: it can only be [purged](Self::purge_dataset).
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// organization.delete_dataset(water.id)?;
    /// assert_eq!(organization.restore_dataset(water.id)?, water);
    /// assert_eq!(organization.restore_dataset(water.id).unwrap_err().code(), "not_found");
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn restore_dataset(&self, id: DatasetId) -> Result<Dataset> {
        let author = self.author()?;
        self.change(vec![id], BYTES_OF_A_STATE, no_updated_at, move |transaction| {
            change::restore(transaction, author, id)
        })
    }

    /// Restores datasets from the trash in one transaction: all of them, or none if one cannot be restored. An id that
    /// is given twice counts once. They are returned in the order of the ids.
    ///
    /// # Errors
    ///
    /// Those of [`restore_dataset`](Self::restore_dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let created = organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// let ids = [created[0].id, created[1].id];
    /// organization.delete_datasets(ids)?;
    /// assert_eq!(organization.restore_datasets(ids)?, created);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn restore_datasets(&self, ids: impl IntoIterator<Item = DatasetId>) -> Result<Vec<Dataset>> {
        let ids = distinct(ids);
        let author = self.author()?;
        self.change(ids.clone(), ids.len() * BYTES_OF_A_STATE, no_updated_at, move |transaction| {
            ids.iter().map(|id| change::restore(transaction, author, *id)).collect()
        })
    }
}
