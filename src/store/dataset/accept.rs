//! Accepting an intentional change by another tool.

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::transaction::Transaction;
use crate::store::organization::Organization;

impl Organization {
    /// Makes the store accept a dataset that another tool has intentionally changed, by recomputing its digest.
    ///
    /// After such a change the rows do not match the digest, and every read fails with
    /// [`Corrupt`](crate::Error::Corrupt), because the store cannot distinguish the change from damage. Inspect the
    /// rows first. Never call this to silence a finding of [`verify`](crate::Store::verify) with an unknown cause.
    ///
    /// The revision of the dataset is incremented; its other fields, `updated_at` and `updated_by` among them, stay and are
    /// returned as they are in the file.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if this organization has no dataset with this id.
    /// - [`Corrupt`](crate::Error::Corrupt) if a row contains a value that this crate never writes.
    /// - Those of [`create_dataset`](Self::create_dataset) that concern neither the request nor the clock.
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
        let (_, accepted) = self.store.access().write(Accept { organization: self.id, id })?;
        Ok(accepted)
    }
}

struct Accept {
    organization: OrganizationId,
    id: DatasetId,
}

impl Job for Accept {
    type Output = Dataset;

    fn run(&self, transaction: &Transaction<'_>) -> Result<Dataset, Failure> {
        dataset::accept(transaction, self.organization, self.id)
    }

    /// It changes one row, so it may always share a transaction.
    fn bytes(&self) -> usize {
        0
    }

    fn outcome_unknown(&self, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: vec![self.id], updated_at: None, source }
    }
}
