//! The numbers that datasets get: their order of creation in this file, which cursors name.
//!
//! A number is never given twice, whatever a tool deletes: a listing that goes on behind a deleted dataset would miss the
//! new one. Nor is it the number of a KPI whose dataset is gone, or that KPI would become part of the new dataset, which may
//! be another organization's.
//!
//! Numbers are reserved by the block: the table `counter` holds the last one that is reserved. To write it with each create
//! would cost a page more in the log, and to look for the largest number with each create a statement more (1.04 of the
//! instructions of a create of 10 KPIs). A connection gives the numbers of its block as long as no other connection has
//! written, so that numbers rise with the order of commits; what is then left of the block is never given.

/// The numbers that a connection has reserved and not given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The version of the data that they were reserved at; none before the first transaction.
    data_version: Option<i64>,
    next: i64,
    left: i64,
}

impl Numbers {
    pub(super) fn none_as_of(data_version: i64) -> Self {
        Self { data_version: Some(data_version), next: 0, left: 0 }
    }

    pub(super) fn is_as_of(&self, data_version: i64) -> bool {
        self.data_version == Some(data_version)
    }

    /// The same with a block of `count` numbers behind `last` in place of what is left.
    pub(super) fn with_block(self, last: i64, count: i64) -> Self {
        Self { next: last.saturating_add(1), left: count, ..self }
    }

    /// The first of `count` numbers, one behind the other, if as many are left.
    pub(super) fn take(&mut self, count: i64) -> Option<i64> {
        let first = self.next;
        if self.left < count {
            return None;
        }
        self.next = first.saturating_add(count);
        self.left -= count;
        Some(first)
    }
}
