//! Changing a dataset, by the rules.

use std::collections::HashSet;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use kpi_store::{Dataset, DatasetDraft, DatasetId, Kpi, KpiDraft, KpiId, NewKpi, OrganizationId, Origin};
use uuid::Uuid;

use super::creating::{is_kpi, is_name, is_text, kpi_as_written};
use super::history::Step;
use super::{Altered, Answer, Caller, LAST_TIME, Model, Version};

/// What a change makes of a dataset; each KPI has an id.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) kpis: Vec<NewKpi>,
}

impl From<&Dataset> for Content {
    fn from(dataset: &Dataset) -> Self {
        let kpis = dataset.kpis.iter().map(fields).collect();
        Self { name: dataset.name.clone(), description: dataset.description.clone(), kpis }
    }
}

/// The fields of a KPI that can be changed, and its id.
pub(crate) fn fields(kpi: &Kpi) -> NewKpi {
    NewKpi::from(kpi).id(kpi.id)
}

/// The fields of a KPI of a draft, without a place.
pub(crate) fn fields_of_draft(kpi: &KpiDraft) -> NewKpi {
    let mut new = NewKpi::new(&kpi.name).value_type(kpi.value_type).required(kpi.required);
    (new.id, new.description, new.unit) = (kpi.id(), kpi.description.clone(), kpi.unit.clone());
    new
}

/// Whether a draft keeps the limits, whatever its dataset is.
pub(crate) fn is_valid(draft: &DatasetDraft) -> bool {
    let mut ids = HashSet::new();
    let is_valid = |kpi: &KpiDraft| is_kpi(&fields_of_draft(kpi)) && kpi.id().is_none_or(|id| ids.insert(id));
    let is_dataset = is_name(&draft.name) && is_text(draft.description.as_deref(), 2_000);
    is_dataset && draft.kpis.len() <= 10_000 && draft.kpis.iter().all(is_valid)
}

/// Gives the ids that were drawn to the KPIs that have none.
pub(crate) fn with_ids(kpis: impl IntoIterator<Item = NewKpi>, drawn: &[Uuid]) -> Vec<NewKpi> {
    let mut drawn = drawn.iter();
    let next = |kpi: NewKpi| match kpi.id {
        Some(_) => kpi,
        None => kpi.id(KpiId::from(*drawn.next().expect("an id was asked for"))),
    };
    let kpis = kpis.into_iter().map(next).collect();
    assert_eq!(drawn.next(), None, "more ids were asked for than are needed");
    kpis
}

impl Model {
    pub(crate) fn save(&mut self, caller: Caller, draft: &DatasetDraft, drawn: &[Uuid]) -> Answer<Dataset> {
        let mut kpis = with_ids(draft.kpis.iter().map(fields_of_draft), drawn);
        let place = self.present(caller.organization, draft.id())?;
        if self.rules.damage_comes_before_a_conflict {
            self.editable(caller.organization, draft.id())?;
        }
        self.check_token(place, draft.updated_at())?;
        self.editable(caller.organization, draft.id())?;
        let ids: Vec<_> = kpis.iter().filter_map(|kpi| kpi.id).collect();
        if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
            return Err("already_exists");
        }
        let sort_orders = self.sort_orders(&self.kept[place].now, &ids);
        kpis.iter_mut().zip(sort_orders).for_each(|(kpi, sort_order)| kpi.sort_order = sort_order);
        let content = Content { name: draft.name.clone(), description: draft.description.clone(), kpis };
        self.change(caller, place, Origin::Edited, &content, None)
    }

    pub(crate) fn create_kpi(&mut self, caller: Caller, id: DatasetId, new: &NewKpi, drawn: &[Uuid]) -> Answer<Kpi> {
        let new = with_ids([new.clone()], drawn).remove(0);
        let place = self.present(caller.organization, id)?;
        // The other KPIs are not read, so damage to them is not noticed.
        if self.kept[place].altered.name.is_some() || !self.rules.a_created_kpi_needs_no_other {
            self.editable(caller.organization, id)?;
        }
        self.token(place, caller)?;
        let mut content = Content::from(&self.kept[place].now.dataset);
        if content.kpis.iter().any(|kpi| kpi.id == new.id) {
            return Err("already_exists");
        }
        let id = new.id;
        content.kpis.push(new);
        let origin = if self.rules.a_created_kpi_is_an_edit { Origin::Edited } else { Origin::Created };
        let dataset = self.change(caller, place, origin, &content, None)?;
        Ok(dataset.kpis.into_iter().find(|kpi| Some(kpi.id) == id).expect("it was added"))
    }

    pub(crate) fn accept(&mut self, caller: Caller, id: DatasetId) -> Answer<Dataset> {
        let place = self.present(caller.organization, id)?;
        let (token, number) = (self.token(place, caller)?, self.number());
        let kept = &mut self.kept[place];
        kept.now.dataset = kept.stored();
        kept.altered = Altered::default();
        if self.rules.accepting_moves_the_token {
            (kept.now.dataset.updated_at, kept.now.dataset.updated_by) = (Some(token), caller.user);
        }
        kept.now.revision += 1;
        let (version, by) = (kept.now.clone(), caller.user);
        kept.trail.push(Step { number, origin: Origin::Accepted, at: token, by, version, is_cut: false });
        Ok(kept.now.dataset.clone())
    }

    /// The index of a dataset that can be changed.
    pub(crate) fn editable(&self, organization: OrganizationId, id: DatasetId) -> Answer<usize> {
        let place = self.present(organization, id)?;
        if self.rules.damage_cannot_be_edited {
            self.whole(&self.kept[place])?;
        }
        Ok(place)
    }

    pub(crate) fn check_token(&self, place: usize, expected: Option<DateTime<Utc>>) -> Answer<()> {
        let is_same = self.kept[place].now.dataset.updated_at == expected;
        if is_same || !self.rules.conflicts_are_judged { Ok(()) } else { Err("conflict") }
    }

    /// The `updated_at` of the next change.
    fn token(&self, place: usize, caller: Caller) -> Answer<DateTime<Utc>> {
        let Dataset { created_at, updated_at, .. } = self.kept[place].now.dataset;
        let last = created_at.max(updated_at.unwrap_or(created_at));
        let next = last + TimeDelta::microseconds(1);
        let token =
            if next > caller.time() && self.rules.tokens_rise_when_the_clock_steps_back { next } else { caller.time() };
        if token.timestamp_micros() > LAST_TIME { Err("clock_out_of_range") } else { Ok(token) }
    }

    /// The `sort_order` of KPIs in this display order.
    pub(crate) fn sort_orders(&self, now: &Version, ids: &[KpiId]) -> Vec<i64> {
        let kpis = &now.dataset.kpis;
        let places: Vec<_> = ids.iter().map(|id| kpis.iter().position(|kpi| kpi.id == *id)).collect();
        let stay: Vec<usize> = places.iter().copied().flatten().collect();
        let is_in_order = stay.is_sorted() && places[..stay.len()].iter().all(Option::is_some);
        let mut sort_orders: Vec<i64> = stay.iter().map(|place| kpis[*place].sort_order).collect();
        let appended = i64::try_from(ids.len() - stay.len()).unwrap();
        let numbered = (0..).take(ids.len()).collect();
        if !is_in_order && !self.rules.an_unordered_list_is_renumbered {
            return places.iter().map(|place| place.map_or(0, |place| kpis[place].sort_order)).collect();
        }
        let last = sort_orders.last().copied().unwrap_or(-1);
        if !is_in_order || last.checked_add(appended).is_none() || !self.rules.kept_sort_orders_stay {
            return numbered;
        }
        let step = i64::from(self.rules.appended_kpis_get_the_last_plus_one);
        sort_orders.extend((1..=appended).map(|index| (last + step * index).max(0)));
        sort_orders
    }

    /// Gives a dataset this content, and KPIs that it had `then` their places and ages.
    pub(crate) fn change(
        &mut self,
        caller: Caller,
        place: usize,
        origin: Origin,
        content: &Content,
        then: Option<&Version>,
    ) -> Answer<Dataset> {
        let token = self.token(place, caller);
        // If there is none, whether anything changes still counts.
        let time = token.unwrap_or(caller.time());
        let mut changes = self.changes;
        let before = &self.kept[place].now;
        let mut rows = Vec::new();
        for wanted in &content.kpis {
            let id = wanted.id.expect("each has one");
            let (now, once) = (before.kpi(id), then.and_then(|then| then.kpi(id)));
            let added = || {
                changes += 1;
                // Behind all that a new dataset can have.
                10_000 + changes
            };
            let place = once.or(now).map_or_else(added, |(place, _)| place);
            rows.push((
                place,
                self.changed_kpi(before.dataset.id, wanted, (now.map(|(_, kpi)| kpi), once.map(|(_, kpi)| kpi)), time),
            ));
        }
        if self.rules.ties_are_in_order_of_addition {
            rows.sort_by_key(|(place, kpi)| (kpi.sort_order, *place));
        } else {
            rows.sort_by_key(|(_, kpi)| (kpi.sort_order, kpi.id));
        }
        let (places, kpis) = rows.into_iter().unzip();
        let mut after = Version { places, ..before.clone() };
        (after.dataset.name, after.dataset.description) = (content.name.clone(), content.description.clone());
        after.dataset.kpis = kpis;
        if after == *before && self.rules.what_changes_nothing_writes_nothing {
            return Ok(after.dataset);
        }
        token?;
        after.dataset.updated_at = Some(time);
        if self.rules.the_last_editor_is_named {
            after.dataset.updated_by = caller.user;
        }
        after.revision += 1;
        self.changes = changes;
        let number = self.number();
        let kept = &mut self.kept[place];
        kept.now = after;
        let version = kept.now.clone();
        kept.trail.push(Step { number, origin, at: time, by: caller.user, version, is_cut: false });
        Ok(kept.now.dataset.clone())
    }

    fn changed_kpi(
        &self,
        dataset: DatasetId,
        wanted: &NewKpi,
        (now, once): (Option<&Kpi>, Option<&Kpi>),
        token: DateTime<Utc>,
    ) -> Kpi {
        let id = wanted.id.expect("each has one").into();
        let created_at = token.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut kpi = kpi_as_written(dataset.into(), id, wanted, &created_at);
        let once = once.filter(|_| self.rules.a_revert_restores_the_ages_of_kpis);
        (kpi.created_at, kpi.updated_at) = match (now, once) {
            (Some(now), _) if fields(now) == *wanted && self.rules.a_kpi_has_the_time_of_its_own_change => {
                (now.created_at, now.updated_at)
            }
            (Some(now), _) => (now.created_at, Some(token)),
            (None, Some(once)) => (once.created_at, Some(token)),
            (None, None) => (token, None),
        };
        kpi
    }
}
