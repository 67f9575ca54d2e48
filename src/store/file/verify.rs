//! Looking at everything.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::model::progress::Progress;
use crate::model::verification::Verification;
use crate::sqlite::verification;
use crate::store::Store;

impl Store {
    /// Looks at every row of the file: SQLite's own check, foreign keys, the digest of each dataset, whether each index
    /// leads to it, counts and order. Every finding is named, not only the first.
    ///
    /// It sees one moment, and others read and write meanwhile, except in memory. It takes about as long as reading
    /// everything twice.
    ///
    /// # Errors
    ///
    /// What is found is no error. [`Closed`](crate::Error::Closed), [`Storage`](crate::Error::Storage);
    /// [`Corrupt`](crate::Error::Corrupt) only if the file cannot be looked at at all.
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

    /// [`verify`](Self::verify), telling from time to time and at the end how many datasets were looked at,
    /// and ending when the callback breaks.
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
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn verify_with(
        &self,
        callback: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Verification> {
        self.access()
            .with_own_connection(|connection, file| verification::verify_reported(connection, file, Box::new(callback)))
    }
}
