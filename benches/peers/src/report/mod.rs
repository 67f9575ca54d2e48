//! The figures as Markdown, CSV and pictures.

mod bars;
mod canvas;
mod csv;
pub(crate) mod lines;
pub(crate) mod machine;
mod markdown;

use std::error::Error;
use std::fs;
use std::path::Path;

use kpi_store_peers_harness::Job;

use crate::measure::Measured;
use crate::peers::PeerInfo;

/// The jobs of the smaller picture.
const MAIN_JOBS: [Job; 9] = [
    Job::CreateFull,
    Job::CreateNormal,
    Job::Together,
    Job::Bulk,
    Job::Get,
    Job::List,
    Job::Page,
    Job::OpenGetClose,
    Job::Bytes,
];

/// Prints the tables, and writes them and the pictures into this folder.
pub(crate) fn print_and_write(measured: &[Measured], peers: &[&PeerInfo], into: &Path) -> Result<(), Box<dyn Error>> {
    let tables = markdown::tables(measured, peers);
    print!("{tables}");
    fs::create_dir_all(into)?;
    fs::write(into.join("peers.md"), tables)?;
    fs::write(into.join("peers.csv"), csv::lines(measured))?;
    let all: Vec<&Measured> = measured.iter().collect();
    bars::draw(&all, &into.join("peers-all.svg"))?;
    let main: Vec<&Measured> = measured.iter().filter(|measured| MAIN_JOBS.contains(&measured.job)).collect();
    if !main.is_empty() {
        bars::draw(&main, &into.join("peers.svg"))?;
    }
    eprintln!("written to {}", into.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::measure::{MeasuredPeer, Spread};
    use crate::peers::PEERS;

    /// The peers took these times as long as the floor, which took 12,400 ns or bytes.
    fn measured(job: Job, ratios: [f64; 9]) -> Measured {
        let peer = |(peer, ratio): (&PeerInfo, f64)| MeasuredPeer {
            name: peer.name,
            amount: Spread::of([12_400.0 * ratio].into_iter()),
            ratio: Spread::of([0.8, 1.0, 1.3].map(|factor| factor * ratio).into_iter()),
        };
        Measured { job, peers: PEERS.iter().zip(ratios).map(peer).collect() }
    }

    #[test]
    fn the_tables_and_pictures_show_every_peer_and_its_figure() {
        let ratios = [1.0, 1.08, 3.15, 3.27, 15.2, 0.26, 0.0083, 1.0, 142.4];
        let all: Vec<Measured> = Job::ALL.into_iter().map(|job| measured(job, ratios)).collect();
        let peers: Vec<&PeerInfo> = PEERS.iter().collect();
        let folder = tempfile::tempdir().unwrap();
        print_and_write(&all, &peers, folder.path()).unwrap();

        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let markdown = read("peers.md");
        assert!(
            markdown.contains("| get | 12.4 µs | 1.08 | 3.15 | 3.27 | 15 | 0.26 | 0.008 | 1.00 | 142 |\n"),
            "{markdown}"
        );
        assert!(markdown.contains("| 0.86 to 1.40 | 2.52 to 4.09 |"), "{markdown}");
        assert!(
            read("peers.csv").contains("\n\"get\",json-file,ns,1765760,1765760,1765760,113.9200,142.4000,185.1200\n")
        );
        for (picture, panels) in [("peers.svg", MAIN_JOBS.len()), ("peers-all.svg", Job::ALL.len())] {
            let picture = read(picture);
            for text in peers.iter().map(|peer| peer.name).filter(|name| *name != "floor").chain(["142", "0.26"]) {
                assert_eq!(picture.matches(&format!("\n{text}\n")).count(), panels, "{text}");
            }
            assert!(!picture.contains("NaN") && !picture.contains("inf"));
        }
    }

    /// Such as the growth of a memory that did not grow.
    #[test]
    fn a_floor_of_zero_is_drawn() {
        let ratios = [f64::NAN, f64::INFINITY, 0.0, f64::NAN, 1.0, 1.0, 1.0, 1.0, 1.0];
        let folder = tempfile::tempdir().unwrap();
        print_and_write(&[measured(Job::Memory, ratios)], &[], folder.path()).unwrap();
    }
}
