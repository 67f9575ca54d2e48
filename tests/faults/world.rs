//! What a store must hold after some changes: where each dataset is, its history, and the properties.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{DateTime, Utc};

use crate::{Dataset, DatasetId, Kpi, Origin};

/// A version of a history, or a step of its trail, as it is found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) origin: Origin,
    pub(super) dataset: Dataset,
}

/// A dataset as it is found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FoundLife {
    pub(super) dataset: Dataset,
    /// The newest first; `None` if it was not asked for.
    pub(super) history: Option<Vec<Version>>,
}

/// Everything that is found in a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// In the order of the listing.
    pub(super) living: Vec<FoundLife>,
    /// The newest deletion first.
    pub(super) trash: Vec<FoundLife>,
    /// The purged datasets; `None` if they were not asked for.
    pub(super) purged: Option<Vec<DatasetId>>,
    pub(super) properties: Properties,
}

/// Properties by their key.
pub(super) type Properties = BTreeMap<String, Vec<u8>>;

impl Found {
    pub(super) fn has(&self, id: DatasetId) -> bool {
        self.living.iter().chain(&self.trash).any(|life| life.dataset.id == id)
    }
}

/// What is expected of a dataset in a version.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Exactly(Dataset),
    /// The change was not acknowledged: this content, written at this time if that was told.
    Content {
        dataset: Dataset,
        updated_at: Option<DateTime<Utc>>,
    },
    /// A load does not return what it stored.
    WithKpis(usize),
}

impl Wanted {
    pub(super) fn is(&self, found: &Dataset) -> bool {
        match self {
            Wanted::Exactly(dataset) => dataset == found,
            Wanted::Content { dataset, updated_at } => {
                (updated_at.is_none() || *updated_at == found.updated_at)
                    && without_times(dataset) == without_times(found)
            }
            Wanted::WithKpis(kpis) => found.kpis.len() == *kpis,
        }
    }
}

/// The content, without what the store itself sets when it changes.
pub(super) fn without_times(dataset: &Dataset) -> Dataset {
    let created_at = dataset.created_at;
    let kpis = dataset.kpis.iter().map(|kpi| Kpi { created_at, updated_at: None, sort_order: 0, ..kpi.clone() });
    Dataset { updated_at: None, updated_by: None, kpis: kpis.collect(), ..dataset.clone() }
}

/// What a change concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Dataset(DatasetId),
    /// All datasets.
    Datasets,
    Properties,
}

/// What a change does to one dataset, to all of them, or to properties.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Create(DatasetId, Wanted),
    /// It was found so.
    Find(DatasetId, Vec<Version>, Place),
    /// It gets another content.
    Revise(DatasetId, Origin, Wanted),
    /// Another tool changed it.
    Damage(DatasetId),
    Accept(DatasetId, Wanted),
    Delete(DatasetId),
    Restore(DatasetId),
    Purge(DatasetId),
    PurgeTrash,
    /// Of this dataset, or of all, only so many of the last versions stay.
    Prune {
        of: Option<DatasetId>,
        last: usize,
    },
    /// Each gets this content, or is removed.
    SetProperties(Vec<(String, Option<Vec<u8>>)>),
}

impl Effect {
    pub(super) fn part(&self) -> Part {
        match self {
            Effect::Create(id, _)
            | Effect::Revise(id, ..)
            | Effect::Find(id, ..)
            | Effect::Damage(id)
            | Effect::Accept(id, _)
            | Effect::Delete(id)
            | Effect::Restore(id)
            | Effect::Purge(id) => Part::Dataset(*id),
            Effect::PurgeTrash => Part::Datasets,
            Effect::Prune { of, .. } => of.map_or(Part::Datasets, Part::Dataset),
            Effect::SetProperties(_) => Part::Properties,
        }
    }
}

impl Effect {
    /// Whether it is seen in what is found, as far as later changes let it be seen.
    pub(super) fn is_in(&self, found: &Found) -> bool {
        let of = |lives: &[FoundLife], id: DatasetId| lives.iter().find(|life| life.dataset.id == id).cloned();
        let shows = |id: DatasetId, of_origin: Origin, wanted: &Wanted| {
            let history = of(&found.living, id).and_then(|life| life.history).unwrap_or_default();
            history.iter().any(|version| version.origin == of_origin && wanted.is(&version.dataset))
        };
        match self {
            Effect::Create(id, _) | Effect::Find(id, ..) => found.has(*id),
            Effect::Revise(id, origin, wanted) => shows(*id, *origin, wanted),
            Effect::Accept(id, wanted) => shows(*id, Origin::Accepted, wanted),
            Effect::Delete(id) => of(&found.living, *id).is_none(),
            Effect::Restore(id) => of(&found.living, *id).is_some(),
            Effect::Purge(id) => !found.has(*id),
            Effect::PurgeTrash => found.trash.is_empty(),
            Effect::SetProperties(set) => {
                set.iter().all(|(key, content)| found.properties.get(key) == content.as_ref())
            }
            Effect::Damage(_) | Effect::Prune { .. } => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Living,
    Trash,
    Purged,
}

/// A state of a store that is possible.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// In the order of creation.
    lives: Vec<Rc<Life>>,
    /// In the order of deletion.
    trash: Vec<DatasetId>,
    properties: Properties,
}

#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) id: DatasetId,
    pub(super) place: Place,
    /// The newest first. Empty while the dataset is damaged.
    pub(super) versions: Vec<(Origin, Rc<Wanted>)>,
}

impl Life {
    fn is(&self, found: &FoundLife) -> bool {
        let Some((_, newest)) = self.versions.first() else { return false };
        self.id == found.dataset.id
            && newest.is(&found.dataset)
            && found.history.as_ref().is_none_or(|history| {
                history.len() == self.versions.len()
                    && history
                        .iter()
                        .zip(&self.versions)
                        .all(|(found, (origin, wanted))| found.origin == *origin && wanted.is(&found.dataset))
            })
    }

    /// Another step of its trail, which changes nothing in it.
    fn moved(&mut self, place: Place, origin: Origin) {
        self.place = place;
        if let Some((_, newest)) = self.versions.first() {
            let newest = newest.clone();
            self.versions.insert(0, (origin, newest));
        }
    }
}

impl World {
    pub(super) fn life(&self, id: DatasetId) -> Option<&Life> {
        self.lives.iter().map(Rc::as_ref).find(|life| life.id == id)
    }

    pub(super) fn living(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter().map(Rc::as_ref).filter(|life| life.place == Place::Living)
    }

    pub(super) fn trash(&self) -> &[DatasetId] {
        &self.trash
    }

    /// Whether everything in a store is as in this world.
    pub(super) fn is(&self, found: &Found) -> bool {
        let is_purged = |id: &DatasetId| self.life(*id).is_some_and(|life| life.place == Place::Purged);
        let purged = self.lives.iter().filter(|life| life.place == Place::Purged).count();
        self.living().count() == found.living.len()
            && self.living().zip(&found.living).all(|(life, found)| life.is(found))
            && self.trash.len() == found.trash.len()
            && self.trash.iter().rev().zip(&found.trash).all(|(id, found)| self.is_life(*id, found))
            && found.purged.as_ref().is_none_or(|found| found.len() == purged && found.iter().all(is_purged))
            && self.properties == found.properties
    }

    /// Whether a part of a store is as in this world.
    pub(super) fn is_of(&self, part: Part, found: &Found) -> bool {
        let id = match part {
            Part::Dataset(id) => id,
            Part::Properties => return self.properties == found.properties,
            Part::Datasets => return self.is(found),
        };
        let of = |lives: &[FoundLife]| lives.iter().find(|found| found.dataset.id == id).cloned();
        match self.life(id).map(|life| life.place) {
            Some(Place::Living) => of(&found.living).is_some_and(|found| self.is_life(id, &found)),
            Some(Place::Trash) => of(&found.trash).is_some_and(|found| self.is_life(id, &found)),
            place => {
                let is_known = found.purged.as_ref().is_none_or(|ids| ids.contains(&id) == place.is_some());
                is_known && of(&found.living).is_none() && of(&found.trash).is_none()
            }
        }
    }

    fn is_life(&self, id: DatasetId, found: &FoundLife) -> bool {
        self.life(id).is_some_and(|life| life.is(found))
    }

    /// Applies all effects of a change; false if that is impossible in this world.
    pub(super) fn apply<'a>(&mut self, effects: impl IntoIterator<Item = &'a Effect>) -> bool {
        effects.into_iter().all(|effect| self.apply_one(effect).is_some())
    }

    fn apply_one(&mut self, effect: &Effect) -> Option<()> {
        match effect {
            Effect::Create(id, wanted) => {
                let versions = vec![(Origin::Created, Rc::new(wanted.clone()))];
                self.add(Life { id: *id, place: Place::Living, versions })?;
            }
            Effect::Find(id, history, place) => {
                let exactly = |version: &Version| (version.origin, Rc::new(Wanted::Exactly(version.dataset.clone())));
                self.add(Life { id: *id, place: *place, versions: history.iter().map(exactly).collect() })?;
                if *place == Place::Trash {
                    self.trash.push(*id);
                }
            }
            Effect::Revise(id, origin, wanted) => {
                let life = self.find(*id, Place::Living)?;
                life.versions.insert(0, (*origin, Rc::new(wanted.clone())));
            }
            Effect::Damage(id) => {
                let place = self.life(*id)?.place;
                self.find(*id, place)?.versions.clear();
            }
            Effect::Accept(id, wanted) => {
                // What it was before is not known.
                self.find(*id, Place::Living)?.versions = vec![(Origin::Accepted, Rc::new(wanted.clone()))];
            }
            Effect::Delete(id) => {
                self.find(*id, Place::Living)?.moved(Place::Trash, Origin::Deleted);
                self.trash.push(*id);
            }
            Effect::Restore(id) => {
                self.find(*id, Place::Trash)?.moved(Place::Living, Origin::Restored);
                self.trash.retain(|deleted| deleted != id);
            }
            Effect::Purge(id) => {
                let life = self.find(*id, Place::Trash)?;
                life.place = Place::Purged;
                self.trash.retain(|deleted| deleted != id);
            }
            Effect::PurgeTrash => {
                for id in std::mem::take(&mut self.trash) {
                    self.find(id, Place::Trash)?.place = Place::Purged;
                }
            }
            Effect::Prune { of, last } => {
                let is_meant = |life: &&mut Rc<Life>| of.is_none_or(|of| of == life.id);
                for life in self.lives.iter_mut().filter(is_meant) {
                    prune(&mut Rc::make_mut(life).versions, *last);
                }
            }
            Effect::SetProperties(set) => {
                for (key, content) in set {
                    match content {
                        Some(content) => drop(self.properties.insert(key.clone(), content.clone())),
                        None => drop(self.properties.remove(key)),
                    }
                }
            }
        }
        Some(())
    }

    fn add(&mut self, life: Life) -> Option<()> {
        self.life(life.id).is_none().then(|| self.lives.push(Rc::new(life)))
    }

    fn find(&mut self, id: DatasetId, place: Place) -> Option<&mut Life> {
        let is_it = |life: &&mut Rc<Life>| life.id == id && life.place == place;
        self.lives.iter_mut().find(is_it).map(Rc::make_mut)
    }
}

/// The trail behind the oldest version that stays is not shown either.
fn prune(versions: &mut Vec<(Origin, Rc<Wanted>)>, last: usize) {
    let of_content = |(_, (origin, _)): &(usize, &(Origin, Rc<Wanted>))| origin.is_of_content();
    let oldest = versions.iter().enumerate().filter(of_content).map(|(index, _)| index).nth(last.max(1) - 1);
    versions.truncate(oldest.map_or(versions.len(), |oldest| oldest + 1));
}
