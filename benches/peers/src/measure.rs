//! The measurement of one job: all peers in turn, in another order each round.

use std::path::Path;
use std::time::Duration;

use kpi_store_peers_harness::{Amount, Job, Unit};

use crate::children::{Programs, Running};
use crate::peers::PeerInfo;

/// The number of rounds.
pub(crate) const ROUNDS: usize = 11;

/// About the minimum time of a round of one peer.
const ROUND_TIME: Duration = Duration::from_millis(60);

/// The costs of a job.
pub(crate) struct Measured {
    pub(crate) job: Job,
    /// The floor is the first.
    pub(crate) peers: Vec<MeasuredPeer>,
}

/// The costs for one peer, in nanoseconds or bytes for one operation.
pub(crate) struct MeasuredPeer {
    pub(crate) name: &'static str,
    pub(crate) amount: Spread,
    /// To the floor in the same round.
    pub(crate) ratio: Spread,
}

/// Of the rounds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self { least: values[0], median: values[values.len() / 2], greatest: values[values.len() - 1] }
    }
}

/// Measures a job. Every peer is in a process of its own, and only one of them works at a time.
pub(crate) fn measure(
    programs: &Programs,
    peers: &[&'static PeerInfo],
    job: Job,
    amount: Amount,
    data: &Path,
) -> Result<Measured, String> {
    let mut running = Vec::new();
    for peer in peers {
        running.push(Running::start(programs, peer, job, amount, data)?);
    }
    if let Some(other) = running.iter().find(|peer| peer.content != running[0].content) {
        return Err(format!("{} has stored another content than {}", other.peer.name, peers[0].name));
    }
    let is_once = amount == Amount::Little || job.unit() == Unit::Bytes;
    let mut times = vec![1; running.len()];
    if !is_once {
        for (peer, times) in running.iter_mut().zip(&mut times) {
            *times = times_per_round(peer)?;
        }
    }
    let rounds = if is_once { 1 } else { ROUNDS };
    let mut taken = vec![Vec::new(); running.len()];
    for round in 0..rounds {
        for place in 0..running.len() {
            let index = (place + round) % running.len();
            taken[index].push(running[index].round(times[index])? as f64 / times[index] as f64);
        }
    }
    for peer in running {
        peer.end()?;
    }
    let peer = |(peer, values): (&&PeerInfo, &Vec<f64>)| MeasuredPeer {
        name: peer.name,
        amount: Spread::of(values.iter().copied()),
        ratio: Spread::of(values.iter().zip(&taken[0]).map(|(value, floor)| value / floor)),
    };
    Ok(Measured { job, peers: peers.iter().zip(&taken).map(peer).collect() })
}

/// The number of operations of a round, which also warms up.
fn times_per_round(peer: &mut Running) -> Result<u64, String> {
    let least = u64::try_from(ROUND_TIME.as_nanos() / 2).unwrap_or(u64::MAX);
    peer.round(1)?;
    let mut times = 1;
    while times < peer.job.most_times() && peer.round(times)? < least {
        times *= 2;
    }
    Ok(times.min(peer.job.most_times()))
}
