//! Properties and statistics, by the rules.

use kpi_store::{OrganizationId, Origin};

use super::history::Step;
use super::{Answer, Kept, Model};

/// Properties that are set, or removed where there is no content.
pub(crate) type NewProperties = Vec<(String, Option<Vec<u8>>)>;

/// Organizations, datasets, KPIs, deleted datasets and versions.
pub(crate) type Numbers = [u64; 5];

impl Model {
    /// All of them, or none.
    pub(crate) fn set_properties(&mut self, organization: OrganizationId, set: &NewProperties) {
        let mut set = set.clone();
        if !self.rules.the_last_property_with_a_key_holds {
            set.reverse();
        }
        for (key, content) in set {
            match content {
                Some(content) => drop(self.properties.insert((organization, key), content)),
                None if self.rules.a_property_without_content_is_removed => {
                    self.properties.remove(&(organization, key));
                }
                None => {}
            }
        }
    }

    pub(crate) fn property(&self, organization: OrganizationId, key: &str) -> Option<Vec<u8>> {
        let mut all = self.properties.iter();
        let is_it = |owner: &OrganizationId, name: &String| {
            name == key && (*owner == organization || !self.rules.properties_are_of_one_organization)
        };
        all.find(|((owner, name), _)| is_it(owner, name)).map(|(_, content)| content.clone())
    }

    pub(crate) fn property_keys(&self, organization: OrganizationId) -> Vec<String> {
        self.properties.keys().filter(|(owner, _)| *owner == organization).map(|(_, key)| key.clone()).collect()
    }

    /// Of damaged datasets too.
    pub(crate) fn statistics(&self) -> Numbers {
        let is_deleted = |kept: &Kept| kept.deletion.is_some() && self.rules.the_trash_is_counted_apart;
        let living = || self.kept.iter().filter(|kept| !is_deleted(kept));
        let kpis = living().map(|kept| kept.now.dataset.kpis.len()).sum();
        // What each change has replaced, if that is known.
        let has_replaced = |step: &Step| match step.origin {
            Origin::Created => !self.rules.a_creation_is_no_version,
            Origin::Accepted => false,
            _ => step.is_of_content() && !step.is_cut,
        };
        let versions = |kept: &Kept| kept.trail.iter().filter(|step| has_replaced(step)).count();
        let deleted = self.kept.len() - living().count();
        let numbers =
            [self.organizations().len(), living().count(), kpis, deleted, self.kept.iter().map(versions).sum()];
        numbers.map(|number| number.try_into().unwrap())
    }
}

/// Whether the keys and contents are within their limits.
pub(crate) fn are_valid(set: &NewProperties) -> Answer<()> {
    let is_key = |key: &str| (1..=255).contains(&key.chars().count()) && !key.contains('\0');
    let is_content = |content: &Option<Vec<u8>>| content.as_ref().is_none_or(|content| content.len() <= 65_536);
    if set.iter().all(|(key, content)| is_key(key) && is_content(content)) { Ok(()) } else { Err("invalid") }
}
