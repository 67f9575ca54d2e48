//! Loading: the same result as creating all at once, at any size, in little memory; its progress reports.

mod failing;
mod sharing;

use std::error::Error as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chrono::DateTime;
use kpi_store::{
    DatasetId, DatasetQuery, Error, KpiId, LoadOptions, Loaded, NewDataset, NewKpi, Organization, Store, UserId,
};

use crate::support::{self, listed};

/// Datasets in a transaction; none if all are stored in one.
const BATCHES: [Option<u32>; 5] = [None, Some(1), Some(3), Some(5), Some(1_000)];

fn options<'a>(batch: Option<u32>) -> LoadOptions<'a> {
    batch.map_or_else(LoadOptions::new, |datasets| LoadOptions::new().in_batches_of(datasets))
}

/// The request at this index of the input.
fn request(place: usize) -> NewDataset {
    NewDataset::new(place.to_string()).kpis(["Withdrawal", "Discharge"].map(NewKpi::new))
}

/// A larger one, a few dozen of which are in memory at a time.
fn large_request(place: usize) -> NewDataset {
    let kpi = |number| NewKpi::new(format!("{place}.{number}")).description("m".repeat(1_000));
    NewDataset::new(place.to_string()).kpis((0..20).map(kpi))
}

fn names(organization: &Organization) -> Vec<String> {
    listed(organization).into_iter().map(|dataset| dataset.name).collect()
}

/// The store holds the first datasets of the input, and nothing else.
fn holds_the_first(store: &Store, file: Option<&Path>, organization: &Organization, count: u64, case: &str) {
    let expected: Vec<_> = (0..count).map(|place| place.to_string()).collect();
    assert_eq!(names(organization), expected, "{case}");
    assert_eq!(support::datasets_in_all(store, file), count, "{case}");
}

#[test]
fn a_load_stores_what_creating_all_at_once_stores() {
    let options_of_the_store = || Store::options().clock(|| DateTime::UNIX_EPOCH);
    let with_ids = |mut request: NewDataset| {
        request.kpis.iter_mut().for_each(|kpi| kpi.id = Some(KpiId::new()));
        request.id(DatasetId::new())
    };
    for (count, make) in [(0, request as fn(usize) -> NewDataset), (1, request), (15, request), (60, large_request)] {
        let input: Vec<_> = (0..count).map(make).map(with_ids).collect();
        for batch in BATCHES {
            support::in_a_file_and_in_memory(options_of_the_store, |store, file| {
                let loading = support::organization(store).acting_as(UserId::new());
                let loaded = loading.load_datasets(input.clone(), options(batch)).unwrap();

                let kpis: usize = input.iter().map(|request| request.kpis.len()).sum();
                assert_eq!((loaded.datasets, loaded.kpis), (count as u64, kpis as u64), "{batch:?}");
                let found = listed(&loading);
                assert_eq!(support::datasets_in_all(store, file), count as u64);
                // In another store, where the same ids are free.
                let elsewhere = options_of_the_store().open_in_memory().unwrap().organization(loading.id());
                let created = elsewhere.acting_as(loading.user().unwrap()).create_datasets(input.clone()).unwrap();
                assert!(found == created, "{count} in batches of {batch:?}");
                assert!(store.verify().unwrap().is_whole());
            });
        }
    }
}

#[test]
fn progress_rises_and_the_last_report_is_the_result() {
    // This many datasets are reported at least this often.
    for (count, batch, least) in [
        (0, None, 1),
        (0, Some(2), 1),
        (7, None, 1),
        (7, Some(2), 4),
        (8, Some(2), 4),
        (60, None, 4),
        (60, Some(50), 4),
    ] {
        support::in_a_file_and_in_memory(Store::options, |store, _| {
            let mut told: Vec<Loaded> = Vec::new();
            let options = options(batch).progress(|progress| {
                told.push(progress);
                ControlFlow::Continue(())
            });
            let loaded = support::organization(store).load_datasets((0..count).map(large_request), options).unwrap();

            assert!(told.len() >= least, "{count} in batches of {batch:?}: {told:?}");
            let counts: Vec<_> = told.iter().map(|progress| (progress.datasets, progress.kpis)).collect();
            assert!(counts.is_sorted() && told.iter().map(|progress| progress.elapsed).is_sorted(), "{told:?}");
            assert!(counts.iter().all(|(datasets, kpis)| datasets * 20 == *kpis), "{told:?}");
            assert_eq!(counts.last(), Some(&(loaded.datasets, loaded.kpis)));
            assert_eq!(loaded.datasets, count as u64);
            assert!(loaded.elapsed >= told.last().unwrap().elapsed);
        });
    }
}

#[test]
fn a_small_batch_reports_progress_once_and_an_empty_one_never() {
    for (count, batch, expected) in
        [(0, Some(2), vec![0]), (3, Some(2), vec![2, 3]), (4, Some(2), vec![2, 4]), (4, None, vec![4])]
    {
        // While the machine is busy elsewhere, a load also reports that time passes: then it is done again.
        let told = (0..100).find_map(|_| {
            let mut told = Vec::new();
            let options = options(batch).progress(|progress| {
                told.push(progress.datasets);
                ControlFlow::Continue(())
            });
            let organization = support::organization(&Store::open_in_memory().unwrap());
            let loaded = organization.load_datasets((0..count).map(request), options).unwrap();
            (loaded.elapsed < Duration::from_millis(10)).then_some(told)
        });
        assert_eq!(told, Some(expected), "{count} in batches of {batch:?}");
    }
}

#[test]
fn a_slow_input_reports_progress_and_can_be_cancelled() {
    for batch in [None, Some(1_000)] {
        let organization = support::organization(&Store::open_in_memory().unwrap());
        let slow = (0..).map(|place| {
            // As long as a load waits before it reports, by the clock that it reads itself.
            let asked = Instant::now();
            while asked.elapsed() < Duration::from_millis(10) {
                std::thread::yield_now();
            }
            assert!(place < 10, "the callback was not called");
            request(place)
        });
        let mut told = Vec::new();
        let options = options(batch).progress(|progress| {
            told.push(progress.elapsed);
            if told.len() == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = organization.load_datasets(slow, options).unwrap_err();
        assert_eq!((stopped.code(), stopped.stored), ("cancelled", 0), "in batches of {batch:?}");
        assert_eq!(organization.count_datasets(&DatasetQuery::new()).unwrap(), 0);
    }
}

#[test]
fn the_result_has_the_duration_of_the_load() {
    let organization = support::organization(&Store::open_in_memory().unwrap());
    let mut pulled = Vec::new();
    let input = (0..300).map(|place| {
        pulled.push(Instant::now());
        request(place)
    });
    let started = Instant::now();
    let loaded = organization.load_datasets(input, LoadOptions::new()).unwrap();
    let whole = started.elapsed();
    let between = pulled[299] - pulled[0];
    assert!(loaded.elapsed > between && loaded.elapsed <= whole, "{loaded:?} is not from {between:?} to {whole:?}");
}

#[test]
fn rates_are_counts_by_time() {
    let mut last = None;
    let options = LoadOptions::new().progress(|progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    });
    let organization = support::organization(&Store::open_in_memory().unwrap());
    let mut loaded = organization.load_datasets((0..50).map(request), options).unwrap();
    let mut progress = last.unwrap();
    (progress.elapsed, loaded.elapsed) = (Duration::from_millis(500), Duration::from_millis(250));
    let rates = [progress.datasets_per_second(), progress.kpis_per_second()];
    assert!(rates.iter().zip([100.0, 200.0]).all(|(rate, expected)| (rate - expected).abs() < 1e-9), "{rates:?}");
    let rates = [loaded.datasets_per_second(), loaded.kpis_per_second()];
    assert!(rates.iter().zip([200.0, 400.0]).all(|(rate, expected)| (rate - expected).abs() < 1e-9), "{rates:?}");
    progress.elapsed = Duration::ZERO;
    assert!(progress.datasets_per_second().abs() < f64::EPSILON, "no time, no rate");
}

#[test]
fn the_clock_is_asked_once_for_each_transaction() {
    for (batch, times) in [(None, 1), (Some(2), 5), (Some(3), 3), (Some(1_000), 1)] {
        let asked = Arc::new(AtomicI64::new(0));
        let options_of_the_store = || {
            asked.store(0, Relaxed);
            let asked = Arc::clone(&asked);
            Store::options().clock(move || DateTime::from_timestamp(asked.fetch_add(1, Relaxed), 0).unwrap())
        };
        support::in_a_file_and_in_memory(options_of_the_store, |store, _| {
            let organization = support::organization(store);
            organization.load_datasets((0..9).map(request), options(batch)).unwrap();
            let mut seconds: Vec<_> = listed(&organization).iter().map(|found| found.created_at.timestamp()).collect();
            assert!(seconds.is_sorted());
            seconds.dedup();
            assert_eq!(seconds, (0..times).collect::<Vec<_>>(), "in batches of {batch:?}");
        });
    }
}

#[test]
fn options_print_what_was_set() {
    let shown = format!("{:?}", LoadOptions::new().in_batches_of(500).progress(|_| ControlFlow::Continue(())));
    assert!(shown.starts_with("LoadOptions") && shown.contains("500"), "{shown}");
}

#[test]
fn batches_of_zero_are_refused_before_the_input_is_read() {
    let organization = support::organization(&Store::open_in_memory().unwrap());
    let nothing_is_asked_for = std::iter::from_fn(|| panic!("the iterator was run"));
    let refused = organization.load_datasets(nothing_is_asked_for, options(Some(0))).unwrap_err();
    assert_eq!((refused.stored, refused.code()), (0, "invalid"));
    assert_eq!(refused.error.to_string(), "in_batches_of: Input should be greater than or equal to 1");
}

#[test]
fn an_error_of_a_load_prints_as_a_sentence_and_has_its_source() {
    let organization = support::organization(&Store::open_in_memory().unwrap());
    let input = || [request(0), request(1), NewDataset::new("")];
    let stopped = organization.load_datasets(input(), options(Some(2))).unwrap_err();
    assert_eq!(stopped.to_string(), "the load stopped; 2 datasets are stored");
    assert_eq!(stopped.source().unwrap().to_string(), "[2].name: String should have at least 1 character");
    let shortened = || -> Result<_, Error> { Ok(organization.load_datasets(input(), LoadOptions::new())?) };
    assert_eq!(shortened().unwrap_err().code(), "invalid");
}

#[test]
fn nothing_is_pulled_for_a_load_into_a_closed_store() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = support::organization(store);
        store.clone().close().unwrap();
        let input = || std::iter::from_fn(|| -> Option<NewDataset> { panic!("it was pulled") });
        let loaded = organization.load_datasets(input(), LoadOptions::new());
        assert_eq!(Error::from(loaded.unwrap_err()).code(), "closed");
    });
}

#[test]
fn a_long_log_is_truncated_after_a_load_unless_a_reader_uses_it() {
    let long = || (0..100).map(|place| NewDataset::new(place.to_string()).kpis((0..100).map(|_| long_kpi())));
    let file = support::TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let organization = support::organization(&store);
    let left = || std::fs::metadata(file.path.with_extension("db-wal")).unwrap().len();

    organization.load_datasets(long(), LoadOptions::new()).unwrap();
    assert_eq!(left(), 0);

    let reader = support::plain_sqlite(&file.path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
    organization.load_datasets(long(), LoadOptions::new()).unwrap();
    assert!(left() > 16 << 20, "the control: {} bytes", left());
    drop(reader);
    organization.load_datasets([request(0)], LoadOptions::new()).unwrap();
    assert_eq!(left(), 0, "the next load does it");
    assert_eq!(organization.count_datasets(&DatasetQuery::new()).unwrap(), 201);
}

fn long_kpi() -> NewKpi {
    NewKpi::new("Withdrawal").description("m".repeat(2_000))
}
