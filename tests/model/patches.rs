//! Random patches: what the store is given, and what it makes of a dataset by the rules.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use kpi_store::{Dataset, DatasetId, DatasetPatch, KpiId, KpiPatch, NewKpi, Origin, ValueType};
use uuid::Uuid;

use super::model::creating::{is_kpi, is_name, is_text};
use super::model::editing::{Content, with_ids};
use super::model::{Answer, Caller, Model};
use super::requests::{new_kpi, pick, text, uuid, value_type};
use super::support::Random;

#[derive(Clone, Debug, Default)]
#[allow(clippy::option_option, reason = "absent keeps, `None` clears")]
pub(crate) struct Patch {
    name: Option<String>,
    description: Option<Option<String>>,
    added: Vec<NewKpi>,
    updated: Vec<(KpiId, KpiChange)>,
    deleted: Vec<KpiId>,
    order: Option<Vec<KpiId>>,
    expected: Option<Option<DateTime<Utc>>>,
}

#[derive(Clone, Debug, Default)]
#[allow(clippy::option_option, reason = "absent keeps, `None` clears")]
struct KpiChange {
    name: Option<String>,
    description: Option<Option<String>>,
    unit: Option<Option<String>>,
    value_type: Option<ValueType>,
    required: Option<bool>,
    sort_order: Option<i64>,
}

impl Patch {
    /// A patch for this dataset, and rarely for another; `tokens` are those of earlier versions too.
    pub(crate) fn any(random: &mut Random, dataset: &Dataset, tokens: &[Option<DateTime<Utc>>]) -> Self {
        let ids: Vec<KpiId> = dataset.kpis.iter().map(|kpi| kpi.id).collect();
        let mut patch = Self::default();
        if random.percent(30) {
            // Often the name that it has.
            patch.name = Some(if random.percent(40) { dataset.name.clone() } else { text(random, 1, 255) });
        }
        if random.percent(20) {
            patch.description = Some(if random.percent(50) { Some(text(random, 0, 2_000)) } else { None });
        }
        if random.percent(35) {
            patch.expected = Some(pick(random, tokens).unwrap_or_default());
        }
        let any_id = |random: &mut Random| {
            let unknown = uuid(random).into();
            if random.percent(5) { unknown } else { pick(random, &ids).unwrap_or(unknown) }
        };
        for _ in 0..random.below(3) {
            let sort_orders = [0, 0, 1, 2, 2, i64::MAX];
            let new = new_kpi(random).sort_order(sort_orders[random.below(6)]);
            let id = if random.percent(10) { any_id(random) } else { uuid(random).into() };
            patch.added.push(if random.percent(25) { new.id(id) } else { new });
        }
        if ids.is_empty() && random.percent(90) {
            return patch;
        }
        for _ in 0..random.below(3) {
            patch.updated.push((any_id(random), KpiChange::any(random)));
        }
        if random.percent(20) {
            patch.deleted.push(any_id(random));
        }
        if random.percent(25) {
            patch.reorder(random, &ids, any_id);
        }
        if random.percent(5) {
            // Two reasons for a refusal.
            patch.expected = Some(pick(random, tokens).unwrap_or_default());
            patch.deleted.push(uuid(random).into());
        }
        patch
    }

    fn reorder(&mut self, random: &mut Random, ids: &[KpiId], any_id: impl Fn(&mut Random) -> KpiId) {
        let given: Vec<KpiId> = self.added.iter().filter_map(|kpi| kpi.id).collect();
        let mut left: Vec<KpiId> = ids.iter().chain(&given).copied().filter(|id| !self.deleted.contains(id)).collect();
        let mut order = Vec::new();
        while !left.is_empty() && random.percent(80) {
            // Often as they stand.
            let place = if random.percent(60) { 0 } else { random.below(left.len()) };
            order.push(left.remove(place));
        }
        if random.percent(5) {
            order.push(any_id(random));
        }
        if random.percent(85) {
            self.updated.iter_mut().for_each(|(_, change)| change.sort_order = None);
            self.added.iter_mut().for_each(|kpi| kpi.sort_order = 0);
        }
        self.order = Some(order);
    }

    /// As the store is given it; what JSON can say now and then through JSON.
    pub(crate) fn as_asked(&self, random: &mut Random) -> Result<DatasetPatch, &'static str> {
        let mut patch = DatasetPatch::new();
        if random.percent(50) {
            let mut body = serde_json::Map::new();
            body.extend(self.name.clone().map(|name| ("name".to_owned(), name.into())));
            body.extend(self.description.clone().map(|text| ("description".to_owned(), text.into())));
            patch = DatasetPatch::from_json(serde_json::to_vec(&body).unwrap()).map_err(|_| "invalid")?;
        } else {
            patch = self.name.iter().fold(patch, DatasetPatch::name);
            patch = match &self.description {
                Some(Some(description)) => patch.description(description),
                Some(None) => patch.clear_description(),
                None => patch,
            };
        }
        patch = self.added.iter().cloned().fold(patch, DatasetPatch::add_kpi);
        patch = self.updated.iter().fold(patch, |patch, (id, change)| patch.update_kpi(*id, change.as_asked()));
        patch = self.deleted.iter().copied().fold(patch, DatasetPatch::delete_kpi);
        patch = self.order.iter().fold(patch, |patch, order| patch.order_kpis(order.iter().copied()));
        Ok(self.expected.iter().copied().fold(patch, DatasetPatch::if_updated_at))
    }

    /// Whether it keeps the limits and does not contradict itself, whatever the dataset is.
    pub(crate) fn is_valid(&self) -> bool {
        let has_order = self.order.is_some();
        let added: Vec<KpiId> = self.added.iter().filter_map(|kpi| kpi.id).collect();
        let updated: Vec<KpiId> = self.updated.iter().map(|(id, _)| *id).collect();
        let order = self.order.clone().unwrap_or_default();
        let are_distinct = |ids: &[&[KpiId]]| {
            let ids = ids.concat();
            ids.iter().collect::<HashSet<_>>().len() == ids.len()
        };
        self.name.as_deref().is_none_or(is_name)
            && self.description.as_ref().is_none_or(|text| is_text(text.as_deref(), 2_000))
            && self.added.iter().all(|kpi| is_kpi(kpi) && (!has_order || kpi.sort_order == 0))
            && self.updated.iter().all(|(_, change)| change.is_valid(has_order))
            && are_distinct(&[&added, &self.deleted])
            && are_distinct(&[&updated, &self.deleted])
            && are_distinct(&[&order])
    }
}

impl KpiChange {
    fn any(random: &mut Random) -> Self {
        let mut change = Self::default();
        let sort_orders = [0, 1, 1, 2, 3, i64::MAX];
        for _ in 0..=random.below(2) {
            match random.below(6) {
                0 => change.name = Some(text(random, 1, 255)),
                1 => change.description = Some(Some(text(random, 0, 2_000)).filter(|_| random.percent(50))),
                2 => change.unit = Some(Some(text(random, 0, 50)).filter(|_| random.percent(50))),
                3 => change.value_type = Some(value_type(random)),
                4 => change.required = Some(random.percent(50)),
                _ => change.sort_order = Some(sort_orders[random.below(6)]),
            }
        }
        change
    }

    fn as_asked(&self) -> KpiPatch {
        let mut patch = self.name.iter().fold(KpiPatch::new(), KpiPatch::name);
        patch = match &self.description {
            Some(Some(description)) => patch.description(description),
            Some(None) => patch.clear_description(),
            None => patch,
        };
        patch = match &self.unit {
            Some(Some(unit)) => patch.unit(unit),
            Some(None) => patch.clear_unit(),
            None => patch,
        };
        patch = self.value_type.into_iter().fold(patch, KpiPatch::value_type);
        patch = self.required.into_iter().fold(patch, KpiPatch::required);
        self.sort_order.into_iter().fold(patch, KpiPatch::sort_order)
    }

    fn is_valid(&self, has_order: bool) -> bool {
        self.name.as_deref().is_none_or(is_name)
            && self.description.as_ref().is_none_or(|text| is_text(text.as_deref(), 2_000))
            && self.unit.as_ref().is_none_or(|text| is_text(text.as_deref(), 50))
            && self.sort_order.is_none_or(|sort_order| sort_order >= 0 && !has_order)
    }

    fn apply(&self, kpi: &mut NewKpi) {
        kpi.name = self.name.clone().unwrap_or(kpi.name.clone());
        kpi.description = self.description.clone().unwrap_or(kpi.description.clone());
        kpi.unit = self.unit.clone().unwrap_or(kpi.unit.clone());
        kpi.value_type = self.value_type.unwrap_or(kpi.value_type);
        kpi.required = self.required.unwrap_or(kpi.required);
        kpi.sort_order = self.sort_order.unwrap_or(kpi.sort_order);
    }
}

impl Model {
    pub(crate) fn update(&mut self, caller: Caller, id: DatasetId, patch: &Patch, drawn: &[Uuid]) -> Answer<Dataset> {
        let added = with_ids(patch.added.iter().cloned(), drawn);
        let place = self.editable(caller.organization, id)?;
        let check_token = || patch.expected.map_or(Ok(()), |expected| self.check_token(place, expected));
        if self.rules.a_conflict_comes_before_missing_kpis {
            check_token()?;
        }
        let now = &self.kept[place].now;
        let mut content = Content::from(&now.dataset);
        let (name, description) = (patch.name.clone(), patch.description.clone());
        content.name = name.unwrap_or(content.name);
        content.description = description.unwrap_or(content.description);
        let kpis = &mut content.kpis;
        if patch.deleted.iter().any(|id| now.kpi(*id).is_none()) {
            return Err("not_found");
        }
        kpis.retain(|kpi| !patch.deleted.iter().any(|id| kpi.id == Some(*id)));
        for (id, change) in &patch.updated {
            change.apply(kpis.iter_mut().find(|kpi| kpi.id == Some(*id)).ok_or("not_found")?);
        }
        for new in added {
            if kpis.iter().any(|kpi| kpi.id == new.id) {
                return Err("already_exists");
            }
            kpis.push(new);
        }
        if let Some(order) = &patch.order {
            let mut listed = Vec::new();
            for id in order {
                let place = kpis.iter().position(|kpi| kpi.id == Some(*id)).ok_or("not_found")?;
                listed.push(kpis.remove(place));
            }
            let first = if self.rules.listed_kpis_come_first { 0 } else { kpis.len() };
            kpis.splice(first..first, listed);
            let ids: Vec<_> = kpis.iter().filter_map(|kpi| kpi.id).collect();
            let sort_orders = self.sort_orders(now, &ids);
            kpis.iter_mut().zip(sort_orders).for_each(|(kpi, sort_order)| kpi.sort_order = sort_order);
        }
        check_token()?;
        self.change(caller, place, Origin::Edited, &content, None)
    }
}
