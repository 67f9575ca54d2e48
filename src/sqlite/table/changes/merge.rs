//! The entries of three indexes, merged into the order of their numbers.

use rusqlite::{CachedStatement, Rows, params};

use crate::model::cursor::Order;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::row::Columns;

// The statements name their indexes: misled by the statistics in a file, SQLite might choose others. What is not an
// integer has no place in the order, and is left out.

const CREATED_UPWARDS: &str = "
    SELECT seq, seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq BETWEEN ?2 AND 9223372036854775807
    ORDER BY seq";
const CREATED_DOWNWARDS: &str = "
    SELECT seq, seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq BETWEEN 1 AND ?2
    ORDER BY seq DESC";
const CHANGED_UPWARDS: &str = "
    SELECT changed, seq FROM dataset INDEXED BY dataset_by_change
    WHERE organization_id = ?1 AND changed BETWEEN ?2 AND 9223372036854775807
    ORDER BY changed";
const CHANGED_DOWNWARDS: &str = "
    SELECT changed, seq FROM dataset INDEXED BY dataset_by_change
    WHERE organization_id = ?1 AND changed BETWEEN 1 AND ?2
    ORDER BY changed DESC";
const PURGED_UPWARDS: &str = "
    SELECT change, id, digest FROM purged_dataset INDEXED BY sqlite_autoindex_purged_dataset_1
    WHERE organization_id = ?1 AND change BETWEEN ?2 AND 9223372036854775807
    ORDER BY change";
const PURGED_DOWNWARDS: &str = "
    SELECT change, id, digest FROM purged_dataset INDEXED BY sqlite_autoindex_purged_dataset_1
    WHERE organization_id = ?1 AND change BETWEEN 1 AND ?2
    ORDER BY change DESC";

/// The statements of a walk in one direction.
pub(super) struct Statements<'a> {
    order: Order,
    datasets: [CachedStatement<'a>; 2],
    purges: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    pub(super) fn prepare(snapshot: &'a Snapshot<'_>, order: Order) -> Result<Self, Failure> {
        let (created, changed, purged) = match order {
            Order::OldestFirst => (CREATED_UPWARDS, CHANGED_UPWARDS, PURGED_UPWARDS),
            Order::NewestFirst => (CREATED_DOWNWARDS, CHANGED_DOWNWARDS, PURGED_DOWNWARDS),
        };
        let prepare = |sql| snapshot.connection().prepare_cached(sql);
        Ok(Self { order, datasets: [prepare(created)?, prepare(changed)?], purges: prepare(purged)? })
    }
}

/// An entry of an index.
pub(super) struct Entry {
    /// The number of a creation, a change or a purge.
    pub(super) number: i64,
    pub(super) source: Source,
}

/// Where an entry leads.
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
    /// The rest of an index cannot be read.
    Ended(Failure),
}

/// The entries of an organization in all indexes, in one order.
pub(super) struct Merge<'a> {
    snapshot: &'a Snapshot<'a>,
    order: Order,
    streams: [Stream<'a>; 3],
}

impl<'a> Merge<'a> {
    /// Begins with the entry that has the number `from`.
    pub(super) fn new(
        snapshot: &'a Snapshot<'a>,
        organization: OrganizationId,
        statements: &'a mut Statements<'_>,
        from: i64,
    ) -> Result<Self, Failure> {
        let Statements { order, datasets: [created, changed], purges } = statements;
        let range = params![organization.as_bytes(), from];
        let streams = [
            Stream::new(created.query(range)?, dataset),
            Stream::new(changed.query(range)?, dataset),
            Stream::new(purges.query(range)?, purge),
        ];
        Ok(Self { snapshot, order: *order, streams })
    }

    /// The next entry of all indexes, or the damage that ends one of them.
    pub(super) fn next(&mut self) -> Result<Option<Step>, Failure> {
        for stream in &mut self.streams {
            match stream.fill(self.order) {
                Err(failure) if self.snapshot.is_damage(&failure) => return Ok(Some(Step::Ended(failure))),
                filled => filled?,
            }
        }
        let number = |stream: &Stream<'_>| match stream.head {
            Head::Entry(Entry { number, .. }) => Some(number),
            _ => None,
        };
        let numbers = self.streams.iter().filter_map(number);
        let first = match self.order {
            Order::OldestFirst => numbers.min(),
            Order::NewestFirst => numbers.max(),
        };
        let stream = self.streams.iter_mut().find(|stream| first.is_some() && number(stream) == first);
        Ok(stream.and_then(Stream::take).map(Step::Entry))
    }
}

/// The entries of one index.
struct Stream<'a> {
    rows: Rows<'a>,
    read: fn(&Columns<'_>) -> Source,
    last: Option<i64>,
    head: Head,
}

enum Head {
    Unread,
    Entry(Entry),
    Ended,
}

impl<'a> Stream<'a> {
    fn new(rows: Rows<'a>, read: fn(&Columns<'_>) -> Source) -> Self {
        Self { rows, read, last: None, head: Head::Unread }
    }

    fn take(&mut self) -> Option<Entry> {
        match std::mem::replace(&mut self.head, Head::Unread) {
            Head::Entry(entry) => Some(entry),
            head => {
                self.head = head;
                None
            }
        }
    }

    /// Reads the next entry, unless one was read and not taken. An error ends the stream.
    fn fill(&mut self, order: Order) -> Result<(), Failure> {
        if !matches!(self.head, Head::Unread) {
            return Ok(());
        }
        self.head = Head::Ended;
        let Some(row) = self.rows.next()? else { return Ok(()) };
        let columns = Columns(row);
        let number = columns.integer(0)?;
        // On a damaged index the entries might go back and never end.
        if self.last.replace(number).is_some_and(|last| !order.is_after(last, number)) {
            return Err(damaged("an index is out of order").into());
        }
        self.head = Head::Entry(Entry { number, source: (self.read)(&columns) });
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
