//! A write, packaged so that any thread can run it.

use crate::error::{Error, Source};
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::Transaction;

/// A job that writes more than this never shares a transaction, because the other jobs would wait for all of it. In
/// bytes: about 250 KPIs with short texts, which are inserted in the time of a few syncs.
const SMALL_MAX: usize = 64 * 1024;

/// A write. It owns everything that it needs, so that another thread can run it.
///
/// It runs no code of the application: requests are validated, iterators drained, the time and the ids obtained before.
pub(crate) trait Job: Send + 'static {
    type Output: Send + 'static;

    /// Does the work inside a transaction. It may be called again after the transaction was rolled back.
    fn run(&self, transaction: &Transaction<'_>) -> Result<Self::Output, Failure>;

    /// The approximate number of bytes that it writes.
    fn bytes(&self) -> usize;

    /// The error of a commit whose outcome is unknown.
    fn outcome_unknown(&self, output: Self::Output, source: Option<Source>) -> Error;

    /// Whether it may share a transaction with others.
    fn is_small(&self) -> bool {
        self.bytes() <= SMALL_MAX
    }
}
