//! What a load is told, what it tells meanwhile, and how it ends.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::model::rule::Rule;
use crate::model::violation::{Segment, Violations};

/// How [`load_datasets`](crate::Organization::load_datasets) stores its input, and whom it tells how far it is.
///
/// # Examples
///
/// ```
/// use std::ops::ControlFlow;
///
/// use kpi_store::LoadOptions;
///
/// let options = LoadOptions::new().in_batches_of(1_000).progress(|progress| {
///     println!("{} datasets, {:.0} KPIs/s", progress.datasets, progress.kpis_per_second());
///     ControlFlow::Continue(())
/// });
/// ```
#[derive(Default)]
#[must_use]
pub struct LoadOptions<'a> {
    batch: Option<u32>,
    pub(super) progress: Option<ProgressCallback<'a>>,
}

/// A caller's callback: told the progress, it says whether to go on.
pub(super) type ProgressCallback<'a> = Box<dyn FnMut(Loaded) -> ControlFlow<()> + 'a>;

impl<'a> LoadOptions<'a> {
    /// All or nothing: one transaction, told to nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// In batches of so many datasets, from 1; the last may have fewer. 0 is refused where the options are used.
    ///
    /// Each batch is a transaction: all of it is stored or nothing, as durably as the store's
    /// [`Durability`](crate::Durability) says, before the next begins. Other writers are served in between.
    pub fn in_batches_of(mut self, datasets: u32) -> Self {
        self.batch = Some(datasets);
        self
    }

    /// Tells how far the load is: some hundred times a second, between two datasets of the input, and at the end. It is
    /// called in the thread that loads. When it answers [`Break`](ControlFlow::Break) the load ends as
    /// [`Cancelled`](Error::Cancelled).
    pub fn progress(mut self, progress: impl FnMut(Loaded) -> ControlFlow<()> + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// The most datasets to a transaction; none if all are stored in one.
    pub(in crate::store) fn batch(&self) -> Result<Option<u64>> {
        if self.batch == Some(0) {
            let place = vec![Segment::key("options"), Segment::key("in_batches_of")];
            return Err(Violations::one(place, Rule::GreaterThanEqual { ge: 1 }).into());
        }
        Ok(self.batch.map(u64::from))
    }
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// What a load has written: so far, as its progress, or all of its input, as its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loaded {
    /// How many datasets were written; they are stored once their transaction is.
    pub datasets: u64,
    /// How many KPIs they have.
    pub kpis: u64,
    /// How long the load has run. In JSON `elapsed_ms`, whole milliseconds.
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

/// Why a load ended before all was stored, and how much is.
///
/// As a plain [`Error`], which it becomes by `?`, it says only why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the load stopped; {stored} datasets are stored")]
#[non_exhaustive]
pub struct LoadError {
    /// How many datasets of the input, from its start, are stored: the load can go on behind them. 0 if it was to store
    /// all or nothing.
    ///
    /// Nothing else is stored, unless the error is [`OutcomeUnknown`](Error::OutcomeUnknown): then it is open whether
    /// the batch behind these is.
    pub stored: u64,
    /// Why it stopped.
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

/// Nothing is stored: for a function that fails with [`LoadError`] and first reads its input.
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
