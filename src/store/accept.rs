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
    pub fn accept_dataset(&self, id: DatasetId) -> Result<Option<Dataset>> {
        let organization = self.id;
        self.store.write(vec![id], move |transaction| sqlite::dataset::accept(transaction, organization, id))
    }
}
