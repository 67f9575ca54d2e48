//! The crate beside the best hand-written rusqlite on the same schema, page size, settings and durability.
//!
//! ```text
//! cargo bench -p kpi-store-benches                                 criterion's figures, then the ratios
//! cargo bench -p kpi-store-benches -- "create 1x10"                the same for the jobs whose name contains this
//! KPI_STORE_RATIOS=1 cargo bench -p kpi-store-benches -- get       the ratios alone
//! cargo test -p kpi-store-benches --benches                        the short form: everything once, results asserted
//! ```
//!
//! The floor does the same work, ids and digests included, without validation. Criterion measures one side after the
//! other, which a noisy machine can spoil, so the ratios at the end are measured again, interleaved: a round times both
//! sides one right after the other, and the figure is the median of the rounds' ratios with the least and the greatest.
//! Criterion's report with its plots is in `target/criterion`.

#![allow(clippy::cast_precision_loss, reason = "the figures need fewer digits")]

mod change;
mod changes;
mod create;
mod floor;
mod input;
mod jobs;
mod json;
mod keep;
mod property;
mod read;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use criterion::Criterion;
use jobs::{Amount, Job, Sides};

/// The number of rounds of the interleaved measurement.
const ROUNDS: usize = 11;

/// About the minimum time of a round of one side.
const ROUND_TIME: Duration = Duration::from_millis(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    if has("--list") {
        return;
    }
    // Without `--bench`, which `cargo bench` adds, this is a test.
    let is_short = has("--test") || !has("--bench");
    let amount = if is_short { Amount::Little } else { Amount::All };
    let filter = arguments.first().filter(|first| !first.starts_with('-')).map_or("", String::as_str);
    let jobs =
        [create::jobs(), change::jobs(), read::jobs(), changes::jobs(), json::jobs(), property::jobs(), keep::jobs()];
    let jobs: Vec<Job> = jobs.into_iter().flatten().filter(|job| job.name.contains(filter)).collect();
    if let Ok(count) = std::env::var("KPI_STORE_COUNT") {
        return count_instructions(&jobs, &count);
    }
    // In the short form, measuring the ratios below does everything once.
    if !is_short && std::env::var_os("KPI_STORE_RATIOS").is_none() {
        measure_by_criterion(&jobs);
    }
    println!("\n{:48} {:>7} {:>15}   floor alone", "store / floor", "median", "least-greatest");
    for job in &jobs {
        print_ratio(job.name, &mut (job.make)(amount), is_short);
    }
    for size in keep::sizes(amount).iter().filter(|size| size.name.contains(filter)) {
        let (ratio, each) = (size.store as f64 / size.floor as f64, size.floor as f64 / size.kpis as f64);
        println!("{:48} {ratio:>7.3} {:>15}   {each:.0} bytes per KPI", size.name, "");
    }
}

/// The first reads of a store have no connection of their own yet.
const WARM_UP_MAX: u64 = 10;

/// Runs one side of the first job, `floor:100` or `store:100`: a few times to warm up, and this number of times to be
/// counted.
fn count_instructions(jobs: &[Job], count: &str) {
    let mut sides = (jobs[0].make)(Amount::All);
    let (side, times) = count.split_once(':').unwrap();
    let side = if side == "floor" { &mut sides.floor } else { &mut sides.store };
    let times: u64 = times.parse().unwrap();
    for _ in 0..times.min(WARM_UP_MAX) {
        side(1);
    }
    jobs::IS_COUNTING.store(true, Relaxed);
    side(times);
}

fn measure_by_criterion(jobs: &[Job]) {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for job in jobs {
        let mut sides = (job.make)(Amount::All);
        let mut group = criterion.benchmark_group(job.name);
        group.bench_function("floor", |bencher| bencher.iter_custom(|times| (sides.floor)(times)));
        group.bench_function("store", |bencher| bencher.iter_custom(|times| (sides.store)(times)));
        group.finish();
    }
    criterion.final_summary();
}

fn print_ratio(name: &str, sides: &mut Sides, is_short: bool) {
    let (rounds, times) = if is_short { (1, 1) } else { (ROUNDS, times_per_round(sides)) };
    let measured: Vec<_> = (0..rounds).map(|round| measure(sides, times, round % 2 == 0)).collect();
    let ratios = sorted(measured.iter().map(|(floor, store)| store.as_secs_f64() / floor.as_secs_f64()));
    let floors = sorted(measured.iter().map(|(floor, _)| floor.as_secs_f64() / times as f64));
    let spread = format!("{:.2}-{:.2}", ratios[0], ratios[rounds - 1]);
    let floor = floors[rounds / 2] * 1e6;
    println!("{name:48} {:>7.3} {spread:>15}   {floor:.1} µs", ratios[rounds / 2]);
}

/// One round: both sides, in the given order.
fn measure(sides: &mut Sides, times: u64, floor_first: bool) -> (Duration, Duration) {
    if floor_first {
        let floor = (sides.floor)(times);
        (floor, (sides.store)(times))
    } else {
        let store = (sides.store)(times);
        ((sides.floor)(times), store)
    }
}

fn times_per_round(sides: &mut Sides) -> u64 {
    // Both sides run once before they are measured.
    (sides.store)(1);
    let mut times = 1;
    while (sides.floor)(times) < ROUND_TIME / 2 {
        times *= 2;
    }
    times
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
