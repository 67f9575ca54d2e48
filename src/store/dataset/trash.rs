//! Listing and counting the datasets in the trash.

use super::query::DatasetQuery;
use crate::error::Result;
use crate::model::cursor::{Listing, Order};
use crate::model::page::Page;
use crate::model::version::DeletedDataset;
use crate::sqlite::table::trash;
use crate::store::organization::Organization;

impl Organization {
    /// A page of the datasets in the trash, each with the time and the user of its deletion. Unless the query says
    /// otherwise, the newest deletion comes first.
    ///
    /// # Errors
    ///
    /// Those of [`datasets`](Self::datasets).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store, UserId};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let (water, user) = (organization.create_dataset(NewDataset::new("Water"))?, UserId::new());
    /// organization.acting_as(user).delete_dataset(water.id)?;
    ///
    /// let trash = organization.deleted_datasets(&DatasetQuery::new())?;
    /// assert_eq!((&trash.items[0].dataset, trash.items[0].deleted_by), (&water, Some(user)));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn deleted_datasets(&self, query: &DatasetQuery) -> Result<Page<DeletedDataset>> {
        query.check()?;
        let order = query.order.unwrap_or(Order::NewestFirst);
        let after = self.place(query.after.as_ref(), Listing::Deleted(order))?;
        let access = self.store.access();
        let page = access.read(|snapshot| trash::page(snapshot, self.id, order, after, query.limit))?;
        let trash::RawTrash { items, damaged, next } = page;
        Ok(Page { items, damaged, next: self.cursor(Listing::Deleted(order), next) })
    }

    /// The number of all datasets in the trash; the limit, order and cursor of the query are ignored.
    ///
    /// # Errors
    ///
    /// Those of [`dataset`](Self::dataset). Damage to a single dataset is not detected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// organization.delete_dataset(water.id)?;
    /// assert_eq!(organization.count_deleted(&DatasetQuery::new())?, 1);
    /// assert_eq!(organization.count_datasets(&DatasetQuery::new())?, 0);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn count_deleted(&self, query: &DatasetQuery) -> Result<u64> {
        // A query has no filter yet.
        let _ = query;
        self.store.access().read(|snapshot| trash::count(snapshot, self.id))
    }
}
