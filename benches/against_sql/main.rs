//! The crate beside the best hand-written rusqlite on the same schema, page size, settings and durability.
//!
//! ```text
//! cargo bench                     criterion's figures, then the ratios
//! cargo bench -- --test           the short form: everything once, results asserted
//! ```
//!
//! The floor does the same work, ids and digests included, validation aside. Criterion measures one side after the
//! other, which a noisy machine can spoil, so the ratios at the end are measured again, interleaved: a round times both
//! sides one right after the other, and the figure is the median of the rounds' ratios with the least and the greatest.

mod floor;
mod input;
mod jobs;

use std::time::Duration;

use criterion::Criterion;
use jobs::Job;

/// Rounds of the interleaved measurement.
const ROUNDS: usize = 11;

/// A round of a side takes at least about this long.
const ROUND_TIME: Duration = Duration::from_millis(60);

fn main() {
    let is_short = std::env::args().any(|argument| argument == "--test");
    let mut jobs = jobs::all();
    let mut criterion = Criterion::default().configure_from_args();
    for job in &mut jobs {
        let mut group = criterion.benchmark_group(job.name);
        group.bench_function("floor", |bencher| bencher.iter_custom(|times| (job.floor)(times)));
        group.bench_function("store", |bencher| bencher.iter_custom(|times| (job.store)(times)));
        group.finish();
    }
    criterion.final_summary();

    println!("\n{:32} {:>7} {:>15}   floor alone", "store / floor", "median", "least-greatest");
    for job in &mut jobs {
        let (rounds, times) = if is_short { (1, 1) } else { (ROUNDS, times_per_round(job)) };
        let measured: Vec<_> = (0..rounds).map(|round| measure(job, times, round % 2 == 0)).collect();
        let ratios = sorted(measured.iter().map(|(floor, store)| store.as_secs_f64() / floor.as_secs_f64()));
        let floors = sorted(measured.iter().map(|(floor, _)| floor.as_secs_f64() / f64::from(times)));
        let spread = format!("{:.2}-{:.2}", ratios[0], ratios[rounds - 1]);
        let floor = floors[rounds / 2] * 1e6;
        println!("{:32} {:>7.2} {spread:>15}   {floor:.1} µs", job.name, ratios[rounds / 2]);
    }
}

/// One round: both sides, in either order.
fn measure(job: &mut Job, times: u32, floor_first: bool) -> (Duration, Duration) {
    if floor_first {
        let floor = (job.floor)(times.into());
        (floor, (job.store)(times.into()))
    } else {
        let store = (job.store)(times.into());
        ((job.floor)(times.into()), store)
    }
}

fn times_per_round(job: &mut Job) -> u32 {
    let mut times = 1;
    while (job.floor)(times.into()) < ROUND_TIME / 2 {
        times *= 2;
    }
    times
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
