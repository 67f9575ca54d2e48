//! Holds what is found in a store against the changes that were asked of it.

use kpi_store_test_support::ledger::{Breach, Demand};

use super::world::{Effect, Found, Part, World};

/// A change of one transaction, and what must be found of it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) effects: Vec<Effect>,
    pub(super) demand: Demand,
}

impl Step {
    fn parts(&self) -> impl Iterator<Item = Part> {
        self.effects.iter().map(Effect::part).filter(|part| *part != Part::Datasets)
    }
}

/// So many unordered combinations are tried to name a breach.
const STATES_MAX: usize = 1 << 10;

/// Fails unless the store is as after the steps that must hold, and some of those that may, in their order, and then
/// `settled`, what was done before this look.
pub(super) fn judge(steps: &[Step], settled: &[Effect], found: &Found) -> Result<(), Breach> {
    let is_found = |mut world: World| world.apply(settled) && world.is(found);
    if worlds(steps).into_iter().any(is_found) { Ok(()) } else { Err(breach(steps, settled, found)) }
}

/// The world after every step that must hold, and none of those whose outcome is unknown.
pub(super) fn acknowledged(steps: &[Step]) -> World {
    let mut world = World::default();
    for step in steps.iter().filter(|step| step.demand == Demand::Present) {
        world.apply(&step.effects);
    }
    world
}

/// Every state that is as promised.
fn worlds(steps: &[Step]) -> Vec<World> {
    // Each with whether a step is missing, after which no other may be there.
    let mut worlds = vec![(World::default(), false)];
    for Step { effects, demand } in steps {
        let mut next = Vec::with_capacity(worlds.len() + 1);
        for (mut world, is_missing) in worlds {
            // What must hold cannot come after what is missing.
            if *demand != Demand::Present {
                next.push((world.clone(), is_missing || *demand == Demand::InOrder));
            }
            if !is_missing && *demand != Demand::Absent && world.apply(effects) {
                next.push((world, false));
            }
        }
        worlds = next;
    }
    worlds.into_iter().map(|(world, _)| world).collect()
}

/// How what was found breaks the promise: in one dataset, or between several.
fn breach(steps: &[Step], settled: &[Effect], found: &Found) -> Breach {
    let settled = Step { effects: settled.to_vec(), demand: Demand::Present };
    let steps = &[steps, &[settled]].concat();
    let parts = steps.iter().flat_map(Step::parts).fold(Vec::new(), |mut parts, part| {
        if !parts.contains(&part) {
            parts.push(part);
        }
        parts
    });
    for life in found.living.iter().chain(&found.trash) {
        if !parts.contains(&Part::Dataset(life.dataset.id)) {
            return Breach::Corrupt(format!("{} was never asked for", life.dataset.id));
        }
    }
    if let Some(breach) = parts.iter().find_map(|part| breach_in(*part, steps, found)) {
        return breach;
    }
    if combinations(steps, None).iter().any(|state| state.is_promised() && state.world.is(found)) {
        Breach::Corrupt("a change is there and one before it is not".to_owned())
    } else {
        Breach::Partial("a part of what was changed together is there".to_owned())
    }
}

/// The breach in one dataset, or in the properties.
fn breach_in(part: Part, steps: &[Step], found: &Found) -> Option<Breach> {
    let mut states = combinations(steps, Some(part));
    states.retain(|state| state.world.is_of(part, found));
    if states.iter().any(State::is_promised) {
        None
    } else if let Some(State { lost, .. }) = states.iter().find(|state| !state.is_untrue) {
        Some(Breach::Lost(format!("{}, of {part:?}", lost.as_deref().unwrap_or_default())))
    } else if !states.is_empty() {
        Some(Breach::Corrupt(format!("a change of {part:?} is there and must not be")))
    } else {
        Some(Breach::Partial(format!("{part:?}: in no state that it ever had")))
    }
}

struct State {
    world: World,
    /// A step that must hold and does not.
    lost: Option<String>,
    /// A step is there that must not be.
    is_untrue: bool,
}

impl State {
    fn is_promised(&self) -> bool {
        self.lost.is_none() && !self.is_untrue
    }
}

/// The states after any of the steps, whatever is demanded; of one part or of everything.
fn combinations(steps: &[Step], part: Option<Part>) -> Vec<State> {
    let mut states = vec![State { world: World::default(), lost: None, is_untrue: false }];
    for (index, Step { effects, demand }) in steps.iter().enumerate() {
        let is_meant = |effect: &&Effect| match (part, effect.part()) {
            (None, _) | (Some(Part::Dataset(_)), Part::Datasets) => true,
            (Some(part), of) => part == of,
        };
        let effects: Vec<_> = effects.iter().filter(is_meant).collect();
        if effects.is_empty() {
            continue;
        }
        let is_exhaustive = states.len() < STATES_MAX;
        let mut next = Vec::with_capacity(states.len() * 2);
        for State { world, lost, is_untrue } in states {
            let mut applied = world.clone();
            let is_possible = applied.apply(effects.iter().copied());
            if is_possible && (is_exhaustive || *demand != Demand::Absent) {
                let is_untrue = is_untrue || *demand == Demand::Absent;
                next.push(State { world: applied, lost: lost.clone(), is_untrue });
            }
            if is_exhaustive || !is_possible || *demand == Demand::Absent {
                let is_lost = *demand == Demand::Present;
                let lost = lost.or_else(|| is_lost.then(|| format!("change {index}, {:?}", kinds(&effects))));
                next.push(State { world, lost, is_untrue });
            }
        }
        states = next;
    }
    states
}

fn kinds(effects: &[&Effect]) -> Vec<&'static str> {
    let kind = |effect: &&Effect| match effect {
        Effect::Create(..) => "create",
        Effect::Find(..) => "found before",
        Effect::Revise(..) => "edit",
        Effect::Damage(_) => "damage",
        Effect::Accept(..) => "accept",
        Effect::Delete(_) => "delete",
        Effect::Restore(_) => "restore",
        Effect::Purge(_) | Effect::PurgeTrash => "purge",
        Effect::Prune { .. } => "prune",
        Effect::SetProperties(_) => "set properties",
    };
    effects.iter().map(kind).collect()
}
