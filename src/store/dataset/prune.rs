//! Removing earlier versions.

use super::change::no_updated_at;
use crate::error::Result;
use crate::model::history_keep::HistoryKeep;
use crate::sqlite::table::prune;
use crate::store::organization::Organization;

impl Organization {
    /// Removes the earlier versions that no rule of `keep` keeps. Returns the number of removed versions.
    ///
    /// It prunes every dataset of this organization, including those in the trash, or [a single one](HistoryKeep::of).
    /// The present version always stays. Deletions and restorations before the oldest version that stays are removed
    /// from the history too. The removed rows are overwritten in the file; [`purge_dataset`](Self::purge_dataset) says
    /// where copies may be left.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if `keep` names a single dataset that does not exist.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetPatch, HistoryKeep, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let id = organization.create_dataset(NewDataset::new("Water"))?.id;
    /// for name in ["Waste", "Energy"] {
    ///     organization.update_dataset(id, DatasetPatch::new().name(name))?;
    /// }
    /// assert_eq!(organization.prune_history(&HistoryKeep::new().last(2))?, 1);
    /// assert_eq!(organization.version(id, 1)?, None);
    /// assert!(organization.version(id, 2)?.is_some());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn prune_history(&self, keep: &HistoryKeep) -> Result<u64> {
        let (organization, keep) = (self.id, keep.clone());
        self.change(Vec::from_iter(keep.of), usize::MAX, no_updated_at, move |transaction| {
            prune::prune(transaction, organization, &keep)
        })
    }
}
