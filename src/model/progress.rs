//! How far a long operation is.

use serde::Serialize;

/// How far a long operation is: bytes for a backup, datasets for a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// How much is done, at most `total`.
    pub done: u64,
    /// How much there is to do, as counted at the start.
    pub total: u64,
}

impl Progress {
    pub(crate) const fn new(done: u64, total: u64) -> Self {
        Self { done, total }
    }
}
