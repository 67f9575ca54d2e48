//! The calls that change stored datasets, each noted with what it must have done.

use chrono::{DateTime, Utc};

use super::check::acknowledged;
use super::session::{Change, Creation, Event, Session, outcome_of};
use super::world::{Effect, Wanted, without_times};
use crate::{
    Dataset, DatasetDraft, DatasetId, DatasetPatch, DatasetQuery, Error, HistoryKeep, Kpi, KpiDraft, KpiId, KpiPatch,
    NewKpi, Origin, Result,
};

/// How a form edits a dataset.
pub(super) type Edit = fn(&mut DatasetDraft);

impl Session {
    /// The id of the dataset that was created as the `which`-th.
    pub(super) fn id(&self, which: usize) -> DatasetId {
        let ids = self.events.iter().flat_map(|noted| match &noted.event {
            Event::Creation(Creation { asked, .. }) => asked.iter().map(|(id, _)| *id).collect(),
            _ => Vec::new(),
        });
        ids.into_iter().nth(which).expect("it was created")
    }

    fn ids(&self, which: &[usize]) -> Vec<DatasetId> {
        which.iter().map(|which| self.id(*which)).collect()
    }

    pub(super) fn current(&self, which: usize) -> Result<Dataset> {
        Ok(self.organization().dataset(self.id(which))?.expect("it is there"))
    }

    /// Saves what a form made of the dataset.
    pub(super) fn save(&mut self, which: usize, edit: Edit) -> Result<()> {
        let current = self.current(which)?;
        self.save_edited(&current, edit)
    }

    fn save_edited(&mut self, current: &Dataset, edit: Edit) -> Result<()> {
        let draft = edited(current, edit);
        let began = self.disk.recorded();
        let saved = self.organization().save_dataset(&draft);
        self.note_revision(began, current, Origin::Edited, content(current, &draft), saved)
    }

    /// Edits, deletes and restores the first dataset in the list, if there is one.
    pub(super) fn change_something(&mut self) -> Result<()> {
        let page = self.organization().datasets(&DatasetQuery::new().limit(1))?;
        let Some(first) = page.items.first() else { return Ok(()) };
        self.save_edited(first, |draft| draft.name.push('!'))?;
        self.delete_all(vec![first.id])?;
        self.restore_all(vec![first.id])
    }

    /// Does the same by a patch.
    pub(super) fn update(&mut self, which: usize, edit: Edit) -> Result<()> {
        let current = self.current(which)?;
        let draft = edited(&current, edit);
        let patch = patch(&current, &draft);
        let began = self.disk.recorded();
        let updated = self.organization().update_dataset(current.id, patch);
        self.note_revision(began, &current, Origin::Edited, content(&current, &draft), updated)
    }

    /// Adds a KPI by a call of its own.
    pub(super) fn add_kpi(&mut self, which: usize) -> Result<()> {
        let current = self.current(which)?;
        let new = last_kpi(&current);
        let wanted = content(&current, &edited(&current, |_| {}).with(new.clone()));
        let began = self.disk.recorded();
        let added = self.organization().create_kpi(current.id, new).map(|kpi| with_kpi(&current, kpi));
        self.note_revision(began, &current, Origin::Edited, wanted, added)
    }

    /// Goes back to the content that it had as this revision.
    pub(super) fn revert(&mut self, which: usize, revision: u64) -> Result<()> {
        let current = self.current(which)?;
        let then = self.organization().version(current.id, revision)?.expect("there is such a version").dataset;
        let began = self.disk.recorded();
        let reverted = self.organization().revert_dataset(&current, revision);
        let wanted = Dataset { updated_at: current.updated_at, updated_by: current.updated_by, ..then };
        self.note_revision(began, &current, Origin::Reverted, wanted, reverted)
    }

    pub(super) fn delete(&mut self, which: &[usize]) -> Result<()> {
        self.delete_all(self.ids(which))
    }

    fn delete_all(&mut self, ids: Vec<DatasetId>) -> Result<()> {
        let (organization, began) = (self.organization(), self.disk.recorded());
        let deleted = match ids[..] {
            [id] => organization.delete_dataset(id),
            _ => organization.delete_datasets(ids.iter().copied()),
        };
        self.note_change(began, ids.into_iter().map(Effect::Delete).collect(), deleted)
    }

    pub(super) fn restore(&mut self, which: &[usize]) -> Result<()> {
        self.restore_all(self.ids(which))
    }

    fn restore_all(&mut self, ids: Vec<DatasetId>) -> Result<()> {
        let (organization, began) = (self.organization(), self.disk.recorded());
        let restored = match ids[..] {
            [id] => organization.restore_dataset(id).map(|dataset| vec![dataset]),
            _ => organization.restore_datasets(ids.iter().copied()),
        };
        if let Ok(restored) = &restored {
            assert!(restored.iter().map(|dataset| dataset.id).eq(ids.iter().copied()));
        }
        self.note_change(began, ids.into_iter().map(Effect::Restore).collect(), restored.map(drop))
    }

    pub(super) fn purge(&mut self, which: usize) -> Result<()> {
        self.purge_damaged(self.id(which))
    }

    pub(super) fn purge_damaged(&mut self, id: DatasetId) -> Result<()> {
        let began = self.disk.recorded();
        let purged = self.organization().purge_dataset(id);
        self.note_change(began, vec![Effect::Purge(id)], purged)
    }

    /// Purges whatever is in the trash.
    pub(super) fn purge_trash(&mut self) -> Result<()> {
        let began = self.disk.recorded();
        let purged = self.organization().purge_deleted_before(DateTime::<Utc>::MAX_UTC);
        if let Ok(purged) = purged {
            assert_eq!(purged, u64::try_from(acknowledged(&self.events).trash().len()).unwrap());
        }
        self.note_change(began, vec![Effect::PurgeTrash], purged.map(drop))
    }

    /// Keeps so many of the last versions, of one dataset or of all.
    pub(super) fn prune(&mut self, which: Option<usize>, last: usize) -> Result<()> {
        let (of, began) = (which.map(|which| self.id(which)), self.disk.recorded());
        let keep = HistoryKeep::new().last(u64::try_from(last).unwrap());
        let pruned = self.organization().prune_history(&of.into_iter().fold(keep, HistoryKeep::of));
        self.note_change(began, vec![Effect::Prune { of, last }], pruned.map(drop))
    }

    /// Sets these properties to the content, or removes them.
    pub(super) fn set_properties(&mut self, keys: &[&str], content: Option<&[u8]>) -> Result<()> {
        let set: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), content.map(<[u8]>::to_vec))).collect();
        let began = self.disk.recorded();
        let answer = self.organization().set_properties(keys.iter().map(|key| (*key, content)));
        self.note_change(began, vec![Effect::SetProperties(set)], answer)
    }

    fn note_revision(
        &mut self,
        began: usize,
        before: &Dataset,
        origin: Origin,
        wanted: Dataset,
        answer: Result<Dataset>,
    ) -> Result<()> {
        let effects = Vec::from_iter(revision(before, origin, wanted, answer.as_ref()));
        self.note_change(began, effects, answer.map(drop))
    }

    fn note_change(&mut self, began: usize, effects: Vec<Effect>, answer: Result<()>) -> Result<()> {
        let outcome = outcome_of(&answer, |()| Vec::new());
        self.note(began, Event::Change(Change { effects, outcome }));
        answer
    }
}

/// What an edit did; `None` if it changes nothing.
pub(super) fn revision(
    before: &Dataset,
    origin: Origin,
    wanted: Dataset,
    answer: Result<&Dataset, &Error>,
) -> Option<Effect> {
    if without_times(before) == without_times(&wanted) {
        match answer {
            Ok(after) => assert_eq!(before, after, "what changes nothing moves nothing"),
            // What would have been written is what is there.
            Err(Error::OutcomeUnknown { updated_at, .. }) => assert_eq!(*updated_at, before.updated_at),
            Err(_) => {}
        }
        return None;
    }
    let wanted = match answer {
        Ok(after) => {
            assert_eq!(without_times(after), without_times(&wanted), "the answer is not what was asked for");
            assert!(after.updated_at > before.updated_at);
            Wanted::Exactly(after.clone())
        }
        Err(error) => Wanted::Content { dataset: wanted, updated_at: written_at(error, before.id) },
    };
    Some(Effect::Revise(before.id, origin, wanted))
}

/// The time by which a caller finds out what became of an edit with an unknown outcome.
pub(super) fn written_at(error: &Error, id: DatasetId) -> Option<DateTime<Utc>> {
    let Error::OutcomeUnknown { ids, updated_at, .. } = error else { return None };
    assert_eq!(*ids, [id], "each is told of its own");
    assert!(updated_at.is_some(), "an edit with an unknown outcome can be looked for");
    *updated_at
}

pub(super) fn edited(current: &Dataset, edit: Edit) -> DatasetDraft {
    let mut draft = current.edit();
    edit(&mut draft);
    draft
}

/// A KPI to be the last one.
pub(super) fn last_kpi(current: &Dataset) -> NewKpi {
    let last = current.kpis.iter().map(|kpi| kpi.sort_order).max().unwrap_or(0);
    NewKpi::new("Last").unit("t").sort_order(last).id(KpiId::new())
}

/// The dataset after the answer to an added KPI.
pub(super) fn with_kpi(current: &Dataset, kpi: Kpi) -> Dataset {
    let mut dataset = Dataset { updated_at: Some(kpi.created_at), updated_by: None, ..current.clone() };
    dataset.kpis.push(kpi);
    dataset
}

/// The dataset with the content of the draft, whatever the times are.
pub(super) fn content(current: &Dataset, draft: &DatasetDraft) -> Dataset {
    let kpi = |kpi: &KpiDraft| Kpi {
        id: kpi.id().expect("the draft gives the ids"),
        dataset_id: current.id,
        name: kpi.name.clone(),
        sort_order: 0,
        created_at: current.created_at,
        description: kpi.description.clone(),
        unit: kpi.unit.clone(),
        value_type: kpi.value_type,
        required: kpi.required,
        updated_at: None,
    };
    let kpis = draft.kpis.iter().map(kpi).collect();
    Dataset { name: draft.name.clone(), description: draft.description.clone(), kpis, ..current.clone() }
}

/// The patch that makes the draft of the dataset.
fn patch(current: &Dataset, draft: &DatasetDraft) -> DatasetPatch {
    let mut patch = DatasetPatch::new().name(&draft.name);
    patch = match &draft.description {
        Some(description) => patch.description(description),
        None => patch.clear_description(),
    };
    for kpi in &draft.kpis {
        let (id, name) = (kpi.id().expect("the draft gives the ids"), kpi.name.as_str());
        let unit = kpi.unit.as_deref().expect("every KPI of these tests has one");
        patch = match current.kpi(id) {
            Some(_) => patch.update_kpi(id, KpiPatch::new().name(name).unit(unit).value_type(kpi.value_type)),
            None => patch.add_kpi(NewKpi::new(name).unit(unit).value_type(kpi.value_type).id(id)),
        };
    }
    let is_deleted = |kpi: &&Kpi| draft.kpis.iter().all(|left| left.id() != Some(kpi.id));
    patch = current.kpis.iter().filter(is_deleted).fold(patch, |patch, kpi| patch.delete_kpi(kpi.id));
    patch.order_kpis(draft.kpis.iter().filter_map(KpiDraft::id))
}

impl DatasetDraft {
    /// The draft with this KPI at its end.
    pub(super) fn with(mut self, new: NewKpi) -> Self {
        self.kpis.push(new.into());
        self
    }
}
