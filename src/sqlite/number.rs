//! The sequence numbers of datasets (`seq`): the order of creation in this file, and the position in a cursor.
//!
//! A number is never used twice, even if another tool deletes a dataset: a listing that continues after the deleted
//! dataset would miss a new one with the same number. Nor is the number of an orphaned KPI used again: that KPI would
//! become part of the new dataset, which may belong to another organization.
//!
//! Numbers are reserved in blocks: the table `counter` stores the last reserved number. Writing it with each create
//! would cost one more page in the log, and finding the largest number with each create one more statement (1.04 times
//! the instructions of a create of 10 KPIs). A connection uses the numbers of its block until another connection
//! writes, so that numbers increase in the order of commits; the rest of the block is never used.

use super::failure::{Failure, damaged};
use super::table::row::Columns;
use super::transaction::{Snapshot, Transaction};

/// The size of a block. A larger block costs less for each create, and leaves more numbers unused after each opening.
const BLOCK: i64 = 64;

/// The numbers that a connection has reserved and not used yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// The `data_version` at which they were reserved; `None` before the first transaction.
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

/// What is wrong with the table `counter`, if anything.
pub(super) fn check(snapshot: &Snapshot<'_>) -> Result<Option<&'static str>, Failure> {
    let count: i64 = snapshot.connection().query_one("SELECT count(*) FROM counter", [], |row| row.get(0))?;
    Ok((count != 1).then_some("the table counter must have exactly one row"))
}

/// Takes `count` consecutive unused numbers and returns the first.
pub(super) fn take(transaction: &Transaction<'_>, count: usize) -> Result<i64, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut numbers = transaction.numbers();
    if numbers.end - numbers.next < count {
        let connection = transaction.connection();
        let mut statement = connection.prepare_cached(LAST)?;
        let mut rows = statement.query([])?;
        let last = match rows.next()? {
            Some(row) => Columns(row).integer(0)?,
            None => return Err(damaged("the table counter has no row").into()),
        };
        drop(rows);
        let reserved =
            last.checked_add(count.max(BLOCK)).ok_or_else(|| damaged("no sequence number is left for a dataset"))?;
        connection.prepare_cached(RESERVE)?.execute([reserved])?;
        (numbers.next, numbers.end) = (last + 1, reserved + 1);
    }
    let first = numbers.next;
    numbers.next += count;
    transaction.set_numbers(numbers);
    Ok(first)
}
