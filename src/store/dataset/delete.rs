//! Moving datasets to the trash.

use super::change::no_updated_at;
use crate::error::Result;
use crate::model::ids::DatasetId;
use crate::sqlite::table::change;
use crate::store::organization::Organization;

impl Organization {
    /// Moves a dataset to the trash, from which it can be [restored](Self::restore_dataset).
    ///
    /// From then on the dataset exists only for the calls that concern the trash, and its id stays taken. Neither its
    /// `updated_at` nor its revision changes: restoring it returns an equal dataset. A damaged dataset can be deleted
    /// too; it stays damaged.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if this organization has no dataset with this id, or the dataset is
    ///   already in the trash.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// organization.delete_dataset(water.id)?;
    /// assert_eq!(organization.dataset(water.id)?, None);
    /// assert_eq!(organization.restore_dataset(water.id)?, water);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn delete_dataset(&self, id: DatasetId) -> Result<()> {
        self.delete_datasets([id])
    }

    /// Moves datasets to the trash in one transaction: all of them, or none if one does not exist. An id that is given
    /// twice counts once.
    ///
    /// # Errors
    ///
    /// Those of [`delete_dataset`](Self::delete_dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetId, DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let created = organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// let ids: Vec<DatasetId> = created.iter().map(|dataset| dataset.id).collect();
    /// assert!(organization.delete_datasets(ids.iter().copied().chain([DatasetId::new()])).is_err());
    /// assert_eq!(organization.count_deleted(&DatasetQuery::new())?, 0);
    /// organization.delete_datasets(ids)?;
    /// assert_eq!(organization.count_deleted(&DatasetQuery::new())?, 2);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn delete_datasets(&self, ids: impl IntoIterator<Item = DatasetId>) -> Result<()> {
        let ids = distinct(ids);
        let author = self.author()?;
        self.change(ids.clone(), ids.len() * BYTES_OF_A_STATE, no_updated_at, move |transaction| {
            ids.iter().try_for_each(|id| change::delete(transaction, author, *id))
        })
    }
}

/// An estimate of the bytes that the deletion or restoration of one dataset writes.
pub(super) const BYTES_OF_A_STATE: usize = 512;

/// The ids in their order, each once.
pub(super) fn distinct(ids: impl IntoIterator<Item = DatasetId>) -> Vec<DatasetId> {
    let mut seen = std::collections::HashSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}
