//! The changes since a position: datasets that were created, changed or deleted, and ids that were purged.
//!
//! Every change has a number of the counter, and the numbers of an organization rise in the order of the commits. Three
//! indexes have them in order: that of listings the numbers of creations, that of changes the number of the last change
//! of each dataset, and the table of the purged ids the numbers of the purges. The walk [merges](Merge) the three, so
//! that it costs what has changed, not what is stored.
//!
//! Nothing that an index says is trusted. A change is reported if its row proves, by its digest, that it belongs to the
//! organization and has this number. Anything else is reported as damage, and does not move the position of the reader: a
//! damaged number may be larger than those of changes that are still to come.

mod merge;

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Row};

use self::merge::{Direction, Entry, Merge, Source, Step};
use super::counter::{self, Counter};
use super::dataset::{HeadReader, SELECT_BY_SEQ, column, owned_id, state};
use super::row::Columns;
use crate::error::Error;
use crate::model::changes::{Change, ChangeState, Position};
use crate::model::digest;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::limits::CHANGES_MAX;
use crate::model::page::Damage;
use crate::model::state::State;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::sequence::SEQS;
use crate::sqlite::snapshot::Snapshot;

/// The changes after a position.
pub(crate) struct RawChanges {
    pub(crate) items: Vec<Change>,
    pub(crate) damaged: Vec<Damage>,
    /// The position after them.
    pub(crate) next: Position,
    pub(crate) has_more: bool,
}

impl RawChanges {
    fn has_damaged(&self, id: Option<DatasetId>) -> bool {
        self.damaged.iter().any(|damage| damage.dataset == id)
    }
}

/// Reads at most 1,000 changes of this organization after the position, or from the first one. Fails with
/// [`InvalidCursor`](Error::InvalidCursor) if the position is in another generation, or behind the last change.
pub(crate) fn since(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    after: Option<Position>,
) -> Result<RawChanges, Failure> {
    let counter = counter::read(snapshot)?;
    let position = after.unwrap_or_else(|| Position::first(counter.generation));
    if position.generation != counter.generation || position.number > counter.last {
        return Err(Error::InvalidCursor.into());
    }
    let mut reader = Reader::new(snapshot, organization, counter);
    let mut changes = RawChanges { items: Vec::new(), damaged: Vec::new(), next: position, has_more: false };
    // Begins with the position itself: what is found there shows that the position is not behind the last change.
    let from = if after.is_some() { position.number.max(1) } else { i64::MIN };
    let mut is_known = position.number == 0;
    let mut merge = Merge::new(snapshot, organization, Direction::Upwards, from);
    while let Some(step) = merge.next()? {
        is_known = true;
        let (number, read) = match step {
            Step::Entry(entry) if after.is_some() && entry.number == position.number => continue,
            Step::Entry(entry) => (entry.number, reader.read(entry)?),
            Step::Damaged(number, failure) => {
                (number.max(position.number.saturating_add(1)), Read::Damaged(None, failure))
            }
        };
        let is_reported = match &read {
            Read::Change(_) => true,
            Read::ChangedLater => false,
            Read::Damaged(id, _) => {
                let was_reported = after.is_some() && number <= position.reported;
                // Two indexes may lead to it.
                !was_reported && (id.is_none() || !changes.has_damaged(*id))
            }
        };
        // A number that was never given may be larger than those of damage to come, so that it does not move the
        // position, and is reported by each call.
        let was_given = number <= counter.last;
        if is_reported && changes.items.len() + changes.damaged.len() == CHANGES_MAX {
            changes.has_more = was_given;
            break;
        }
        match read {
            Read::Change(change) => {
                changes.items.push(change);
                changes.next.number = number;
            }
            Read::Damaged(dataset, Failure(error)) => {
                if was_given {
                    changes.next.reported = changes.next.reported.max(number);
                }
                if let Error::Corrupt { detail, .. } = error
                    && is_reported
                {
                    changes.damaged.push(Damage { index: changes.items.len(), dataset, detail });
                }
            }
            Read::ChangedLater => {}
        }
    }
    if is_known { Ok(changes) } else { Err(Error::InvalidCursor.into()) }
}

/// The position after the last change of this organization.
pub(crate) fn now(snapshot: &Snapshot<'_>, organization: OrganizationId) -> Result<Position, Failure> {
    last(snapshot, organization, counter::read(snapshot)?)
}

/// The number of the last change of this organization, 0 if there is none that can be read.
pub(super) fn last_number(snapshot: &Snapshot<'_>, organization: OrganizationId) -> Result<i64, Failure> {
    // A counter that was set back is smaller than numbers that are in use.
    let counter = Counter { last: *SEQS.end(), generation: 0 };
    match last(snapshot, organization, counter) {
        Err(failure) if failure.is_damage() => Ok(0),
        position => Ok(position?.number),
    }
}

fn last(snapshot: &Snapshot<'_>, organization: OrganizationId, counter: Counter) -> Result<Position, Failure> {
    let mut position = Position::first(counter.generation);
    let mut reader = Reader::new(snapshot, organization, counter);
    let mut merge = Merge::new(snapshot, organization, Direction::Downwards, i64::MAX);
    while let Some(step) = merge.next()? {
        let Step::Entry(entry) = step else { continue };
        let number = entry.number;
        match reader.read(entry)? {
            Read::Change(_) => {
                position.number = number;
                break;
            }
            Read::Damaged(..) if number <= counter.last => position.reported = position.reported.max(number),
            Read::Damaged(..) | Read::ChangedLater => {}
        }
    }
    Ok(position)
}

/// Reads the rows to which the entries of the indexes lead.
struct Reader<'a> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    counter: Counter,
    heads: HeadReader,
    /// Kept from row to row: looking up a statement in the cache costs as much as running it.
    created: Option<CachedStatement<'a>>,
    changed: Option<CachedStatement<'a>>,
}

static SELECT_STATE: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM dataset NOT INDEXED WHERE seq = ?1", columns("", is_of_state)));

/// Whether a column is an id or part of the state.
fn is_of_state(index: usize) -> bool {
    (column::STATE_DIGEST..=column::DELETED_BY).contains(&index) || index >= column::ID
}

/// These columns of the table. In place of the others, which would be decoded, it has nulls.
fn columns(prefix: &str, is_read: impl Fn(usize) -> bool) -> String {
    let names = column::NAMES.iter().enumerate();
    let names = names.map(|(index, name)| if is_read(index) { format!("{prefix}{name}") } else { "NULL".to_owned() });
    names.collect::<Vec<_>>().join(", ")
}

enum Read {
    Change(Change),
    /// The creation of a dataset that was changed later: the walk meets it again there.
    ChangedLater,
    Damaged(Option<DatasetId>, Failure),
}

impl<'a> Reader<'a> {
    fn new(snapshot: &'a Snapshot<'a>, organization: OrganizationId, counter: Counter) -> Self {
        Self { snapshot, organization, counter, heads: HeadReader::new(), created: None, changed: None }
    }

    fn read(&mut self, mut entry: Entry) -> Result<Read, Failure> {
        let read = match &mut entry.source {
            Source::Dataset { seq, read } => match read.take() {
                Some(read) => Ok(read),
                None => self.dataset(*seq, entry.number),
            },
            Source::Purge { id, digest } => self.purge(*id, *digest, entry.number),
        };
        let read = match read {
            Ok(Read::Change(_)) if !(1..=self.counter.last).contains(&entry.number) => {
                Err(damaged("the number of its last change was never given").into())
            }
            read => read,
        };
        match read {
            Err(failure) if self.snapshot.is_damage(&failure) => {
                let id = match entry.source {
                    Source::Dataset { seq, .. } => owned_id(self.snapshot, self.organization, seq),
                    Source::Purge { id, .. } => id,
                };
                Ok(Read::Damaged(id, failure))
            }
            read => read,
        }
    }

    /// The change with this number of the dataset in this row.
    fn dataset(&mut self, seq: i64, number: i64) -> Result<Read, Failure> {
        let (kept, sql) =
            if number == seq { (&mut self.created, &*SELECT_BY_SEQ) } else { (&mut self.changed, &*SELECT_STATE) };
        let statement = match kept {
            Some(statement) => statement,
            None => kept.insert(self.snapshot.connection().prepare_cached(sql)?),
        };
        let mut rows = statement.query([seq])?;
        let Some(row) = rows.next()? else { return Err(damaged("an index refers to no dataset").into()) };
        change(row, self.organization, &mut self.heads, seq, number)
    }

    fn purge(&self, id: Option<DatasetId>, stored: Option<i64>, number: i64) -> Result<Read, Failure> {
        match (id, stored) {
            (Some(id), Some(stored)) if digest::purged(self.organization, number, id).cast_signed() == stored => {
                Ok(Read::Change(Change { dataset: id, state: ChangeState::Purged }))
            }
            _ => Err(damaged("the record of a purge does not match its digest").into()),
        }
    }
}

/// The change with this number, if the row of a dataset proves that it is the last one. The row of a dataset that was
/// never changed proves it by the digest of its head.
fn change(
    row: &Row<'_>,
    organization: OrganizationId,
    heads: &mut HeadReader,
    seq: i64,
    number: i64,
) -> Result<Read, Failure> {
    let columns = Columns(row);
    if organization != columns.id(column::ORGANIZATION_ID)? {
        return Err(damaged("an index refers to another dataset").into());
    }
    let id = columns.id(column::ID)?;
    let state = match state(row, organization, id)? {
        None if number == seq => {
            heads.read(row, organization, id)?;
            ChangeState::Present
        }
        Some(State { changed, deleted: None }) if number == seq && changed > seq => return Ok(Read::ChangedLater),
        Some(State { changed, deleted }) if changed == number => {
            if deleted.is_some() {
                ChangeState::Deleted
            } else {
                ChangeState::Present
            }
        }
        _ => return Err(damaged("an index has another state of the dataset").into()),
    };
    Ok(Read::Change(Change { dataset: id, state }))
}
