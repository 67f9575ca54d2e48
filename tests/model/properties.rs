//! Properties and statistics, by the store and by its model.

use kpi_store::{Error, Organization};

use super::changes::Expected;
use super::model::Model;
use super::model::properties::{NewProperties, are_valid};
use super::requests::pick;
use super::world::{Checked, Counts, World};

impl World {
    pub(crate) fn set_properties(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let (set, caller) = (self.any_properties(), self.any_caller());
        let found = self
            .organization(handle, caller)
            .set_properties(set.iter().map(|(key, content)| (key, content.as_deref())));
        let mut after = self.model.clone();
        let answer = are_valid(&set).and_then(|()| self.if_writable(handle, Ok(())));
        if answer.is_ok() {
            after.set_properties(caller.organization, &set);
        }
        if let Err(Error::OutcomeUnknown { ids, updated_at, .. }) = &found {
            if answer.is_err() || !ids.is_empty() || updated_at.is_some() {
                return Err(format!("set properties, expected {answer:?}: {found:?}"));
            }
            let handle = self.after_unknown(handle)?;
            let ours = self.handles[handle].store.organization(caller.organization);
            let is_there = has_properties(&ours, &after).is_ok();
            if self.model.properties != after.properties {
                counts.note_unknown(is_there);
            }
            if is_there {
                self.model = after;
            }
            return self.agrees(handle, caller.organization);
        }
        let expected = Expected { answer, after, ids: Vec::new(), updated_at: None };
        self.settle(handle, caller.organization, ("set properties", &set), expected, &found, counts).map(drop)
    }

    fn any_properties(&mut self) -> NewProperties {
        let mut set = Vec::new();
        for _ in 0..self.random.below(4) {
            let length = if self.random.percent(5) { 65_536 } else { self.random.below(4) };
            let content = vec![self.random.below(256).try_into().unwrap(); length];
            set.push((self.any_key(), Some(content).filter(|_| self.random.percent(70))));
        }
        if self.random.percent(6) {
            let long = "ß".repeat(256);
            let (key, length) = [("", 1), ("a\0", 1), (&long, 1), ("a", 65_537)][self.random.below(4)];
            set.push((key.to_owned(), Some(vec![0; length])));
        }
        set
    }

    fn any_key(&mut self) -> String {
        ["a", "b", "B", &"ß".repeat(255)][self.random.below(4)].to_owned()
    }

    pub(crate) fn property(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let kept: Vec<_> = self.model.properties.keys().collect();
        let kept = pick(&mut self.random, &kept).cloned().filter(|_| self.random.percent(60));
        let (organization, key) = kept.unwrap_or_else(|| (self.any_organization(), self.any_key()));
        let ours = self.handles[handle].store.organization(organization);
        let expected = self.if_open(handle, Ok(self.model.property(organization, &key)));
        let found = ours.property(&key);
        counts.note("property", matches!(found, Ok(Some(_))));
        self.compare(&format!("property {key}"), &expected, &found, counts)?;
        let expected = self.if_open(handle, Ok(self.model.property_keys(organization)));
        self.compare("keys of properties", &expected, &ours.property_keys(), counts).map(drop)
    }

    pub(crate) fn statistics(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let found = self.handles[handle].store.statistics();
        // Free pages may be in the log only.
        let has_bytes = found
            .as_ref()
            .is_ok_and(|found| found.file_bytes >= 4_096 && found.free_bytes < found.file_bytes + found.log_bytes);
        if found.is_ok() && !has_bytes {
            return Err(format!("bytes of {found:?}"));
        }
        let found = found.map(|found| [found.organizations, found.datasets, found.kpis, found.deleted, found.versions]);
        let expected = self.if_open(handle, Ok(self.model.statistics()));
        self.compare("statistics", &expected, &found, counts).map(drop)
    }
}

/// The store has exactly the properties of the model.
pub(crate) fn has_properties(ours: &Organization, model: &Model) -> Checked {
    let keys = ours.property_keys().map_err(|error| format!("keys of properties: {error:?}"))?;
    if keys != model.property_keys(ours.id()) {
        return Err(format!("properties {keys:?}, not {:?}", model.property_keys(ours.id())));
    }
    for key in keys {
        let (found, expected) = (ours.property(&key), model.property(ours.id(), &key));
        if found.as_ref().ok() != Some(&expected) {
            return Err(format!("the property {key} is {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}
