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

use super::failure::{Failure, damaged};
use super::table::row::Columns;
use super::transaction::{Snapshot, Transaction};

/// In numbers. A longer block costs less for each create, and leaves more numbers unused with each opening.
const BLOCK: i64 = 64;

/// The numbers that a connection has reserved and not given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The version of the data that they were reserved at; none before the first transaction.
    data_version: Option<i64>,
    next: i64,
    end: i64,
}

impl Numbers {
    pub(super) fn none_as_of(data_version: i64) -> Self {
        Self { data_version: Some(data_version), next: 0, end: 0 }
    }

    pub(super) fn is_as_of(&self, data_version: i64) -> bool {
        self.data_version == Some(data_version)
    }
}

const LAST: &str = "
    SELECT max(last, ifnull((SELECT max(seq) FROM dataset), 0), ifnull((SELECT max(dataset_seq) FROM kpi), 0))
    FROM counter";
const RESERVE: &str = "UPDATE counter SET last = ?1";

/// What is wrong with the counter, if anything is.
pub(super) fn check(snapshot: &Snapshot<'_>) -> Result<Option<&'static str>, Failure> {
    let count: i64 = snapshot.connection().query_one("SELECT count(*) FROM counter", [], |row| row.get(0))?;
    Ok((count != 1).then_some("the counter of datasets does not have its one row"))
}

/// So many numbers, one behind the other, that were never given: the first of them.
pub(super) fn take(transaction: &Transaction<'_>, count: usize) -> Result<i64, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut numbers = transaction.numbers();
    if numbers.end - numbers.next < count {
        let connection = transaction.connection();
        let mut statement = connection.prepare_cached(LAST)?;
        let mut rows = statement.query([])?;
        let last = match rows.next()? {
            Some(row) => Columns(row).integer(0)?,
            None => return Err(damaged("the counter of datasets is missing").into()),
        };
        drop(rows);
        let reserved =
            last.checked_add(count.max(BLOCK)).ok_or_else(|| damaged("the numbers of datasets are used up"))?;
        connection.prepare_cached(RESERVE)?.execute([reserved])?;
        (numbers.next, numbers.end) = (last + 1, reserved + 1);
    }
    let first = numbers.next;
    numbers.next += count;
    transaction.set_numbers(numbers);
    Ok(first)
}
