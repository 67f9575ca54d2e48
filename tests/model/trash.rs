//! Deleting, restoring and purging, by the store and by its model.

use chrono::TimeDelta;
use kpi_store::{ChangeCursor, DatasetId, OrganizationId};

use super::changes::Expected;
use super::model::Kept;
use super::model::trash::distinct;
use super::requests::uuid;
use super::world::{Checked, Counts, World};

impl World {
    pub(crate) fn delete(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (owner, ids) = self.any_targets(|kept| kept.deletion.is_none());
        let (caller, found, _) = self.as_caller_for(handle, owner, |organization| match ids[..] {
            [id] => organization.delete_dataset(id),
            _ => organization.delete_datasets(ids.iter().copied()),
        });
        let mut after = self.model.clone();
        let answer =
            caller.clock().and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.delete(caller, &ids)));
        let expected = Expected { answer, after, ids: distinct(&ids), updated_at: None };
        self.settle(handle, caller.organization, ("delete", &ids), expected, &found, counts).map(drop)
    }

    pub(crate) fn restore(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (owner, ids) = self.any_targets(|kept| kept.deletion.is_some());
        let (caller, found, _) = self.as_caller_for(handle, owner, |organization| match ids[..] {
            [id] => organization.restore_dataset(id).map(|dataset| vec![dataset]),
            _ => organization.restore_datasets(ids.iter().copied()),
        });
        let mut after = self.model.clone();
        let answer =
            caller.clock().and_then(|()| self.if_writable(handle, Ok(())).and_then(|()| after.restore(caller, &ids)));
        let expected = Expected { answer, after, ids: distinct(&ids), updated_at: None };
        self.settle(handle, caller.organization, ("restore", &ids), expected, &found, counts).map(drop)
    }

    /// One dataset or several of one organization, some of them twice, some with one that is unknown.
    fn any_targets(&mut self, is_wanted: impl Fn(&Kept) -> bool) -> (OrganizationId, Vec<DatasetId>) {
        let (owner, id) = self.any_target_that(&is_wanted);
        let mut ids = vec![id];
        if self.random.percent(30) {
            let ours = self.model.kept.iter().filter(|kept| kept.organization() == owner && is_wanted(kept));
            ids.extend(ours.map(Kept::id).rev().take(self.random.below(3)));
            ids.rotate_left(1);
            if self.random.percent(25) {
                ids.push(uuid(&mut self.random).into());
            }
        }
        (owner, ids)
    }

    pub(crate) fn purge(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (owner, id) = self.any_target_that(|kept| kept.deletion.is_some());
        let (caller, found, _) = self.as_caller_for(handle, owner, |organization| organization.purge_dataset(id));
        let mut after = self.model.clone();
        let answer = self.if_writable(handle, Ok(())).and_then(|()| after.purge(caller.organization, id));
        let expected = Expected { answer, after, ids: vec![id], updated_at: None };
        self.settle(handle, caller.organization, ("purge", &id), expected, &found, counts).map(drop)
    }

    pub(crate) fn purge_before(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let mut caller = self.any_caller();
        caller.organization = self.any_organization();
        let age = [0, 1, 1_000_000, 86_400_000_000][self.random.below(4)];
        let time = caller.time() - TimeDelta::microseconds(age);
        let found = self.organization(handle, caller).purge_deleted_before(time);
        let mut after = self.model.clone();
        let answer = self.if_writable(handle, Ok(())).map(|()| after.purge_before(caller.organization, time));
        let expected = Expected { answer, after, ids: Vec::new(), updated_at: None };
        self.settle(handle, caller.organization, ("purge before", &time), expected, &found, counts).map(drop)
    }

    /// Removes everything of an organization. After an error everything is there or nothing, and trying again helps.
    pub(crate) fn purge_organization(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let last = self.model.purged.keys().last().map(|(owner, _)| *owner).filter(|_| self.random.percent(60));
        let organization = last.unwrap_or_else(|| self.any_organization());
        let purged = self.model.purged.keys().find(|(owner, _)| *owner == organization).map(|(_, id)| *id);
        let found = self.handles[handle].store.purge_organization(organization);
        let mut after = self.model.clone();
        let answer = self.if_writable(handle, Ok(())).map(|()| after.purge_organization(organization));
        counts.note("purge an organization", found.is_ok());
        if !self.compare("purge an organization", &answer, &found, counts)? {
            self.calm();
            let ours = self.handles[handle].store.organization(organization);
            // What was purged before is told, too.
            let told = ours.changes_since(&ChangeCursor::start()).map(|told| (told.items, told.damaged));
            let (items, damaged) = told.map_err(|error| format!("then following: {error:?}"))?;
            let keys = ours.property_keys().map_err(|error| format!("then properties: {error:?}"))?;
            if items.is_empty() && damaged.is_empty() && keys.is_empty() {
                self.model = after.clone();
            }
            self.agrees(handle, organization)?;
            let again = self.handles[handle].store.purge_organization(organization);
            again.map_err(|error| format!("purging an organization again: {error:?}"))?;
        }
        if answer.is_ok() {
            self.model = after;
            self.drafts.retain(|draft| draft.base.organization_id != organization);
        }
        // An id that was purged before can be given again.
        let again = purged.map_or(Ok(()), |id| self.create_with(handle, organization, id, counts));
        again.map_err(|difference| format!("after a purge of an organization: {difference}"))
    }
}
