//! Loading any number of datasets, of which few are in memory at a time.
//!
//! The input is pulled in chunks that are admitted, inserted and dropped. In batches the first chunk of each is pulled
//! before the door is entered, so that as a rule nothing of the caller's runs while a lock is held. What is larger than a
//! chunk, and an input that is stored all or nothing, is pulled inside the transaction: the alternatives were to hold it
//! in memory, which would have no bound, or to keep it in a file of our own meanwhile, which would write everything twice.

use std::iter::Fuse;
use std::time::{Duration, Instant};

use super::load_options::{LoadError, LoadOptions, Loaded, ProgressCallback};
use crate::error::{Error, Result};
use crate::model::ids::DatasetId;
use crate::model::new_dataset::NewDataset;
use crate::model::record::{Author, Record};
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::write_connection::Transaction;
use crate::store::organization::Organization;

/// A chunk ends with the dataset that makes it this large: some thousand KPIs, or a few dozen with long texts. A larger
/// one is not inserted faster.
const CHUNK_BYTES: usize = 256 * 1024;

/// While its input comes slowly, a load tells as often.
const TELL_AFTER: Duration = Duration::from_millis(10);

impl Organization {
    /// Stores any number of datasets, in the order of the iterator: all or nothing, or in batches.
    ///
    /// Of the input some 256 KiB are in memory at a time, however long it is. To keep nothing but the ids, give them:
    /// [`NewDataset::id`].
    ///
    /// - **All or nothing** is one transaction. Iterator, progress callback and the source of ids run inside it, in the
    ///   calling thread, while other writers wait, up to their busy timeouts; readers of a file do not. What is called on
    ///   this store from in there and needs the lock, in memory also a read, answers [`Error::Busy`] at once.
    /// - **[In batches](LoadOptions::in_batches_of)** each is a transaction, and other writers are served in between. The
    ///   callback runs in between, the iterator before; of a batch of more than those 256 KiB both also run inside.
    ///
    /// The clock is asked once for each transaction. A panic of the caller's code goes through: of the transaction it
    /// happens in nothing is stored, and the store works on. A write-ahead log that a large transaction has made longer
    /// than 16 MiB is emptied behind it, unless it is being read.
    ///
    /// # Errors
    ///
    /// [`LoadError::stored`] says how much of the input is stored, [`LoadError::error`] why it is not all:
    ///
    /// - [`Error::Invalid`] names every violation of the first dataset outside the contract, by its place in the whole
    ///   input: `[17].kpis[3].name`. To find all such datasets, [validate](NewDataset::validate) them on their way in.
    ///   At `in_batches_of` for batches of 0.
    /// - [`Error::Cancelled`] if the callback said so. If it did at the very end of a load in batches, all is stored.
    /// - [`Error::OutcomeUnknown`] names one dataset, the last of the transaction: if it is there, all of them are.
    /// - The others of [`create_dataset`](Self::create_dataset).
    ///
    /// # Examples
    ///
    /// Going on where a load stopped:
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, LoadOptions, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let names = ["Water", "Waste", "Energy", "", "Employment"];
    /// let stopped = organization.load_datasets(names.map(NewDataset::new), LoadOptions::new().in_batches_of(2)).unwrap_err();
    /// assert_eq!((stopped.stored, stopped.code()), (2, "invalid"));
    /// assert_eq!(stopped.error.to_string(), "[3].name: String should have at least 1 character");
    ///
    /// let rest = names.into_iter().skip(2).filter(|name| !name.is_empty()).map(NewDataset::new);
    /// assert_eq!(organization.load_datasets(rest, LoadOptions::new())?.datasets, 2);
    /// assert_eq!(organization.count_datasets(&DatasetQuery::new())?, 4);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn load_datasets(
        &self,
        new: impl IntoIterator<Item = NewDataset>,
        options: LoadOptions<'_>,
    ) -> Result<Loaded, LoadError> {
        let started = Instant::now();
        let batch = options.batch().map_err(|error| LoadError { stored: 0, error })?;
        let mut load = Load {
            organization: self,
            new: new.into_iter().fuse(),
            batch,
            progress: options.progress,
            started,
            pulled: 0,
            written: Loaded { datasets: 0, kpis: 0, elapsed: started.elapsed() },
            stored: 0,
            is_at_end: false,
        };
        load.run().map_err(|error| LoadError { stored: load.stored, error })?;
        Ok(Loaded { elapsed: started.elapsed(), ..load.written })
    }
}

struct Load<'a, I> {
    organization: &'a Organization,
    new: Fuse<I>,
    /// The most datasets to a transaction; none if all are stored in one.
    batch: Option<u64>,
    progress: Option<ProgressCallback<'a>>,
    started: Instant,
    /// How many datasets were pulled from the iterator.
    pulled: usize,
    /// What was inserted.
    written: Loaded,
    /// How many datasets were committed.
    stored: u64,
    is_at_end: bool,
}

/// What belongs in the transaction at hand.
struct Batch {
    author: Author,
    /// How many more datasets.
    room: u64,
}

impl<I: Iterator<Item = NewDataset>> Load<'_, I> {
    fn run(&mut self) -> Result<()> {
        while !self.is_at_end {
            let mut batch = Batch { author: self.organization.author()?, room: self.batch.unwrap_or(u64::MAX) };
            let first = self.batch.map(|_| self.pull(&mut batch, false)).transpose()?;
            if self.stored > 0 && first.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            let store = &self.organization.store;
            let outcome_unknown = |last: Option<_>, source| Error::OutcomeUnknown { ids: Vec::from_iter(last), source };
            store.access().write_exclusively(|transaction| self.write(transaction, batch, first), outcome_unknown)?;
            self.stored = self.written.datasets;
            if self.batch.is_some() {
                self.tell()?;
            }
        }
        Ok(())
    }

    /// Inserts a batch, whose first chunk may have been pulled before. The id is the last one's.
    fn write(
        &mut self,
        transaction: &Transaction<'_>,
        mut batch: Batch,
        mut first: Option<Vec<Record>>,
    ) -> Result<Option<DatasetId>, Failure> {
        let mut last = None;
        loop {
            let chunk = match first.take() {
                Some(chunk) => chunk,
                None => self.pull(&mut batch, true)?,
            };
            dataset::insert(transaction, &chunk)?;
            self.written.datasets += chunk.len() as u64;
            self.written.kpis += chunk.iter().map(|record| record.dataset.kpis.len() as u64).sum::<u64>();
            last = chunk.last().map(|record| record.dataset.id).or(last);
            let is_whole = batch.room == 0;
            // In batches the end of each is told when it is stored.
            if !is_whole || self.batch.is_none() {
                self.tell()?;
            }
            if is_whole {
                return Ok(last);
            }
        }
    }

    /// Pulls the next datasets of the batch, as many as are in memory at a time; fewer, if they come slowly and can be
    /// inserted at once. Before the transaction they cannot, and what was not pulled there would be pulled inside.
    fn pull(&mut self, batch: &mut Batch, is_inside: bool) -> Result<Vec<Record>> {
        let (mut chunk, mut bytes, mut told) = (Vec::new(), 0, Instant::now());
        while batch.room > 0 && bytes < CHUNK_BYTES {
            let Some(new) = self.new.next() else {
                (batch.room, self.is_at_end) = (0, true);
                break;
            };
            let record = Record::prepare(new, batch.author, self.organization.store.ids());
            let record = record.map_err(|violations| violations.in_item(self.pulled))?;
            batch.room -= 1;
            self.pulled += 1;
            bytes += record.bytes();
            chunk.push(record);
            if told.elapsed() >= TELL_AFTER {
                if is_inside {
                    break;
                }
                self.tell()?;
                told = Instant::now();
            }
        }
        self.check_process()?;
        Ok(chunk)
    }

    fn tell(&mut self) -> Result<()> {
        let Some(progress) = &mut self.progress else { return Ok(()) };
        self.written.elapsed = self.started.elapsed();
        if progress(self.written).is_break() { Err(Error::Cancelled) } else { self.check_process() }
    }

    /// Refuses to go on in a child: the caller's code may have forked.
    fn check_process(&self) -> Result<()> {
        self.organization.store.access().check_process()
    }
}
