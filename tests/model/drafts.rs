//! Random drafts: datasets as a form or a web view edits them.

use kpi_store::{Dataset, DatasetDraft, KpiDraft, KpiId};

use super::model::editing::is_valid;
use super::requests::{new_kpi, pick, text, uuid, value_type};
use super::support::Random;
use super::world::Checked;

/// A draft, and the dataset that it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) draft: DatasetDraft,
    pub(crate) base: Dataset,
}

impl Draft {
    /// Of this dataset, in code or through the JSON of a web view.
    pub(crate) fn of(random: &mut Random, dataset: &Dataset) -> Checked<Self> {
        let mut draft = dataset.edit();
        if random.percent(30) {
            let read = DatasetDraft::from_json(serde_json::to_vec(dataset).unwrap());
            if read.as_ref() != Ok(&draft) {
                return Err(format!("the response {dataset:?} is read as {read:?}"));
            }
            draft = read.unwrap();
        }
        Ok(Self { draft, base: dataset.clone() })
    }

    /// Edits it; `past` are earlier versions of the dataset.
    pub(crate) fn edit(&mut self, random: &mut Random, past: &[Dataset]) {
        for _ in 0..random.below(4) {
            self.edit_once(random, past);
        }
    }

    fn edit_once(&mut self, random: &mut Random, past: &[Dataset]) {
        let kpis = &mut self.draft.kpis;
        let count = kpis.len();
        match random.below(12) {
            0 => self.draft.name = text(random, 1, 255),
            1 => self.draft.description = Some(text(random, 0, 2_000)).filter(|_| random.percent(70)),
            2 | 3 => {
                let mut new = new_kpi(random);
                if random.percent(20) {
                    new = new.id(uuid(random).into());
                }
                let place = if random.percent(60) { count } else { random.below(count + 1) };
                kpis.insert(place, new.into());
            }
            4 => self.undo(random, past),
            _ if count == 0 => {}
            5 => drop(kpis.remove(random.below(count))),
            6 => kpis.swap(random.below(count), random.below(count)),
            7 if random.percent(15) => kpis.push(kpis[random.below(count)].clone()),
            _ => {
                let row = random.below(count);
                edit_kpi(random, &mut kpis[row]);
            }
        }
    }

    /// Takes back the deletion of a KPI, or everything.
    fn undo(&mut self, random: &mut Random, past: &[Dataset]) {
        let Some(then) = past.get(random.below(past.len().max(1))) else { return };
        if random.percent(40) {
            self.draft.set_content(then);
            return;
        }
        let ids: Vec<KpiId> = then.kpis.iter().map(|kpi| kpi.id).collect();
        let missing = |id: &KpiId| self.draft.kpis.iter().all(|kpi| kpi.id() != Some(*id));
        let missing: Vec<KpiId> = ids.into_iter().filter(missing).collect();
        if let Some(kpi) = pick(random, &missing).and_then(|id| then.kpi(id)) {
            let place = random.below(self.draft.kpis.len() + 1);
            self.draft.kpis.insert(place, KpiDraft::from(kpi));
        }
    }

    /// Sends it through JSON, which takes what is valid and nothing else.
    pub(crate) fn through_json(&mut self) -> Checked {
        let read = DatasetDraft::from_json(serde_json::to_vec(&self.draft).unwrap());
        if read.as_ref().ok() != Some(&self.draft).filter(|draft| is_valid(draft)) {
            return Err(format!("{:?} is read as {read:?}", self.draft));
        }
        Ok(())
    }

    /// What both sides have changed.
    pub(crate) fn merge(&mut self, current: &Dataset) -> Checked {
        let merge = self.draft.merge(&self.base, current);
        let is_unchanged = !self.draft.differs_from(&self.base);
        if merge.draft.updated_at() != current.updated_at || (is_unchanged && merge.draft.differs_from(current)) {
            return Err(format!("{self:?} merged with {current:?} is {merge:?}"));
        }
        (self.draft, self.base) = (merge.draft, current.clone());
        Ok(())
    }
}

fn edit_kpi(random: &mut Random, kpi: &mut KpiDraft) {
    match random.below(5) {
        0 => kpi.name = text(random, 1, 255),
        1 => kpi.description = Some(text(random, 0, 2_000)).filter(|_| random.percent(60)),
        2 => kpi.unit = Some(text(random, 0, 50)).filter(|_| random.percent(60)),
        3 => kpi.value_type = value_type(random),
        _ => kpi.required = random.percent(50),
    }
}
