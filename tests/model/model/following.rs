//! What has changed since a cursor, by the rules.

use kpi_store::{ChangeState, DatasetId, OrganizationId};

use super::{Answer, Kept, Model};

/// What a cursor of changes stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    generation: usize,
    /// The number of the last change before it.
    number: usize,
    /// The number of the last damage that was told.
    told: usize,
}

/// The datasets with their states, and the damaged ones, before how many of the others each comes.
pub(crate) type Told = (Vec<(DatasetId, ChangeState)>, Vec<(usize, Option<DatasetId>)>);

/// The last change of a dataset: its number, and what it left. The creation of a damaged one cannot be proved.
type Entry = (usize, DatasetId, Answer<ChangeState>);

impl Model {
    /// The place after the last change.
    pub(crate) fn now(&self, organization: OrganizationId) -> Place {
        let mut place = Place { generation: self.generation, number: 0, told: 0 };
        if self.rules.a_cursor_is_after_the_last_change {
            for (number, _, state) in self.entries(organization) {
                *if state.is_ok() { &mut place.number } else { &mut place.told } = number;
            }
        }
        place.normalized()
    }

    /// What has changed after a place, or ever, and the place after that.
    pub(crate) fn since(&self, organization: OrganizationId, place: Option<Place>) -> Answer<(Told, Place)> {
        let first = Place { generation: self.generation, number: 0, told: 0 };
        let from = place.unwrap_or(first);
        if from.generation != self.generation && self.rules.a_purged_organization_ends_all_cursors {
            return Err("invalid_cursor");
        }
        let ((mut items, mut damaged), mut next) = (Told::default(), Place { generation: self.generation, ..from });
        for (number, id, state) in self.entries(organization).into_iter().filter(|(number, ..)| *number > from.number) {
            if let Ok(state) = state {
                items.push((id, state));
                next.number = number;
                continue;
            }
            if number > from.told || !self.rules.damage_is_told_once {
                damaged.push((items.len(), Some(id)));
            }
            next.told = next.told.max(number);
        }
        Ok(((items, damaged), next.normalized()))
    }

    fn entries(&self, organization: OrganizationId) -> Vec<Entry> {
        let ours = self.kept.iter().filter(|kept| kept.organization() == organization);
        let mut entries: Vec<_> = ours.flat_map(|kept| self.entries_of(kept)).collect();
        let purged = self.purged.iter().filter(|((owner, _), _)| *owner == organization);
        let purged = purged.filter(|_| self.rules.purges_are_told);
        entries.extend(purged.map(|((_, id), number)| (*number, *id, Ok(ChangeState::Purged))));
        entries.sort_by_key(|(number, ..)| *number);
        entries
    }

    fn entries_of(&self, kept: &Kept) -> Vec<Entry> {
        let is_deleted = kept.deletion.is_some() && self.rules.deletions_are_told;
        let state = if is_deleted { ChangeState::Deleted } else { ChangeState::Present };
        let is_proved = kept.changed() > kept.created && self.rules.a_change_proves_itself;
        let state = if is_proved { Ok(state) } else { self.head(kept).map(|()| state) };
        let last = (kept.changed(), kept.id(), state);
        if self.rules.each_dataset_is_told_once || kept.changed() == kept.created {
            vec![last]
        } else {
            vec![(kept.created, kept.id(), state), last]
        }
    }
}

impl Place {
    /// Damage before the last change is of no interest any more.
    fn normalized(self) -> Self {
        Self { told: if self.told > self.number { self.told } else { 0 }, ..self }
    }
}
