//! Reverting a dataset to an earlier version.

use super::change::refused;
use super::update::BYTES_OF_A_KPI;
use crate::error::Result;
use crate::model::change::Edit;
use crate::model::content::{Content, Refusal};
use crate::model::dataset::Dataset;
use crate::model::version::Origin;
use crate::sqlite::table::{change, history};
use crate::store::organization::Organization;

impl Organization {
    /// Gives a dataset the content of an earlier version again, as a new revision: its name, description and KPIs, with
    /// their order and `sort_order`. KPIs that were deleted since then are added again with their ids and their
    /// `created_at`.
    ///
    /// `current` is the dataset as the user sees it. If it already has the content of the version, nothing is written.
    ///
    /// # Errors
    ///
    /// - [`Conflict`](crate::Error::Conflict) if the dataset was changed since `current` was read.
    /// - [`NotFound`](crate::Error::NotFound) if the dataset does not exist, or its history has no such revision.
    /// - [`Corrupt`](crate::Error::Corrupt) if damage hides the version.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let first = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
    /// let mut draft = first.edit();
    /// draft.kpis.clear();
    /// let emptied = organization.save_dataset(&draft)?;
    ///
    /// let reverted = organization.revert_dataset(&emptied, 1)?;
    /// assert_eq!(reverted.kpis[0].id, first.kpis[0].id);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn revert_dataset(&self, current: &Dataset, revision: u64) -> Result<Dataset> {
        let author = self.author()?;
        let (id, expected) = (current.id, current.updated_at);
        self.change(
            vec![id],
            current.kpis.len() * BYTES_OF_A_KPI,
            |dataset: &Dataset| dataset.updated_at,
            move |transaction| {
                change::update(transaction, author, id, Origin::Reverted, |stored| {
                    let dataset = &stored.record.dataset;
                    if dataset.updated_at != expected {
                        return Err(refused(dataset, Refusal::Conflict { expected }).into());
                    }
                    let then = history::record_of(transaction, stored, revision)?;
                    let mut content = Content::from(&then.dataset);
                    for (kpi, index) in content.kpis.iter_mut().zip(0..) {
                        kpi.origin = then.kpi(index).map(|(kpi, position)| (position, kpi.created_at));
                    }
                    Ok(Edit::new(&stored.record, content))
                })
            },
        )
    }
}
