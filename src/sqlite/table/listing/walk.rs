//! A listing row by row: the candidates of an index, each looked at in the table.
//!
//! A row that cannot be read or does not match its digest is damaged, whether it matches the filter or not: nobody
//! knows. KPIs are checked against their digest only in a dataset that matches, so one that no longer matches since a
//! KPI is damaged, but readable, is left out. A damaged index can refer to a row of another organization, about which
//! nothing may be disclosed.

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, Row};

use super::Selection;
use super::candidates::{Candidate, Index, Part, Statements};
use super::matcher::Matcher;
use super::page::RawPage;
use crate::model::cursor::Order;
use crate::model::filter::Filter;
use crate::model::ids::{OrganizationId, UserId};
use crate::model::record::Record;
use crate::model::state::State;
use crate::model::summary::DatasetSummary;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::dataset::{self, Head, HeadReader, SELECT_BY_SEQ, column, owned_id, state};
use crate::sqlite::table::row::Columns;

/// A page of the datasets that match; `read` makes an item of each, with its size in memory.
pub(super) fn page<T>(
    snapshot: &Snapshot<'_>,
    part: Part,
    selection: Selection<'_>,
    read: impl Fn(Found<'_, '_>) -> Result<(usize, T), Failure>,
) -> Result<RawPage<T>, Failure> {
    let Selection { organization, order, filter, after, limit } = selection;
    let mut page = RawPage::new(limit);
    let mut walk = Walk::new(snapshot, organization, filter)?;
    let mut statements = Statements::prepare(snapshot, part, order, after)?;
    let mut candidates = statements.run(organization)?;
    let mut last = after;
    loop {
        // Another match may be far away, and a search for it would cost more than the page.
        if page.left() == 0 && !filter.is_empty() {
            page.next = last;
            break;
        }
        let candidate = match candidates.next() {
            Ok(Some(candidate)) => candidate,
            Ok(None) => break,
            Err(failure) if !snapshot.is_damage(&failure) => return Err(failure),
            Err(_) if page.left() == 0 => {
                page.next = last;
                break;
            }
            Err(failure) => {
                page.push_damage(None, failure);
                break;
            }
        };
        let has_room = match walk.look(candidate, page.left() > 0, &read) {
            Ok(Look::Other) => true,
            Ok(Look::Unread) => false,
            Ok(Look::Item(bytes, item)) => page.push(bytes, item),
            Err(failure) if !snapshot.is_damage(&failure) => return Err(failure),
            Err(_) if page.left() == 0 => false,
            Err(failure) => {
                page.push_damage(owned_id(snapshot, organization, candidate.seq), failure);
                true
            }
        };
        if !has_room {
            page.next = last;
            break;
        }
        last = Some(candidate.number);
    }
    Ok(page)
}

/// The number of datasets that match, or are damaged so that nobody knows.
pub(super) fn count(
    snapshot: &Snapshot<'_>,
    part: Part,
    organization: OrganizationId,
    filter: &Filter,
) -> Result<u64, Failure> {
    let mut walk = Walk::new(snapshot, organization, filter)?;
    let mut statements = Statements::prepare(snapshot, part, Order::OldestFirst, None)?;
    let mut candidates = statements.run(organization)?;
    let mut count = 0;
    while let Some(candidate) = candidates.next()? {
        match walk.look(candidate, false, |_| Ok((0, ()))) {
            Ok(Look::Other) => {}
            Err(failure) if !snapshot.is_damage(&failure) => return Err(failure),
            _ => count += 1,
        }
    }
    Ok(count)
}

/// A listing in progress.
struct Walk<'a> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    rows: CachedStatement<'a>,
    heads: HeadReader,
    filter: &'a Filter,
    matcher: Matcher<'a>,
}

/// The result of reading a candidate.
enum Look<T> {
    /// It is no part of the listing.
    Other,
    /// It belongs to the listing, and was not to be read.
    Unread,
    /// The item, and its size in memory.
    Item(usize, T),
}

/// A dataset that belongs to a listing.
pub(super) struct Found<'a, 'b> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    row: &'a Row<'a>,
    state: Option<State>,
    filter: &'a Filter,
    matcher: &'a mut Matcher<'b>,
    pub(super) head: Head,
}

impl<'a> Walk<'a> {
    fn new(snapshot: &'a Snapshot<'a>, organization: OrganizationId, filter: &'a Filter) -> Result<Self, Failure> {
        let rows = snapshot.connection().prepare_cached(&SELECT_BY_SEQ)?;
        let (heads, matcher) = (HeadReader::new(), Matcher::new(snapshot, filter)?);
        Ok(Self { snapshot, organization, rows, heads, filter, matcher })
    }

    /// Looks at a candidate, and reads it if `is_read`.
    fn look<T>(
        &mut self,
        candidate: Candidate,
        is_read: bool,
        read: impl FnOnce(Found<'_, '_>) -> Result<(usize, T), Failure>,
    ) -> Result<Look<T>, Failure> {
        let mut rows = self.rows.query([candidate.seq])?;
        let Some(row) = rows.next()? else { return Err(damaged("an index refers to no dataset").into()) };
        if self.organization != Columns(row).id(column::ORGANIZATION_ID)? {
            return Err(damaged("an index refers to another dataset").into());
        }
        if is_listed_elsewhere(candidate, row) {
            return Ok(Look::Other);
        }
        let id = Columns(row).id(column::ID)?;
        let state = state(row, self.organization, id)?;
        check(candidate, state.as_ref())?;
        let head = self.heads.read(row, self.organization, id)?;
        if !self.matcher.matches(candidate.seq, &head.dataset)? {
            return Ok(Look::Other);
        }
        if !is_read {
            return Ok(Look::Unread);
        }
        let (snapshot, organization, filter) = (self.snapshot, self.organization, self.filter);
        let found = Found { snapshot, organization, row, state, filter, matcher: &mut self.matcher, head };
        read(found).map(|(bytes, item)| Look::Item(bytes, item))
    }
}

/// Whether another index has the row in its place: of two that are merged, the one of creations has datasets that were
/// changed, too.
fn is_listed_elsewhere(candidate: Candidate, row: &Row<'_>) -> bool {
    let columns = Columns(row);
    match candidate.index {
        Index::CreationOfUnchanged => columns.integer(column::CHANGED).is_ok(),
        Index::Change => columns.integer(column::CHANGED).is_err(),
        Index::Creation | Index::Deletion => false,
    }
}

/// Fails if the index that has the candidate says otherwise than the row.
fn check(candidate: Candidate, state: Option<&State>) -> Result<(), Failure> {
    let is_deleted = state.is_some_and(|state| state.deleted.is_some());
    let detail = match candidate.index {
        Index::Deletion if !is_deleted => "an index lists a dataset as deleted",
        Index::Creation | Index::CreationOfUnchanged | Index::Change if is_deleted => {
            "an index lists a deleted dataset"
        }
        Index::Change if state.is_none_or(|state| state.changed != candidate.number) => {
            "an index lists a change that is not the last"
        }
        _ => return Ok(()),
    };
    Err(damaged(detail).into())
}

impl Found<'_, '_> {
    /// The dataset with its KPIs.
    pub(super) fn record(&self) -> Result<Record, Failure> {
        dataset::read(self.snapshot, self.row, self.organization, self.head.dataset.id)
    }

    /// The dataset without its KPIs, and where words were found. If the filter looks at KPIs they are read and checked,
    /// since it could have matched by a damaged one.
    pub(super) fn summary(self) -> Result<DatasetSummary, Failure> {
        let looks_at_kpis = self.filter.value_type.is_some() || self.matcher.searches_text();
        let record = if looks_at_kpis { Some(self.record()?) } else { None };
        let matches = record.map(|record| self.matcher.texts_found(&record.dataset)).unwrap_or_default();
        Ok(self.head.summary(matches))
    }

    /// When and by whom it was deleted.
    pub(super) fn deletion(&self) -> Result<(DateTime<Utc>, Option<UserId>), Failure> {
        let deleted = self.state.and_then(|state| state.deleted);
        deleted.ok_or_else(|| damaged("an index lists a dataset as deleted").into())
    }
}
