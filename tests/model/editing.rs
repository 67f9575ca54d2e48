//! Changing datasets, by the store and by its model.

use kpi_store::{Dataset, DatasetId, Error, OrganizationId, Result};

use super::changes::Expected;
use super::drafts::Draft;
use super::model::creating::is_kpi;
use super::model::editing::is_valid;
use super::model::{Answer, Caller, Kept};
use super::patches::Patch;
use super::requests::{new_kpi, uuid};
use super::world::{Checked, Counts, World};

/// The most drafts that are kept for later.
const DRAFTS_MAX: usize = 6;

impl World {
    /// Saves a fresh draft, or one that was made earlier and may be of a dataset that was changed since.
    pub(crate) fn save(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let old = if self.random.percent(50) && !self.drafts.is_empty() {
            let place = self.random.below(self.drafts.len());
            Some(self.drafts.remove(place))
        } else {
            None
        };
        let Some(mut draft) = old.map_or_else(|| self.any_draft(), |draft| Ok(Some(draft)))? else { return Ok(()) };
        let past = self.past(draft.base.organization_id, draft.base.id);
        draft.edit(&mut self.random, &past);
        if self.random.percent(30) {
            draft.through_json()?;
        }
        if self.random.percent(30) && self.drafts.len() < DRAFTS_MAX {
            // Other changes come first.
            self.drafts.push(draft);
            return Ok(());
        }
        let (organization, found) = self.save_draft(handle, &draft, counts)?;
        counts.note("save without a conflict", !matches!(found, Err(Error::Conflict { .. })));
        if let Err(Error::Conflict { expected, found, .. }) = found {
            let current = self.model.read(organization, draft.base.id);
            let current = current.ok().flatten().filter(|current| current.updated_at == found);
            let current = current.filter(|_| expected == draft.draft.updated_at() && expected != found);
            let current = current.ok_or_else(|| format!("a conflict of {draft:?} with {found:?}"))?;
            // Another organization may have a dataset with the same id.
            if self.random.percent(70) && organization == draft.base.organization_id {
                counts.note("merge", true);
                self.find_base(handle, &draft, counts)?;
                draft.merge(&current)?;
                let _ = self.save_draft(handle, &draft, counts)?;
            }
        }
        if self.random.percent(40) && self.drafts.len() < DRAFTS_MAX {
            self.drafts.push(draft);
        }
        Ok(())
    }

    fn save_draft(
        &mut self,
        handle: usize,
        Draft { draft, base }: &Draft,
        counts: &mut Counts,
    ) -> Checked<(OrganizationId, Result<Dataset>)> {
        let (caller, found, drawn) =
            self.as_caller_for(handle, base.organization_id, |organization| organization.save_dataset(draft));
        let mut after = self.model.clone();
        let valid = self.if_valid(is_valid(draft), caller, draft.id());
        let answer =
            valid.and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.save(caller, draft, &drawn)));
        let expected = Expected { updated_at: token(&answer), answer, after, ids: vec![draft.id()] };
        self.settle(handle, caller.organization, ("save", draft), expected, &found, counts)?;
        Ok((caller.organization, found))
    }

    /// What is invalid is refused whatever is stored.
    fn if_valid(&self, is_valid: bool, caller: Caller, id: DatasetId) -> Answer<()> {
        if !self.model.rules.what_is_invalid_is_refused_first {
            self.model.present(caller.organization, id)?;
        }
        if is_valid { caller.clock() } else { Err("invalid") }
    }

    /// The store knows what a draft was made of, unless it was pruned.
    fn find_base(&mut self, handle: usize, Draft { draft, base }: &Draft, counts: &mut Counts) -> Checked {
        let token = draft.updated_at();
        let found = self.handles[handle].store.organization(base.organization_id).version_at(base.id, token);
        let expected = self.model.version(base.organization_id, base.id, |version| version.dataset.updated_at == token);
        let expected = self.if_open(handle, expected.map(|version| version.map(|version| version.dataset)));
        if expected.as_ref().is_ok_and(|found| found.as_ref().is_some_and(|found| found != base)) {
            return Err(format!("the model has {expected:?} at {token:?}, not {base:?}"));
        }
        let found = found.map(|version| version.map(|version| version.dataset));
        self.compare("the base of a merge", &expected, &found, counts).map(drop)
    }

    fn any_draft(&mut self) -> Checked<Option<Draft>> {
        let (organization, id) = self.any_target_that(is_editable);
        let dataset = self.model.find(organization, id).map(|place| self.model.kept[place].now.dataset.clone());
        dataset.map(|dataset| Draft::of(&mut self.random, &dataset)).transpose()
    }

    /// The versions of a dataset.
    fn past(&self, organization: OrganizationId, id: DatasetId) -> Vec<Dataset> {
        let kept = self.model.find(organization, id).map(|place| &self.model.kept[place]);
        kept.map_or_else(Vec::new, |kept| kept.trail.iter().map(|step| step.version.dataset.clone()).collect())
    }

    pub(crate) fn update(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (owner, id) = self.any_target_that(is_editable);
        let past = self.past(owner, id);
        let mut tokens: Vec<_> = past.iter().map(|dataset| dataset.updated_at).collect();
        tokens.extend(tokens.last().copied().into_iter().cycle().take(past.len()));
        let current = self.model.find(owner, id).map(|place| self.model.kept[place].now.dataset.clone());
        let Some(current) = current.or_else(|| self.any_dataset()) else { return Ok(()) };
        let patch = Patch::any(&mut self.random, &current, &tokens);
        let (caller, found, drawn) = match patch.as_asked(&mut self.random) {
            Ok(asked) => self.as_caller_for(handle, owner, |organization| organization.update_dataset(id, asked)),
            Err(_) if patch.is_valid() => return Err(format!("{patch:?} was not read from JSON")),
            Err(_) => return Ok(()),
        };
        let mut after = self.model.clone();
        let valid = self.if_valid(patch.is_valid(), caller, id);
        let answer = valid
            .and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.update(caller, id, &patch, &drawn)));
        let expected = Expected { updated_at: token(&answer), answer, after, ids: vec![id] };
        self.settle(handle, caller.organization, ("update", &(id, &patch)), expected, &found, counts).map(drop)
    }

    fn any_dataset(&mut self) -> Option<Dataset> {
        self.model.kept.last().map(|kept| kept.now.dataset.clone())
    }

    pub(crate) fn create_kpi(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        // Rarely of a dataset of which a KPI is damaged.
        let may_be_altered = self.random.percent(35);
        let is_wanted = |kept: &Kept| is_editable(kept) || (may_be_altered && !kept.altered.units.is_empty());
        let (owner, id) = self.any_target_that(is_wanted);
        let sort_orders = [0, 1, 1, 2, i64::MAX, -1];
        let mut new = new_kpi(&mut self.random).sort_order(sort_orders[self.random.below(6)]);
        if self.random.percent(30) {
            let place = self.model.find(owner, id);
            let taken = place.and_then(|place| self.model.kept[place].now.dataset.kpis.first()).map(|kpi| kpi.id);
            let fresh = uuid(&mut self.random).into();
            new = new.id(taken.filter(|_| self.random.percent(40)).unwrap_or(fresh));
        }
        let (caller, found, drawn) =
            self.as_caller_for(handle, owner, |organization| organization.create_kpi(id, new.clone()));
        let mut after = self.model.clone();
        let valid = self.if_valid(is_kpi(&new), caller, id);
        let answer = valid
            .and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.create_kpi(caller, id, &new, &drawn)));
        let updated_at = answer.as_ref().ok().map(|kpi| kpi.created_at);
        let expected = Expected { updated_at, answer, after, ids: vec![id] };
        self.settle(handle, caller.organization, ("create a KPI", &(id, &new)), expected, &found, counts).map(drop)
    }

    /// Accepts what another tool has changed, or nothing.
    pub(crate) fn accept(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let mostly_altered = self.random.percent(80);
        let (owner, id) =
            self.any_target_that(|kept| kept.deletion.is_none() && (kept.altered.is_any() || !mostly_altered));
        let is_altered = self.model.find(owner, id).is_some_and(|place| self.model.kept[place].altered.is_any());
        let (caller, found, _) = self.as_caller_for(handle, owner, |organization| organization.accept_dataset(id));
        let mut after = self.model.clone();
        let answer =
            caller.clock().and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.accept(caller, id)));
        let expected = Expected { updated_at: token(&answer), answer, after, ids: vec![id] };
        self.settle(handle, caller.organization, ("accept", &id), expected, &found, counts)?;
        counts.accepted += usize::from(is_altered && found.is_ok());
        Ok(())
    }
}

fn is_editable(kept: &Kept) -> bool {
    kept.deletion.is_none() && !kept.altered.is_any()
}

pub(crate) fn token(answer: &Answer<Dataset>) -> Option<chrono::DateTime<chrono::Utc>> {
    answer.as_ref().ok().and_then(|dataset| dataset.updated_at)
}
