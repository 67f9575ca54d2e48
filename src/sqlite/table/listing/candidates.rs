//! Which rows may belong to a listing, in its order, as the indexes have them.
//!
//! No row of the table is read. What an index says is not trusted: a damaged one can lead to any row.

use std::collections::HashSet;

use rusqlite::{CachedStatement, Rows, params};

use crate::model::cursor::Order;
use crate::model::ids::OrganizationId;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::row::Columns;

/// Which datasets of an organization.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that are not in the trash.
    Present,
    Deleted,
}

/// An index in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Index {
    /// By creation, of datasets that are not in the trash.
    Creation,
    /// The same, but each row that was ever changed is to be left out, since the index of changes has it.
    CreationOfUnchanged,
    /// By the last change, of datasets that were ever changed and are not in the trash.
    Change,
    /// By deletion, of those that are in the trash.
    Deletion,
}

const CREATED_OLDEST_FIRST: &str = "
    SELECT seq, seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq > ?2
    ORDER BY seq";
const CREATED_NEWEST_FIRST: &str = "
    SELECT seq, seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND deleted_at IS NULL AND seq < ?2
    ORDER BY seq DESC";

/// What is not a number has no place in the order; what is not an integer is beside the next smaller one. The bound is
/// inclusive: a damaged number may be the smallest or the largest integer. Deleted datasets are skipped by the index
/// alone: there may be many, and their deletions are the last changes.
const CHANGED_NEWEST_FIRST: &str = "
    SELECT CAST(changed AS INTEGER), seq FROM dataset INDEXED BY dataset_by_change
    WHERE organization_id = ?1 AND changed IS NOT NULL AND changed BETWEEN -9223372036854775808 AND ?2
        AND deleted_at IS NULL
    ORDER BY changed DESC";
const DELETED_NEWEST_FIRST: &str = "
    SELECT CAST(changed AS INTEGER), seq FROM dataset INDEXED BY dataset_in_trash
    WHERE organization_id = ?1 AND deleted_at IS NOT NULL AND changed BETWEEN -9223372036854775808 AND ?2
    ORDER BY changed DESC";
pub(in crate::sqlite::table) const DELETED_OLDEST_FIRST: &str = "
    SELECT CAST(changed AS INTEGER), seq FROM dataset INDEXED BY dataset_in_trash
    WHERE organization_id = ?1 AND deleted_at IS NOT NULL AND changed BETWEEN ?2 AND 9223372036854775807
    ORDER BY changed";

/// A row that may belong to a listing.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    /// Its place in the listing: the number of its creation, last change or deletion.
    pub(super) number: i64,
    pub(super) seq: i64,
    pub(super) index: Index,
}

/// The statements of a listing. They must live longer than the [`Candidates`] that step them.
pub(super) struct Statements<'a> {
    order: Order,
    /// Each with the number at which it starts.
    walks: Vec<(CachedStatement<'a>, i64, Index)>,
}

impl<'a> Statements<'a> {
    /// The statements for the candidates after the number `after`.
    pub(super) fn prepare(
        snapshot: &'a Snapshot<'_>,
        part: Part,
        order: Order,
        after: Option<i64>,
    ) -> Result<Self, Failure> {
        // Where the bound is inclusive; `None` if nothing can be after the number.
        let from_above = || after.map_or(Some(i64::MAX), |after| after.checked_sub(1));
        let from_below = || after.map_or(Some(i64::MIN), |after| after.checked_add(1));
        let below = Some(after.unwrap_or(i64::MAX));
        let walks: &[_] = match (part, order) {
            (Part::Present, Order::OldestFirst) => {
                &[(CREATED_OLDEST_FIRST, Some(after.unwrap_or(i64::MIN)), Index::Creation)]
            }
            (Part::Present, Order::NewestFirst) => &[(CREATED_NEWEST_FIRST, below, Index::Creation)],
            (Part::Present, Order::RecentlyChanged) => &[
                (CHANGED_NEWEST_FIRST, from_above(), Index::Change),
                (CREATED_NEWEST_FIRST, below, Index::CreationOfUnchanged),
            ],
            (Part::Deleted, Order::OldestFirst) => &[(DELETED_OLDEST_FIRST, from_below(), Index::Deletion)],
            (Part::Deleted, Order::NewestFirst | Order::RecentlyChanged) => {
                &[(DELETED_NEWEST_FIRST, from_above(), Index::Deletion)]
            }
        };
        let started = walks.iter().filter_map(|(sql, start, index)| Some((*sql, (*start)?, *index)));
        let prepared =
            started.map(|(sql, start, index)| Ok((snapshot.connection().prepare_cached(sql)?, start, index)));
        Ok(Self { order, walks: prepared.collect::<Result<_, Failure>>()? })
    }

    /// The candidates of this organization.
    pub(super) fn run(&mut self, organization: OrganizationId) -> Result<Candidates<'_>, Failure> {
        let walks = self.walks.iter_mut().map(|(statement, start, index)| {
            let rows = statement.query(params![organization.as_bytes(), *start])?;
            Ok(IndexWalk { rows, index: *index, next: None })
        });
        Ok(Candidates {
            order: self.order,
            last: None,
            with_last: HashSet::new(),
            walks: walks.collect::<Result<_, Failure>>()?,
        })
    }
}

/// The candidates of one index, or of two that are merged.
pub(super) struct Candidates<'a> {
    order: Order,
    /// The number of the last candidate, and those that had this number.
    last: Option<i64>,
    with_last: HashSet<(i64, Index)>,
    walks: Vec<IndexWalk<'a>>,
}

struct IndexWalk<'a> {
    rows: Rows<'a>,
    index: Index,
    /// The next candidate, once it was read.
    next: Option<Candidate>,
}

impl Candidates<'_> {
    /// The next candidate. Of two indexes, only the one that had the last candidate is stepped: what follows in the
    /// other one is read already.
    pub(super) fn next(&mut self) -> Result<Option<Candidate>, Failure> {
        let order = self.order;
        let mut first: Option<&mut IndexWalk<'_>> = None;
        for walk in &mut self.walks {
            let Some(candidate) = walk.peek()? else { continue };
            let before = first.as_ref().and_then(|first| first.next);
            if before.is_none_or(|before| order.is_after(candidate.number, before.number)) {
                first = Some(walk);
            }
        }
        let Some(candidate) = first.and_then(|first| first.next.take()) else { return Ok(None) };
        let is_further = self.last.is_none_or(|last| order.is_after(last, candidate.number));
        if is_further {
            self.with_last.clear();
            self.last = Some(candidate.number);
        }
        // On a damaged index the listing might go back and never end. Two rows have the same number only if one of them
        // is damaged, which must not hide the other.
        let is_repeated = !self.with_last.insert((candidate.seq, candidate.index));
        if is_repeated || self.last != Some(candidate.number) {
            return Err(damaged(OUT_OF_ORDER).into());
        }
        Ok(Some(candidate))
    }
}

impl IndexWalk<'_> {
    fn peek(&mut self) -> Result<Option<Candidate>, Failure> {
        if self.next.is_none()
            && let Some(row) = self.rows.next()?
        {
            let columns = Columns(row);
            let (Ok(number), Ok(seq)) = (columns.integer(0), columns.integer(1)) else {
                return Err(damaged(OUT_OF_ORDER).into());
            };
            self.next = Some(Candidate { number, seq, index: self.index });
        }
        Ok(self.next)
    }
}

const OUT_OF_ORDER: &str = "an index is out of order";
