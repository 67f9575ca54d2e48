//! The sequence numbers of datasets (`seq`): the order of creation in this file, and the position in a cursor.
//!
//! A number is never used twice, even if another tool deletes a dataset: a listing that continues after the deleted
//! dataset would miss a new one with the same number. Nor is the number of an orphaned KPI used again: that KPI would
//! become part of the new dataset, which may belong to another organization.
//!
//! Numbers are reserved in blocks: the table `counter` stores the last reserved number. Writing it with each create
//! would cost one more page in the log, and finding the largest number with each create one more statement (1.04 times
//! the instructions of a create of 10 KPIs). A connection uses the numbers of its block until another connection
//! writes, so that numbers increase in the order of commits; the rest of the block is never used. If another tool has
//! set the counter back, a change drops its block too, and reserves one behind the last change of its dataset.

use std::ops::RangeInclusive;

/// The numbers that are given. A listing in either direction begins beyond them: it would not find a dataset with the
/// smallest or the largest integer.
pub(super) const SEQS: RangeInclusive<i64> = 1..=i64::MAX - 1;

/// The numbers that a connection has reserved and not used yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReservedSeqs {
    /// The `data_version` at which they were reserved; `None` before the first transaction.
    data_version: Option<i64>,
    next: i64,
    left: i64,
}

impl ReservedSeqs {
    pub(super) fn none_as_of(data_version: i64) -> Self {
        Self { data_version: Some(data_version), next: 0, left: 0 }
    }

    pub(super) fn is_as_of(&self, data_version: i64) -> bool {
        self.data_version == Some(data_version)
    }

    /// The same, with the block of `count` numbers after `last` instead of the numbers that are left.
    pub(super) fn with_block(self, last: i64, count: i64) -> Self {
        Self { next: last.saturating_add(1), left: count, ..self }
    }

    /// Takes `count` consecutive numbers and returns the first, if that many are left and it is larger than `after`.
    pub(super) fn take(&mut self, count: i64, after: i64) -> Option<i64> {
        let first = self.next;
        if self.left < count || first <= after {
            return None;
        }
        self.next = first.saturating_add(count);
        self.left -= count;
        Some(first)
    }
}
