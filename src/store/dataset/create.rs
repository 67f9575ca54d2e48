//! Creating datasets: one, or several in one transaction.

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::dataset::Dataset;
use crate::model::new_dataset::NewDataset;
use crate::model::record::Record;
use crate::model::request::violations_builder::ViolationsBuilder;
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::transaction::Transaction;
use crate::store::organization::Organization;

impl Organization {
    /// Creates a dataset and its KPIs in one transaction.
    ///
    /// Either all of it is stored, as durably as the store's [`Durability`](crate::Durability) promises, or none of it.
    /// The returned value equals the one that [`dataset`](Self::dataset) reads back, in this process or another.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] lists every field that breaks the contract, not only the first.
    /// - [`Error::AlreadyExists`] if a given id is taken.
    /// - [`Error::ClockOutOfRange`] if the clock is outside the years 0001 to 9999.
    /// - [`Error::Busy`] if another writer, in this process or another, held the store past the busy timeout.
    /// - [`Error::InvalidPath`] if the file or its write-ahead log was moved, replaced or removed since it was opened,
    ///   and [`Error::TooNew`] if a later version of this crate has upgraded it.
    /// - [`Error::StorageFull`], [`Error::ReadOnly`], [`Error::Corrupt`], [`Error::Closed`], [`Error::Storage`].
    /// - [`Error::OutcomeUnknown`] if the commit failed and its outcome is unknown; the error describes how to find
    ///   out.
    ///
    /// With every error except the last nothing was written.
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
        // The clock is read before the ids are reserved: it is code of the application, and if it forked, both
        // processes would use the same ids.
        let author = self.author()?;
        let record = Record::prepare(new, author, self.store.ids())?;
        let (create, ()) = self.store.access().write(CreateOne(record))?;
        Ok(create.0.dataset)
    }

    /// Creates datasets in one transaction: all of them, or none if one cannot be stored.
    ///
    /// They are stored and returned in the order of the iterator and have the same `created_at`. The iterator is
    /// drained before anything is locked or written.
    ///
    /// # Errors
    ///
    /// Those of [`create_dataset`](Self::create_dataset). [`Error::Invalid`] lists the violations of every dataset;
    /// each path begins with the index of the dataset in the batch: `[17].kpis[3].name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{Error, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let datasets = organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// assert_eq!(datasets.len(), 2);
    ///
    /// let result = organization.create_datasets([NewDataset::new("Energy"), NewDataset::new("")]);
    /// let Err(Error::Invalid(violations)) = result else { panic!("the second has no name") };
    /// assert_eq!(violations.iter().next().map(|violation| violation.path()).as_deref(), Some("[1].name"));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn create_datasets(&self, new: impl IntoIterator<Item = NewDataset>) -> Result<Vec<Dataset>> {
        let new: Vec<NewDataset> = new.into_iter().collect();
        let author = self.author()?;
        let mut records = Vec::with_capacity(new.len());
        let mut violations = ViolationsBuilder::in_body();
        for (index, new) in new.into_iter().enumerate() {
            match Record::prepare(new, author, self.store.ids()) {
                Ok(record) => records.push(record),
                Err(found) => violations.item(index, found),
            }
        }
        violations.finish()?;
        let (create, ()) = self.store.access().write(CreateMany(records))?;
        Ok(create.0.into_iter().map(|record| record.dataset).collect())
    }
}

struct CreateOne(Record);

impl Job for CreateOne {
    type Output = ();

    fn run(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        dataset::insert(transaction, std::slice::from_ref(&self.0))
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn outcome_unknown(&self, (): (), source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: vec![self.0.dataset.id], updated_at: None, source }
    }
}

struct CreateMany(Vec<Record>);

impl Job for CreateMany {
    type Output = ();

    fn run(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        dataset::insert(transaction, &self.0)
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Record::bytes).sum()
    }

    fn outcome_unknown(&self, (): (), source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: self.0.iter().map(|record| record.dataset.id).collect(), updated_at: None, source }
    }
}
