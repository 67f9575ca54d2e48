//! Datasets that another tool changed: damage until they are accepted, or deleted and purged.

use kpi_store_test_support::plain_sqlite;

use super::changes::written_at;
use super::session::{Change, Event, Outcome, Session, outcome_of};
use super::world::{Effect, Wanted, without_times};
use crate::{Dataset, DatasetId, DatasetQuery, Organization, Result};

impl Session {
    /// Changes the names of the first `count` datasets as another tool would.
    pub(super) fn alter(&mut self, count: usize) {
        let plain = plain_sqlite(&self.file);
        for mut dataset in self.acknowledged().into_iter().take(count) {
            "Changed".clone_into(&mut dataset.name);
            let id = uuid::Uuid::from(dataset.id);
            let changed = plain.execute("UPDATE dataset SET name = 'Changed' WHERE id = ?1", [id.as_bytes()]);
            assert_eq!(changed, Ok(1));
            self.note(0, Event::Alteration { dataset });
        }
    }

    /// The datasets that were altered, without those that are known to be accepted or purged.
    pub(super) fn altered(&self) -> Vec<Dataset> {
        let is_settled = |id: DatasetId| {
            self.events.iter().any(|noted| {
                matches!(&noted.event, Event::Change(Change { effects, outcome: Outcome::Acknowledged(_) })
                    if effects.iter().any(|effect| settles(effect, id)))
            })
        };
        let altered = self.events.iter().filter_map(|noted| match &noted.event {
            Event::Alteration { dataset } if !is_settled(dataset.id) => Some(dataset.clone()),
            _ => None,
        });
        altered.collect()
    }

    /// Accepts the first dataset that was altered and is not accepted.
    pub(super) fn accept(&mut self) -> Result<()> {
        let dataset = self.altered().into_iter().next().expect("there is one left");
        self.accept_one(&dataset)
    }

    fn accept_one(&mut self, dataset: &Dataset) -> Result<()> {
        let began = self.disk.recorded();
        let accepted = self.organization().accept_dataset(dataset.id);
        let wanted = match &accepted {
            Ok(accepted) => {
                assert_eq!(without_times(accepted), without_times(dataset));
                Wanted::Exactly(accepted.clone())
            }
            Err(error) => Wanted::Content { updated_at: written_at(error, dataset.id), dataset: dataset.clone() },
        };
        let outcome = outcome_of(&accepted, |accepted| vec![accepted.clone()]);
        self.note(began, Event::Change(Change { effects: vec![Effect::Accept(dataset.id, wanted)], outcome }));
        accepted.map(drop)
    }

    /// Accepts every dataset that was altered and is not accepted, and purges those in the trash.
    pub(super) fn accept_the_rest(&mut self) -> Result<()> {
        for altered in self.altered() {
            let organization = self.organization();
            if !matches!(organization.dataset(altered.id), Ok(None)) {
                self.accept_one(&altered)?;
            } else if is_damaged_in_trash(&organization, altered.id)? {
                self.purge_damaged(altered.id)?;
            }
        }
        Ok(())
    }

    /// Whether an altered dataset may still count as damage.
    pub(super) fn is_damaged(&self) -> bool {
        !self.altered().is_empty()
    }
}

/// Whether a damaged dataset is none any more.
pub(super) fn settles(effect: &Effect, id: DatasetId) -> bool {
    matches!(effect, Effect::Accept(of, _) | Effect::Purge(of) if *of == id) || matches!(effect, Effect::PurgeTrash)
}

pub(super) fn is_damaged_in_trash(organization: &Organization, id: DatasetId) -> Result<bool> {
    let trash = organization.deleted_datasets(&DatasetQuery::new())?;
    Ok(trash.damaged.iter().any(|damage| damage.dataset == Some(id)))
}
