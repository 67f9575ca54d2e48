//! The command line of the driver.

use std::path::PathBuf;

use kpi_store_peers_harness::{Amount, Job};

use crate::peers::{FLOOR, PEERS, PeerInfo};

pub(crate) const HELP: &str = "\
kpi-store beside what one would use instead: each peer in a process of its own, driven in turn.

cargo run --release --manifest-path benches/peers/Cargo.toml -- [scale] [options]

  scale              how the figures depend on the number of KPIs, up to 5 million (2 GB on the disk, 15 minutes)
  --short            everything once with a fiftieth of the data, to check that all peers agree
  --jobs TEXT        only jobs whose name contains this text
  --peers A,B        only these peers (and the floor, to which all figures are ratios)
  --into FOLDER      where to write the tables and pictures; by default benches/peers/results
  --data FOLDER      where the peers store their data meanwhile; by default benches/peers/target/data.
                     The figures depend on the disk that this folder is on.
  --list             prints the names of the jobs and of the peers
  --help             prints this
";

/// The command to run.
pub(crate) struct Arguments {
    pub(crate) amount: Amount,
    pub(crate) jobs: Vec<Job>,
    /// The floor is the first.
    pub(crate) peers: Vec<&'static PeerInfo>,
    pub(crate) into: PathBuf,
    pub(crate) data: PathBuf,
}

/// The options of the command line.
pub(crate) enum Command {
    Measure(Arguments),
    Scale(Arguments),
    List,
    Help,
}

impl Command {
    /// Reads the arguments after the name of the program. The error is for the user.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut read = Arguments {
            amount: Amount::All,
            jobs: Job::ALL.to_vec(),
            peers: PEERS.iter().collect(),
            into: package.join("results"),
            data: package.join("target/data"),
        };
        let mut is_scale = false;
        while let Some(option) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "scale" => is_scale = true,
                "--short" => read.amount = Amount::Little,
                "--jobs" => read.jobs = jobs(&value()?)?,
                "--peers" => read.peers = peers(&value()?)?,
                "--into" => read.into = value()?.into(),
                "--data" => read.data = value()?.into(),
                "--list" => return Ok(Self::List),
                "--help" | "-h" => return Ok(Self::Help),
                _ => return Err(format!("unknown option {option}; --help lists them")),
            }
        }
        // Only Linux tells how much memory a process has had.
        read.jobs.retain(|job| *job != Job::Memory || cfg!(target_os = "linux"));
        Ok(if is_scale { Self::Scale(read) } else { Self::Measure(read) })
    }
}

fn jobs(text: &str) -> Result<Vec<Job>, String> {
    let found: Vec<Job> = Job::ALL.into_iter().filter(|job| job.name().contains(text)).collect();
    if found.is_empty() { Err(format!("no job's name contains {text:?}; --list prints them")) } else { Ok(found) }
}

fn peers(names: &str) -> Result<Vec<&'static PeerInfo>, String> {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    if let Some(unknown) = names.iter().find(|name| PEERS.iter().all(|peer| peer.name != **name)) {
        return Err(format!("no peer is named {unknown:?}; --list prints them"));
    }
    Ok(PEERS.iter().filter(|peer| peer.name == FLOOR || names.contains(&peer.name)).collect())
}
