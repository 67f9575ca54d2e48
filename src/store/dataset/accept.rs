//! Accepting an intentional change by another tool.

use crate::error::Result;
use crate::model::dataset::Dataset;
use crate::model::ids::DatasetId;
use crate::sqlite::table::change;
use crate::store::organization::Organization;

impl Organization {
    /// Makes the store accept a dataset that another tool has intentionally changed, by recomputing its digests.
    ///
    /// After such a change the rows do not match the digests, and every read fails with
    /// [`Corrupt`](crate::Error::Corrupt), because the store cannot distinguish the change from damage. Inspect the
    /// rows first. Never call this to silence a finding of [`verify`](crate::Store::verify) with an unknown cause.
    ///
    /// The accepted dataset is a new version: its revision is incremented, and `updated_at` and `updated_by` are set.
    /// The version before it is missing from the [history](Self::history), since the other tool has overwritten it.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if this organization has no dataset with this id.
    /// - [`Corrupt`](crate::Error::Corrupt) if a row contains a value that this crate never writes.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// # let id = organization.create_dataset(NewDataset::new("Water"))?.id;
    /// // After another tool has changed the row, reads fail with `Corrupt` until this call.
    /// let accepted = organization.accept_dataset(id)?;
    /// assert_eq!(organization.dataset(id)?, Some(accepted));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn accept_dataset(&self, id: DatasetId) -> Result<Dataset> {
        let author = self.author()?;
        self.change(
            vec![id],
            0,
            |accepted: &Dataset| accepted.updated_at,
            move |transaction| change::accept(transaction, author, id),
        )
    }
}
