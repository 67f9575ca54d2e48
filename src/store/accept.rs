//! Accepting what another tool changed on purpose.

use super::organization::Organization;
use crate::error::Result;
use crate::model::dataset::Dataset;
use crate::model::ids::DatasetId;
use crate::sqlite;

impl Organization {
    /// Takes a dataset as its rows are now, after another tool changed them on purpose; none if there is none with this
    /// id.
    ///
    /// Such a change does not match the dataset's digest, and every read answers [`Corrupt`](crate::Error::Corrupt): it
    /// cannot be told from damage. This writes the digest of what is there. Look at the dataset first, and use this for
    /// nothing that [`verify`](crate::Store::verify) found and you did not do.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::Error::Corrupt) if a row holds what this crate never writes; otherwise those of
    /// [`create_dataset`](Self::create_dataset) that do not concern the request.
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
    /// organization.accept_dataset(id)?;
    /// assert_eq!(organization.dataset(id)?.map(|dataset| dataset.name).as_deref(), Some("Water"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept_dataset(&self, id: DatasetId) -> Result<Option<Dataset>> {
        let organization = self.id;
        self.store.write(vec![id], move |transaction| sqlite::dataset::accept(transaction, organization, id))
    }
}
