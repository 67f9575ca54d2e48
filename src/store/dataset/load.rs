//! Loading any number of datasets with bounded memory.
//!
//! The input is pulled in chunks that are validated, inserted and dropped. In a load in batches the first chunk of each
//! batch is pulled before the transaction begins, so that code of the caller usually runs while no lock is held. The
//! rest of a batch that is larger than a chunk, and the whole input of an all-or-nothing load, are pulled inside the
//! transaction. The alternatives were to keep the input in memory, which has no bound, or in a temporary file, which
//! writes everything twice.
//!
//! A store in memory has a single connection, for which its code would wait when it calls the store. But there the data
//! must fit in memory anyway, so the whole input of a transaction is pulled before it begins.

use std::iter::Fuse;
use std::time::{Duration, Instant};

use super::load_options::{LoadError, LoadOptions, Loaded, ProgressCallback};
use crate::error::{Error, Result};
use crate::model::ids::DatasetId;
use crate::model::new_dataset::NewDataset;
use crate::model::record::{Author, Record};
use crate::sqlite::failure::Failure;
use crate::sqlite::table::dataset;
use crate::sqlite::transaction::Transaction;
use crate::store::organization::Organization;

/// A chunk ends with the dataset that makes it this large: about a thousand KPIs, or a few dozen with long texts. A
/// larger chunk is not inserted faster.
const CHUNK_BYTES: usize = 256 * 1024;

/// The interval of progress reports while the input is slow.
const REPORT_INTERVAL: Duration = Duration::from_millis(10);

impl Organization {
    /// Stores any number of datasets, in the order of the iterator: all or nothing, or in batches.
    ///
    /// About 256 KiB of the input are in memory at a time, however long it is. The load does not return the stored
    /// datasets; to know their ids, [set](NewDataset::id) them.
    ///
    /// - **All or nothing** is one transaction. The iterator, the progress callback and the id source run inside it, in
    ///   the calling thread. Other writers wait until it ends, or fail after their busy timeouts; readers do not wait.
    ///   A call from inside to this store that writes fails with [`Error::Busy`] at once.
    /// - **[In batches](LoadOptions::in_batches_of)** each batch is a transaction; other writers proceed between
    ///   batches. The iterator and the callback run between transactions, and for a batch of more than 256 KiB also
    ///   inside.
    ///
    /// A store in memory takes the whole input of a transaction, and reports it as progress, before the transaction
    /// begins: no other call waits meanwhile, and every call from inside is answered.
    ///
    /// The clock is read once for each transaction. A panic in the caller's code is propagated: the current transaction
    /// is rolled back, and the store stays usable. A write-ahead log that is longer than 32 MiB after a transaction is
    /// truncated, unless a reader uses it.
    ///
    /// # Errors
    ///
    /// [`LoadError::stored`] is the number of datasets that are stored, [`LoadError::error`] the reason why the load
    /// stopped:
    ///
    /// - [`Error::Invalid`] lists every violation of the first dataset that breaks the contract; each path begins with
    ///   the index in the whole input: `[17].kpis[3].name`. To find all such datasets, [validate](NewDataset::validate)
    ///   them before. With batches of 0 datasets the path is `in_batches_of`.
    /// - [`Error::Cancelled`] if the callback cancelled the load. If it did so after the last batch, everything is
    ///   stored.
    /// - [`Error::OutcomeUnknown`] names the last dataset of the transaction: if it exists, all of the transaction is
    ///   stored.
    /// - The others of [`create_dataset`](Self::create_dataset).
    ///
    /// # Examples
    ///
    /// Resuming a load that stopped:
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
            is_in_memory: self.store.path().is_none(),
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
    /// The maximum number of datasets in a transaction; `None` if all are stored in one.
    batch: Option<u64>,
    /// Whether the whole input of a transaction is pulled before it begins.
    is_in_memory: bool,
    progress: Option<ProgressCallback<'a>>,
    started: Instant,
    /// The number of datasets that were pulled from the iterator.
    pulled: usize,
    /// The number of inserted datasets and KPIs, committed or not; in memory those about to be inserted are included.
    written: Loaded,
    /// The number of datasets that were committed.
    stored: u64,
    is_at_end: bool,
}

/// The datasets of the current transaction.
struct Batch {
    author: Author,
    /// How many more datasets to pull.
    left: u64,
}

impl<I: Iterator<Item = NewDataset>> Load<'_, I> {
    fn run(&mut self) -> Result<()> {
        while !self.is_at_end {
            let mut batch = Batch { author: self.organization.author()?, left: self.batch.unwrap_or(u64::MAX) };
            if self.batch.is_none() {
                // Nothing is pulled for a store that is closed.
                self.organization.store.access().check_open()?;
            }
            let first = match self.batch {
                _ if self.is_in_memory => Some(self.pull_all(&mut batch)?),
                Some(_) => Some(self.pull(&mut batch, false)?),
                None => None,
            };
            if self.stored > 0 && first.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            let store = &self.organization.store;
            let outcome_unknown =
                |last: Option<_>, source| Error::OutcomeUnknown { ids: Vec::from_iter(last), updated_at: None, source };
            store.access().write_exclusively(|transaction| self.write(transaction, batch, first), outcome_unknown)?;
            self.stored = self.written.datasets;
            if self.batch.is_some() {
                self.report()?;
            }
        }
        Ok(())
    }

    /// Inserts a batch, whose first chunk may have been pulled before. Returns the id of its last dataset.
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
            last = chunk.last().map(|record| record.dataset.id).or(last);
            if !self.is_in_memory {
                self.count(&batch, &chunk)?;
            }
            if batch.left == 0 {
                return Ok(last);
            }
        }
    }

    /// Pulls the whole batch.
    fn pull_all(&mut self, batch: &mut Batch) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        loop {
            let chunk = self.pull(batch, self.batch.is_none())?;
            self.count(batch, &chunk)?;
            all.extend(chunk);
            if batch.left == 0 {
                return Ok(all);
            }
        }
    }

    /// Counts a chunk as written, and reports it. In a load in batches, the end of a batch is reported after its
    /// commit.
    fn count(&mut self, batch: &Batch, chunk: &[Record]) -> Result<()> {
        self.written.datasets += chunk.len() as u64;
        self.written.kpis += chunk.iter().map(|record| record.dataset.kpis.len() as u64).sum::<u64>();
        if batch.left > 0 || self.batch.is_none() { self.report() } else { Ok(()) }
    }

    /// Pulls the next chunk of the batch. If the input is slow and the chunk `may_end_early`, it does, so that it is
    /// inserted and reported at once. The first chunk of a batch may not, since the rest would be pulled inside the
    /// transaction.
    fn pull(&mut self, batch: &mut Batch, may_end_early: bool) -> Result<Vec<Record>> {
        let (mut chunk, mut bytes, mut reported) = (Vec::new(), 0, Instant::now());
        while batch.left > 0 && bytes < CHUNK_BYTES {
            let Some(new) = self.new.next() else {
                (batch.left, self.is_at_end) = (0, true);
                break;
            };
            let record = Record::prepare(new, batch.author, self.organization.store.ids());
            let record = record.map_err(|violations| violations.in_item(self.pulled))?;
            batch.left -= 1;
            self.pulled += 1;
            bytes += record.bytes();
            chunk.push(record);
            if reported.elapsed() >= REPORT_INTERVAL {
                if may_end_early {
                    break;
                }
                self.report()?;
                reported = Instant::now();
            }
        }
        self.check_process()?;
        Ok(chunk)
    }

    fn report(&mut self) -> Result<()> {
        let Some(progress) = &mut self.progress else { return Ok(()) };
        self.written.elapsed = self.started.elapsed();
        if progress(self.written).is_break() { Err(Error::Cancelled) } else { self.check_process() }
    }

    /// Fails in a forked child: the caller's code may have forked.
    fn check_process(&self) -> Result<()> {
        self.organization.store.access().check_process()
    }
}
