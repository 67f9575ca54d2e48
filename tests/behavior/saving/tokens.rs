//! `updated_at` as the token of a version: it rises with every change, and moves with nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use kpi_store::{Dataset, DatasetPatch, KpiPatch, NewKpi, Organization, Store, UserId};

use crate::support::{TestFile, organization, request_with_kpis};

/// A store whose clock shows what is set, in microseconds.
fn with_clock() -> (Store, Arc<AtomicI64>) {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&now);
    let clock = move || DateTime::from_timestamp_micros(clock.load(Ordering::Relaxed)).unwrap();
    (Store::options().clock(clock).open_in_memory().unwrap(), now)
}

fn at(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

fn rename(organization: &Organization, dataset: &Dataset, name: &str) -> Dataset {
    organization.update_dataset(dataset.id, DatasetPatch::new().name(name)).unwrap()
}

#[test]
fn the_token_is_the_time_and_rises_by_a_microsecond_where_the_clock_does_not() {
    let (store, clock) = with_clock();
    let ours = organization(&store);
    let mut dataset = ours.create_dataset(request_with_kpis(1)).unwrap();
    for (index, (now, expected)) in
        [(2_000_000, 2_000_000), (2_000_000, 2_000_001), (5, 2_000_002), (2_000_002, 2_000_003), (9_000_000, 9_000_000)]
            .into_iter()
            .enumerate()
    {
        clock.store(now, Ordering::Relaxed);
        dataset = rename(&ours, &dataset, &format!("{index}"));
        assert_eq!(dataset.updated_at, at(expected), "at {now}");
    }
    // The first change of a dataset that was created in the future, as the clock sees it now.
    clock.store(20_000_000, Ordering::Relaxed);
    let created = ours.create_dataset(request_with_kpis(0)).unwrap();
    clock.store(3, Ordering::Relaxed);
    assert_eq!(rename(&ours, &created, "x").updated_at, at(20_000_001));
}

#[test]
fn there_is_no_token_after_the_year_9999() {
    let (store, clock) = with_clock();
    let ours = organization(&store);
    clock.store(kpi_store::limits::TIME_MAX_MICROS, Ordering::Relaxed);
    let created = ours.create_dataset(request_with_kpis(1)).unwrap();
    let error = ours.update_dataset(created.id, DatasetPatch::new().name("x")).unwrap_err();
    assert_eq!(error.code(), "clock_out_of_range");
    assert_eq!(ours.create_kpi(created.id, NewKpi::new("x")).unwrap_err().code(), "clock_out_of_range");
    assert_eq!(ours.dataset(created.id).unwrap(), Some(created));
}

#[test]
fn a_kpi_has_the_token_of_the_change_of_its_own_fields() {
    let (store, clock) = with_clock();
    let ours = organization(&store);
    let before = ours.create_dataset(request_with_kpis(3)).unwrap();
    clock.store(2_000_000, Ordering::Relaxed);
    let patch = DatasetPatch::new().update_kpi(before.kpis[1].id, KpiPatch::new().unit("t"));
    let after = ours.update_dataset(before.id, patch).unwrap();
    assert_eq!(after.updated_at, at(2_000_000));
    let tokens: Vec<_> = after.kpis.iter().map(|kpi| kpi.updated_at).collect();
    assert_eq!(tokens, [None, at(2_000_000), None]);
    // Its `sort_order` is a field of its own, too.
    clock.store(3_000_000, Ordering::Relaxed);
    let after = ours.update_dataset(before.id, DatasetPatch::new().order_kpis([before.kpis[2].id])).unwrap();
    let tokens: Vec<_> = after.kpis.iter().map(|kpi| (kpi.sort_order, kpi.updated_at)).collect();
    assert_eq!(tokens, [(0, None), (1, at(3_000_000)), (2, at(3_000_000))]);
}

#[test]
fn a_change_of_nothing_moves_nothing_and_writes_nothing() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let (ours, other) = (organization(&store), UserId::new());
    let before = ours.create_dataset(request_with_kpis(3)).unwrap();
    let before = ours.update_dataset(before.id, DatasetPatch::new().name("x")).unwrap();
    let length = || std::fs::metadata(file.with_suffix("-wal")).unwrap().len();
    let written = length();
    let theirs = ours.acting_as(other);
    let first = before.kpis[0].id;
    assert_eq!(theirs.save_dataset(&before.edit()).unwrap(), before);
    for patch in [
        DatasetPatch::new(),
        DatasetPatch::new().name("x").clear_description(),
        DatasetPatch::new().update_kpi(first, KpiPatch::new().unit("m³").required(true).sort_order(0)),
        DatasetPatch::new().order_kpis(before.kpis.iter().map(|kpi| kpi.id)),
        DatasetPatch::new().if_unchanged(&before),
    ] {
        assert_eq!(theirs.update_dataset(before.id, patch.clone()).unwrap(), before, "{patch:?}");
    }
    assert_eq!(theirs.revert_dataset(&before, 2).unwrap(), before);
    assert_eq!(ours.history(before.id, &kpi_store::HistoryQuery::new()).unwrap().items.len(), 2);
    assert_eq!(length(), written);
    // The control.
    rename(&theirs, &before, "y");
    assert!(length() > written);
}

#[test]
fn deleting_and_restoring_moves_no_token() {
    let (store, clock) = with_clock();
    let ours = organization(&store);
    let before = ours.create_dataset(request_with_kpis(3)).unwrap();
    let before = rename(&ours, &before, "x");
    let mut open_form = before.edit();
    open_form.kpis[0].name = "changed".into();
    clock.store(7_000_000, Ordering::Relaxed);
    ours.delete_dataset(before.id).unwrap();
    assert_eq!(ours.restore_dataset(before.id).unwrap(), before);
    assert_eq!(ours.dataset(before.id).unwrap().as_ref(), Some(&before));
    // A form that was open meanwhile is saved without a conflict.
    let saved = ours.save_dataset(&open_form).unwrap();
    assert_eq!(saved.updated_at, Some(at(7_000_000).unwrap() + TimeDelta::zero()));
}
