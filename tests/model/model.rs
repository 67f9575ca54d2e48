//! The expected answers of a store: a plain list in memory, and the rules of the contract.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, SecondsFormat};
use kpi_store::{Dataset, DatasetId, NewDataset, NewKpi, OrganizationId, UserId};
use serde_json::json;
use uuid::Uuid;

/// What is expected: a value, or an error by its code.
pub(crate) type Answer<T> = Result<T, &'static str>;

/// The rules, each of which a control can invert.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule")]
pub(crate) struct Rules {
    pub(crate) ids_are_of_one_organization: bool,
    pub(crate) newest_first_goes_back: bool,
    pub(crate) a_refused_batch_leaves_nothing: bool,
    pub(crate) changes_are_damage: bool,
    pub(crate) what_fails_is_not_written: bool,
    pub(crate) a_stopped_load_keeps_its_batches: bool,
    pub(crate) a_load_without_batches_is_all_or_nothing: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            ids_are_of_one_organization: true,
            newest_first_goes_back: true,
            a_refused_batch_leaves_nothing: true,
            changes_are_damage: true,
            what_fails_is_not_written: true,
            a_stopped_load_keeps_its_batches: true,
            a_load_without_batches_is_all_or_nothing: true,
        }
    }
}

/// The organization, the user and the time of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) organization: OrganizationId,
    pub(crate) user: Option<UserId>,
    /// In microseconds since 1970.
    pub(crate) now: i64,
}

/// How a load stores its input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// The most datasets to a transaction; none if all are stored in one.
    pub(crate) batch: Option<usize>,
    /// The callback cancels it once this number was written.
    pub(crate) is_in_memory: bool,
    pub(crate) cancelled_at: Option<usize>,
}

/// A dataset, and whether another tool has changed it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) dataset: Dataset,
    pub(crate) is_altered: bool,
}

/// What a store holds, in the order of creation.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) kept: Vec<Kept>,
    pub(crate) rules: Rules,
}

/// 9999-12-31T23:59:59.999999Z in microseconds.
pub(crate) const LAST_TIME: i64 = 253_402_300_799_999_999;

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { kept: Vec::new(), rules }
    }

    /// Stores what was created, or returns the error.
    pub(crate) fn keep(&mut self, created: &[Dataset]) -> Answer<()> {
        let before = self.kept.clone();
        for dataset in created {
            let kpis: HashSet<_> = dataset.kpis.iter().map(|kpi| kpi.id).collect();
            let is_taken = |kept: &Kept| {
                let is_ours = kept.dataset.organization_id == dataset.organization_id;
                kept.dataset.id == dataset.id && (is_ours || !self.rules.ids_are_of_one_organization)
            };
            if self.kept.iter().any(is_taken) || kpis.len() < dataset.kpis.len() {
                if self.rules.a_refused_batch_leaves_nothing {
                    self.kept = before;
                }
                return Err("already_exists");
            }
            self.kept.push(Kept { dataset: dataset.clone(), is_altered: false });
        }
        Ok(())
    }

    /// Stores what a load stores of its input, and returns how much that is, and why it is not all. The input is so
    /// short that each transaction pulls its part at once. `writable` is the answer of a write that meets no other
    /// obstacle.
    pub(crate) fn load(&mut self, load: &Load, input: &[Answer<Dataset>], writable: Answer<()>) -> (usize, Answer<()>) {
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

    /// The index of this dataset in the list.
    pub(crate) fn find(&self, organization: OrganizationId, id: DatasetId) -> Option<usize> {
        self.kept.iter().position(|Kept { dataset, .. }| (dataset.organization_id, dataset.id) == (organization, id))
    }

    /// The answer of a read of this dataset.
    pub(crate) fn read(&self, organization: OrganizationId, id: DatasetId) -> Answer<Option<Dataset>> {
        self.find(organization, id).map(|place| self.whole(&self.kept[place])).transpose()
    }

    fn whole(&self, kept: &Kept) -> Answer<Dataset> {
        if kept.is_altered && self.rules.changes_are_damage { Err("corrupt") } else { Ok(kept.dataset.clone()) }
    }

    /// The datasets of a listing after the position `after`, each with its position.
    pub(crate) fn listing(
        &self,
        organization: OrganizationId,
        is_newest_first: bool,
        after: Option<usize>,
    ) -> Vec<(usize, Answer<Dataset>)> {
        let ours = self.kept.iter().enumerate().filter(|(_, kept)| kept.dataset.organization_id == organization);
        let mut listing: Vec<_> = ours.map(|(place, kept)| (place, self.whole(kept))).collect();
        let goes_back = is_newest_first && self.rules.newest_first_goes_back;
        if goes_back {
            listing.reverse();
        }
        let is_behind = |place: usize| after.is_none_or(|after| if goes_back { place < after } else { place > after });
        listing.retain(|(place, _)| is_behind(*place));
        listing
    }

    pub(crate) fn organizations(&self) -> Vec<OrganizationId> {
        let owners: BTreeSet<_> = self.kept.iter().map(|kept| kept.dataset.organization_id).collect();
        owners.into_iter().collect()
    }

    /// How many datasets there are, how many KPIs in the undamaged ones, and how many are damaged.
    pub(crate) fn counts(&self) -> (u64, u64, usize) {
        let whole = self.kept.iter().filter_map(|kept| self.whole(kept).ok());
        let kpis: usize = whole.clone().map(|dataset| dataset.kpis.len()).sum();
        let count = |count: usize| u64::try_from(count).unwrap();
        (count(self.kept.len()), count(kpis), self.kept.len() - whole.count())
    }
}

/// The datasets that these requests create; `drawn` are the ids that the store was given for it.
pub(crate) fn created(caller: Caller, requests: &[NewDataset], drawn: &[Uuid]) -> Answer<Vec<Dataset>> {
    if caller.now > LAST_TIME {
        return Err("clock_out_of_range");
    }
    let mut drawn = drawn.iter().copied();
    let valid: Vec<_> = requests.iter().filter(|request| is_valid(request)).collect();
    let created: Vec<_> = valid.iter().map(|request| stored(caller, request, &mut drawn)).collect();
    assert_eq!(drawn.next(), None, "more ids were asked for than are needed");
    if valid.len() < requests.len() { Err("invalid") } else { Ok(created) }
}

/// The datasets of the input of a load, each checked separately.
pub(crate) fn admitted(caller: Caller, requests: &[NewDataset], drawn: &[Uuid]) -> Vec<Answer<Dataset>> {
    let mut drawn = drawn.iter().copied();
    let one = |request| if is_valid(request) { Ok(stored(caller, request, &mut drawn)) } else { Err("invalid") };
    let all = requests.iter().map(one).collect();
    assert_eq!(drawn.next(), None, "more ids were asked for than are needed");
    all
}

fn is_valid(request: &NewDataset) -> bool {
    let fits = |text: &str, max| text.chars().count() <= max && !text.contains('\0');
    let is_name = |text: &str| !text.is_empty() && fits(text, 255);
    let is_text = |text: &Option<String>, max| text.as_deref().is_none_or(|text| fits(text, max));
    let is_kpi = |kpi: &NewKpi| {
        is_name(&kpi.name) && is_text(&kpi.description, 2_000) && is_text(&kpi.unit, 50) && kpi.sort_order >= 0
    };
    let is_dataset = is_name(&request.name) && is_text(&request.description, 2_000);
    is_dataset && request.kpis.len() <= 100 && request.kpis.iter().all(is_kpi)
}

/// The dataset as the contract writes it.
fn stored(caller: Caller, request: &NewDataset, drawn: &mut impl Iterator<Item = Uuid>) -> Dataset {
    let mut next = |given: Option<Uuid>| given.unwrap_or_else(|| drawn.next().expect("an id was asked for"));
    let created_at = DateTime::from_timestamp_micros(caller.now).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true);
    let id = next(request.id.map(Uuid::from));
    let kpi = |kpi: &NewKpi| {
        json!({
            "id": next(kpi.id.map(Uuid::from)).to_string(), "dataset_id": id.to_string(), "name": kpi.name,
            "sort_order": kpi.sort_order, "created_at": created_at, "description": kpi.description, "unit": kpi.unit,
            "value_type": kpi.value_type, "required": kpi.required,
        })
    };
    let mut kpis: Vec<_> = request.kpis.iter().map(kpi).collect();
    kpis.sort_by_key(|kpi| kpi["sort_order"].as_i64());
    let dataset = json!({
        "id": id.to_string(), "organization_id": caller.organization, "name": request.name, "created_at": created_at,
        "description": request.description, "created_by": caller.user, "updated_by": null, "kpis": kpis,
    });
    serde_json::from_value(dataset).unwrap()
}
