//! Creating and loading datasets, by the rules of the contract.

use std::collections::HashSet;

use chrono::SecondsFormat;
use kpi_store::{Kpi, NewDataset, NewKpi, Origin};
use serde_json::json;
use uuid::Uuid;

use super::history::Step;
use super::{Altered, Answer, Caller, Kept, Model, Version};

/// How a load stores its input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// The most datasets to a transaction; none if all are stored in one.
    pub(crate) batch: Option<usize>,
    /// The callback cancels it once this number was written.
    pub(crate) is_in_memory: bool,
    pub(crate) cancelled_at: Option<usize>,
}

impl Model {
    /// Stores what was created, or returns the error.
    pub(crate) fn keep(&mut self, created: &[Version]) -> Answer<()> {
        let before = self.kept.clone();
        for version in created {
            let dataset = &version.dataset;
            let kpis: HashSet<_> = dataset.kpis.iter().map(|kpi| kpi.id).collect();
            let is_taken = |kept: &Kept| {
                let is_ours = kept.organization() == dataset.organization_id;
                kept.id() == dataset.id && (is_ours || !self.rules.ids_are_of_one_organization)
            };
            let is_purged = self.purged.contains_key(&(dataset.organization_id, dataset.id));
            if self.kept.iter().any(is_taken)
                || kpis.len() < dataset.kpis.len()
                || (is_purged && self.rules.purged_ids_are_taken)
            {
                if self.rules.a_refused_batch_leaves_nothing {
                    self.kept = before;
                }
                return Err("already_exists");
            }
            let (at, by, number) = (dataset.created_at, dataset.created_by, self.number());
            let step = Step { number: 0, origin: Origin::Created, at, by, version: version.clone(), is_cut: false };
            let kept = Kept {
                created: number,
                now: version.clone(),
                altered: Altered::default(),
                deletion: None,
                trail: vec![step],
            };
            self.kept.push(kept);
        }
        Ok(())
    }

    /// Stores what a load stores of its input, and returns how much that is, and why it is not all. The input is so
    /// short that each transaction pulls its part at once. `writable` is the answer of a write that meets no other
    /// obstacle.
    pub(crate) fn load(&mut self, load: &Load, input: &[Answer<Version>], writable: Answer<()>) -> (usize, Answer<()>) {
        let before = self.kept.clone();
        let is_in_batches = load.batch.is_some();
        let mut stored = 0_usize;
        loop {
            let part = &input[stored..input.len().min(stored.saturating_add(load.batch.unwrap_or(usize::MAX)))];
            let valid: Vec<_> = part.iter().flatten().cloned().collect();
            let admitted = if valid.len() < part.len() { Err("invalid") } else { Ok(()) };
            let (first, then) = if is_in_batches { (admitted, writable) } else { (writable, admitted) };
            let is_cancelled = load.cancelled_at.is_some_and(|at| stored + part.len() >= at);
            let cancelled = if is_cancelled { Err("cancelled") } else { Ok(()) };
            // In memory all of the input is reported before any of it is inserted.
            let before_it = if load.is_in_memory && !is_in_batches { cancelled } else { Ok(()) };
            let kept = first.and(then).and(before_it).and_then(|()| self.keep(&valid));
            stored += if kept.is_ok() { part.len() } else { 0 };
            let stopped = kept.and(cancelled);
            let takes_back = if is_in_batches {
                !self.rules.a_stopped_load_keeps_its_batches
            } else {
                kept.is_ok() && self.rules.a_load_without_batches_is_all_or_nothing
            };
            if stopped.is_err() && takes_back {
                self.kept = before;
                return (0, stopped);
            }
            if stopped.is_err() || stored == input.len() {
                return (stored, stopped);
            }
        }
    }
}

/// The datasets that these requests create; `drawn` are the ids that the store was given for it.
pub(crate) fn created(caller: Caller, requests: &[NewDataset], drawn: &[Uuid]) -> Answer<Vec<Version>> {
    caller.clock()?;
    let mut drawn = drawn.iter().copied();
    let valid: Vec<_> = requests.iter().filter(|request| is_valid(request)).collect();
    let created: Vec<_> = valid.iter().map(|request| stored(caller, request, &mut drawn)).collect();
    assert_eq!(drawn.next(), None, "more ids were asked for than are needed");
    if valid.len() < requests.len() { Err("invalid") } else { Ok(created) }
}

/// The datasets of the input of a load, each checked separately.
pub(crate) fn admitted(caller: Caller, requests: &[NewDataset], drawn: &[Uuid]) -> Vec<Answer<Version>> {
    let mut drawn = drawn.iter().copied();
    let one = |request| if is_valid(request) { Ok(stored(caller, request, &mut drawn)) } else { Err("invalid") };
    let all = requests.iter().map(one).collect();
    assert_eq!(drawn.next(), None, "more ids were asked for than are needed");
    all
}

fn is_valid(request: &NewDataset) -> bool {
    let is_dataset = is_name(&request.name) && is_text(request.description.as_deref(), 2_000);
    is_dataset && request.kpis.len() <= 10_000 && request.kpis.iter().all(is_kpi)
}

pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && is_text(Some(text), 255)
}

pub(crate) fn is_text(text: Option<&str>, max: usize) -> bool {
    text.is_none_or(|text| text.chars().count() <= max && !text.contains('\0'))
}

pub(crate) fn is_kpi(kpi: &NewKpi) -> bool {
    let has_texts = is_text(kpi.description.as_deref(), 2_000) && is_text(kpi.unit.as_deref(), 50);
    is_name(&kpi.name) && has_texts && kpi.sort_order >= 0
}

/// The dataset as the contract writes it.
fn stored(caller: Caller, request: &NewDataset, drawn: &mut impl Iterator<Item = Uuid>) -> Version {
    let mut next = |given: Option<Uuid>| given.unwrap_or_else(|| drawn.next().expect("an id was asked for"));
    let created_at = caller.time().to_rfc3339_opts(SecondsFormat::Micros, true);
    let id = next(request.id.map(Uuid::from));
    let kpi =
        |(place, kpi): (usize, &NewKpi)| (place, kpi_as_written(id, next(kpi.id.map(Uuid::from)), kpi, &created_at));
    let mut rows: Vec<_> = request.kpis.iter().enumerate().map(kpi).collect();
    rows.sort_by_key(|(_, kpi)| kpi.sort_order);
    let (places, kpis): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let dataset = json!({
        "id": id.to_string(), "organization_id": caller.organization, "name": request.name, "created_at": created_at,
        "description": request.description, "created_by": caller.user, "updated_by": null, "kpis": kpis,
    });
    Version { dataset: serde_json::from_value(dataset).unwrap(), places, revision: 1 }
}

/// A KPI as the contract writes it.
pub(crate) fn kpi_as_written(dataset: Uuid, id: Uuid, kpi: &NewKpi, created_at: &str) -> Kpi {
    let kpi = json!({
        "id": id.to_string(), "dataset_id": dataset.to_string(), "name": kpi.name, "sort_order": kpi.sort_order,
        "created_at": created_at, "description": kpi.description, "unit": kpi.unit, "value_type": kpi.value_type,
        "required": kpi.required,
    });
    serde_json::from_value(kpi).unwrap()
}
