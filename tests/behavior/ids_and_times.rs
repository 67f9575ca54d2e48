//! Ids and times: new ids increase even if a clock steps back, given ids are kept, and every stored time can be read.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, Timelike, Utc};
use kpi_store::{
    Dataset, DatasetId, DatasetQuery, Error, KpiId, NewDataset, NewKpi, OrganizationId, Store, StoreOptions, UserId,
};
use uuid::{Uuid, Variant};

use crate::support;

#[test]
fn fresh_ids_are_version_7_and_increase_under_threads() {
    const THREADS: usize = 8;
    const EACH: usize = 10_000;
    let make = || (0..EACH).map(|_| Uuid::from(DatasetId::new())).collect::<Vec<_>>();
    let per_thread: Vec<Vec<Uuid>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for made in &per_thread {
        assert!(made.is_sorted_by(|one, next| one < next), "increasing within a thread");
    }
    let all: HashSet<_> = per_thread.iter().flatten().collect();
    assert_eq!(all.len(), THREADS * EACH, "unique over all threads");
    assert!(all.iter().all(|id| (id.get_version_num(), id.get_variant()) == (7, Variant::RFC4122)));
    assert!(all.iter().all(|id| *id < &Uuid::from(DatasetId::new())), "a later one is greater than all before it");
}

#[test]
fn ids_of_all_kinds_come_from_one_increasing_source() {
    let made: [Uuid; 5] = [
        OrganizationId::new().into(),
        UserId::new().into(),
        DatasetId::new().into(),
        KpiId::new().into(),
        DatasetId::new().into(),
    ];
    assert!(made.is_sorted_by(|one, next| one < next), "{made:?}");
}

#[test]
fn ids_and_listings_follow_creation_when_the_clock_steps_back() {
    let clock_that_steps_back = || {
        let hours = AtomicI64::new(20);
        Store::options()
            .clock(move || DateTime::from_timestamp(hours.fetch_sub(1, Ordering::Relaxed) * 3_600, 0).unwrap())
    };
    support::in_a_file_and_in_memory(clock_that_steps_back, |store, _| {
        let organization = support::organization(store);
        let create = |_| organization.create_dataset(support::request_with_kpis(2)).unwrap();
        let created: Vec<_> = (0..30).map(create).collect();

        assert!(created.is_sorted_by(|one, next| one.created_at > next.created_at), "the clock does step back");
        let ids: Vec<Uuid> = created.iter().flat_map(ids_of).collect();
        assert!(ids.is_sorted_by(|one, next| one < next) && ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
        assert_eq!(organization.datasets(&DatasetQuery::new()).unwrap().items, created);
        let newest = organization.datasets(&DatasetQuery::new().newest_first()).unwrap().items;
        assert!(newest.iter().eq(created.iter().rev()));
    });
}

#[test]
fn the_default_clock_is_the_system_clock_in_whole_microseconds() {
    let store = Store::open_in_memory().unwrap();
    let now = || DateTime::<Utc>::from(std::time::SystemTime::now());
    let before = now() - chrono::TimeDelta::microseconds(1);
    let created = support::organization(&store).create_dataset(NewDataset::new("Water")).unwrap().created_at;
    assert!((before..=now()).contains(&created), "{created}");
    assert_eq!(created.nanosecond() % 1_000, 0);
}

#[test]
fn a_clock_outside_the_years_1_to_9999_is_refused_and_nothing_is_written() {
    let too_early = utc(1, 1, 1, 0) - chrono::TimeDelta::nanoseconds(1);
    let last_leap_second = utc(9_999, 12, 31, 86_399).with_nanosecond(1_500_000_000).unwrap();
    for now in [
        DateTime::<Utc>::MIN_UTC,
        utc(-1, 12, 31, 0),
        utc(0, 1, 1, 0),
        utc(0, 12, 31, 86_399),
        too_early,
        last_leap_second,
        utc(10_000, 1, 1, 0),
        DateTime::<Utc>::MAX_UTC,
    ] {
        support::in_a_file_and_in_memory(
            || at(now),
            |store, file| {
                let organization = support::organization(store);
                let one = organization.create_dataset(NewDataset::new("Water")).unwrap_err();
                let batch = organization.create_datasets([NewDataset::new("Water")]).unwrap_err();
                for error in [one, batch] {
                    assert!(
                        matches!(error, Error::ClockOutOfRange { now: told, .. } if told == now),
                        "{now}: {error:?}"
                    );
                }
                assert_eq!(support::datasets_in_all(store, file), 0, "{now}");
            },
        );
    }
}

#[test]
fn every_time_of_the_years_1_to_9999_is_stored_to_the_microsecond() {
    let last = utc(10_000, 1, 1, 0) - chrono::TimeDelta::microseconds(1);
    let cases = [
        (utc(1, 1, 1, 0), utc(1, 1, 1, 0)),
        (last, last),
        // Truncated, not rounded, on both sides of 1970.
        (last + chrono::TimeDelta::nanoseconds(999), last),
        (utc(1969, 12, 31, 86_399).with_nanosecond(999_999_999).unwrap(), DateTime::from_timestamp_micros(-1).unwrap()),
        (DateTime::UNIX_EPOCH.with_nanosecond(1_999).unwrap(), DateTime::from_timestamp_micros(1).unwrap()),
        // A leap second, as chrono represents it, is stored as the first second of the next minute.
        (
            utc(2016, 12, 31, 86_399).with_nanosecond(1_250_000_999).unwrap(),
            utc(2017, 1, 1, 0).with_nanosecond(250_000_000).unwrap(),
        ),
    ];
    for (now, stored) in cases {
        support::in_a_file_and_in_memory(
            || at(now),
            |store, file| {
                let organization = support::organization(store);
                let created = organization.create_dataset(support::request_with_kpis(1)).unwrap();
                assert_eq!((created.created_at, created.kpis[0].created_at), (stored, stored), "{now}");
                assert_eq!(organization.dataset(created.id).unwrap().as_ref(), Some(&created));
                let json = serde_json::to_string(&created).unwrap();
                assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), created, "{json}");
                if let Some(file) = file {
                    let sql = "SELECT created_at FROM dataset UNION SELECT created_at FROM kpi";
                    let micros: i64 = support::plain_sqlite(file).query_one(sql, [], |row| row.get(0)).unwrap();
                    assert_eq!(micros, stored.timestamp_micros());
                }
            },
        );
    }
}

#[test]
fn given_ids_of_any_kind_are_kept() {
    let ids =
        [Uuid::nil(), Uuid::max(), Uuid::from_u128(1), Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef)];
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = store.organization(Uuid::nil().into()).acting_as(Uuid::max().into());
        for id in ids {
            let kpis = ids.iter().rev().map(|id| NewKpi::new("KPI").id((*id).into()));
            let request = NewDataset::new("Water").id(id.into()).kpis(kpis).kpi(NewKpi::new("without an id"));
            let created = organization.create_dataset(request).unwrap();
            assert_eq!(Uuid::from(created.id), id);
            assert!(created.kpis.iter().take(4).map(|kpi| Uuid::from(kpi.id)).eq(ids.into_iter().rev()));
            assert_eq!(Uuid::from(created.kpis[4].id).get_version_num(), 7);
            assert_eq!(organization.dataset(created.id).unwrap(), Some(created));
        }
        if let Some(file) = file {
            let sql = "SELECT count(*) FROM dataset WHERE organization_id = zeroblob(16) AND id = ?1";
            let seen =
                |id: Uuid| support::plain_sqlite(file).query_one(sql, [id.as_bytes()], |row| row.get::<_, i64>(0));
            assert!(ids.into_iter().all(|id| seen(id).unwrap() == 1));
        }
    });
}

#[test]
fn a_dataset_with_an_id_that_exists_is_refused_and_the_stored_one_stays() {
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        let stored = organization.create_dataset(support::request_with_kpis(3)).unwrap();
        // A different request, one without KPIs, and the same one, as after an unknown outcome.
        for request in [support::request_with_kpis(5), NewDataset::new("Waste"), support::request_with_kpis(3)] {
            let error = organization.acting_as(UserId::new()).create_dataset(request.id(stored.id)).unwrap_err();
            let named = matches!(error, Error::AlreadyExists { dataset, kpi: None, .. } if dataset == stored.id);
            assert!(named, "{error:?}");
            assert_eq!(organization.dataset(stored.id).unwrap().as_ref(), Some(&stored));
        }
        assert_eq!(support::datasets_in_all(store, file), 1);
    });
}

#[test]
fn of_several_ids_that_are_taken_the_first_in_the_order_of_the_input_is_named() {
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        let taken = organization.create_dataset(NewDataset::new("Water")).unwrap().id;
        let (first, kpi) = (DatasetId::new(), KpiId::new());
        let twice = || NewDataset::new("Waste").id(first).kpis(["a", "b"].map(|name| NewKpi::new(name).id(kpi)));
        let again = || NewDataset::new("Water").id(taken);

        let error = organization.create_datasets([twice(), again()]).unwrap_err();
        assert!(
            matches!(error, Error::AlreadyExists { dataset, kpi: Some(id), .. } if (dataset, id) == (first, kpi)),
            "{error:?}"
        );
        let error = organization.create_datasets([again(), twice()]).unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { dataset, kpi: None, .. } if dataset == taken), "{error:?}");
        assert_eq!(support::datasets_in_all(store, file), 1);
    });
}

#[test]
fn ids_not_given_come_from_the_stores_source_in_the_order_of_the_request() {
    let counted = Arc::new(AtomicI64::new(0));
    let options = || {
        counted.store(0, Ordering::Relaxed);
        let counted = Arc::clone(&counted);
        Store::options().ids(move || Uuid::from_u128(counted.fetch_add(1, Ordering::Relaxed).unsigned_abs().into()))
    };
    support::in_a_file_and_in_memory(options, |store, _| {
        let request =
            NewDataset::new("Water").kpi(NewKpi::new("shown last").sort_order(9)).kpi(NewKpi::new("shown first"));
        let created = support::organization(store).create_dataset(request).unwrap();
        assert_eq!(ids_of(&created), [0, 2, 1].map(Uuid::from_u128), "the one added first is shown last");
    });
}

/// The ids of a dataset and of its KPIs, in display order.
fn ids_of(dataset: &Dataset) -> Vec<Uuid> {
    std::iter::once(dataset.id.into()).chain(dataset.kpis.iter().map(|kpi| kpi.id.into())).collect()
}

fn at(now: DateTime<Utc>) -> StoreOptions {
    Store::options().clock(move || now)
}

fn utc(year: i32, month: u32, day: u32, second: u32) -> DateTime<Utc> {
    let day = NaiveDate::from_ymd_opt(year, month, day).unwrap();
    day.and_hms_opt(second / 3_600, second / 60 % 60, second % 60).unwrap().and_utc()
}
