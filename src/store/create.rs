//! Creating datasets: one, or many in one transaction.

use super::organization::Organization;
use crate::error::{Error, Result};
use crate::model::admission::{Admitted, admit, ids_max};
use crate::model::dataset::Dataset;
use crate::model::new_dataset::NewDataset;
use crate::model::violation::Violations;
use crate::sqlite;

impl Organization {
    /// Creates a dataset and its KPIs in one transaction.
    ///
    /// Either all of it is stored, as durably as the store's [`Durability`](crate::Durability) says, or none of it. The
    /// returned value equals what [`dataset`](Self::dataset) reads back, in this process or another.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] names every field outside the contract, not only the first; [`Error::AlreadyExists`] if a
    ///   given id is taken; [`Error::ClockOutOfRange`].
    /// - [`Error::Busy`] if the write lock was held elsewhere, in this process or another, past the busy timeout;
    ///   [`Error::StorageFull`]; [`Error::Closed`]. In all of these nothing was written.
    /// - [`Error::OutcomeUnknown`] if the commit failed in a way that leaves it open; it says how to find out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let dataset = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal").unit("m³")))?;
    /// assert_eq!(dataset.kpis[0].unit.as_deref(), Some("m³"));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn create_dataset(&self, new: NewDataset) -> Result<Dataset> {
        // The clock, which is the application's, comes first: were it to fork, both would go on with the same ids.
        let author = self.author()?;
        let mut ids = self.store.shared.ids.ids(ids_max(&new));
        let admitted = admit(new, author, &mut ids)?;
        self.store.write(vec![admitted.dataset.id], |transaction| {
            sqlite::dataset::insert(transaction, std::slice::from_ref(&admitted))?;
            Ok(admitted.dataset)
        })
    }

    /// Creates datasets in one transaction: all of them, or none if one cannot be stored.
    ///
    /// They are stored and returned in the order of the iterator, which is run to its end before anything is locked or
    /// written, and all have the same `created_at`.
    ///
    /// # Errors
    ///
    /// Those of [`create_dataset`](Self::create_dataset). [`Error::Invalid`] names the violations of every dataset;
    /// their paths begin with its place in the batch: `[17].kpis[3].name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{Error, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let datasets = organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// assert_eq!(datasets.len(), 2);
    ///
    /// let refused = organization.create_datasets([NewDataset::new("Energy"), NewDataset::new("")]);
    /// let Err(Error::Invalid(violations)) = refused else { panic!("the second has no name") };
    /// assert_eq!(violations.iter().next().map(|violation| violation.path()).as_deref(), Some("[1].name"));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn create_datasets(&self, new: impl IntoIterator<Item = NewDataset>) -> Result<Vec<Dataset>> {
        let admitted = self.admit_all(new.into_iter().collect())?;
        let ids = admitted.iter().map(|admitted| admitted.dataset.id).collect();
        self.store.write(ids, |transaction| {
            sqlite::dataset::insert(transaction, &admitted)?;
            Ok(admitted.into_iter().map(|admitted| admitted.dataset).collect())
        })
    }

    fn admit_all(&self, new: Vec<NewDataset>) -> Result<Vec<Admitted>> {
        let author = self.author()?;
        let mut ids = self.store.shared.ids.ids(new.iter().map(ids_max).sum());
        let mut all = Vec::with_capacity(new.len());
        let mut violations = Vec::new();
        for (index, new) in new.into_iter().enumerate() {
            match admit(new, author, &mut ids) {
                Ok(admitted) => all.push(admitted),
                Err(found) => violations.extend(found.in_item(index)),
            }
        }
        Violations::check(violations).map_err(Error::Invalid)?;
        Ok(all)
    }
}
