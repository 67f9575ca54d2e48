//! A write, as its caller hands it over to whichever thread writes.

use crate::error::{Error, Source};
use crate::sqlite::failure::Failure;
use crate::sqlite::write_connection::Transaction;

/// A job that writes more is run in a transaction of its own: those that share a transaction with it would wait for all of
/// it. In bytes: some 250 KPIs with short texts, which are inserted in the time of a few waits for the disk.
const SMALL_MAX: usize = 64 * 1024;

/// A write. It owns all that it needs, so that another thread can run it.
///
/// Nothing of the application's runs in it: requests are validated, iterators drained, clock and ids asked before.
pub(crate) trait Job: Send + 'static {
    type Output: Send + 'static;

    /// Does the work, inside a transaction. It may be called again after what it did was rolled back.
    fn run(&self, transaction: &Transaction<'_>) -> Result<Self::Output, Failure>;

    /// About how many bytes it writes.
    fn bytes(&self) -> usize;

    /// The error of a commit that failed and may still have happened.
    fn outcome_unknown(&self, source: Option<Source>) -> Error;

    /// Whether it may share a transaction with others.
    fn is_small(&self) -> bool {
        self.bytes() <= SMALL_MAX
    }
}
