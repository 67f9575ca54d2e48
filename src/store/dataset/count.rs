//! Counting datasets.

use super::query::DatasetQuery;
use crate::error::Result;
use crate::sqlite::table::listing;
use crate::store::organization::Organization;

impl Organization {
    /// The number of datasets of this organization that match the query; its limit, order and cursor are ignored.
    ///
    /// Damage to a single dataset is no error. If the query has filters, a damaged dataset that might match is counted,
    /// as [`datasets`](Self::datasets) lists it.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::Error::Invalid) if a filter is outside its limits.
    /// - Those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// assert_eq!(organization.count_datasets(&DatasetQuery::new())?, 2);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn count_datasets(&self, query: &DatasetQuery) -> Result<u64> {
        let filter = query.filter_of_count()?;
        self.store.access().read(|snapshot| listing::count(snapshot, self.id, &filter))
    }
}
