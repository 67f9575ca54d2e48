//! The entries of three indexes, merged into the order of their numbers.

use std::collections::VecDeque;

use rusqlite::params;

use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::row::Columns;

// The statements name their indexes: misled by the statistics in a file, SQLite might choose others. What is not a
// number has no place in the order, and is left out.

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
    },
    /// What the row of a purge has, as far as it can be read.
    Purge {
        id: Option<DatasetId>,
        digest: Option<i64>,
    },
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
        let (created, changed, purged) = match direction {
            Direction::Upwards => (CREATED_UPWARDS, CHANGED_UPWARDS, PURGED_UPWARDS),
            Direction::Downwards => (CREATED_DOWNWARDS, CHANGED_DOWNWARDS, PURGED_DOWNWARDS),
        };
        let streams = [
            Stream::new(created, dataset, from),
            Stream::new(changed, dataset, from),
            Stream::new(purged, purge, from),
        ];
        Self { snapshot, organization, direction, streams }
    }

    /// The next entry of all indexes, or the damage of one of them.
    pub(super) fn next(&mut self) -> Result<Option<Step>, Failure> {
        for stream in &mut self.streams {
            if let Some(failure) = stream.fill(self.snapshot, self.organization, self.direction)? {
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
    read: VecDeque<Entry>,
    /// The number at which reading continues.
    from: i64,
    is_damaged: bool,
    is_ended: bool,
}

impl Stream {
    fn new(sql: &'static str, source: fn(&Columns<'_>) -> Source, from: i64) -> Self {
        Self { sql, source, read: VecDeque::new(), from, is_damaged: false, is_ended: false }
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
    ) -> Result<Option<Failure>, Failure> {
        while self.read.is_empty() && !self.is_ended {
            let failure = match self.read_batch(snapshot, organization, direction) {
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
    ) -> Result<(), Failure> {
        let mut statement = snapshot.connection().prepare_cached(self.sql)?;
        let mut rows = statement.query(params![organization.as_bytes(), self.from, direction.batch()])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let columns = Columns(row);
            let Ok(number) = columns.integer(0) else { continue };
            // On a damaged index the entries might go back and never end.
            if number != self.from && !direction.is_after(self.from, number) {
                return Err(damaged("an index is out of order").into());
            }
            self.read.push_back(Entry { number, source: (self.source)(&columns) });
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
    Source::Dataset { seq: columns.integer(1).unwrap_or_default() }
}

fn purge(columns: &Columns<'_>) -> Source {
    let (id, digest) = (columns.optional_id(1).unwrap_or_default(), columns.optional_integer(2).unwrap_or_default());
    Source::Purge { id, digest }
}
