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
    /// The content that the patch, which is valid, gives to the dataset. [`with_ids`](Self::with_ids) comes first: here
    /// a KPI without an id would get a fresh one at each call.
    ///
    /// If the patch sets no order, the KPIs of the content are not in display order: among those with the same
    /// `sort_order` the order of addition decides, which a [`Dataset`] does not contain. Added ones come last, in the
    /// order in which they were added.
    pub(crate) fn content<'a>(&'a self, current: &'a Dataset) -> Result<Content<'a>, Refusal> {
        if let Some(expected) = self.expected.filter(|expected| *expected != current.updated_at) {
            return Err(Refusal::Conflict { expected });
        }
        let mut content = Content::from(current);
        if let Some(name) = &self.name {
            content.name = name;
        }
        if let Some(description) = &self.description {
            content.description = description.as_deref();
        }
        self.delete(&mut content.kpis)?;
        self.update(&mut content.kpis)?;
        self.add(&mut content.kpis)?;
        if let Some(order) = &self.order {
            arrange(&mut content.kpis, order, &places(current))?;
        }
        check_total(content.kpis.len()).map_err(Refusal::Invalid)?;
        Ok(content)
    }

    fn delete(&self, kpis: &mut Vec<KpiContent<'_>>) -> Result<(), Refusal> {
        check_known(kpis, &self.deleted)?;
        let deleted: HashSet<KpiId> = self.deleted.iter().copied().collect();
        if !deleted.is_empty() {
            kpis.retain(|kpi| !deleted.contains(&kpi.id));
        }
        Ok(())
    }

    fn update<'a>(&'a self, kpis: &mut [KpiContent<'a>]) -> Result<(), Refusal> {
        match &self.updated[..] {
            [] => {}
            // A single KPI, as for one cell of a table, needs no map.
            [(id, patch)] => match kpis.iter_mut().find(|kpi| kpi.id == *id) {
                Some(kpi) => patch.apply(kpi),
                None => return Err(Refusal::KpiNotFound(*id)),
            },
            updated => {
                check_known(kpis, updated.iter().map(|(id, _)| id))?;
                let updated: HashMap<KpiId, &KpiPatch> = updated.iter().map(|(id, patch)| (*id, patch)).collect();
                for kpi in kpis {
                    if let Some(patch) = updated.get(&kpi.id) {
                        patch.apply(kpi);
                    }
                }
            }
        }
        Ok(())
    }

    fn add<'a>(&'a self, kpis: &mut Vec<KpiContent<'a>>) -> Result<(), Refusal> {
        if self.added.is_empty() {
            return Ok(());
        }
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
    fn apply<'a>(&'a self, kpi: &mut KpiContent<'a>) {
        if let Some(name) = &self.name {
            kpi.name = name;
        }
        if let Some(description) = &self.description {
            kpi.description = description.as_deref();
        }
        if let Some(unit) = &self.unit {
            kpi.unit = unit.as_deref();
        }
        kpi.value_type = self.value_type.unwrap_or(kpi.value_type);
        kpi.required = self.required.unwrap_or(kpi.required);
        kpi.sort_order = self.sort_order.unwrap_or(kpi.sort_order);
    }
}

fn content_of(new: &NewKpi) -> KpiContent<'_> {
    KpiContent {
        id: new.id.unwrap_or_else(KpiId::new),
        name: &new.name,
        description: new.description.as_deref(),
        unit: new.unit.as_deref(),
        value_type: new.value_type,
        required: new.required,
        sort_order: new.sort_order,
        origin: None,
    }
}

/// Fails if one of these ids is not that of a KPI.
fn check_known<'a>(kpis: &[KpiContent<'_>], ids: impl IntoIterator<Item = &'a KpiId>) -> Result<(), Refusal> {
    let mut ids = ids.into_iter().peekable();
    if ids.peek().is_none() {
        return Ok(());
    }
    let known: HashSet<KpiId> = kpis.iter().map(|kpi| kpi.id).collect();
    match ids.find(|id| !known.contains(id)) {
        Some(unknown) => Err(Refusal::KpiNotFound(*unknown)),
        None => Ok(()),
    }
}

/// Moves the listed KPIs to the beginning, in the order of the list, and gives all of them a matching `sort_order`.
fn arrange(kpis: &mut [KpiContent<'_>], order: &[KpiId], places: &HashMap<KpiId, Place>) -> Result<(), Refusal> {
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
