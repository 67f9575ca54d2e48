//! Listing, filtering and searching, by the store and by its model.

use std::fmt::Debug;

use kpi_store::{Cursor, DatasetQuery, DatasetSummary, Organization, OrganizationId, Page, Result};
use serde_json::Value;

use super::model::Answer;
use super::model::listing::{Filter, Listing, Order};
use super::model::trash::deleted;
use super::queries::Query;
use super::world::{Checked, Counts, Listed, Mark, World};

/// What a page was asked for.
struct Asked {
    organization: OrganizationId,
    listed: Listed,
    limit: usize,
    after: Option<Mark>,
    is_valid: bool,
}

impl Asked {
    fn place(&self) -> Option<usize> {
        self.after.as_ref().map(|mark| mark.place)
    }
}

impl World {
    /// A page of datasets, with their KPIs or without.
    pub(crate) fn page(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (order, any_filter) = (self.any_order(), self.any_filter());
        let (after, caller) = (self.any_mark(|mark| matches!(mark.listed, Listed::Datasets { .. })), self.any_caller());
        let (organization, order, filter) = match &after {
            // Either listing continues from a cursor of the other.
            Some(Mark { listed: Listed::Datasets { order, filter }, organization, .. }) if self.random.percent(85) => {
                (*organization, *order, if self.random.percent(80) { filter.clone() } else { any_filter })
            }
            _ => (caller.organization, order, any_filter),
        };
        let Query { asked, filter, is_valid } = self.query(order, filter);
        let limit = [0, 1, 1, 2, 2, 3, 5, 1_000, 1_001][self.random.below(9)];
        let query = after.iter().fold(asked.limit(limit), |query, mark| query.after(&mark.cursor));
        let listed = Listed::Datasets { order, filter: filter.clone() };
        let asked = Asked { organization, listed, limit: limit.try_into().unwrap(), after, is_valid };
        let what = format!("of {query:?}");
        let ours = self.handles[handle].store.organization(organization);
        counts.note("page of a search", !filter.words.is_empty());
        if self.random.percent(50) {
            let shown = |kept: &_| self.model.whole(kept);
            let listing = self.model.listing(organization, order, &filter, asked.place(), shown);
            let found = ours.datasets(&query).map(|page| seen(page, |dataset| dataset));
            self.compare_page(handle, &format!("page {what}"), asked, &listing, found, counts)
        } else {
            let shown = |kept: &_| self.model.summary(&filter, kept);
            let listing = self.model.listing(organization, order, &filter, asked.place(), shown);
            let found = ours.summaries(&query).map(|page| seen(page, as_written));
            self.compare_page(handle, &format!("summaries {what}"), asked, &listing, found, counts)
        }
    }

    /// A page of the trash.
    pub(crate) fn page_trash(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (order, any_filter) = (self.any_order(), self.any_filter());
        let (after, caller) = (self.any_mark(|mark| matches!(mark.listed, Listed::Trash { .. })), self.any_caller());
        let (organization, order, filter) = match &after {
            Some(Mark { listed: Listed::Trash { is_newest_first, filter }, organization, .. })
                if self.random.percent(85) =>
            {
                let order = if *is_newest_first { Order::NewestFirst } else { Order::OldestFirst };
                (*organization, order, if self.random.percent(80) { filter.clone() } else { any_filter })
            }
            _ => (caller.organization, order, any_filter),
        };
        let Query { mut asked, filter, is_valid } = self.query(order, filter);
        let is_newest_first = order != Order::OldestFirst;
        if !is_newest_first {
            asked = asked.oldest_first();
        }
        let limit = [0, 1, 1, 1, 2, 2, 2, 3, 3, 5, 1_000, 1_001][self.random.below(12)];
        let query = after.iter().fold(asked.limit(limit), |query, mark| query.after(&mark.cursor));
        let listed = Listed::Trash { is_newest_first, filter: filter.clone() };
        let asked = Asked { organization, listed, limit: limit.try_into().unwrap(), after, is_valid };
        let listing = self.model.trash(organization, is_newest_first, &filter, asked.place());
        let found = self.handles[handle].store.organization(organization).deleted_datasets(&query);
        let found = found.map(|page| seen(page, |entry| deleted(&entry)));
        counts.note("page of the trash", found.is_ok());
        self.compare_page(handle, &format!("page of the trash {query:?}"), asked, &listing, found, counts)
    }

    fn compare_page<T: Clone + PartialEq + Debug>(
        &mut self,
        handle: usize,
        what: &str,
        Asked { organization, mut listed, limit, after, is_valid }: Asked,
        listing: &[(usize, Answer<T>)],
        found: Result<(Seen<T>, Option<Cursor>)>,
        counts: &mut Counts,
    ) -> Checked {
        let has_filter = listed.has_filter();
        let is_fitting = after.is_none_or(|mut mark| {
            if !self.model.rules.cursors_heed_filters {
                mark.listed.forget_filter();
                listed.forget_filter();
            }
            mark.is_of(organization, &listed)
        });
        let asked = &listing[..limit.min(listing.len())];
        let expected = match limit {
            0 | 1_001 => Err("invalid"),
            _ if !is_valid => Err("invalid"),
            _ if !is_fitting => Err("invalid_cursor"),
            // With a filter a full page ends without a search for another match.
            _ => {
                let has_more = asked.len() < listing.len() || (asked.len() == limit && has_filter);
                self.if_open(handle, Ok(expected_page(asked, has_more)))
            }
        };
        let next = found.as_ref().ok().and_then(|(_, next)| next.clone());
        let is_as_expected = self.compare(what, &expected, &found.map(|(seen, _)| seen), counts)?;
        if let (true, Some(cursor), Some((place, _))) = (is_as_expected, next, asked.last()) {
            self.cursors.push(Mark { cursor, organization, listed, place: *place });
        }
        Ok(())
    }

    /// Everything that a query finds, in pages.
    pub(crate) fn iterate(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (order, filter) = (self.any_order(), self.any_filter());
        let Query { asked, filter, is_valid } = self.query(order, filter);
        let query = asked.limit(1 + u32::try_from(self.random.below(3)).unwrap());
        let organization = self.any_organization();
        let ours = self.handles[handle].store.organization(organization);
        let readable = if is_valid { self.if_open(handle, Ok(())) } else { Err("invalid") };
        if self.random.percent(50) {
            let listing = self.model.listing(organization, order, &filter, None, |kept| self.model.whole(kept));
            let found: Vec<_> = ours.iter_datasets(&query).collect();
            self.compare_all(&format!("iterate {query:?}"), readable, listing, &found, counts)
        } else {
            let shown = |kept: &_| self.model.summary(&filter, kept);
            let listing = self.model.listing(organization, order, &filter, None, shown);
            let found: Vec<_> = ours.iter_summaries(&query).map(|summary| summary.map(as_written)).collect();
            self.compare_all(&format!("iterate summaries {query:?}"), readable, listing, &found, counts)
        }
    }

    fn compare_all<T: Clone + PartialEq + Debug>(
        &self,
        what: &str,
        readable: Answer<()>,
        listing: Listing<T>,
        found: &[Result<T>],
        counts: &mut Counts,
    ) -> Checked {
        let expected = match readable {
            Ok(()) => listing.into_iter().map(|(_, item)| item).collect(),
            Err(refused) => vec![Err(refused)],
        };
        for (index, found) in found.iter().enumerate() {
            let expected = expected.get(index).cloned().unwrap_or(Err("the end"));
            if !self.compare(&format!("{what} to {index}"), &expected, found, counts)? {
                return Ok(());
            }
        }
        let (found, expected) = (found.len(), expected.len());
        if found < expected { Err(format!("{what} ended after {found} of {expected}")) } else { Ok(()) }
    }

    /// The limit is of no interest to a count.
    pub(crate) fn count(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (organization, order, filter) = (self.any_organization(), self.any_order(), self.any_filter());
        let Query { asked, filter, is_valid } = self.query(order, filter);
        let found = self.handles[handle].store.organization(organization).count_datasets(&asked.limit(0));
        let expected = self.if_open(handle, Ok(self.model.count(organization, &filter)));
        let expected = if is_valid { expected } else { Err("invalid") };
        self.compare(&format!("count {filter:?}"), &expected, &found, counts).map(drop)
    }

    pub(crate) fn count_trash(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (organization, filter) = (self.any_organization(), self.any_filter());
        let Query { asked, filter, is_valid } = self.query(Order::NewestFirst, filter);
        let found = self.handles[handle].store.organization(organization).count_deleted(&asked);
        let count = self.model.trash(organization, false, &filter, None).len().try_into().unwrap();
        let expected = if is_valid { self.if_open(handle, Ok(count)) } else { Err("invalid") };
        self.compare(&format!("count of the trash {filter:?}"), &expected, &found, counts).map(drop)
    }

    /// In every order the store lists what the model does.
    pub(crate) fn lists_what_is_modeled(&self, ours: &Organization) -> Checked {
        let (organization, all) = (ours.id(), Filter::default());
        for order in [Order::OldestFirst, Order::NewestFirst, Order::RecentlyChanged] {
            let query = match order {
                Order::OldestFirst => DatasetQuery::new(),
                Order::NewestFirst => DatasetQuery::new().newest_first(),
                Order::RecentlyChanged => DatasetQuery::new().recently_changed_first(),
            };
            let listing = self.model.listing(organization, order, &all, None, |kept| self.model.whole(kept));
            let expected: Vec<_> = listing.into_iter().map(|(_, dataset)| dataset).collect();
            let found: Vec<_> =
                ours.iter_datasets(&query).map(|dataset| dataset.map_err(|error| error.code())).collect();
            if found != expected {
                return Err(format!("expected {expected:?}, listed {found:?}"));
            }
            let listing = self.model.listing(organization, order, &all, None, |kept| self.model.summary(&all, kept));
            let expected: Vec<_> = listing.into_iter().map(|(_, summary)| summary).collect();
            let found = ours.iter_summaries(&query).map(|summary| summary.map(as_written));
            let found: Vec<_> = found.map(|summary| summary.map_err(|error| error.code())).collect();
            if found != expected {
                return Err(format!("expected {expected:?}, summaries {found:?}"));
            }
        }
        let (found, expected) = (ours.count_datasets(&DatasetQuery::new()), self.model.count(organization, &all));
        if found.as_ref().ok() != Some(&expected) {
            return Err(format!("expected {expected} datasets, counted {found:?}"));
        }
        Ok(())
    }
}

fn as_written(summary: DatasetSummary) -> Value {
    serde_json::to_value(summary).unwrap()
}

/// A page as it is compared: what is whole, before how many of those a damaged dataset comes, and whether there are
/// more.
type Seen<T> = (Vec<T>, Vec<usize>, bool);

fn seen<T, U>(page: Page<T>, shown: impl Fn(T) -> U) -> (Seen<U>, Option<Cursor>) {
    let damaged = page.damaged.iter().map(|damage| damage.index).collect();
    let has_more = page.next.is_some();
    ((page.items.into_iter().map(shown).collect(), damaged, has_more), page.next)
}

fn expected_page<T: Clone>(asked: &[(usize, Answer<T>)], has_more: bool) -> Seen<T> {
    let (mut items, mut damaged) = (Vec::new(), Vec::new());
    for (_, item) in asked {
        match item {
            Ok(item) => items.push(item.clone()),
            Err(_) => damaged.push(items.len()),
        }
    }
    (items, damaged, has_more)
}
