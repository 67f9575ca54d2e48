//! Reading and creating, by the store and by its model.

use kpi_store::{Dataset, DatasetId, Error, NewDataset, Organization, OrganizationId, Result, Store};
use uuid::Uuid;

use super::model::creating::created;
use super::model::{Answer, Caller, Kept, Model, Version};
use super::requests::{pick, request, uuid};
use super::world::{Checked, Counts, World};

impl World {
    pub(crate) fn create(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let new = self.any_requests(1);
        self.write(handle, &new, counts, |organization, mut new| {
            organization.create_dataset(new.remove(0)).map(|dataset| vec![dataset])
        })
    }

    /// Creates a dataset with this id.
    pub(crate) fn create_with(
        &mut self,
        handle: usize,
        organization: OrganizationId,
        id: DatasetId,
        counts: &mut Counts,
    ) -> Checked {
        let new = [NewDataset::new("again").id(id)];
        let caller = Caller { organization, ..self.any_caller() };
        let made = self.as_caller(handle, caller, |organization| organization.create_datasets(new.clone()));
        self.compare_created(handle, &new, made, counts)
    }

    pub(crate) fn create_together(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let count = self.random.below(5);
        let new = self.any_requests(count);
        self.write(handle, &new, counts, |organization, new| organization.create_datasets(new))
    }

    pub(crate) fn any_requests(&mut self, count: usize) -> Vec<NewDataset> {
        let purged: Vec<_> = self.model.purged.keys().map(|(_, id)| *id).collect();
        let mut taken: Vec<_> = self.model.kept.iter().map(Kept::id).collect();
        if self.random.percent(40) && !purged.is_empty() {
            taken = purged;
        }
        let mut new = Vec::new();
        for _ in 0..count {
            let request = request(&mut self.random, &taken);
            taken.extend(request.id);
            new.push(request);
        }
        new
    }

    fn write(
        &mut self,
        handle: usize,
        new: &[NewDataset],
        counts: &mut Counts,
        write: impl FnOnce(Organization, Vec<NewDataset>) -> Result<Vec<Dataset>>,
    ) -> Checked {
        let made = self.as_any_caller(handle, |organization| write(organization, new.to_vec()));
        self.compare_created(handle, new, made, counts)
    }

    fn compare_created(
        &mut self,
        handle: usize,
        new: &[NewDataset],
        (caller, found, drawn): (Caller, Result<Vec<Dataset>>, Vec<Uuid>),
        counts: &mut Counts,
    ) -> Checked {
        let created = created(caller, new, &drawn);
        let mut after = self.model.clone();
        let expected = self.if_requested(handle, &created, &mut after);
        let is_as_expected = self.compare(&format!("create {new:?}"), &expected, &found, counts)?;
        if is_as_expected {
            self.model = after;
            counts.acknowledged += found.map_or(0, |created| created.len());
            return Ok(());
        }
        let asked: Vec<_> = created.unwrap_or_default().into_iter().map(|version| version.dataset).collect();
        self.follow(handle, &asked, after, &found, counts)
    }

    /// An invalid request is refused before anything else.
    fn if_requested(&self, handle: usize, created: &Answer<Vec<Version>>, after: &mut Model) -> Answer<Vec<Dataset>> {
        let created = created.clone()?;
        self.if_writable(handle, Ok(()))?;
        after.keep(&created)?;
        Ok(created.into_iter().map(|version| version.dataset).collect())
    }

    /// After a disk error nothing is written; after an unknown outcome the store is asked.
    fn follow(
        &mut self,
        handle: usize,
        asked: &[Dataset],
        after: Model,
        found: &Result<Vec<Dataset>>,
        counts: &mut Counts,
    ) -> Checked {
        self.calm();
        let mut handle = handle;
        if let Err(Error::OutcomeUnknown { ids, .. }) = found {
            if !ids.iter().eq(asked.iter().map(|dataset| &dataset.id)) {
                return Err(format!("an unknown outcome of {ids:?}, not of {asked:?}"));
            }
            handle = self.after_unknown(handle)?;
            let is_there = asked.first().map_or(Ok(false), |dataset| self.is_there(handle, dataset))?;
            counts.note_unknown(is_there);
            if is_there {
                self.model = after;
            }
        } else if !self.model.rules.what_fails_is_not_written {
            self.model = after;
        }
        self.is_as_modeled(handle, asked)
    }

    pub(crate) fn is_there(&self, handle: usize, dataset: &Dataset) -> Checked<bool> {
        Ok(self.look(handle, dataset.organization_id, dataset.id)?.is_some())
    }

    /// Whether the store holds of these what the model does.
    pub(crate) fn is_as_modeled(&self, handle: usize, asked: &[Dataset]) -> Checked {
        for dataset in asked {
            let found = self.look(handle, dataset.organization_id, dataset.id)?;
            let expected = self.model.read(dataset.organization_id, dataset.id).unwrap_or_default();
            if found != expected {
                return Err(format!("after an error there is {found:?}, not {expected:?}"));
            }
        }
        Ok(())
    }

    /// The dataset as this handle and a fresh one find it; none if it is damaged.
    pub(crate) fn look(&self, handle: usize, organization: OrganizationId, id: DatasetId) -> Checked<Option<Dataset>> {
        let read = |store: &Store| match store.organization(organization).dataset(id) {
            Err(Error::Corrupt { .. }) => Ok(None),
            found => found.map_err(|error| format!("then looking: {error:?}")),
        };
        let found = read(&self.handles[handle].store)?;
        if self.is_in_memory {
            return Ok(found);
        }
        let fresh = Store::open(&self.file.path).map_err(|error| format!("then opening: {error:?}"))?;
        let elsewhere = read(&fresh)?;
        if found == elsewhere { Ok(found) } else { Err(format!("one handle finds {found:?}, another {elsewhere:?}")) }
    }

    pub(crate) fn get(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let ids: Vec<_> = self.model.kept.iter().map(Kept::id).collect();
        let unknown = uuid(&mut self.random).into();
        let id = if self.random.percent(10) { unknown } else { pick(&mut self.random, &ids).unwrap_or(unknown) };
        let caller = self.any_caller();
        let found = self.organization(handle, caller).dataset(id);
        let expected = self.if_open(handle, self.model.read(caller.organization, id));
        self.compare(&format!("get {id}"), &expected, &found, counts).map(drop)
    }

    pub(crate) fn list_organizations(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let found = self.handles[handle].store.organizations();
        let expected = self.if_open(handle, Ok(self.model.organizations()));
        self.compare("organizations", &expected, &found, counts).map(drop)
    }

    pub(crate) fn organization(&self, handle: usize, caller: Caller) -> Organization {
        let organization = self.handles[handle].store.organization(caller.organization);
        caller.user.map_or(organization.clone(), |user| organization.acting_as(user))
    }
}
