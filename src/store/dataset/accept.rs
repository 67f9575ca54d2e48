//! Accepting what another tool changed on purpose.

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::write_connection::Transaction;
use crate::store::organization::Organization;

impl Organization {
    /// Makes the store accept a dataset as its rows are now, after another tool changed them on purpose, by recomputing its
    /// digest.
    ///
    /// Such a change does not match the dataset's digest, and every read answers [`Corrupt`](crate::Error::Corrupt), since
    /// it cannot be told from damage. Look at the dataset first, and use this for nothing that
    /// [`verify`](crate::Store::verify) found and you did not do.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::Error::NotFound) if this organization has no dataset with this id.
    /// - [`Corrupt`](crate::Error::Corrupt) if a row holds what this crate never writes.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// # let id = organization.create_dataset(NewDataset::new("Water"))?.id;
    /// // Another tool has changed the row: reads answer `Corrupt`, until
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

    /// One row.
    fn bytes(&self) -> usize {
        0
    }

    fn outcome_unknown(&self, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: vec![self.id], source }
    }
}
