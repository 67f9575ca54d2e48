//! Listing and counting the datasets in the trash.

use super::query::DatasetQuery;
use crate::error::Result;
use crate::model::cursor::{Listing, Order};
use crate::model::page::Page;
use crate::model::version::DeletedDataset;
use crate::sqlite::table::listing::{self, RawPage, Selection};
use crate::store::organization::Organization;

impl Organization {
    /// A page of the datasets in the trash that match the query, each with the time and the user of its deletion.
    ///
    /// Unless the query says otherwise, the newest deletion comes first.
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
        let (filter, order) = (query.filter()?, query.order.unwrap_or(Order::NewestFirst));
        let listing = Listing::Deleted(order, &filter);
        let after = self.place(query.after.as_ref(), listing)?;
        let selection = Selection { organization: self.id, order, filter: &filter, after, limit: query.limit };
        let page = self.store.access().read(|snapshot| listing::deleted(snapshot, selection))?;
        let RawPage { items, damaged, next, .. } = page;
        Ok(Page { items, damaged, next: self.cursor(listing, next) })
    }

    /// The number of datasets in the trash that match the query; its limit, order and cursor are ignored.
    ///
    /// # Errors
    ///
    /// Those of [`count_datasets`](Self::count_datasets).
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
        let filter = query.filter_of_count()?;
        self.store.access().read(|snapshot| listing::count_deleted(snapshot, self.id, &filter))
    }
}
