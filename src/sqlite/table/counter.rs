//! SQL of the `counter` table, from which sequence numbers are reserved: [`sequence`](crate::sqlite::sequence).

use super::row::Columns;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

/// The size of a block. A larger block costs less for each create, and leaves more numbers unused after each opening.
const BLOCK: i64 = 64;

const LAST: &str = "
    SELECT max(last, ifnull((SELECT max(seq) FROM dataset), 0), ifnull((SELECT max(dataset_seq) FROM kpi), 0))
    FROM counter WHERE id = 1";
const RESERVE: &str = "UPDATE counter SET last = ?1 WHERE id = 1";

/// Counts row by row, because counting a whole table is one step of SQLite that cannot be interrupted.
const COUNT: &str = "SELECT count(*) FROM counter WHERE id IS NOT NULL";

/// Takes `count` consecutive unused numbers and returns the first.
pub(super) fn take(transaction: &Transaction<'_>, count: usize) -> Result<i64, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut numbers = transaction.numbers();
    let first = if let Some(first) = numbers.take(count) {
        first
    } else {
        let last = last(transaction)?;
        let block = count.max(BLOCK).min(i64::MAX - last);
        numbers = numbers.with_block(last, block);
        let first = numbers.take(count).ok_or_else(|| damaged("no sequence number is left for a dataset"))?;
        transaction.connection().prepare_cached(RESERVE)?.execute([last + block])?;
        first
    };
    transaction.set_numbers(numbers);
    Ok(first)
}

/// The last number that was reserved or is in use.
fn last(transaction: &Transaction<'_>) -> Result<i64, Failure> {
    let mut statement = transaction.connection().prepare_cached(LAST)?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(Columns(row).integer(0)?),
        None => Err(damaged("the table counter has no row").into()),
    }
}

/// The damage of the table `counter`, if there is any.
pub(in crate::sqlite) fn check(snapshot: &Snapshot<'_>) -> Result<Option<&'static str>, Failure> {
    let count: i64 = snapshot.connection().query_one(COUNT, [], |row| row.get(0))?;
    Ok((count != 1).then_some("the table counter must have exactly one row"))
}
