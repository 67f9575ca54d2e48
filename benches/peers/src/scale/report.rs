//! The figures as Markdown, CSV and a picture.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::large::{Large, Pair};
use super::{Measured, Mode};
use crate::report::lines::{self, Chart, Line};
use crate::report::machine;

/// Prints the tables, and writes them and the picture into this folder.
pub(super) fn print_and_write(measured: &[Measured], large: &[Large], into: &Path) -> Result<(), Box<dyn Error>> {
    let tables = tables(measured, large);
    print!("{tables}");
    fs::create_dir_all(into)?;
    fs::write(into.join("scale.md"), tables)?;
    fs::write(into.join("scale.csv"), csv(measured))?;
    fs::write(into.join("scale-large.csv"), csv_of_large(large))?;
    draw(measured, &into.join("scale.svg"))?;
    eprintln!("written to {}", into.display());
    Ok(())
}

/// A figure of a load.
#[derive(Clone, Copy)]
struct Column {
    /// In the CSV.
    name: &'static str,
    of: fn(&Measured) -> Option<f64>,
}

const LOAD: Column = Column { name: "load ns a KPI", of: |measured| Some(measured.load()) };
const LEAST_LOAD: Column = Column { name: "least load ns a KPI", of: |measured| measured.loads.first().copied() };
const PROCESSOR: Column = Column { name: "load processor ns a KPI", of: |measured| Some(measured.processor()) };
const MEMORY: Column = Column { name: "memory bytes", of: |measured| Some(measured.figures.memory as f64) };
const LOG: Column = Column { name: "log bytes", of: |measured| Some(measured.figures.log? as f64) };
const FILE: Column = Column { name: "file bytes", of: |measured| Some(measured.figures.file as f64) };
const GET: Column = Column { name: "get ns", of: |measured| Some(measured.figures.reads.as_ref()?.get) };
const PAGE: Column = Column { name: "page of 50 ns", of: |measured| Some(measured.figures.reads.as_ref()?.page) };
const COUNT: Column = Column { name: "count ns", of: |measured| Some(measured.figures.reads.as_ref()?.count) };
const VERIFY: Column =
    Column { name: "verify bytes a second", of: |measured| Some(measured.figures.keep.as_ref()?.verify) };
const BACKUP: Column =
    Column { name: "backup bytes a second", of: |measured| Some(measured.figures.keep.as_ref()?.backup) };

const COLUMNS: [Column; 11] = [LOAD, LEAST_LOAD, PROCESSOR, MEMORY, LOG, FILE, GET, PAGE, COUNT, VERIFY, BACKUP];

fn csv(measured: &[Measured]) -> String {
    let mut csv = format!("peer,transactions,KPIs,{}\n", COLUMNS.map(|column| column.name).join(","));
    for measured in measured {
        let _ = write!(csv, "{},{},{}", measured.peer, measured.mode.name(), measured.kpis);
        for column in COLUMNS {
            csv.push(',');
            if let Some(figure) = (column.of)(measured) {
                let _ = write!(csv, "{figure:.0}");
            }
        }
        csv.push('\n');
    }
    csv
}

fn csv_of_large(large: &[Large]) -> String {
    let mut csv = "job,KPIs of the dataset,floor ns,kpi-store ns,median ratio\n".to_owned();
    for large in large {
        for (job, Pair { floor, store, ratio }) in jobs(large) {
            let _ = writeln!(csv, "\"{job}\",{},{floor:.0},{store:.0},{ratio:.4}", large.kpis);
        }
    }
    csv
}

fn jobs(large: &Large) -> [(&'static str, &Pair); 3] {
    [("get", &large.get), ("add a KPI, Full", &large.add), ("rename a KPI, Full", &large.rename)]
}

fn tables(measured: &[Measured], large: &[Large]) -> String {
    let mut text = format!(
        "Loads of datasets of 10 KPIs into a new store, Full. The cost of a load is the median of the rounds; the \
         reads are those of a store that was closed and opened again. {}\n\n",
        machine::description()
    );
    text.push_str(
        "| KPIs | transactions | peer | load, a KPI | processor | memory | log | file, a KPI | get | page of 50 | \
         count | verify | backup |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for measured in measured {
        let cell = |column: Column, unit: f64, suffix: &str| {
            (column.of)(measured).map_or_else(|| "–".to_owned(), |figure| format!("{}{suffix}", short(figure / unit)))
        };
        let cells = [
            measured.kpis.to_string(),
            measured.mode.name().to_owned(),
            measured.peer.to_owned(),
            cell(LOAD, 1e3, " µs"),
            cell(PROCESSOR, 1e3, " µs"),
            cell(MEMORY, f64::from(1 << 20), " MiB"),
            cell(LOG, f64::from(1 << 20), " MiB"),
            cell(FILE, measured.kpis as f64, " bytes"),
            cell(GET, 1e3, " µs"),
            cell(PAGE, 1e3, " µs"),
            cell(COUNT, 1e6, " ms"),
            cell(VERIFY, 1e6, " MB/s"),
            cell(BACKUP, 1e6, " MB/s"),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.push_str(
        "\nDatasets of many KPIs, kpi-store and its ratio to the floor:\n\n\
         | job | KPIs | kpi-store | ratio |\n|---|---|---|---|\n",
    );
    for large in large {
        for (job, pair) in jobs(large) {
            let (store, ratio) = (short(pair.store / 1e3), short(pair.ratio));
            let _ = writeln!(text, "| {job} | {} | {store} µs | {ratio} |", large.kpis);
        }
    }
    text
}

/// Three digits, or all of a larger whole number.
fn short(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A panel for each figure that should stay flat.
fn draw(measured: &[Measured], path: &Path) -> Result<(), Box<dyn Error>> {
    let mib = f64::from(1 << 20);
    let charts = [
        chart(measured, Mode::AllOrNothing, "Load, all or nothing: a KPI", ("µs", 1e3), LOAD),
        chart(measured, Mode::InBatches, "Load, batches of 500: a KPI", ("µs", 1e3), LOAD),
        chart(measured, Mode::AllOrNothing, "Memory of a load, all or nothing", ("MiB", mib), MEMORY),
        chart(measured, Mode::AllOrNothing, "Get by a random id", ("µs", 1e3), GET),
        chart(measured, Mode::AllOrNothing, "Page of 50 in the middle", ("µs", 1e3), PAGE),
        chart(measured, Mode::AllOrNothing, "Verify", ("MB/s", 1e6), VERIFY),
    ];
    let explanation = "Datasets of 10 KPIs in one file. Durability Full; every load in a process of its own.";
    lines::draw("From 10,000 to 5 million KPIs", explanation, &charts, path)
}

fn chart(
    measured: &[Measured],
    mode: Mode,
    title: &str,
    (unit, divisor): (&'static str, f64),
    column: Column,
) -> Chart {
    let mut lines: Vec<Line> = Vec::new();
    for measured in measured.iter().filter(|measured| measured.mode == mode) {
        let Some(figure) = (column.of)(measured) else { continue };
        let point = (measured.kpis as f64, figure / divisor);
        match lines.iter_mut().find(|line| line.name == measured.peer) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: measured.peer.to_owned(), points: vec![point] }),
        }
    }
    Chart { title: title.to_owned(), unit, lines }
}
