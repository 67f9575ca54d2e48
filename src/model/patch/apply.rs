//! The content that a patch gives to a dataset.

use std::collections::{HashMap, HashSet};

use super::{DatasetPatch, KpiPatch};
use crate::model::content::{Content, KpiContent, Refusal};
use crate::model::dataset::Dataset;
use crate::model::ids::KpiId;
use crate::model::new_dataset::NewKpi;
use crate::model::order::{Place, places, sort_orders};
use crate::model::request::validation::check_total;

impl DatasetPatch {
    /// The content that the patch, which is valid, gives to the dataset. [`with_ids`](Self::with_ids) comes first: a
    /// KPI that has no id gets a fresh one.
    ///
    /// Without an order its KPIs are not in display order: the order of addition decides among those with the same
    /// `sort_order`, which a [`Dataset`] does not tell. Added ones come last, in the order in which they were added.
    pub(crate) fn content(&self, current: &Dataset) -> Result<Content, Refusal> {
        if let Some(expected) = self.expected.filter(|expected| *expected != current.updated_at) {
            return Err(Refusal::Conflict { expected });
        }
        let places = places(current);
        let mut content = Content::from(current);
        if let Some(name) = &self.name {
            content.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            content.description.clone_from(description);
        }
        self.delete(&mut content.kpis, &places)?;
        self.update(&mut content.kpis, &places)?;
        self.add(&mut content.kpis)?;
        if let Some(order) = &self.order {
            arrange(&mut content.kpis, order, &places)?;
        }
        check_total(content.kpis.len()).map_err(Refusal::Invalid)?;
        Ok(content)
    }

    fn delete(&self, kpis: &mut Vec<KpiContent>, places: &HashMap<KpiId, Place>) -> Result<(), Refusal> {
        let deleted: HashSet<KpiId> = self.deleted.iter().copied().collect();
        check_known(&self.deleted, places)?;
        kpis.retain(|kpi| !deleted.contains(&kpi.id));
        Ok(())
    }

    fn update(&self, kpis: &mut [KpiContent], places: &HashMap<KpiId, Place>) -> Result<(), Refusal> {
        let updated: HashMap<KpiId, &KpiPatch> = self.updated.iter().map(|(id, patch)| (*id, patch)).collect();
        check_known(self.updated.iter().map(|(id, _)| id), places)?;
        for kpi in kpis {
            if let Some(patch) = updated.get(&kpi.id) {
                patch.apply(kpi);
            }
        }
        Ok(())
    }

    fn add(&self, kpis: &mut Vec<KpiContent>) -> Result<(), Refusal> {
        let mut ids: HashSet<KpiId> = kpis.iter().map(|kpi| kpi.id).collect();
        for new in &self.added {
            let kpi = content_of(new);
            if !ids.insert(kpi.id) {
                return Err(Refusal::KpiExists(kpi.id));
            }
            kpis.push(kpi);
        }
        Ok(())
    }
}

impl KpiPatch {
    fn apply(&self, kpi: &mut KpiContent) {
        if let Some(name) = &self.name {
            kpi.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            kpi.description.clone_from(description);
        }
        if let Some(unit) = &self.unit {
            kpi.unit.clone_from(unit);
        }
        kpi.value_type = self.value_type.unwrap_or(kpi.value_type);
        kpi.required = self.required.unwrap_or(kpi.required);
        kpi.sort_order = self.sort_order.unwrap_or(kpi.sort_order);
    }
}

fn content_of(new: &NewKpi) -> KpiContent {
    KpiContent {
        id: new.id.unwrap_or_else(KpiId::new),
        name: new.name.clone(),
        description: new.description.clone(),
        unit: new.unit.clone(),
        value_type: new.value_type,
        required: new.required,
        sort_order: new.sort_order,
        origin: None,
    }
}

fn check_known<'a>(ids: impl IntoIterator<Item = &'a KpiId>, places: &HashMap<KpiId, Place>) -> Result<(), Refusal> {
    match ids.into_iter().find(|id| !places.contains_key(id)) {
        Some(unknown) => Err(Refusal::KpiNotFound(*unknown)),
        None => Ok(()),
    }
}

/// Moves the listed KPIs to the beginning, in the order of the list, and gives all of them a matching `sort_order`.
fn arrange(kpis: &mut [KpiContent], order: &[KpiId], places: &HashMap<KpiId, Place>) -> Result<(), Refusal> {
    let ids: HashSet<KpiId> = kpis.iter().map(|kpi| kpi.id).collect();
    if let Some(unknown) = order.iter().find(|id| !ids.contains(id)) {
        return Err(Refusal::KpiNotFound(*unknown));
    }
    let listed: HashMap<KpiId, usize> = order.iter().enumerate().map(|(index, id)| (*id, index)).collect();
    // Stable: the others keep their order.
    kpis.sort_by_key(|kpi| listed.get(&kpi.id).copied().unwrap_or(usize::MAX));
    let list: Vec<_> = kpis.iter().map(|kpi| places.get(&kpi.id).copied()).collect();
    for (kpi, sort_order) in kpis.iter_mut().zip(sort_orders(&list)) {
        kpi.sort_order = sort_order;
    }
    Ok(())
}
