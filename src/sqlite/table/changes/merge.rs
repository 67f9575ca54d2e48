//! The entries of three indexes, merged into the order of their numbers.

use std::collections::VecDeque;
use std::sync::LazyLock;

use rusqlite::{Row, params};

use super::{Read, change};
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::dataset::{HeadReader, column};
use crate::sqlite::table::row::Columns;

// The statements name their indexes: misled by the statistics in a file, SQLite might choose others. What is not a
// number has no position in the order, and is left out.

const CREATED_UPWARDS: &str = "
    SELECT seq, seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq BETWEEN ?2 AND 9223372036854775807
    ORDER BY seq LIMIT ?3";
const CREATED_DOWNWARDS: &str = "
    SELECT seq, seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq BETWEEN 1 AND ?2
    ORDER BY seq DESC LIMIT ?3";
const CHANGED_UPWARDS: &str = "
    SELECT changed, seq FROM dataset INDEXED BY dataset_by_change
    WHERE organization_id = ?1 AND changed BETWEEN ?2 AND 9223372036854775807
    ORDER BY changed LIMIT ?3";
const CHANGED_DOWNWARDS: &str = "
    SELECT changed, seq FROM dataset INDEXED BY dataset_by_change
    WHERE organization_id = ?1 AND changed BETWEEN 1 AND ?2
    ORDER BY changed DESC LIMIT ?3";
const PURGED_UPWARDS: &str = "
    SELECT change, id, digest FROM purged_dataset INDEXED BY sqlite_autoindex_purged_dataset_1
    WHERE organization_id = ?1 AND change BETWEEN ?2 AND 9223372036854775807
    ORDER BY change LIMIT ?3";
const PURGED_DOWNWARDS: &str = "
    SELECT change, id, digest FROM purged_dataset INDEXED BY sqlite_autoindex_purged_dataset_1
    WHERE organization_id = ?1 AND change BETWEEN 1 AND ?2
    ORDER BY change DESC LIMIT ?3";

/// The entries with the rows that they lead to. A statement for each row would cost more than reading it.
static CREATED_WITH_ROWS: LazyLock<String> = LazyLock::new(|| with_rows(CREATED_UPWARDS, |_| true));
static CHANGED_WITH_ROWS: LazyLock<String> = LazyLock::new(|| with_rows(CHANGED_UPWARDS, super::is_of_state));

/// These columns of the rows, with null in place of the others, and then the columns of the entries. The rows are
/// joined by their number, since SQLite would read columns that the index has from the index.
fn with_rows(entries: &str, is_read: impl Fn(usize) -> bool) -> String {
    format!(
        "WITH entry (number, seq) AS ({entries}) SELECT {}, entry.number, entry.seq \
         FROM entry LEFT JOIN dataset AS d NOT INDEXED ON d.seq = entry.seq",
        super::columns("d.", is_read)
    )
}

/// In which direction of the numbers to go.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Upwards,
    Downwards,
}

impl Direction {
    /// How many entries of an index are read at once: of the last ones only the first intact one is wanted.
    fn batch(self) -> i64 {
        match self {
            Direction::Upwards => 128,
            Direction::Downwards => 1,
        }
    }

    fn is_after(self, other: i64, number: i64) -> bool {
        match self {
            Direction::Upwards => number > other,
            Direction::Downwards => number < other,
        }
    }
}

/// An entry of an index.
pub(super) struct Entry {
    /// The number of a creation, a change or a purge.
    pub(super) number: i64,
    pub(super) source: Source,
}

/// The row to which an entry leads.
pub(super) enum Source {
    Dataset {
        seq: i64,
        /// The change, if the row was read with the entry and proves it.
        read: Option<Read>,
    },
    /// The values of the row of a purge that can be read.
    Purge { id: Option<DatasetId>, digest: Option<i64> },
}

pub(super) enum Step {
    Entry(Entry),
    /// An index is damaged at this number: entries that follow it may be missing.
    Damaged(i64, Failure),
}

/// The entries of an organization in all indexes, in one order.
pub(super) struct Merge<'a> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    direction: Direction,
    heads: HeadReader,
    streams: [Stream; 3],
}

impl<'a> Merge<'a> {
    /// Begins with the entry that has the number `from`.
    pub(super) fn new(
        snapshot: &'a Snapshot<'a>,
        organization: OrganizationId,
        direction: Direction,
        from: i64,
    ) -> Self {
        let streams = match direction {
            Direction::Upwards => [
                Stream::with_rows(&CREATED_WITH_ROWS, CREATED_UPWARDS, from),
                Stream::with_rows(&CHANGED_WITH_ROWS, CHANGED_UPWARDS, from),
                Stream::new(PURGED_UPWARDS, purge, from),
            ],
            Direction::Downwards => [
                Stream::new(CREATED_DOWNWARDS, dataset, from),
                Stream::new(CHANGED_DOWNWARDS, dataset, from),
                Stream::new(PURGED_DOWNWARDS, purge, from),
            ],
        };
        Self { snapshot, organization, direction, heads: HeadReader::new(), streams }
    }

    /// The next entry of all indexes, or the damage of one of them.
    pub(super) fn next(&mut self) -> Result<Option<Step>, Failure> {
        for stream in &mut self.streams {
            if let Some(failure) = stream.fill(self.snapshot, self.organization, self.direction, &mut self.heads)? {
                return Ok(Some(Step::Damaged(stream.from, failure)));
            }
        }
        let numbers = self.streams.iter().filter_map(Stream::number);
        let first = match self.direction {
            Direction::Upwards => numbers.min(),
            Direction::Downwards => numbers.max(),
        };
        let stream = self.streams.iter_mut().find(|stream| first.is_some() && stream.number() == first);
        Ok(stream.and_then(|stream| stream.read.pop_front()).map(Step::Entry))
    }
}

/// The entries of one index.
struct Stream {
    sql: &'static str,
    source: fn(&Columns<'_>) -> Source,
    /// The statement that reads the rows of datasets, too, as long as it meets no damage.
    with_rows: Option<&'static str>,
    read: VecDeque<Entry>,
    /// The number at which reading continues.
    from: i64,
    is_damaged: bool,
    is_ended: bool,
}

impl Stream {
    fn new(sql: &'static str, source: fn(&Columns<'_>) -> Source, from: i64) -> Self {
        Self { sql, source, with_rows: None, read: VecDeque::new(), from, is_damaged: false, is_ended: false }
    }

    fn with_rows(with_rows: &'static str, sql: &'static str, from: i64) -> Self {
        Self { with_rows: Some(with_rows), ..Self::new(sql, dataset, from) }
    }

    fn number(&self) -> Option<i64> {
        self.read.front().map(|entry| entry.number)
    }

    /// Reads the next entries, unless some are left. Returns the first damage that it meets, behind which it searches
    /// for the next number.
    fn fill(
        &mut self,
        snapshot: &Snapshot<'_>,
        organization: OrganizationId,
        direction: Direction,
        heads: &mut HeadReader,
    ) -> Result<Option<Failure>, Failure> {
        while self.read.is_empty() && !self.is_ended {
            let failure = match self.read_batch(snapshot, organization, direction, heads) {
                Err(failure) if snapshot.is_damage(&failure) => failure,
                read => {
                    read?;
                    continue;
                }
            };
            self.is_ended |= self.read.is_empty();
            if !std::mem::replace(&mut self.is_damaged, true) {
                return Ok(Some(failure));
            }
        }
        Ok(None)
    }

    fn read_batch(
        &mut self,
        snapshot: &Snapshot<'_>,
        organization: OrganizationId,
        direction: Direction,
        heads: &mut HeadReader,
    ) -> Result<(), Failure> {
        let mut statement = snapshot.connection().prepare_cached(self.with_rows.unwrap_or(self.sql))?;
        let mut rows = statement.query(params![organization.as_bytes(), self.from, direction.batch()])?;
        let mut count = 0;
        loop {
            let row = match rows.next().map_err(Failure::from) {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // The damage may be that of one row. The entries from here on are read alone.
                Err(failure) if self.with_rows.is_some() && snapshot.is_damage(&failure) => {
                    self.with_rows = None;
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            };
            count += 1;
            let columns = Columns(row);
            let number = columns.integer(if self.with_rows.is_some() { NUMBER } else { 0 });
            let Ok(number) = number else { continue };
            // On a damaged index the entries might go back and never end.
            if number != self.from && !direction.is_after(self.from, number) {
                return Err(damaged("an index is out of order").into());
            }
            let source = match self.with_rows {
                Some(_) => dataset_with_row(row, organization, heads, number),
                None => (self.source)(&columns),
            };
            self.read.push_back(Entry { number, source });
            let next = match direction {
                Direction::Upwards => number.checked_add(1),
                Direction::Downwards => number.checked_sub(1),
            };
            match next {
                Some(next) => self.from = next,
                None => self.is_ended = true,
            }
        }
        self.is_ended |= count < direction.batch() || self.read.is_empty();
        Ok(())
    }
}

fn dataset(columns: &Columns<'_>) -> Source {
    // No dataset has the number 0.
    Source::Dataset { seq: columns.integer(1).unwrap_or_default(), read: None }
}

/// The first column of the entry behind those of its row.
const NUMBER: usize = column::NAMES.len();

fn dataset_with_row(row: &Row<'_>, organization: OrganizationId, heads: &mut HeadReader, number: i64) -> Source {
    let seq = Columns(row).integer(NUMBER + 1).unwrap_or_default();
    Source::Dataset { seq, read: change(row, organization, heads, seq, number).ok() }
}

fn purge(columns: &Columns<'_>) -> Source {
    let (id, digest) = (columns.optional_id(1).unwrap_or_default(), columns.optional_integer(2).unwrap_or_default());
    Source::Purge { id, digest }
}
