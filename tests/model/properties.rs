//! Properties and statistics, by the store and by its model.

use kpi_store::{Error, OrganizationId, Result, Store};

use super::model::{Kept, Model};
use super::world::{Checked, Counts, World};

/// Properties by their key, in its order.
type Properties = Vec<(String, Vec<u8>)>;

const KEYS: [&str; 4] = ["cursor", "map", "é", "ß"];

impl World {
    /// Sets some properties, some of them twice, and removes others. Now and then one has no key.
    pub(crate) fn set_properties(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let caller = self.any_caller();
        let set: Vec<_> = (0..self.random.below(4)).map(|_| self.any_property()).collect();
        let found = self.organization(handle, caller).set_properties(set.iter().cloned());
        let mut after = self.model.clone();
        let answer = if set.iter().any(|(key, _)| key.is_empty()) {
            Err("invalid")
        } else {
            self.if_writable(handle, Ok(())).map(|()| after.set_properties(caller.organization, &set))
        };
        counts.note("set properties", found.is_ok());
        if self.compare(&format!("set properties {set:?}"), &answer, &found, counts)? {
            self.model = after;
        } else {
            self.calm();
            if let Err(Error::OutcomeUnknown { ids, updated_at, .. }) = &found {
                let there = properties(&self.handles[handle].store, caller.organization);
                let there = there.map_err(|error| format!("after an unknown outcome: {error:?}"))?;
                if !ids.is_empty() || updated_at.is_some() {
                    return Err(format!("an unknown outcome of {ids:?}, {updated_at:?}"));
                }
                // All of it is there, or nothing.
                if there == after.properties(caller.organization) {
                    self.model = after;
                }
            }
        }
        self.agree_on_properties(&self.handles[handle].store)
    }

    fn any_property(&mut self) -> (String, Option<Vec<u8>>) {
        let key = if self.random.percent(3) { "" } else { KEYS[self.random.below(4)] };
        let length = [0, 1, 30, 5_000, 65_536][self.random.below(5)];
        let content = self.random.percent(70).then(|| vec![self.random.next().to_le_bytes()[0]; length]);
        (key.to_owned(), content)
    }

    pub(crate) fn read_property(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (caller, key) = (self.any_caller(), KEYS[self.random.below(4)]);
        let found = self.organization(handle, caller).property(key);
        let expected = self.model.properties.get(&(caller.organization, key.to_owned())).cloned();
        self.compare(&format!("property {key}"), &self.if_open(handle, Ok(expected)), &found, counts).map(drop)
    }

    /// What is counted of the datasets; histories that were pruned are compared elsewhere.
    pub(crate) fn statistics(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let found = self.handles[handle].store.statistics();
        let found = found.map(|found| [found.organizations, found.datasets, found.kpis, found.deleted]);
        let (deleted, present): (Vec<_>, Vec<_>) = self.model.kept.iter().partition(|kept| kept.deletion.is_some());
        let kpis = present.iter().map(|kept: &&Kept| kept.now.dataset.kpis.len()).sum();
        let expected = [self.model.organizations().len(), present.len(), kpis, deleted.len()];
        let expected = self.if_open(handle, Ok(expected.map(|count| count.try_into().unwrap())));
        self.compare("statistics", &expected, &found, counts).map(drop)
    }

    /// Every property of both organizations is the model's, unless the store is closed or its disk fails.
    pub(crate) fn agree_on_properties(&self, store: &Store) -> Checked {
        for organization in self.organizations {
            match properties(store, organization) {
                Ok(found) if found == self.model.properties(organization) => {}
                Err(error) if error.code() == "closed" || self.is_excused(&error) => {}
                found => {
                    let expected = self.model.properties(organization);
                    return Err(format!("properties: expected {expected:?}, found {found:?}"));
                }
            }
        }
        Ok(())
    }
}

impl Model {
    fn set_properties(&mut self, organization: OrganizationId, set: &[(String, Option<Vec<u8>>)]) {
        for (key, content) in set {
            let place = (organization, key.clone());
            match content {
                Some(content) => drop(self.properties.insert(place, content.clone())),
                None => drop(self.properties.remove(&place)),
            }
        }
    }

    fn properties(&self, organization: OrganizationId) -> Properties {
        let ours = self.properties.iter().filter(|((owner, _), _)| *owner == organization);
        ours.map(|((_, key), content)| (key.clone(), content.clone())).collect()
    }
}

fn properties(store: &Store, organization: OrganizationId) -> Result<Properties> {
    let organization = store.organization(organization);
    let read = |key: String| Ok((organization.property(&key)?.unwrap_or_default(), key));
    let read: Result<Vec<_>> = organization.property_keys()?.into_iter().map(read).collect();
    Ok(read?.into_iter().map(|(content, key)| (key, content)).collect())
}
