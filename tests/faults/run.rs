//! The record of a scenario, and every image that a power cut can make of it.

use std::collections::HashSet;

use kpi_store_fault_vfs::Operation;
use kpi_store_test_support::Random;

use super::check::Expected;
use super::follow::Kept;
use super::images::{self, Image, SimulatedDisk};
use super::scenarios::Scenario;
use super::seed;
use super::session::{Noted, Session};
use super::tally::Tally;
use crate::sqlite::schema::Schema;
use crate::{Durability, OrganizationId};

/// The record of a scenario.
pub(super) struct Run {
    pub(super) name: String,
    before: Image,
    record: Vec<Operation>,
    pub(super) events: Vec<Noted>,
    cursors: Vec<Kept>,
    pub(super) organization: OrganizationId,
    pub(super) schema: &'static Schema,
}

impl Run {
    pub(super) fn of(scenario: &Scenario, durability: Durability) -> Self {
        let mut session = Session::new(durability);
        (scenario.prepare)(&mut session).unwrap();
        Self::recorded(scenario.name, session, |session| (scenario.run)(session).unwrap())
    }

    /// Records a session until its handles are closed.
    pub(super) fn recorded(name: &str, mut session: Session, run: impl FnOnce(&mut Session)) -> Self {
        let before = Self::begin(&mut session);
        run(&mut session);
        session.leave();
        Self::end(name, before, session)
    }

    /// The same for a process that is killed at the end, with the files that another process then finds.
    pub(super) fn killed(name: &str, mut session: Session, run: impl FnOnce(&mut Session)) -> (Self, Image) {
        let before = Self::begin(&mut session);
        run(&mut session);
        let found = images::read(session.path());
        (Self::end(name, before, session), found)
    }

    fn begin(session: &mut Session) -> Image {
        session.leave();
        assert!(session.events.iter().all(|noted| noted.ended == 0), "what was before has no place in the record");
        session.disk.record();
        images::read(session.path())
    }

    fn end(name: &str, before: Image, session: Session) -> Self {
        let record = session.disk.take_record();
        assert!(record.len() > 2, "{name}: nothing was recorded");
        let Session { events, cursors, organization, schema, .. } = session;
        Self { name: name.to_owned(), before, record, events, cursors, organization, schema }
    }

    /// This record, followed by that of another process on the same files. The cursors are those of the other process.
    pub(super) fn then(mut self, next: Run) -> Self {
        let shift = self.record.len();
        self.record.extend(next.record);
        let shifted = |noted: Noted| Noted { began: noted.began + shift, ended: noted.ended + shift, ..noted };
        self.cursors = next.cursors.into_iter().map(|kept| kept.shifted(shift, self.events.len())).collect();
        self.events.extend(next.events.into_iter().map(shifted));
        self.schema = next.schema;
        self
    }

    /// The same, as if the disk had only reported some of these operations and not done them.
    pub(super) fn without(mut self, is_ignored: impl Fn(&Operation) -> bool) -> Self {
        // The positions in the ledger shift with the operations that are left out.
        let mut places = vec![0];
        for operation in &self.record {
            places.push(places[places.len() - 1] + usize::from(!is_ignored(operation)));
        }
        for noted in &mut self.events {
            (noted.began, noted.ended) = (places[noted.began], places[noted.ended]);
        }
        self.cursors.iter_mut().for_each(|kept| kept.at = places[kept.at]);
        self.record.retain(|operation| !is_ignored(operation));
        self
    }

    pub(super) fn expected(&self, promise: Durability) -> Expected<'_> {
        let Self { events, cursors, organization, schema, .. } = self;
        Expected { events, cursors, organization: *organization, schema, promise }
    }

    /// How many bytes were written.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |operation: &Operation| if let Operation::Write { data, .. } = operation { data.len() } else { 0 };
        self.record.iter().map(bytes).sum()
    }

    /// Calls `look` with the possible images at every `step`-th operation: the extremes, and `by_chance` random ones.
    /// Before a sync, when most writes are pending, there are four times as many of these.
    pub(super) fn cut(&self, step: usize, by_chance: usize, mut look: impl FnMut(&Image, usize, &str)) {
        let mut random = Random::new(seed());
        let mut disk = SimulatedDisk::new(&self.before);
        for cut in 0..=self.record.len() {
            if cut > 0 {
                disk.apply(&self.record[cut - 1], &mut random);
            }
            let is_before_sync = matches!(self.record.get(cut), Some(Operation::Sync { .. }));
            if cut % step != 0 && !(is_before_sync && by_chance > 0) {
                continue;
            }
            let count = if is_before_sync { by_chance * 4 } else { by_chance };
            let mut seen = HashSet::new();
            for (number, kept) in images::Kept::EXTREMES.into_iter().chain(images::Kept::by_chance(count)).enumerate() {
                let image = disk.image(kept, &mut random);
                let what = format!("seed {}, {}, cut {cut}, image {number} ({kept:?})", seed(), self.name);
                if !seen.contains(&image) {
                    look(&image, cut, &what);
                    seen.insert(image);
                }
            }
        }
    }

    /// Calls `look` with the images at each sync in which the last write has reached the disk, and of those before it
    /// only the first, in every number: the last write of a transaction over the remains of another.
    pub(super) fn cut_at_syncs(&self, mut look: impl FnMut(&Image, usize, &str)) {
        let mut random = Random::new(seed());
        let mut disk = SimulatedDisk::new(&self.before);
        for (cut, operation) in self.record.iter().enumerate() {
            if matches!(operation, Operation::Sync { .. }) {
                for first in 0..disk.unsynced() {
                    let kept = images::Kept::TheFirstAndTheLast(first);
                    let what = format!("seed {}, {}, cut {cut}, {kept:?}", seed(), self.name);
                    look(&disk.image(kept, &mut random), cut, &what);
                }
            }
            disk.apply(operation, &mut random);
        }
    }

    /// Checks every image that [`cut`](Self::cut) gives.
    pub(super) fn tally(&self, promise: Durability, step: usize, by_chance: usize) -> Tally {
        let (expected, mut tally) = (self.expected(promise), Tally::default());
        self.cut(step, by_chance, |image, cut, what| tally.count(expected.check(image, cut), || what.to_owned()));
        tally
    }
}
