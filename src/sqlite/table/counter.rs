//! SQL of the `counter` table, from which the numbers of datasets and changes are reserved:
//! [`sequence`](crate::sqlite::sequence).

use rusqlite::Connection;

use super::changes;
use super::row::Columns;
use crate::model::ids::OrganizationId;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::sequence::SEQS;
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

/// The size of a block. A larger block costs less for each create, and leaves more numbers unused after each opening.
const BLOCK: i64 = 64;

const LAST: &str = "
    SELECT last, (SELECT max(seq) FROM dataset), (SELECT max(dataset_seq) FROM kpi) FROM counter WHERE id = 1";
const NO_ROW: &str = "the table counter has no row";
const RESERVE: &str = "UPDATE counter SET last = ?1 WHERE id = 1";

const SELECT: &str = "SELECT last, generation FROM counter WHERE id = 1";
const DRAW_GENERATION: &str = "UPDATE counter SET generation = random() WHERE id = 1";

/// Counts row by row, because counting a whole table is one step of SQLite that cannot be interrupted.
const COUNT: &str = "
    SELECT count(*), ifnull(min(id = 1 AND typeof(last) = 'integer' AND last BETWEEN 0 AND ?1
            AND typeof(generation) = 'integer'), 0),
        max(last) >= ?2
    FROM counter WHERE id IS NOT NULL";

/// Takes `count` consecutive unused numbers and returns the first. It is larger than `after`, also if another tool has
/// set the counter back: then the numbers before it are skipped. A new block begins behind all changes of the
/// organization, of which a reader would otherwise miss those of the block.
pub(super) fn take(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    count: usize,
    after: i64,
) -> Result<i64, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut numbers = transaction.numbers();
    let first = if let Some(first) = numbers.take(count, after) {
        first
    } else {
        let last = last(transaction)?.max(changes::last_number(transaction, organization)?).max(after);
        let block = count.max(BLOCK).min(SEQS.end().saturating_sub(last));
        numbers = numbers.with_block(last, block);
        let first = numbers.take(count, after).ok_or_else(|| damaged("no number is left for a dataset or a change"))?;
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
        Some(row) => {
            let columns = Columns(row);
            let last = columns.integer(0)?.max(columns.optional_integer(1)?.unwrap_or_default());
            // In a damaged row it may be anything, and belongs to no dataset.
            Ok(last.max(columns.optional_integer(2).unwrap_or_default().unwrap_or_default()))
        }
        None => Err(damaged(NO_ROW).into()),
    }
}

/// The row of the table.
#[derive(Clone, Copy)]
pub(super) struct Counter {
    /// The last reserved number.
    pub(super) last: i64,
    /// The generation of the file, of which the numbers count the changes.
    pub(super) generation: i64,
}

pub(super) fn read(snapshot: &Snapshot<'_>) -> Result<Counter, Failure> {
    let mut statement = snapshot.connection().prepare_cached(SELECT)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Err(damaged(NO_ROW).into()) };
    Ok(Counter { last: Columns(row).integer(0)?, generation: Columns(row).integer(1)? })
}

/// Draws another generation: cursors of changes of the previous one become invalid.
pub(in crate::sqlite) fn draw_generation(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached(DRAW_GENERATION)?.execute([]).map(drop)
}

/// The damage of the table `counter`, if there is any. `last_change` is the largest number of a
/// change or a purge.
pub(in crate::sqlite) fn check(snapshot: &Snapshot<'_>, last_change: i64) -> Result<Option<&'static str>, Failure> {
    let counts: (i64, i64, Option<bool>) =
        snapshot
            .connection()
            .query_one(COUNT, [*SEQS.end(), last_change], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(match counts {
        (1, 1, Some(false)) => Some("the table counter is behind a number that is in use"),
        (1, 1, _) => None,
        (1, ..) => Some("the table counter has a value that is never written"),
        _ => Some("the table counter must have exactly one row"),
    })
}
