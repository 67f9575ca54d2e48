//! Removing an organization from the file.

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::ids::OrganizationId;
use crate::sqlite::failure::{Failure, cause};
use crate::sqlite::table::organization;
use crate::sqlite::transaction::Transaction;
use crate::store::Store;

impl Store {
    /// Removes everything of an organization, as when an account is removed from a device: its datasets with their
    /// histories, including those in the trash, the ids of its purged datasets, and its properties. Then it
    /// [compacts](Self::compact) the file, so that no byte of them is left there.
    ///
    /// Nothing is left by which its datasets could be reported as purged, so this invalidates every
    /// [`ChangeCursor`](crate::ChangeCursor) of the file, also those of other organizations:
    /// [`changes_since`](crate::Organization::changes_since) then fails with [`InvalidCursor`](Error::InvalidCursor).
    ///
    /// The datasets need not be intact. Afterwards the ids of the organization's datasets can be given again. An
    /// unknown organization is no error, so the call can be repeated.
    ///
    /// In a damaged file, KPIs and versions may have lost their dataset ([`verify`](Self::verify) finds them). It
    /// cannot be known to which organization they belonged, so they are removed too. A row whose organization id is
    /// itself damaged stays.
    ///
    /// # Errors
    ///
    /// - Those of [`create_dataset`](crate::Organization::create_dataset) that do not concern the request: nothing was
    ///   removed. [`Corrupt`](Error::Corrupt) only if a page of its rows cannot be read.
    /// - Those of [`compact`](Self::compact) after the rows were removed: copies of them may be left in the file or its
    ///   log. The source of [`Busy`](Error::Busy), [`StorageFull`](Error::StorageFull) and [`Storage`](Error::Storage)
    ///   says so. Call [`compact`](Self::compact), or this again, until it succeeds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// let store = Store::open_in_memory()?;
    /// let (ours, theirs) = (OrganizationId::new(), OrganizationId::new());
    /// for id in [ours, theirs] {
    ///     store.organization(id).create_dataset(NewDataset::new("Water"))?;
    /// }
    /// store.purge_organization(ours)?;
    /// assert_eq!(store.organizations()?, [theirs]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn purge_organization(&self, id: OrganizationId) -> Result<()> {
        self.access().write(Purge(id))?;
        self.compact().map_err(not_compacted)
    }
}

struct Purge(OrganizationId);

impl Job for Purge {
    type Output = ();

    fn run(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        organization::purge(transaction, self.0)
    }

    /// However small the organization is: a purge has its transaction for itself.
    fn bytes(&self) -> usize {
        usize::MAX
    }

    fn outcome_unknown(&self, (): (), source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: Vec::new(), updated_at: None, source }
    }
}

/// The rows of the organization were removed, but the file was not compacted.
#[derive(Debug, thiserror::Error)]
#[error("everything of the organization was removed, but a copy may be left in the file or its log until `compact`")]
struct NotCompacted(#[source] Option<Source>);

/// The error of the compaction, whose source says what was done before.
fn not_compacted(mut error: Error) -> Error {
    if let Error::Busy { source, .. } | Error::StorageFull { source } | Error::Storage { source } = &mut error {
        *source = cause(NotCompacted(source.take()));
    }
    error
}
