//! Loads any number of KPIs with a progress bar, in little memory: generated ones, or requests as NDJSON, a body per
//! line.
//!
//! ```text
//! cargo run --release -p load_a_million                                   a million KPIs, in a temporary file
//! cargo run --release -p load_a_million -- --kpis 50000 --into kpis.db    fewer, in a file that is kept
//! cargo run --release -p load_a_million -- requests.ndjson                the requests of a file
//! cat *.ndjson | cargo run --release -p load_a_million -- -               those of standard input
//! cargo run --release -p load_a_million -- --batches 1000                 1,000 datasets to a transaction, not all
//! ```
//!
//! A line that is refused is reported on standard error with all its violations, and the others are loaded. The
//! progress bar is on standard error too, if that is a terminal.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use kpi_store::{LoadOptions, Loaded, NewDataset, NewKpi, Organization, OrganizationId, Store, ValueType};

const USAGE: &str = "usage: load_a_million [<NDJSON file> | - | --kpis <count>] [--batches <datasets>] [--into <file>]";

fn main() -> ExitCode {
    let Some(arguments) = Arguments::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprint!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// Loads the requested input, prints what was done, and returns the number of refused lines.
fn run(arguments: Arguments) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = arguments.into.unwrap_or_else(|| folder.path().join("kpis.db"));
    let store = Store::open(&file)?;
    // An application knows the id of its organization.
    let organization = store.organization(OrganizationId::new());
    let options = match arguments.batch {
        Some(datasets) => LoadOptions::new().in_batches_of(datasets),
        None => LoadOptions::new(),
    };
    let (loaded, refused) = match arguments.input {
        Input::Generated { kpis } => (load_generated(&organization, kpis, options)?, 0),
        Input::Lines(path) if path == Path::new("-") => load_lines(&organization, io::stdin().lock(), options)?,
        Input::Lines(path) => {
            let lines = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            load_lines(&organization, BufReader::new(lines), options)?
        }
    };
    // Copies the write-ahead log into the file.
    store.close()?;

    println!(
        "{} datasets with {} KPIs in {:.2} s, {:.0} KPIs per second; {refused} lines refused",
        loaded.datasets,
        loaded.kpis,
        loaded.elapsed.as_secs_f64(),
        loaded.kpis_per_second()
    );
    println!("{}: {} bytes, organization {}", file.display(), std::fs::metadata(&file)?.len(), organization.id());
    Ok(refused)
}

/// Loads datasets of 100 generated KPIs; the last one has the rest.
fn load_generated(organization: &Organization, kpis: u64, options: LoadOptions<'_>) -> Result<Loaded, Box<dyn Error>> {
    let bar = ProgressBar::new(kpis)
        .with_style(ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} KPIs, {msg}, {eta} left")?);
    let datasets = (0..kpis).step_by(100).map(|from| {
        let kpi = |number: u64| {
            let value_type = if number.is_multiple_of(4) { ValueType::Percentage } else { ValueType::Number };
            NewKpi::new(format!("KPI {number}"))
                .unit("m³")
                .value_type(value_type)
                .sort_order((number % 100).cast_signed())
        };
        NewDataset::new(format!("Dataset {}", from / 100)).kpis((from..kpis.min(from + 100)).map(kpi))
    });
    let options = options.progress(|progress| {
        bar.set_message(format!("{:.0} per second", progress.kpis_per_second()));
        bar.set_position(progress.kpis);
        ControlFlow::Continue(())
    });
    let loaded = organization.load_datasets(datasets, options)?;
    bar.finish_and_clear();
    Ok(loaded)
}

/// Loads the requests of the lines, except the refused ones. Also returns the number of refused lines.
fn load_lines(
    organization: &Organization,
    lines: impl BufRead,
    options: LoadOptions<'_>,
) -> Result<(Loaded, u64), Box<dyn Error>> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}")?);
    let (refused, unreadable) = (Cell::new(0), RefCell::new(None));
    let datasets = (1_u64..).zip(lines.split(b'\n')).map_while(|(number, line)| {
        // A read error ends the input, and then the callback cancels the load.
        let line = line.map_err(|error| *unreadable.borrow_mut() = Some(error)).ok()?;
        let is_blank = line.trim_ascii().is_empty();
        let request = (!is_blank).then(|| NewDataset::from_json(line)).transpose();
        Some(request.unwrap_or_else(|violations| {
            refused.set(refused.get() + 1);
            bar.suspend(|| {
                for violation in &violations {
                    eprintln!("line {number}: {violation} ({})", violation.code());
                }
            });
            None
        }))
    });
    let options = options.progress(|progress| {
        let (datasets, kpis, rate) = (progress.datasets, progress.kpis, progress.kpis_per_second());
        bar.set_message(format!("{datasets} datasets, {kpis} KPIs, {rate:.0} KPIs per second"));
        bar.tick();
        if unreadable.borrow().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let loaded = organization.load_datasets(datasets.flatten(), options);
    bar.finish_and_clear();
    match (loaded, unreadable.take()) {
        (Ok(loaded), None) => Ok((loaded, refused.get())),
        (Ok(loaded), Some(error)) => Err(format!("after {} datasets: {error}", loaded.datasets).into()),
        (Err(stopped), Some(error)) => Err(format!("{stopped}: {error}").into()),
        (Err(stopped), None) => Err(stopped.into()),
    }
}

struct Arguments {
    input: Input,
    batch: Option<u32>,
    into: Option<PathBuf>,
}

enum Input {
    Generated { kpis: u64 },
    Lines(PathBuf),
}

impl Arguments {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (mut input, mut batch, mut into) = (None, None, None);
        while let Some(argument) = arguments.next() {
            let is_repeated = match argument.as_str() {
                "--kpis" => input.replace(Input::Generated { kpis: arguments.next()?.parse().ok()? }).is_some(),
                "--batches" => batch.replace(arguments.next()?.parse().ok()?).is_some(),
                "--into" => into.replace(arguments.next()?.into()).is_some(),
                option if option.starts_with("--") => return None,
                path => input.replace(Input::Lines(path.into())).is_some(),
            };
            if is_repeated {
                return None;
            }
        }
        Some(Self { input: input.unwrap_or(Input::Generated { kpis: 1_000_000 }), batch, into })
    }
}
