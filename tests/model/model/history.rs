//! What was, by the rules: the trail of a dataset, going back in it, and pruning it.

use chrono::{DateTime, Utc};
use kpi_store::{Dataset, DatasetDiff, DatasetId, DatasetVersion, HistoryKeep, OrganizationId, Origin, UserId};

use super::editing::Content;
use super::{Altered, Answer, Caller, Kept, Model, Version};

/// Something that happened to a dataset.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// 0 of the creation, which is always the last of a history.
    pub(crate) number: usize,
    pub(crate) origin: Origin,
    pub(crate) at: DateTime<Utc>,
    pub(crate) by: Option<UserId>,
    /// What the dataset was then.
    pub(crate) version: Version,
    /// Whether everything before it was pruned.
    pub(crate) is_cut: bool,
}

impl Step {
    pub(super) fn is_of_content(&self) -> bool {
        !matches!(self.origin, Origin::Deleted | Origin::Restored)
    }
}

/// A version as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) revision: u64,
    pub(crate) origin: Origin,
    changed_at: DateTime<Utc>,
    changed_by: Option<UserId>,
    pub(crate) dataset: Dataset,
    diff: Option<DatasetDiff>,
}

impl From<DatasetVersion> for Shown {
    fn from(version: DatasetVersion) -> Self {
        let DatasetVersion { revision, origin, changed_at, changed_by, dataset, diff, .. } = version;
        Self { revision, origin, changed_at, changed_by, dataset, diff }
    }
}

/// Which versions a call prunes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) last: usize,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) of: Option<DatasetId>,
}

impl Keep {
    pub(crate) fn as_asked(&self) -> HistoryKeep {
        let keep = HistoryKeep::new().last(self.last.try_into().unwrap());
        let keep = self.since.map_or(keep.clone(), |since| keep.since(since));
        self.of.map_or(keep.clone(), |id| keep.of(id))
    }
}

impl Altered {
    /// What of it is left behind this step.
    fn go_back(&mut self, step: &Step, before: &Dataset) {
        let after = &step.version.dataset;
        let unit = |dataset: &Dataset, id| dataset.kpi(id).map(|kpi| kpi.unit.clone());
        if step.origin == Origin::Accepted {
            self.name = Some(after.name.clone()).filter(|name| *name != before.name).or(self.name.take());
            let replaced = after.kpis.iter().filter(|kpi| unit(before, kpi.id) != Some(kpi.unit.clone()));
            self.units.extend(replaced.map(|kpi| (kpi.id, kpi.unit.clone().unwrap_or_default())));
        } else {
            self.name = self.name.take().filter(|_| after.name == before.name);
            self.units.retain(|id, _| unit(after, *id) == unit(before, *id));
        }
    }
}

impl Model {
    /// The history of a dataset, the newest first, each step with its number.
    pub(crate) fn history(&self, organization: OrganizationId, id: DatasetId) -> Answer<Vec<(usize, Shown)>> {
        let kept = &self.kept[self.present(organization, id)?];
        self.whole(kept)?;
        Ok(self.shown(kept))
    }

    fn shown(&self, kept: &Kept) -> Vec<(usize, Shown)> {
        let mut shown = Vec::new();
        let mut is_known = true;
        // What the other tool has written stays, going back, until a change gives back what it has replaced.
        let mut left = Altered::default();
        for (index, step) in kept.trail.iter().enumerate().rev() {
            let before = kept.trail[..index].last().filter(|_| !step.is_cut && step.is_of_content());
            let was_known = is_known;
            if let Some(before) = before {
                let is_gap = step.origin == Origin::Accepted && self.rules.accepting_leaves_a_gap;
                left.go_back(step, &before.version.dataset);
                is_known = !left.is_any() && !is_gap;
            }
            if was_known && (step.is_of_content() || self.rules.deletions_are_in_the_trail) {
                let before = before.filter(|_| is_known);
                let first = kept.trail.first().filter(|_| !self.rules.differences_are_those_to_the_version_before);
                let before = before.map(|before| &first.unwrap_or(before).version.dataset);
                shown.push((step.number, self.as_shown(step, before)));
            }
            if step.is_cut {
                break;
            }
        }
        shown
    }

    fn as_shown(&self, step: &Step, before: Option<&Dataset>) -> Shown {
        let Step { origin, version: Version { dataset, revision, .. }, .. } = step;
        Shown {
            revision: *revision,
            origin: *origin,
            changed_at: step.at,
            changed_by: step.by.filter(|_| self.rules.the_trail_names_who_changed),
            dataset: dataset.clone(),
            diff: before.map(|before| DatasetDiff::between(before, dataset)),
        }
    }

    /// The newest version of which this is true, as the change that made it is shown.
    pub(crate) fn version(
        &self,
        organization: OrganizationId,
        id: DatasetId,
        is_wanted: impl Fn(&Shown) -> bool,
    ) -> Answer<Option<Shown>> {
        match self.history(organization, id) {
            Err("not_found") => Ok(None),
            shown => Ok(shown?
                .into_iter()
                .map(|(_, shown)| shown)
                .find(|shown| !matches!(shown.origin, Origin::Deleted | Origin::Restored) && is_wanted(shown))),
        }
    }

    pub(crate) fn revert(&mut self, caller: Caller, current: &Dataset, revision: u64) -> Answer<Dataset> {
        let place = self.editable(caller.organization, current.id)?;
        self.check_token(place, current.updated_at)?;
        let is_wanted = |shown: &Shown| shown.revision == revision;
        self.version(caller.organization, current.id, is_wanted)?.ok_or("not_found")?;
        let steps = &self.kept[place].trail;
        let then = steps.iter().map(|step| &step.version).find(|version| version.revision == revision);
        let then = then.expect("what is shown is in the trail").clone();
        let mut content = Content::from(&then.dataset);
        if !self.rules.a_revert_restores_the_order {
            content.kpis.iter_mut().zip(0..).for_each(|(kpi, index)| kpi.sort_order = index);
        }
        self.change(caller, place, Origin::Reverted, &content, Some(&then))
    }

    /// How many versions it removes.
    pub(crate) fn prune(&mut self, organization: OrganizationId, keep: &Keep) -> Answer<u64> {
        let of_one = keep.of.map(|id| self.present(organization, id)).transpose()?;
        let of_one = of_one.filter(|_| self.rules.pruning_one_leaves_the_others);
        let rules = self.rules;
        let all = self.kept.iter_mut().enumerate();
        let pruned =
            all.filter(|(place, kept)| kept.organization() == organization && of_one.is_none_or(|one| one == *place));
        let removed: usize = pruned
            .map(|(_, kept)| {
                let changes: Vec<usize> =
                    (0..kept.trail.len()).rev().filter(|i| kept.trail[*i].is_of_content()).collect();
                let replaced = changes.iter().copied().filter(|i| kept.trail[*i].origin != Origin::Created);
                // The present version is the first, the one that the last change replaced the second.
                let last = keep.last + usize::from(!rules.pruning_keeps_the_last);
                let is_kept = |index: usize, step: &Step| {
                    let is_since = keep.since.is_some_and(|since| step.at >= since);
                    index < last || (is_since && rules.pruning_keeps_what_was_there_since)
                };
                let mut ordered = (1..).zip(replaced.clone());
                let Some((_, end)) = ordered.find(|(index, i)| !is_kept(*index, &kept.trail[*i])) else { return 0 };
                let holds = |step: &Step| step.origin != Origin::Accepted && !step.is_cut;
                let removed = replaced.filter(|i| *i <= end && holds(&kept.trail[*i])).count();
                if removed > 0 && rules.what_was_pruned_is_gone {
                    kept.trail.drain(..end);
                    kept.trail[0].is_cut = true;
                }
                removed
            })
            .sum();
        Ok(removed.try_into().unwrap())
    }
}
