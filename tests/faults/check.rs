//! Checks whether what a power cut left keeps the promises.

use std::collections::BTreeSet;

use kpi_store_test_support::TestFile;
use kpi_store_test_support::ledger::{Breach, Demand};

use super::damage::{is_damaged_in_trash, settles};
use super::follow::Kept;
use super::images::{self, Image};
use super::judge::{self, Step};
use super::look::{Unsound, agree, counts_agree, everything, history};
use super::session::{BACKUP_OF_UPGRADE, CLAIMED_BACKUP, Change, Creation, Event, Noted, Outcome, request};
use super::world::{Effect, Found, Place, Wanted, World, without_times};
use crate::sqlite::schema::{SCHEMA, Schema};
use crate::{DatasetId, Durability, Error, OrganizationId, Store};

/// What is expected of the images of a run.
pub(super) struct Expected<'a> {
    pub(super) events: &'a [Noted],
    pub(super) cursors: &'a [Kept],
    pub(super) organization: OrganizationId,
    /// The list of migrations with which the file is opened last.
    pub(super) schema: &'static Schema,
    pub(super) promise: Durability,
}

impl Expected<'_> {
    /// Opens the files left by a power cut after `cut` operations of the record, and checks everything.
    pub(super) fn check(&self, image: &Image, cut: usize) -> Result<(), Breach> {
        let file = TestFile::in_memory();
        images::write(image, file.folder.path());
        self.check_backups(file.folder.path(), cut)?;
        if !std::ptr::eq(self.schema, &raw const SCHEMA) {
            self.check_versions(image, cut)?;
        }
        let options = Store::options().durability(self.promise);
        let store = options.open_with_schema(&file.path, self.schema).map_err(|error| unopened(&error))?;
        let settled = self.settle(&store, cut)?;
        self.follow(&store, &settled, cut)?;
        self.judge_with(&settled, &self.look(&store)?, cut)?;
        write_something(&store)
    }

    /// Ends the damage of the datasets that another tool changed: what is not accepted is accepted now, and what is in the
    /// trash is purged. Returns these changes.
    pub(super) fn settle(&self, store: &Store, cut: usize) -> Result<Vec<Effect>, Breach> {
        let (organization, mut effects) = (store.organization(self.organization), Vec::new());
        for noted in self.events {
            let Event::Alteration { dataset } = &noted.event else { continue };
            let id = dataset.id;
            let is_meant = |change: &Change, is_it: fn(&Effect, DatasetId) -> bool| {
                change.effects.iter().any(|effect| is_it(effect, id))
            };
            let acceptances = self.events.iter().enumerate().filter_map(|(index, noted)| match &noted.event {
                Event::Change(change) if is_meant(change, settles) => {
                    Some(self.demand(index, noted, &change.outcome, cut))
                }
                _ => None,
            });
            let demands: Vec<_> = acceptances.collect();
            let found = organization.dataset(id);
            let effect = match &found {
                Ok(Some(_)) if demands.iter().any(|demand| *demand != Demand::Absent) => continue,
                Err(Error::Corrupt { .. }) if demands.contains(&Demand::Present) => {
                    return Err(Breach::Lost(format!("the acceptance of {id}")));
                }
                Err(Error::Corrupt { .. }) => match organization.accept_dataset(id) {
                    Ok(accepted) if without_times(&accepted) == without_times(dataset) => {
                        Effect::Accept(id, Wanted::Exactly(accepted))
                    }
                    accepted => return Err(Breach::Corrupt(format!("accepting again: {accepted:?}"))),
                },
                Ok(None) if !is_damaged_in_trash(&organization, id).map_err(|error| unopened(&error))? => continue,
                Ok(None) => match (organization.restore_dataset(id), organization.purge_dataset(id)) {
                    (Err(Error::Corrupt { .. }), Ok(())) => Effect::Purge(id),
                    (restored, purged) => {
                        return Err(Breach::Corrupt(format!("restored: {restored:?}, purged: {purged:?}")));
                    }
                },
                _ => return Err(Breach::Corrupt(format!("altered, and reads {found:?}"))),
            };
            effects.push(effect);
        }
        Ok(effects)
    }

    /// A file interrupted in an upgrade is complete, in the old version or the new one.
    fn check_versions(&self, image: &Image, cut: usize) -> Result<(), Breach> {
        let file = TestFile::in_memory();
        images::write(image, file.folder.path());
        match Store::open(&file.path) {
            Ok(_)
                if self.promise == Durability::Full && self.has_ended(cut, |event| matches!(event, Event::Upgrade)) =>
            {
                Err(Breach::Lost("the upgrade".to_owned()))
            }
            Ok(store) => {
                self.judge(&self.look(&store)?, cut)?;
                write_something(&store)
            }
            Err(Error::TooNew { found: 2, .. }) if image.contains_key(BACKUP_OF_UPGRADE) => Ok(()),
            Err(Error::TooNew { found: 2, .. }) => Err(Breach::Lost("the copy of before the upgrade".to_owned())),
            Err(error) => Err(unopened(&error)),
        }
    }

    /// A backup under its name is complete, or there is none. Two states are possible besides, and documented: it still
    /// has the name of its draft too, which must be removed first; or, without hard links, its name is only claimed.
    fn check_backups(&self, folder: &std::path::Path, cut: usize) -> Result<(), Breach> {
        for noted in self.events {
            let Event::Backup { name, holds, is_acknowledged } = &noted.event else { continue };
            let file = folder.join(name);
            if !file.exists() {
                if *is_acknowledged && noted.ended <= cut {
                    return Err(Breach::Lost(format!("the backup {name}")));
                }
                continue;
            }
            let is_claim = name == CLAIMED_BACKUP && file.metadata().is_ok_and(|metadata| metadata.len() == 0);
            if is_claim && !(*is_acknowledged && noted.ended <= cut) {
                continue;
            }
            let store = match Store::open(&file) {
                Err(Error::InvalidPath { .. }) => {
                    images::remove_drafts(folder);
                    Store::open(&file)
                }
                opened => opened,
            };
            let store = store.map_err(|error| unopened(&error))?;
            self.refuses_cursors(&store)?;
            let found = self.look(&store)?.living;
            if !found.iter().map(|found| &found.dataset).eq(holds) {
                return Err(Breach::Partial(format!("{name} holds {} datasets of {}", found.len(), holds.len())));
            }
        }
        Ok(())
    }

    /// Holds what was found against the ledger.
    pub(super) fn judge(&self, found: &Found, cut: usize) -> Result<(), Breach> {
        self.judge_with(&[], found, cut)
    }

    fn judge_with(&self, settled: &[Effect], found: &Found, cut: usize) -> Result<(), Breach> {
        let steps = steps(self.events, |index, noted, outcome| self.demand(index, noted, outcome, cut));
        judge::judge(&steps, settled, found)
    }

    /// The same, if the event is one that changes something.
    pub(super) fn demand_of(&self, index: usize, noted: &Noted, cut: usize) -> Option<Demand> {
        match &noted.event {
            Event::Creation(Creation { outcome, .. }) | Event::Change(Change { outcome, .. }) => {
                Some(self.demand(index, noted, outcome, cut))
            }
            _ => None,
        }
    }

    /// What must be found of a change after a cut.
    fn demand(&self, index: usize, noted: &Noted, outcome: &Outcome, cut: usize) -> Demand {
        match outcome.demand() {
            _ if noted.began > 0 && noted.began >= cut => Demand::Absent,
            Demand::Present if noted.ended > cut && self.is_one_of_several(noted) => Demand::Either,
            Demand::Present if noted.ended > cut || !self.must_hold(index, cut) => Demand::InOrder,
            demand => demand,
        }
    }

    /// Whether others were made at the same time: they are in no order among themselves.
    fn is_one_of_several(&self, noted: &Noted) -> bool {
        let is_written = |other: &&Noted| match &other.event {
            Event::Creation(Creation { outcome, .. }) | Event::Change(Change { outcome, .. }) => {
                (other.began, other.ended) == (noted.began, noted.ended) && *outcome != Outcome::Refused
            }
            _ => false,
        };
        self.events.iter().filter(is_written).count() > 1
    }

    /// Whether an acknowledged change must survive a later cut.
    fn must_hold(&self, index: usize, cut: usize) -> bool {
        let is_closing = |noted: &Noted| matches!(noted.event, Event::Closing) && noted.ended <= cut;
        self.promise == Durability::Full || self.events[index..].iter().any(is_closing)
    }

    fn has_ended(&self, cut: usize, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|noted| is_it(&noted.event) && noted.ended <= cut)
    }

    /// Everything in the store, after `verify` found nothing. The histories of what is in the trash are those that
    /// restoring it brings back, and what is purged is known by its ids, which are never given again.
    pub(super) fn look(&self, store: &Store) -> Result<Found, Breach> {
        let look = || -> Result<_, Unsound> {
            let (verification, organization) = (store.verify()?, store.organization(self.organization));
            let mut found = everything(&organization)?;
            counts_agree(store, &found)?;
            let mut purged = Vec::new();
            for id in purged_ids(self.events).filter(|id| !found.has(*id)) {
                match organization.create_dataset(request(0).id(id)) {
                    Err(Error::AlreadyExists { .. }) => purged.push(id),
                    created => drop(created?),
                }
            }
            found.purged = Some(purged);
            for life in &mut found.trash {
                let restored = organization.restore_dataset(life.dataset.id)?;
                agree(restored == life.dataset, "what was restored is not what was deleted")?;
                life.history = Some(history(&organization, restored.id)?.split_off(1));
            }
            Ok((verification, found))
        };
        let (verification, found) = look().map_err(|unsound| Breach::Corrupt(format!("reading: {unsound:?}")))?;
        let count = u64::try_from(found.living.len() + found.trash.len()).unwrap();
        if !verification.is_whole() || verification.datasets != count {
            return Err(Breach::Corrupt(format!("{verification:?}, {count} found")));
        }
        Ok(found)
    }
}

/// What each event did, and what is demanded of it.
fn steps(events: &[Noted], demand: impl Fn(usize, &Noted, &Outcome) -> Demand) -> Vec<Step> {
    let step = |(index, noted): (usize, &Noted)| match &noted.event {
        Event::Creation(Creation { asked, outcome }) => {
            let wanted = |(number, (id, kpis)): (usize, &(DatasetId, usize))| match outcome {
                Outcome::Acknowledged(created) => Effect::Create(*id, Wanted::Exactly(created[number].clone())),
                _ => Effect::Create(*id, Wanted::WithKpis(*kpis)),
            };
            let effects = asked.iter().enumerate().map(wanted).collect();
            Some(Step { effects, demand: demand(index, noted, outcome) })
        }
        Event::Change(Change { effects, outcome }) => {
            Some(Step { effects: effects.clone(), demand: demand(index, noted, outcome) })
        }
        Event::Alteration { dataset } => {
            Some(Step { effects: vec![Effect::Damage(dataset.id)], demand: Demand::Present })
        }
        Event::Found { id, history, place } => {
            Some(Step { effects: vec![Effect::Find(*id, history.clone(), *place)], demand: Demand::Present })
        }
        Event::Backup { .. } | Event::Upgrade | Event::Closing => None,
    };
    events.iter().enumerate().filter_map(step).collect()
}

/// What is stored after every call that was acknowledged.
pub(super) fn acknowledged(events: &[Noted]) -> World {
    judge::acknowledged(&steps(events, |_, _, outcome| outcome.demand()))
}

/// The datasets that may have been purged, here or in an earlier look.
fn purged_ids(events: &[Noted]) -> impl Iterator<Item = DatasetId> {
    let (mut purged, mut deleted, mut is_all) = (BTreeSet::new(), BTreeSet::new(), false);
    for noted in events {
        match &noted.event {
            Event::Alteration { dataset } => drop(purged.insert(dataset.id)),
            Event::Found { id, place: Place::Purged, .. } => drop(purged.insert(*id)),
            Event::Change(Change { effects, .. }) => {
                for effect in effects {
                    match effect {
                        Effect::Purge(id) => drop(purged.insert(*id)),
                        Effect::Delete(id) => drop(deleted.insert(*id)),
                        Effect::PurgeTrash => is_all = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    purged.extend(deleted.into_iter().filter(|_| is_all));
    purged.into_iter()
}

fn write_something(store: &Store) -> Result<(), Breach> {
    let organization = store.organization(OrganizationId::new());
    let created = organization.create_dataset(request(1));
    let created = created.map_err(|error| Breach::Corrupt(format!("writing: {error:?}")))?;
    let read = organization.dataset(created.id);
    if !matches!(&read, Ok(Some(read)) if *read == created) {
        return Err(Breach::Corrupt(format!("what was written afterwards reads {read:?}")));
    }
    store.clone().close().map_err(|error| Breach::Corrupt(format!("closing: {error:?}")))
}

fn unopened(error: &Error) -> Breach {
    Breach::Corrupt(format!("opening: {error:?}"))
}
