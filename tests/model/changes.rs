//! Changes of stored datasets: choosing which, and comparing what they leave.

use std::fmt::Debug;

use chrono::{DateTime, Utc};
use kpi_store::{Dataset, DatasetId, DatasetQuery, Error, HistoryQuery, Organization, OrganizationId, Result, Store};
use serde_json::Value;

use super::model::history::Shown;
use super::model::listing::Filter;
use super::model::trash::{Deleted, deleted};
use super::model::{Answer, Caller, Kept, Model};
use super::properties::has_properties;
use super::requests::{pick, uuid};
use super::world::{Checked, Counts, World};

/// What the model makes of a change.
pub(crate) struct Expected<T> {
    pub(crate) answer: Answer<T>,
    pub(crate) after: Model,
    /// The ids that an unknown outcome has.
    pub(crate) ids: Vec<DatasetId>,
    /// The `updated_at` that an unknown outcome has.
    pub(crate) updated_at: Option<DateTime<Utc>>,
}

/// Everything that a store shows of a dataset.
#[derive(Debug, PartialEq)]
pub(crate) struct Observed {
    dataset: Answer<Option<Dataset>>,
    /// Where only KPIs are damaged it still shows what has changed.
    summary: Option<Answer<Value>>,
    history: Answer<Vec<Shown>>,
    in_trash: Vec<Answer<Deleted>>,
}

impl World {
    /// A dataset, mostly one of the last few; rarely one that is unknown or was purged.
    pub(crate) fn any_target(&mut self) -> (OrganizationId, DatasetId) {
        let all: Vec<_> = self.model.kept.iter().map(|kept| (kept.organization(), kept.id())).collect();
        let purged: Vec<_> = self.model.purged.keys().copied().collect();
        let unknown = (self.any_organization(), uuid(&mut self.random).into());
        let last = &all[all.len().saturating_sub(4)..];
        let candidates = match self.random.below(100) {
            0..80 => last,
            80..96 => &all,
            96..98 => &purged,
            _ => &[],
        };
        pick(&mut self.random, candidates).unwrap_or(unknown)
    }

    /// The same among those for which this is true, if there are any.
    pub(crate) fn any_target_that(&mut self, is_wanted: impl Fn(&Kept) -> bool) -> (OrganizationId, DatasetId) {
        let wanted = self.model.kept.iter().filter(|kept| is_wanted(kept));
        let all: Vec<_> = wanted.map(|kept| (kept.organization(), kept.id())).collect();
        let any = self.any_target();
        let last = &all[all.len().saturating_sub(4)..];
        if self.random.percent(90) { pick(&mut self.random, last).unwrap_or(any) } else { any }
    }

    /// Makes a call that writes, mostly for the owner of the dataset.
    pub(crate) fn as_caller_for<T>(
        &mut self,
        handle: usize,
        owner: OrganizationId,
        call: impl FnOnce(Organization) -> T,
    ) -> (Caller, T, Vec<uuid::Uuid>) {
        let mut caller = self.any_caller();
        if self.random.percent(95) {
            caller.organization = owner;
        }
        self.as_caller(handle, caller, call)
    }

    /// Compares a change; the model follows it, also through disk errors and unknown outcomes. Returns whether the
    /// answer was the expected one.
    pub(crate) fn settle<T: PartialEq + Debug>(
        &mut self,
        handle: usize,
        organization: OrganizationId,
        (name, what): (&'static str, &dyn Debug),
        expected: Expected<T>,
        found: &Result<T>,
        counts: &mut Counts,
    ) -> Checked<bool> {
        let Expected { answer, after, ids, updated_at } = expected;
        let is_as_expected = self.compare(&format!("{name} {what:?}"), &answer, found, counts)?;
        counts.note(name, found.is_ok());
        if is_as_expected {
            self.model = after;
            return Ok(true);
        }
        self.calm();
        let mut handle = handle;
        if let Err(Error::OutcomeUnknown { ids: found, updated_at: token, .. }) = found {
            if *found != ids || *token != updated_at {
                return Err(format!("{name} of {ids:?} to {updated_at:?}: an unknown outcome of {found:?}, {token:?}"));
            }
            handle = self.after_unknown(handle)?;
            self.follow_unknown(handle, organization, after, (&ids, updated_at), counts)?;
        } else if !self.model.rules.what_fails_is_not_written {
            self.model = after;
        }
        self.agrees(handle, organization)?;
        Ok(false)
    }

    /// After an unknown outcome everything of the change is there, or nothing; the `updated_at` tells which.
    fn follow_unknown(
        &mut self,
        handle: usize,
        organization: OrganizationId,
        after: Model,
        (ids, updated_at): (&[DatasetId], Option<DateTime<Utc>>),
        counts: &mut Counts,
    ) -> Checked {
        let all = self.ids_of(organization);
        let differing =
            all.into_iter().find(|id| after.observed(organization, *id) != self.model.observed(organization, *id));
        let Some(differing) = differing else {
            self.model = after;
            return Ok(());
        };
        let store = &self.handles[handle].store;
        let is_there = observed(store, organization, differing)? == after.observed(organization, differing);
        if updated_at.is_some() {
            let held = if is_there { &after } else { &self.model };
            let expected = held.version(organization, ids[0], |version| version.dataset.updated_at == updated_at);
            let expected = expected.map(|version| version.is_some());
            let found = store.organization(organization).version_at(ids[0], updated_at);
            let found = found.map(|version| version.is_some()).map_err(|error| error.code());
            if found != expected {
                return Err(format!("that the version at {updated_at:?} is there must be {expected:?}, not {found:?}"));
            }
        }
        counts.note_unknown(is_there);
        if is_there {
            self.model = after;
        }
        Ok(())
    }

    fn ids_of(&self, organization: OrganizationId) -> Vec<DatasetId> {
        let ours = self.model.kept.iter().filter(|kept| kept.organization() == organization);
        ours.map(Kept::id).collect()
    }

    /// The handle and a fresh one hold what the model does of this organization.
    pub(crate) fn agrees(&self, handle: usize, organization: OrganizationId) -> Checked {
        self.holds_what_is_modeled(&self.handles[handle].store, organization)?;
        if self.is_in_memory {
            return Ok(());
        }
        let fresh = Store::open(&self.file.path).map_err(|error| format!("then opening: {error:?}"))?;
        self.holds_what_is_modeled(&fresh, organization)
    }

    /// Every dataset, every entry of the trash, every history and every property is that of the model, and so are the
    /// changes.
    pub(crate) fn holds_what_is_modeled(&self, store: &Store, organization: OrganizationId) -> Checked {
        let purged = self.model.purged.keys().filter(|(owner, _)| *owner == organization).map(|(_, id)| *id);
        for id in self.ids_of(organization).into_iter().chain(purged) {
            let (found, expected) = (observed(store, organization, id)?, self.model.observed(organization, id));
            if found != expected {
                return Err(format!("of {id} expected {expected:?}, found {found:?}"));
            }
        }
        for is_newest_first in [false, true] {
            let (found, damaged) = trash(store, organization, is_newest_first)?;
            let listing = self.model.trash(organization, is_newest_first, &Filter::default(), None);
            let expected: Vec<_> = listing.iter().filter_map(|(_, entry)| entry.clone().ok()).collect();
            if found != expected || found.len() + damaged.len() != listing.len() {
                return Err(format!("the trash must be {listing:?}, found {found:?} and damaged {damaged:?}"));
            }
        }
        let ours = store.organization(organization);
        has_properties(&ours, &self.model)?;
        self.tells_what_is_modeled(&ours)
    }
}

impl Model {
    fn observed(&self, organization: OrganizationId, id: DatasetId) -> Observed {
        let history = self.history(organization, id);
        let place = self.find(organization, id).filter(|place| self.kept[*place].deletion.is_some());
        let is_damaged = place.is_some_and(|place| self.whole(&self.kept[place]).is_err());
        let damaged = is_damaged.then_some(Err("corrupt"));
        let trash =
            self.trash(organization, true, &Filter::default(), None).into_iter().filter_map(|(_, entry)| entry.ok());
        let trash = trash.filter(|(dataset, ..)| dataset.id == id).map(Ok);
        let living = self.present(organization, id).ok().map(|place| &self.kept[place]);
        let all = Filter::default();
        Observed {
            dataset: self.read(organization, id),
            summary: living.map(|kept| self.head(kept).and_then(|()| self.summary(&all, kept))),
            history: history.map(|history| history.into_iter().map(|(_, shown)| shown).collect()),
            in_trash: trash.chain(damaged).collect(),
        }
    }
}

/// What the store shows of a dataset.
fn observed(store: &Store, owner: OrganizationId, id: DatasetId) -> Checked<Observed> {
    let organization = store.organization(owner);
    let mut query = HistoryQuery::new().limit(7);
    let mut history = Ok(Vec::new());
    loop {
        let page = organization.history(id, &query).map_err(|error| error.code());
        if page.as_ref().is_ok_and(|page| !page.damaged.is_empty()) {
            return Err(format!("the history has damaged versions: {page:?}"));
        }
        let next = page.as_ref().ok().and_then(|page| page.next.clone());
        history = history.and_then(|mut history: Vec<Shown>| {
            history.extend(page?.items.into_iter().map(Shown::from));
            Ok(history)
        });
        let Some(next) = next else { break };
        query = query.after(&next);
    }
    let (whole, damaged) = trash(store, owner, true)?;
    let whole = whole.into_iter().filter(|(dataset, ..)| dataset.id == id).map(Ok);
    let damaged = damaged.into_iter().filter(|damaged| *damaged == Some(id)).map(|_| Err("corrupt"));
    let in_trash = whole.chain(damaged).collect();
    let summary = organization.iter_summaries(&DatasetQuery::new()).find_map(|summary| match summary {
        Ok(summary) => (summary.id == id).then(|| Ok(serde_json::to_value(summary).unwrap())),
        Err(Error::Corrupt { dataset, .. }) if dataset != Some(id) => None,
        Err(error) => Some(Err(error.code())),
    });
    Ok(Observed { dataset: organization.dataset(id).map_err(|error| error.code()), summary, history, in_trash })
}

/// The trash, and what in it is damaged.
fn trash(
    store: &Store,
    owner: OrganizationId,
    is_newest_first: bool,
) -> Checked<(Vec<Deleted>, Vec<Option<DatasetId>>)> {
    let query = DatasetQuery::new().limit(1_000);
    let query = if is_newest_first { query } else { query.oldest_first() };
    let page = store.organization(owner).deleted_datasets(&query).map_err(|error| format!("the trash: {error:?}"))?;
    Ok((page.items.iter().map(deleted).collect(), page.damaged.iter().map(|damage| damage.dataset).collect()))
}
