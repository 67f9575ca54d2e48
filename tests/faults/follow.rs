//! Cursors of changes that are kept between the calls of a session, and whether what is told since then is as promised.

use kpi_store_test_support::ledger::{Breach, Demand};

use super::check::Expected;
use super::session::{Change, Creation, Event, Noted, Session};
use super::world::{Effect, Found, FoundLife, Part};
use crate::sqlite::failure::damaged;
use crate::{ChangeCursor, ChangeState, DatasetId, Durability, Error, Organization, Store};

/// A cursor after everything that was done before.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) cursor: ChangeCursor,
    /// How many operations were recorded then.
    pub(super) at: usize,
    /// How many events were noted.
    events: usize,
    is_of_another_file: bool,
}

impl Kept {
    /// The same behind another record.
    pub(super) fn shifted(self, operations: usize, events: usize) -> Self {
        Self { at: self.at + operations, events: self.events + events, ..self }
    }
}

impl Session {
    /// Keeps a cursor, unless the disk is to fail: the faults are for the calls themselves. An old handle cannot read a
    /// file that was upgraded, and none one that was overwritten.
    pub(super) fn keep_cursor(&mut self) {
        if self.is_open()
            && self.disk.is_calm()
            && let Ok(cursor) = self.organization().change_cursor()
        {
            let (at, events) = (self.disk.recorded(), self.events.len());
            self.cursors.push(Kept { cursor, at, events, is_of_another_file: false });
        }
    }

    /// A backup takes the place of the file.
    pub(super) fn file_was_restored(&mut self) {
        self.cursors.iter_mut().for_each(|kept| kept.is_of_another_file = true);
    }
}

impl Expected<'_> {
    /// Since every cursor that was kept before the cut, each acknowledged change is told, and nothing that was not
    /// changed. `settled` was done before this look.
    pub(super) fn follow(&self, store: &Store, settled: &[Effect], cut: usize) -> Result<(), Breach> {
        let organization = store.organization(self.organization);
        let all = organization.changes_since(&ChangeCursor::start());
        let all = all.map_err(|error| Breach::Corrupt(format!("changes: {error:?}")))?.items;
        for kept in self.cursors.iter().filter(|kept| kept.at <= cut) {
            let told = match organization.changes_since(&kept.cursor) {
                // With `Normal` it may be a cursor after changes that are lost.
                Err(Error::InvalidCursor) if kept.is_of_another_file || self.promise == Durability::Normal => continue,
                Ok(told) if !kept.is_of_another_file && all.ends_with(&told.items) => told.items,
                told => return Err(Breach::Corrupt(format!("{told:?} since {kept:?}, and of all {all:?}"))),
            };
            let mut changed = settled.iter().filter_map(changed).collect::<Vec<_>>();
            let (mut must_be_told, mut is_trash_purged) = (Vec::new(), false);
            for (index, noted) in self.events.iter().enumerate().skip(kept.events) {
                // What was noted later may have been done before.
                let demand = self.demand_of(index, noted, cut).filter(|_| noted.began >= kept.at);
                let ids = ids(noted).collect::<Vec<_>>();
                match demand {
                    None | Some(Demand::Absent) => continue,
                    Some(Demand::Present) => must_be_told.extend_from_slice(&ids),
                    Some(_) => {}
                }
                changed.extend(ids);
                is_trash_purged |= purges_the_trash(noted);
            }
            if let Some(missed) = must_be_told.iter().find(|id| told.iter().all(|change| change.dataset != **id)) {
                return Err(Breach::Lost(format!("of {missed} nothing is told since {kept:?}")));
            }
            let is_explained = |id: DatasetId, state: ChangeState| {
                changed.contains(&id) || (is_trash_purged && state == ChangeState::Purged)
            };
            if let Some(more) = told.iter().find(|change| !is_explained(change.dataset, change.state)) {
                return Err(Breach::Corrupt(format!("{more:?} is told since {kept:?}")));
            }
        }
        Ok(())
    }

    /// A copy that was opened for writing is another file.
    pub(super) fn refuses_cursors(&self, copy: &Store) -> Result<(), Breach> {
        let copy = copy.organization(self.organization);
        let told = self.cursors.last().map(|kept| copy.changes_since(&kept.cursor));
        match told {
            None | Some(Err(Error::InvalidCursor)) => Ok(()),
            told => Err(Breach::Corrupt(format!("a copy takes a cursor of the file: {told:?}"))),
        }
    }
}

/// The datasets that an event changed.
fn ids(noted: &Noted) -> Box<dyn Iterator<Item = DatasetId> + '_> {
    match &noted.event {
        Event::Creation(Creation { asked, .. }) => Box::new(asked.iter().map(|(id, _)| *id)),
        Event::Change(Change { effects, .. }) => Box::new(effects.iter().filter_map(changed)),
        _ => Box::new(std::iter::empty()),
    }
}

/// The dataset that an effect changes. Pruning a history changes none.
fn changed(effect: &Effect) -> Option<DatasetId> {
    match (effect, effect.part()) {
        (Effect::Prune { .. } | Effect::Damage(_) | Effect::Find(..), _) => None,
        (_, Part::Dataset(id)) => Some(id),
        _ => None,
    }
}

fn purges_the_trash(noted: &Noted) -> bool {
    let Event::Change(Change { effects, .. }) = &noted.event else { return false };
    effects.iter().any(|effect| matches!(effect, Effect::PurgeTrash))
}

/// Whether what has ever changed is told with the state in which it is found, each dataset once.
pub(super) fn tells(organization: &Organization, found: &Found) -> crate::Result<bool> {
    let told = organization.changes_since(&ChangeCursor::start())?;
    if !told.damaged.is_empty() {
        return Err(damaged("among the changes"));
    }
    let of_state = |state| {
        let told = told.items.iter().filter(move |change| change.state == state);
        let mut ids: Vec<_> = told.map(|change| change.dataset).collect();
        ids.sort_unstable();
        ids
    };
    let sorted = |lives: &[FoundLife]| {
        let mut ids: Vec<_> = lives.iter().map(|life| life.dataset.id).collect();
        ids.sort_unstable();
        ids
    };
    let mut purged = of_state(ChangeState::Purged);
    let count = purged.len();
    purged.dedup();
    Ok(!told.has_more
        && of_state(ChangeState::Present) == sorted(&found.living)
        && of_state(ChangeState::Deleted) == sorted(&found.trash)
        && purged.len() == count
        && purged.iter().all(|id| !found.has(*id)))
}
