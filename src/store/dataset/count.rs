//! Counting datasets.

use super::query::DatasetQuery;
use crate::error::Result;
use crate::sqlite::table::dataset;
use crate::store::organization::Organization;

impl Organization {
    /// How many datasets of this organization the query finds in all; its limit, order and cursor do not matter.
    ///
    /// # Errors
    ///
    /// Those of [`dataset`](Self::dataset), except damage to a single dataset, which this does not see.
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
        // Nothing of today's query narrows the count.
        let _ = query;
        self.store.access().read(|snapshot| dataset::count(snapshot, self.id))
    }
}
