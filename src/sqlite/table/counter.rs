//! SQL of the `counter` table, from which numbers are reserved: [`number`](crate::sqlite::number).

use super::row::Columns;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::transaction::Snapshot;
use crate::sqlite::write_connection::Transaction;

/// In numbers. A longer block costs less for each create, and leaves more numbers unused with each opening.
const BLOCK: i64 = 64;

const LAST: &str = "
    SELECT max(last, ifnull((SELECT max(seq) FROM dataset), 0), ifnull((SELECT max(dataset_seq) FROM kpi), 0))
    FROM counter WHERE id = 1";
const RESERVE: &str = "UPDATE counter SET last = ?1 WHERE id = 1";

/// Row by row: counting a table as a whole, SQLite could not be ended.
const COUNT: &str = "SELECT count(*) FROM counter WHERE id IS NOT NULL";

/// The first of `count` numbers, one behind the other, that were never given.
pub(super) fn take(transaction: &Transaction<'_>, count: usize) -> Result<i64, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut numbers = transaction.numbers();
    let first = if let Some(first) = numbers.take(count) {
        first
    } else {
        let last = last(transaction)?;
        let block = count.max(BLOCK).min(i64::MAX - last);
        numbers = numbers.with_block(last, block);
        let first = numbers.take(count).ok_or_else(|| damaged("the numbers of datasets are used up"))?;
        transaction.connection().prepare_cached(RESERVE)?.execute([last + block])?;
        first
    };
    transaction.set_numbers(numbers);
    Ok(first)
}

/// The last number that was reserved, or that a row has.
fn last(transaction: &Transaction<'_>) -> Result<i64, Failure> {
    let mut statement = transaction.connection().prepare_cached(LAST)?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(Columns(row).integer(0)?),
        None => Err(damaged("the counter of datasets is missing").into()),
    }
}

/// What is wrong with the counter, if anything is.
pub(in crate::sqlite) fn check(snapshot: &Snapshot<'_>) -> Result<Option<&'static str>, Failure> {
    let count: i64 = snapshot.connection().query_one(COUNT, [], |row| row.get(0))?;
    Ok((count != 1).then_some("the counter of datasets does not have its one row"))
}
