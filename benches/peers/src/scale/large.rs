//! Datasets of many KPIs. A request creates 100 at most, so they are built by additions.

use std::path::Path;

use kpi_store_peers_harness::input::{self, KPIS, Texts};
use kpi_store_peers_harness::{Dataset, Durability, NewDataset, NewKpi, Peer};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::child::{self, timed};
use crate::peers::floor::Floor;
use crate::peers::kpi_store::KpiStore;

/// The first argument of the child process.
pub(super) const CHILD: &str = "scale-large-child";

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const SHORT_SIZES: [usize; 1] = [200];
const ROUNDS: usize = 11;

/// The time with a dataset of this many KPIs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Large {
    pub(super) kpis: usize,
    pub(super) get: Pair,
    /// Adds a KPI, durably.
    pub(super) add: Pair,
    /// Gives a KPI another name, durably, and returns the dataset.
    pub(super) rename: Pair,
}

/// Nanoseconds of the floor and the crate, and the ratio of the crate to the floor: medians of the rounds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) floor: f64,
    pub(super) store: f64,
    pub(super) ratio: f64,
}

/// Measures both sides in one process, in turn. They use the same SQLite.
pub(super) fn measure(is_short: bool, data: &Path) -> Vec<Large> {
    let sizes: &[usize] = if is_short { &SHORT_SIZES } else { &SIZES };
    sizes.iter().map(|kpis| large(*kpis, data)).collect()
}

fn large(kpis: usize, data: &Path) -> Large {
    let new: Vec<NewKpi> = input::datasets(Texts::Short).flat_map(|new| new.kpis).take(kpis).collect();
    // The rest is added while it is measured.
    let (before, rest) = new.split_at(kpis - ROUNDS);
    let folders = [(); 2].map(|()| tempfile::tempdir_in(data).expect("a folder for a peer's data"));
    let floor = Side::<Floor>::with_dataset(folders[0].path(), before, Floor::add_kpi);
    let store = Side::<KpiStore>::with_dataset(folders[1].path(), before, KpiStore::add_kpi);

    let mut rest_of_floor = rest.iter();
    let mut rest_of_store = rest.iter();
    let add = pair(
        || floor.add(rest_of_floor.next().expect("one for each round")),
        || store.add(rest_of_store.next().expect("one for each round")),
    );
    let get = pair(|| floor.get(kpis), || store.get(kpis));
    let (mut round_of_floor, mut round_of_store) = (0..ROUNDS, 0..ROUNDS);
    let rename = pair(
        || floor.rename(round_of_floor.next().expect("a round")),
        || store.rename(round_of_store.next().expect("a round")),
    );
    assert!(
        floor.stored().kpis.iter().zip(&store.stored().kpis).all(|(floor, store)| floor.name == store.name),
        "both have done the same"
    );
    Large { kpis, get, add, rename }
}

/// Measures both in turn, the other one first in every second round.
fn pair(mut floor: impl FnMut() -> f64, mut store: impl FnMut() -> f64) -> Pair {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        rounds.push(if round % 2 == 0 {
            let floor = floor();
            (floor, store())
        } else {
            let store = store();
            (floor(), store)
        });
    }
    let median = |of_round: fn(&(f64, f64)) -> f64| {
        let mut rounds = rounds.iter();
        child::median(ROUNDS, || of_round(rounds.next().expect("a round")))
    };
    Pair {
        floor: median(|(floor, _)| *floor),
        store: median(|(_, store)| *store),
        ratio: median(|(floor, store)| store / floor),
    }
}

/// The floor or the crate, with one dataset.
struct Side<P> {
    peer: P,
    dataset: Uuid,
    add: fn(&P, Uuid, &NewKpi),
}

impl<P: Peer> Side<P> {
    fn with_dataset(folder: &Path, kpis: &[NewKpi], add: fn(&P, Uuid, &NewKpi)) -> Self {
        let (first, others) = kpis.split_at(KPIS);
        let peer = P::open(folder, Durability::Normal);
        let created = peer.create(&NewDataset::new("Water").kpis(first.iter().cloned())).expect("a valid dataset");
        let dataset = P::plain(created).id;
        for new in others {
            add(&peer, dataset, new);
        }
        peer.close();
        Self { peer: P::open(folder, Durability::Full), dataset, add }
    }

    fn add(&self, new: &NewKpi) -> f64 {
        timed(|| (self.add)(&self.peer, self.dataset, new)).1
    }

    fn get(&self, kpis: usize) -> f64 {
        let (found, taken) = timed(|| self.peer.get(self.dataset).expect("the dataset"));
        assert_eq!(P::plain(found).kpis.len(), kpis);
        taken
    }

    fn rename(&self, round: usize) -> f64 {
        let kpi = self.stored().kpis[round].id;
        let name = format!("Total water withdrawal, corrected {round}");
        let (changed, taken) = timed(|| self.peer.rename_kpi(self.dataset, kpi, &name).expect("a valid name"));
        assert!(P::plain(changed) == self.stored() && self.stored().kpis[round].name == name);
        taken
    }

    fn stored(&self) -> Dataset {
        P::plain(self.peer.get(self.dataset).expect("the dataset"))
    }
}
