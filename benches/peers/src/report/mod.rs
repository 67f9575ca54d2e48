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
