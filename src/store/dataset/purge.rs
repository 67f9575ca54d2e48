//! Removing deleted datasets for good.

use chrono::{DateTime, Utc};

use super::change::no_updated_at;
use crate::error::Result;
use crate::model::ids::DatasetId;
use crate::sqlite::table::trash;
use crate::store::organization::Organization;

impl Organization {
    /// Removes a dataset from the trash for good, with its KPIs and its history. It need not be intact.
    ///
    /// Its id is never given again: creating a dataset with it is [`AlreadyExists`](crate::Error::AlreadyExists). The
    /// removed rows are overwritten in the file. Copies may be left in the write-ahead log, and in pages from which
    /// rows were moved before, until [`Store::compact`](crate::Store::compact) is called. Backups that were made before
    /// keep them.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if the trash of this organization has no dataset with this id: it must be
    ///   [deleted](Self::delete_dataset) first.
    /// - [`Corrupt`](crate::Error::Corrupt) if damage hides whether the dataset is in the trash: deleting it again moves it
    ///   there. Also if a page of its rows cannot be read.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// assert_eq!(organization.purge_dataset(water.id).unwrap_err().code(), "not_found");
    ///
    /// organization.delete_dataset(water.id)?;
    /// organization.purge_dataset(water.id)?;
    /// assert_eq!(organization.restore_dataset(water.id).unwrap_err().code(), "not_found");
    /// let again = organization.create_dataset(NewDataset::new("Water").id(water.id));
    /// assert_eq!(again.unwrap_err().code(), "already_exists");
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn purge_dataset(&self, id: DatasetId) -> Result<()> {
        let organization = self.id;
        self.change(
            vec![id],
            // However large the dataset is: a purge has its transaction for itself.
            usize::MAX,
            no_updated_at,
            move |transaction| trash::purge(transaction, organization, id),
        )
    }

    /// Removes the datasets that were moved to the trash before this time, in one transaction, like
    /// [`purge_dataset`](Self::purge_dataset). Returns the number of purged datasets.
    ///
    /// # Errors
    ///
    /// Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::chrono::{DateTime, TimeDelta, Utc};
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// organization.delete_dataset(water.id)?;
    /// let now = DateTime::<Utc>::from(std::time::SystemTime::now());
    /// assert_eq!(organization.purge_deleted_before(now - TimeDelta::days(30))?, 0);
    /// assert_eq!(organization.purge_deleted_before(now + TimeDelta::days(1))?, 1);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn purge_deleted_before(&self, time: DateTime<Utc>) -> Result<u64> {
        let organization = self.id;
        self.change(Vec::new(), usize::MAX, no_updated_at, move |transaction| {
            trash::purge_before(transaction, organization, time)
        })
    }
}
