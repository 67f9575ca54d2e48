//! kpi-store beside what one would use instead. `--help` lists the options, and `README.md` explains the figures.

#![allow(clippy::cast_precision_loss, reason = "the figures need fewer digits")]

mod arguments;
mod children;
#[allow(dead_code, reason = "the floor of another bench, which does more")]
#[path = "../../against_sql/floor/mod.rs"]
mod floor;
mod measure;
mod peers;
mod report;
mod scale;

use std::fs;
use std::process::ExitCode;

use arguments::{Arguments, Command, HELP};
use children::Programs;
use kpi_store_peers_harness::child::Task;
use kpi_store_peers_harness::{Amount, Job};
use peers::PEERS;

fn main() -> ExitCode {
    if let Some(task) = Task::from_arguments() {
        peers::run(task);
        return ExitCode::SUCCESS;
    }
    if scale::run_if_child() {
        return ExitCode::SUCCESS;
    }
    match Command::read(std::env::args().skip(1)) {
        Ok(Command::Help) => print!("{HELP}"),
        Ok(Command::List) => list(),
        Ok(Command::Measure(arguments)) => return finished(measure_all(&arguments)),
        Ok(Command::Scale(arguments)) => return finished(scale::run(&arguments)),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn finished(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("jobs:");
    for job in Job::ALL {
        println!("  {}", job.name());
    }
    println!("peers:");
    for peer in PEERS {
        println!("  {:12} {}", peer.name, peer.note);
    }
}

fn measure_all(arguments: &Arguments) -> Result<(), String> {
    let Arguments { amount, jobs, peers, into, data } = arguments;
    let programs = Programs::build(peers)?;
    fs::create_dir_all(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let mut measured = Vec::new();
    for (number, job) in (1..).zip(jobs) {
        eprintln!("{number} of {}: {}", jobs.len(), job.name());
        measured.push(measure::measure(&programs, peers, *job, *amount, data)?);
    }
    if *amount == Amount::Little {
        println!("{} jobs, {} peers: everything that was read is what was written.", jobs.len(), peers.len());
        return Ok(());
    }
    report::print_and_write(&measured, peers, into).map_err(|error| format!("{}: {error}", into.display()))
}
