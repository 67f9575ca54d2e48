//! Deleting, restoring and purging, by the rules.

use chrono::{DateTime, Utc};
use kpi_store::{Dataset, DatasetId, DeletedDataset, OrganizationId, Origin, UserId};

use super::history::Step;
use super::listing::{Filter, Listing};
use super::{Answer, Caller, Kept, Model};

/// That a dataset is in the trash.
#[derive(Clone, Debug)]
pub(crate) struct Deletion {
    number: usize,
    at: DateTime<Utc>,
    by: Option<UserId>,
}

/// An entry of the trash as it is compared: the dataset, when and by whom it was deleted.
pub(crate) type Deleted = (Dataset, DateTime<Utc>, Option<UserId>);

pub(crate) fn deleted(deleted: &DeletedDataset) -> Deleted {
    (deleted.dataset.clone(), deleted.deleted_at, deleted.deleted_by)
}

impl Model {
    /// All of them, or none.
    pub(crate) fn delete(&mut self, caller: Caller, ids: &[DatasetId]) -> Answer<()> {
        let before = self.kept.clone();
        for id in distinct(ids) {
            let place = match self.present(caller.organization, id) {
                Ok(place) => place,
                Err(missing) => {
                    if self.rules.several_are_deleted_together_or_not {
                        self.kept = before;
                    }
                    return Err(missing);
                }
            };
            let number = self.note(caller, place, Origin::Deleted);
            let kept = &mut self.kept[place];
            kept.deletion = Some(Deletion { number, at: caller.time(), by: caller.user });
            if !self.rules.a_deletion_moves_no_token {
                kept.now.dataset.updated_at = Some(caller.time());
            }
        }
        Ok(())
    }

    /// All of them, or none.
    pub(crate) fn restore(&mut self, caller: Caller, ids: &[DatasetId]) -> Answer<Vec<Dataset>> {
        let before = self.kept.clone();
        let restored = distinct(ids).into_iter().map(|id| self.restore_one(caller, id)).collect();
        if Answer::is_err(&restored) {
            self.kept = before;
        }
        restored
    }

    fn restore_one(&mut self, caller: Caller, id: DatasetId) -> Answer<Dataset> {
        let place = self.deleted(caller.organization, id)?;
        if self.rules.the_damaged_are_not_restored {
            self.whole(&self.kept[place])?;
        }
        self.note(caller, place, Origin::Restored);
        let kept = &mut self.kept[place];
        kept.deletion = None;
        if !self.rules.the_deleted_restored_are_the_same {
            kept.now.dataset.updated_by = caller.user;
        }
        Ok(kept.now.dataset.clone())
    }

    /// A step of the trail that changes nothing in the dataset. Returns its number.
    fn note(&mut self, caller: Caller, place: usize, origin: Origin) -> usize {
        let number = self.number();
        let kept = &mut self.kept[place];
        let version = kept.trail.last().expect("it was created").version.clone();
        kept.trail.push(Step { number, origin, at: caller.time(), by: caller.user, version, is_cut: false });
        number
    }

    fn deleted(&self, organization: OrganizationId, id: DatasetId) -> Answer<usize> {
        self.find(organization, id).filter(|place| self.kept[*place].deletion.is_some()).ok_or("not_found")
    }

    /// The trash after the deletion with this number, each entry with its number.
    pub(crate) fn trash(
        &self,
        organization: OrganizationId,
        is_newest_first: bool,
        filter: &Filter,
        after: Option<usize>,
    ) -> Listing<Deleted> {
        let ours = self.kept.iter().filter(|kept| kept.organization() == organization);
        let ours = ours.filter(|kept| self.is_listed_by(filter, kept));
        let entry = |kept: &Kept| {
            let Deletion { number, at, by } = kept.deletion.clone()?;
            let by = by.filter(|_| self.rules.the_trash_names_who_deleted);
            Some((number, self.whole(kept).map(|dataset| (dataset, at, by))))
        };
        let mut trash: Vec<_> = ours.filter_map(entry).collect();
        if self.rules.the_trash_is_in_order_of_deletion {
            trash.sort_by_key(|(number, _)| *number);
        }
        let goes_back = is_newest_first && self.rules.the_newest_deletion_comes_first;
        if goes_back {
            trash.reverse();
        }
        let is_behind =
            |number: usize| after.is_none_or(|after| if goes_back { number < after } else { number > after });
        trash.retain(|(number, _)| is_behind(*number));
        trash
    }

    pub(crate) fn purge(&mut self, organization: OrganizationId, id: DatasetId) -> Answer<()> {
        let place = self.deleted(organization, id)?;
        self.kept.remove(place);
        let number = self.number();
        self.purged.insert((organization, id), number);
        Ok(())
    }

    pub(crate) fn purge_before(&mut self, organization: OrganizationId, time: DateTime<Utc>) -> u64 {
        let is_old = |deletion: &Deletion| deletion.at < time || !self.rules.a_purge_takes_what_was_deleted_before;
        let is_purged =
            |kept: &&Kept| kept.organization() == organization && kept.deletion.as_ref().is_some_and(is_old);
        let mut purged: Vec<_> = self.kept.iter().filter(is_purged).map(|kept| (kept.changed(), kept.id())).collect();
        // The oldest deletion is purged first.
        purged.sort_unstable();
        let ids: Vec<_> = purged.into_iter().map(|(_, id)| id).collect();
        ids.iter().filter(|id| self.purge(organization, **id).is_ok()).count().try_into().unwrap()
    }

    /// Nothing remembers the organization then, so its changes are counted anew.
    pub(crate) fn purge_organization(&mut self, organization: OrganizationId) {
        let before = self.kept.len() + self.purged.len();
        self.kept.retain(|kept| kept.organization() != organization);
        if self.rules.a_purged_organization_is_forgotten {
            self.purged.retain(|(owner, _), _| *owner != organization);
        }
        if self.rules.a_purged_organization_has_no_properties {
            self.properties.retain(|(owner, _), _| *owner != organization);
        }
        self.generation += usize::from(self.kept.len() + self.purged.len() < before);
    }
}

/// The ids in their order, each once.
pub(crate) fn distinct(ids: &[DatasetId]) -> Vec<DatasetId> {
    let mut distinct = Vec::new();
    for id in ids {
        if !distinct.contains(id) {
            distinct.push(*id);
        }
    }
    distinct
}
