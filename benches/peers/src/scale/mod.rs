//! How the figures depend on the number of KPIs: loads of up to 5 million, and datasets of up to 10,000.
//!
//! Every load is in a process of its own. The rounds alternate between the peers.

mod child;
mod keep;
mod large;
mod report;

use std::path::Path;
use std::process::{Command, Stdio};

use kpi_store_peers_harness::Amount;
use serde::de::DeserializeOwned;

use crate::arguments::Arguments;
use crate::peers::FLOOR;
use child::Figures;

pub(crate) use child::run_if_child;

/// The numbers of KPIs, and in how many rounds each is loaded.
const SIZES: [(usize, usize); 4] = [(10_000, 11), (100_000, 5), (1_000_000, 3), (5_000_000, 3)];
const SHORT_SIZES: [(usize, usize); 2] = [(1_000, 1), (10_000, 1)];

/// The peers that are measured, each with the largest number of KPIs. Those without SQL are measured for orientation.
const PEERS: [(&str, usize); 4] =
    [("kpi-store", usize::MAX), (FLOOR, usize::MAX), ("redb", 1_000_000), ("fjall", 1_000_000)];

/// Datasets in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    AllOrNothing,
    InBatches,
}

impl Mode {
    const ALL: [Self; 2] = [Self::AllOrNothing, Self::InBatches];

    const fn batch(self) -> usize {
        match self {
            Self::AllOrNothing => usize::MAX,
            Self::InBatches => 500,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::AllOrNothing => "all or nothing",
            Self::InBatches => "batches of 500",
        }
    }
}

/// The costs of a number of KPIs for a peer.
pub(crate) struct Measured {
    peer: &'static str,
    mode: Mode,
    kpis: usize,
    /// Of the load, nanoseconds for each KPI: of all rounds, in ascending order.
    loads: Vec<f64>,
    /// The same of the processor's time.
    processor: Vec<f64>,
    /// Of the first round.
    figures: Figures,
}

impl Measured {
    /// The median of the rounds.
    fn load(&self) -> f64 {
        self.loads[self.loads.len() / 2]
    }

    fn processor(&self) -> f64 {
        self.processor[self.processor.len() / 2]
    }
}

/// Measures, prints and writes everything.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let is_short = arguments.amount == Amount::Little;
    let sizes: &[_] = if is_short { &SHORT_SIZES } else { &SIZES };
    let mut measured = Vec::new();
    for &(kpis, rounds) in sizes {
        for mode in Mode::ALL {
            measured.extend(measure(arguments, mode, kpis, rounds)?);
        }
    }
    eprintln!("datasets of many KPIs");
    let large: Vec<large::Large> = child(large::CHILD, &[if is_short { "short" } else { "all" }], &arguments.data)?;
    if is_short {
        println!("{} loads: everything that was read is what was written.", measured.len());
        return Ok(());
    }
    let into = &arguments.into;
    report::print_and_write(&measured, &large, into).map_err(|error| format!("{}: {error}", into.display()))
}

/// Loads a number of KPIs with each peer, in another order each round.
fn measure(arguments: &Arguments, mode: Mode, kpis: usize, rounds: usize) -> Result<Vec<Measured>, String> {
    let wanted = |name: &str| arguments.peers.iter().any(|peer| peer.name == name);
    let peers: Vec<_> = PEERS.into_iter().filter(|(name, most)| wanted(name) && kpis <= *most).collect();
    let mut measured: Vec<Measured> = Vec::new();
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let (peer, _) = peers[(turn + round) % peers.len()];
            let thoroughness = if round == 0 { "all" } else { "load" };
            let requested = [peer, mode.name(), &kpis.to_string(), thoroughness];
            let figures: Figures = child(child::CHILD, &requested, &arguments.data)?;
            eprintln!(
                "{kpis} KPIs, {}, {peer}: {:.2} µs a KPI, {:.2} of the processor",
                mode.name(),
                figures.load / 1e3,
                figures.processor / 1e3
            );
            let (load, processor) = (figures.load, figures.processor);
            match measured.iter_mut().find(|measured| measured.peer == peer) {
                Some(measured) => {
                    measured.loads.push(load);
                    measured.processor.push(processor);
                }
                None => {
                    measured.push(Measured {
                        peer,
                        mode,
                        kpis,
                        loads: vec![load],
                        processor: vec![processor],
                        figures,
                    });
                }
            }
        }
    }
    for measured in &mut measured {
        measured.loads.sort_by(f64::total_cmp);
        measured.processor.sort_by(f64::total_cmp);
    }
    Ok(measured)
}

/// Runs this program as a child and reads the JSON that it prints.
fn child<T: DeserializeOwned>(kind: &str, arguments: &[&str], data: &Path) -> Result<T, String> {
    let failed = |error: String| format!("{kind} {}: {error}", arguments.join(", "));
    std::fs::create_dir_all(data).map_err(|error| failed(error.to_string()))?;
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let process = Command::new(program).arg(kind).args(arguments).arg(data).stderr(Stdio::inherit()).output();
    let output = process.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed("it has failed; the reason is above".to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}
