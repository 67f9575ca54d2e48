//! Looking back, going back and pruning, by the store and by its model.

use chrono::{DateTime, TimeDelta, Utc};
use kpi_store::{DatasetId, Error, HistoryQuery, OrganizationId};

use super::changes::Expected;
use super::editing::token;
use super::model::history::{Keep, Shown};
use super::model::{Kept, Model};
use super::world::{Checked, Counts, Listed, Mark, World};

impl World {
    pub(crate) fn page_history(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let limit = [0, 1, 1, 1, 2, 2, 2, 3, 3, 5, 1_000, 1_001][self.random.below(12)];
        let after = self.any_mark(|mark| matches!(mark.listed, Listed::History(_)));
        let mut caller = self.any_caller();
        let (owner, id) = match &after {
            Some(Mark { listed: Listed::History(id), organization, .. }) if self.random.percent(90) => {
                (*organization, *id)
            }
            _ => self.any_target_that(|kept| kept.trail.len() > 1 && kept.deletion.is_none()),
        };
        if self.random.percent(95) {
            caller.organization = owner;
        }
        let mut query = HistoryQuery::new().limit(limit);
        if let Some(mark) = &after {
            query = query.after(&mark.cursor);
        }
        let found = self.organization(handle, caller).history(id, &query);

        let listed = Listed::History(id);
        let history = self.model.history(caller.organization, id);
        let place = after.as_ref().map_or(usize::MAX, |mark| mark.place);
        let listing = history.map(|all| all.into_iter().filter(|(number, _)| *number < place).collect::<Vec<_>>());
        let page = listing.map(|listing| {
            let asked: Vec<_> = listing.iter().take(limit.try_into().unwrap()).cloned().collect();
            let next = asked.last().map(|(number, _)| *number).filter(|_| asked.len() < listing.len());
            (asked.into_iter().map(|(_, shown)| shown).collect::<Vec<_>>(), next)
        });
        let next = page.as_ref().ok().and_then(|(_, next)| *next);
        let expected = match limit {
            0 | 1_001 => Err("invalid"),
            _ if after.is_some_and(|mark| !mark.is_of(caller.organization, &listed)) => Err("invalid_cursor"),
            _ => self.if_open(handle, page.map(|(items, next)| (items, 0, next.is_some()))),
        };
        let cursor = found.as_ref().ok().and_then(|page| page.next.clone());
        let found = found.map(|page| {
            let (damaged, has_more) = (page.damaged.len(), page.next.is_some());
            (page.items.into_iter().map(Shown::from).collect(), damaged, has_more)
        });
        let is_as_expected = self.compare(&format!("history of {id} {query:?}"), &expected, &found, counts)?;
        if let (true, Some(cursor), Some(place)) = (is_as_expected, cursor, next) {
            self.cursors.push(Mark { cursor, organization: caller.organization, listed, place });
        }
        counts.note("page of a history", found.is_ok());
        Ok(())
    }

    /// A version by its revision or its `updated_at`.
    pub(crate) fn version(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (owner, id) = self.any_target_that(|kept| kept.trail.len() > 1 && kept.deletion.is_none());
        let mut caller = self.any_caller();
        caller.organization = owner;
        let place = self.model.find(owner, id);
        let versions: Vec<_> = place.map_or_else(Vec::new, |place| {
            let steps = self.model.kept[place].trail.iter().map(|step| &step.version);
            steps.map(|version| (version.revision, version.dataset.updated_at)).collect()
        });
        let unknown = (7, Some(caller.time()));
        let index = self.random.below(versions.len() + 1);
        let (revision, updated_at) = versions.get(index).copied().unwrap_or(unknown);
        let organization = self.organization(handle, caller);
        let (found, expected) = if self.random.percent(50) {
            let is_wanted = |shown: &Shown| shown.revision == revision;
            (organization.version(id, revision), self.model.version(owner, id, is_wanted))
        } else {
            let is_wanted = |shown: &Shown| shown.dataset.updated_at == updated_at;
            (organization.version_at(id, updated_at), self.model.version(owner, id, is_wanted))
        };
        let found = found.map(|version| version.map(Shown::from));
        counts.note("version", matches!(found, Ok(Some(_))));
        let what = format!("version {revision} of {id}, or at {updated_at:?}");
        self.compare(&what, &self.if_open(handle, expected), &found, counts).map(drop)
    }

    /// Goes back from what is there, or from what was there.
    pub(crate) fn revert(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let is_changed = |kept: &Kept| kept.trail.len() > 1 && kept.deletion.is_none() && !kept.altered.is_any();
        let (owner, id) = self.any_target_that(is_changed);
        let Some(place) = self.model.find(owner, id) else { return Ok(()) };
        let kept = &self.model.kept[place];
        let step = if self.random.percent(15) { self.random.below(kept.trail.len()) } else { kept.trail.len() };
        let current = kept.trail.get(step).map_or(&kept.now, |step| &step.version).dataset.clone();
        let revision = u64::try_from(self.random.below(usize::try_from(kept.now.revision).unwrap() + 2)).unwrap();
        let (caller, found, _) =
            self.as_caller_for(handle, owner, |organization| organization.revert_dataset(&current, revision));
        let mut after = self.model.clone();
        let answer = caller
            .clock()
            .and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.revert(caller, &current, revision)));
        let expected = Expected { updated_at: token(&answer), answer, after, ids: vec![id] };
        self.settle(handle, caller.organization, ("revert", &(&current, revision)), expected, &found, counts).map(drop)
    }

    pub(crate) fn prune(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (owner, id) = self.any_target_that(|kept| kept.trail.len() > 2);
        let mut caller = self.any_caller();
        caller.organization = owner;
        let times = self.times_of_changes();
        let some_time = times.get(self.random.below(times.len().max(1))).copied().unwrap_or(caller.time());
        let keep = Keep {
            last: [0, 1, 2, 2, 3, 4][self.random.below(6)],
            since: Some(some_time + TimeDelta::microseconds([0, 0, 1][self.random.below(3)]))
                .filter(|_| self.random.percent(40)),
            of: Some(id).filter(|_| self.random.percent(60)),
        };
        let found = self.organization(handle, caller).prune_history(&keep.as_asked());
        let mut after = self.model.clone();
        let answer = self.if_writable(handle, Ok(())).and_then(|()| after.prune(owner, &keep));
        if let (Err(Error::OutcomeUnknown { ids, .. }), Ok(removed)) = (&found, answer) {
            return self.prune_again(handle, (owner, &keep), (ids, removed), after);
        }
        let expected = Expected { answer, after, ids: Vec::from_iter(keep.of), updated_at: None };
        counts.note("prune of something", found.as_ref().is_ok_and(|removed| *removed > 0));
        self.settle(handle, owner, ("prune", &keep), expected, &found, counts).map(drop)
    }

    /// After an unknown outcome: the history of what is in the trash cannot be seen, but what is left can be pruned.
    fn prune_again(
        &mut self,
        handle: usize,
        (owner, keep): (OrganizationId, &Keep),
        (ids, removed): (&[DatasetId], u64),
        after: Model,
    ) -> Checked {
        let handle = self.after_unknown(handle)?;
        let again = self.handles[handle].store.organization(owner).prune_history(&keep.as_asked());
        if !ids.iter().eq(&keep.of) || !again.as_ref().is_ok_and(|left| *left == 0 || *left == removed) {
            return Err(format!("pruning {removed} of {ids:?} again by {keep:?}: {again:?}"));
        }
        self.model = after;
        self.agrees(handle, owner)
    }

    fn times_of_changes(&self) -> Vec<DateTime<Utc>> {
        let trails = self.model.kept.iter().rev().take(4).flat_map(|kept| &kept.trail);
        trails.map(|step| step.at).collect()
    }
}
