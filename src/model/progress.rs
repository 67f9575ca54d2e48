//! The progress of a long operation.

use serde::Serialize;

/// The progress of a long operation, in bytes for a backup or a compaction and in datasets for a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The amount that is done, at most `total`.
    pub done: u64,
    /// The total amount, as counted at the start.
    pub total: u64,
}

impl Progress {
    pub(crate) const fn new(done: u64, total: u64) -> Self {
        Self { done, total }
    }
}
