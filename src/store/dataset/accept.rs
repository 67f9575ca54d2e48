//! Accepting what another tool changed on purpose.

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::transaction::Transaction;
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
    /// # use kpi_store::{Error, NewDataset, OrganizationId, Store};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("kpis.db");
    /// let store = Store::open(&path)?;
    /// let organization = store.organization(OrganizationId::new());
    /// let id = organization.create_dataset(NewDataset::new("Watre"))?.id;
    /// rusqlite::Connection::open(&path)?.execute("UPDATE dataset SET name = 'Water'", [])?;
    ///
    /// assert!(matches!(organization.dataset(id), Err(Error::Corrupt { .. })));
    /// assert_eq!(organization.accept_dataset(id)?.name, "Water");
    /// assert_eq!(organization.dataset(id)?.map(|dataset| dataset.name).as_deref(), Some("Water"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
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
