//! Counting datasets.

use super::query::DatasetQuery;
use crate::error::Result;
use crate::sqlite::table::dataset;
use crate::store::organization::Organization;

impl Organization {
    /// The number of all datasets of this organization; the limit, order and cursor of the query are ignored.
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
    /// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// assert_eq!(organization.count_datasets(&DatasetQuery::new())?, 2);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn count_datasets(&self, query: &DatasetQuery) -> Result<u64> {
        // A query has no filter yet.
        let _ = query;
        self.store.access().read(|snapshot| dataset::count(snapshot, self.id))
    }
}
