//! Verifying a store.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::progress::Progress;
use crate::model::verification::Verification;
use crate::sqlite::{progress, verification};
use crate::store::Store;

impl Store {
    /// Verifies every row of the file: SQLite's own check, foreign keys, the digest of each dataset, its entry in each
    /// index, counts and order, and the digest of each property. Every finding is listed, not only the first.
    ///
    /// It reads one snapshot, while reads and writes continue. It takes about one and a half times as long as reading
    /// everything. A store in memory is copied first, which takes as much memory again.
    ///
    /// # Errors
    ///
    /// Findings are returned, not reported as errors.
    ///
    /// - [`Corrupt`](crate::Error::Corrupt) only if the file is too damaged to be verified at all.
    /// - [`Closed`](crate::Error::Closed), [`Storage`](crate::Error::Storage).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// let store = Store::open_in_memory()?;
    /// store.organization(OrganizationId::new()).create_dataset(NewDataset::new("Water"))?;
    ///
    /// let verification = store.verify()?;
    /// assert!(verification.is_whole(), "{:?}", verification.findings);
    /// assert_eq!(verification.datasets, 1);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn verify(&self) -> Result<Verification> {
        self.verify_with(|_| ControlFlow::Continue(()))
    }

    /// [`verify`](Self::verify) with a progress callback.
    ///
    /// It is called regularly and at the end with the number of verified datasets. If it returns
    /// [`Break`](ControlFlow::Break), the verification is cancelled. It may use the store. A panic is propagated.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify), and [`Cancelled`](crate::Error::Cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # let store = kpi_store::Store::open_in_memory()?;
    /// let verification = store.verify_with(|progress| {
    ///     println!("{} of {}", progress.done, progress.total);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(verification.is_whole());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn verify_with(
        &self,
        callback: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Verification> {
        let callback = progress::shared(Box::new(callback));
        self.access().with_own_connection(|reader, damage_is_known| {
            verification::verify_reported(reader, callback(), damage_is_known)
        })
    }
}
