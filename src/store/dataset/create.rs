//! Creating datasets: one, or many in one transaction.

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::dataset::Dataset;
use crate::model::new_dataset::NewDataset;
use crate::model::record::Record;
use crate::model::violations_builder::ViolationsBuilder;
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::write_connection::Transaction;
use crate::store::organization::Organization;

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
    /// - [`Error::OutcomeUnknown`] if the commit failed and may still have happened; it says how to find out.
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
        // The clock, which is the application's, comes first: were it to fork, both processes would go on with the same ids.
        let author = self.author()?;
        let record = Record::prepare(new, author, self.store.ids())?;
        let (create, ()) = self.store.access().write(CreateOne(record))?;
        Ok(create.0.dataset)
    }

    /// Creates datasets in one transaction: all of them, or none if one cannot be stored.
    ///
    /// They are stored and returned in the order of the iterator, which is run to its end before anything is locked or
    /// written, and all have the same `created_at`.
    ///
    /// # Errors
    ///
    /// Those of [`create_dataset`](Self::create_dataset). [`Error::Invalid`] names the violations of every dataset;
    /// their paths begin with its index in the batch: `[17].kpis[3].name`.
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

    fn outcome_unknown(&self, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: vec![self.0.dataset.id], source }
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

    fn outcome_unknown(&self, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: self.0.iter().map(|record| record.dataset.id).collect(), source }
    }
}
