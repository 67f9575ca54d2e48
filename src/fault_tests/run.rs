//! What was recorded while something was done to a store, and everything that a power cut can make of it.

use std::collections::HashSet;

use kpi_store_fault_vfs::Operation;

use super::check::{Expected, Tally};
use super::images::{self, Image, Kept, Platter};
use super::random::Random;
use super::scenarios::Scenario;
use super::scene::{Noted, Scene};
use super::seed;
use crate::sqlite::schema::Schema;
use crate::{Durability, OrganizationId};

/// What was recorded while something was done to a store.
pub(super) struct Run {
    pub(super) name: String,
    before: Image,
    record: Vec<Operation>,
    pub(super) events: Vec<Noted>,
    pub(super) organization: OrganizationId,
    pub(super) schema: &'static Schema,
}

impl Run {
    pub(super) fn of(scenario: &Scenario, durability: Durability) -> Self {
        let mut scene = Scene::new(durability);
        (scenario.prepare)(&mut scene).unwrap();
        Self::recorded(scenario.name, scene, |scene| (scenario.run)(scene).unwrap())
    }

    /// Records what is done in a scene, to the closing of its handles.
    pub(super) fn recorded(name: &str, mut scene: Scene, run: impl FnOnce(&mut Scene)) -> Self {
        let before = Self::begin(&mut scene);
        run(&mut scene);
        scene.leave();
        Self::end(name, before, scene)
    }

    /// The same for a process that is killed at the end, with what another process then finds.
    pub(super) fn killed(name: &str, mut scene: Scene, run: impl FnOnce(&mut Scene)) -> (Self, Image) {
        let before = Self::begin(&mut scene);
        run(&mut scene);
        let found = images::read(scene.path());
        (Self::end(name, before, scene), found)
    }

    fn begin(scene: &mut Scene) -> Image {
        scene.leave();
        assert!(scene.events.iter().all(|noted| noted.ended == 0), "what was before has no place in the record");
        scene.disk.record();
        images::read(scene.path())
    }

    fn end(name: &str, before: Image, scene: Scene) -> Self {
        let record = scene.disk.take_record();
        assert!(record.len() > 2, "{name}: nothing was recorded");
        let Scene { events, organization, schema, .. } = scene;
        Self { name: name.to_owned(), before, record, events, organization, schema }
    }

    /// This, and then what another process did to the same files.
    pub(super) fn then(mut self, next: Run) -> Self {
        let shift = self.record.len();
        self.record.extend(next.record);
        let shifted = |noted: Noted| Noted { began: noted.began + shift, ended: noted.ended + shift, ..noted };
        self.events.extend(next.events.into_iter().map(shifted));
        self.schema = next.schema;
        self
    }

    /// The same, as if the disk had never done some of these operations and only said so.
    pub(super) fn without(mut self, is_lie: impl Fn(&Operation) -> bool) -> Self {
        // The places of the ledger move with what is left out.
        let mut places = vec![0];
        for operation in &self.record {
            places.push(places[places.len() - 1] + usize::from(!is_lie(operation)));
        }
        for noted in &mut self.events {
            (noted.began, noted.ended) = (places[noted.began], places[noted.ended]);
        }
        self.record.retain(|operation| !is_lie(operation));
        self
    }

    pub(super) fn expected(&self, promise: Durability) -> Expected<'_> {
        Expected { events: &self.events, organization: self.organization, schema: self.schema, promise }
    }

    /// Gives `look` what can be left at every `step`-th operation: the extremes, and so many that chance decides. Of these
    /// there are four times as many before every sync, when most is on its way.
    pub(super) fn cut(&self, step: usize, by_chance: usize, mut look: impl FnMut(&Image, usize, &str)) {
        let mut random = Random::new(seed());
        let mut platter = Platter::new(&self.before);
        for cut in 0..=self.record.len() {
            if cut > 0 {
                platter.apply(&self.record[cut - 1], &mut random);
            }
            let is_before_sync = matches!(self.record.get(cut), Some(Operation::Sync { .. }));
            if cut % step != 0 && !(is_before_sync && by_chance > 0) {
                continue;
            }
            let count = if is_before_sync { by_chance * 4 } else { by_chance };
            let mut seen = HashSet::new();
            for (number, kept) in Kept::EXTREMES.into_iter().chain(Kept::by_chance(count)).enumerate() {
                let image = platter.image(kept, &mut random);
                let what = format!("seed {}, {}, cut {cut}, image {number} ({kept:?})", seed(), self.name);
                if !seen.contains(&image) {
                    look(&image, cut, &what);
                    seen.insert(image);
                }
            }
        }
    }

    /// Checks every image that [`cut`](Self::cut) gives.
    pub(super) fn tally(&self, promise: Durability, step: usize, by_chance: usize) -> Tally {
        let (expected, mut tally) = (self.expected(promise), Tally::default());
        self.cut(step, by_chance, |image, cut, what| tally.count(expected.check(image, cut), || what.to_owned()));
        tally
    }
}
