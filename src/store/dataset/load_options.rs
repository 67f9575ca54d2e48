//! The options, the progress, the result and the error of a load.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::model::request::rule::Rule;
use crate::model::request::violation::{Segment, Violations};

/// How [`load_datasets`](crate::Organization::load_datasets) stores its input and reports its progress.
///
/// # Examples
///
/// ```
/// use std::ops::ControlFlow;
///
/// use kpi_store::LoadOptions;
/// # use kpi_store::{NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
///
/// let options = LoadOptions::new().in_batches_of(1_000).progress(|progress| {
///     println!("{} datasets, {:.0} KPIs/s", progress.datasets, progress.kpis_per_second());
///     ControlFlow::Continue(())
/// });
/// let loaded = organization.load_datasets(["Water", "Waste"].map(NewDataset::new), options)?;
/// assert_eq!(loaded.datasets, 2);
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct LoadOptions<'a> {
    batch: Option<u32>,
    pub(super) progress: Option<ProgressCallback<'a>>,
}

/// A caller's progress callback, which decides whether to continue.
pub(super) type ProgressCallback<'a> = Box<dyn FnMut(Loaded) -> ControlFlow<()> + 'a>;

impl<'a> LoadOptions<'a> {
    /// All or nothing in one transaction, without progress reports.
    pub fn new() -> Self {
        Self::default()
    }

    /// In batches of this many datasets, at least 1; the last batch may have fewer. 0 is rejected when the load starts.
    ///
    /// Each batch is a transaction: before the next one begins, all of it is stored, as durably as the store's
    /// [`Durability`](crate::Durability) promises, or nothing. Other writers proceed between batches.
    pub fn in_batches_of(mut self, datasets: u32) -> Self {
        self.batch = Some(datasets);
        self
    }

    /// Calls back with the progress about 100 times per second, between two datasets of the input, and at the end.
    ///
    /// The callback runs in the thread that loads. If it returns [`Break`](ControlFlow::Break), the load fails with
    /// [`Cancelled`](Error::Cancelled).
    pub fn progress(mut self, progress: impl FnMut(Loaded) -> ControlFlow<()> + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// The maximum number of datasets in a transaction; `None` if all are stored in one.
    pub(in crate::store) fn batch(&self) -> Result<Option<u64>> {
        if self.batch == Some(0) {
            let path = vec![Segment::key("options"), Segment::key("in_batches_of")];
            return Err(Violations::one(path, Rule::GreaterThanEqual { ge: 1 }).into());
        }
        Ok(self.batch.map(u64::from))
    }
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// The amount that a load has written: so far in its progress, in all in its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loaded {
    /// The number of written datasets; they are stored once their transaction is committed.
    pub datasets: u64,
    /// The number of their KPIs.
    pub kpis: u64,
    /// The time since the load started. In JSON `elapsed_ms`, in whole milliseconds.
    #[serde(rename = "elapsed_ms", serialize_with = "in_milliseconds")]
    pub elapsed: Duration,
}

impl Loaded {
    /// Datasets per second; 0 before any time has passed.
    #[must_use]
    pub fn datasets_per_second(&self) -> f64 {
        per_second(self.datasets, self.elapsed)
    }

    /// KPIs per second; 0 before any time has passed.
    #[must_use]
    pub fn kpis_per_second(&self) -> f64 {
        per_second(self.kpis, self.elapsed)
    }
}

fn in_milliseconds<S: Serializer>(time: &Duration, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a rate is not a count")]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// Why a load stopped, and how many datasets are stored.
///
/// It converts to a plain [`Error`], which keeps only the reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the load stopped; {stored} datasets are stored")]
#[non_exhaustive]
pub struct LoadError {
    /// The number of datasets that are stored: the first ones of the input, after which another load can resume. 0 for
    /// a load that is all or nothing.
    ///
    /// Nothing else is stored, except after [`OutcomeUnknown`](Error::OutcomeUnknown): then the next batch may be
    /// stored.
    pub stored: u64,
    /// Why the load stopped.
    #[source]
    pub error: Error,
}

impl LoadError {
    /// The [code](Error::code) of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.error.code()
    }
}

/// Nothing is stored. For a function that returns [`LoadError`] and validates its input before the load.
impl From<Violations> for LoadError {
    fn from(violations: Violations) -> Self {
        Error::from(violations).into()
    }
}

/// Nothing is stored.
impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        Self { stored: 0, error }
    }
}

impl From<LoadError> for Error {
    fn from(stopped: LoadError) -> Self {
        stopped.error
    }
}
