//! Creating: the returned value is the stored one, all or nothing, and no code of the caller runs under a lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use kpi_store::{
    Dataset, DatasetId, DatasetQuery, Error, KpiId, NewDataset, NewKpi, Organization, Store, UserId, ValueType,
};
use uuid::Uuid;

use crate::support;

#[test]
fn what_create_returns_is_what_every_reader_finds() {
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store).acting_as(UserId::new());
        let created = organization.create_dataset(full_request()).unwrap();

        let found = store.organization(organization.id()).dataset(created.id).unwrap();
        assert_eq!(found.as_ref(), Some(&created));
        assert_eq!(organization.datasets(&DatasetQuery::new()).unwrap().items, std::slice::from_ref(&created));
        if let Some(file) = file {
            let other = Store::open(file).unwrap().organization(organization.id());
            assert_eq!(other.dataset(created.id).unwrap(), Some(created));
        }
    });
}

#[test]
fn everything_requested_is_in_the_result() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let user = UserId::new();
        let organization = support::organization(store).acting_as(user);
        let created = organization.create_dataset(full_request()).unwrap();

        assert_eq!(as_asked(&created), full_request());
        assert_eq!((created.organization_id, created.created_by), (organization.id(), Some(user)));
        assert_eq!((created.updated_by, created.updated_at), (None, None));
        for kpi in &created.kpis {
            assert_eq!((kpi.dataset_id, kpi.created_at, kpi.updated_at), (created.id, created.created_at, None));
            assert_eq!(created.kpi(kpi.id), Some(kpi));
        }
    });
}

#[test]
fn created_by_is_the_user_of_the_handle_and_null_without_one() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let anonymous = support::organization(store);
        let [one, other] = [UserId::new(), UserId::new()];
        for (handle, user) in [
            (anonymous.clone(), None),
            (anonymous.acting_as(one), Some(one)),
            (anonymous.acting_as(one).acting_as(other), Some(other)),
        ] {
            let created = handle.create_dataset(NewDataset::new("Water")).unwrap();
            assert_eq!((created.created_by, handle.user()), (user, user));
            assert_eq!(anonymous.dataset(created.id).unwrap(), Some(created));
        }
    });
}

#[test]
fn kpis_come_by_sort_order_and_ties_in_the_order_of_addition() {
    let orders = [5, 0, i64::MAX, 5, 0, 1, 5];
    let display = ["KPI 1", "KPI 4", "KPI 5", "KPI 0", "KPI 3", "KPI 6", "KPI 2"];
    // The ids decrease while the KPIs are added, so that order by id differs from the order of addition.
    let kpis = orders.iter().enumerate().map(|(index, order)| {
        NewKpi::new(format!("KPI {index}")).sort_order(*order).id(Uuid::from_u128(100 - index as u128).into())
    });
    let request = NewDataset::new("Water").kpis(kpis);
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        let created = organization.create_dataset(request.clone()).unwrap();
        let found = organization.dataset(created.id).unwrap().unwrap();
        for dataset in [&created, &found] {
            let names: Vec<_> = dataset.kpis.iter().map(|kpi| kpi.name.as_str()).collect();
            assert_eq!(names, display);
        }
        if let Some(file) = file {
            let by_position = "SELECT group_concat(name, ',' ORDER BY position) FROM kpi";
            let added: String = support::plain_sqlite(file).query_row(by_position, [], |row| row.get(0)).unwrap();
            assert_eq!(added, "KPI 0,KPI 1,KPI 2,KPI 3,KPI 4,KPI 5,KPI 6");
        }
    });
}

#[test]
fn texts_are_kept_as_they_are_and_null_differs_from_empty() {
    let texts = [
        " ",
        "\t leading and trailing \r\n",
        "\u{e9}",
        "e\u{301}",
        "\u{130}I\u{131}i",
        "\u{feff}m\u{b3}\u{200b}",
        "\u{1}\u{7f}\u{fffd}\u{10ffff}",
        "'; DROP TABLE dataset; --",
        "%s ?1 :name {} \\u0041 \"",
    ];
    for text in texts.map(str::to_owned).into_iter().chain(["\u{1d11e}".repeat(50)]) {
        let kpis = [NewKpi::new(&text), NewKpi::new(&text).description("").unit(""), all_texts(&text)];
        let request = NewDataset::new(&text).description(&text).kpis(kpis);
        support::in_a_file_and_in_memory(Store::options, |store, file| {
            let created = support::organization(store).create_dataset(request.clone()).unwrap();
            assert_eq!(as_asked(&created), request, "{text:?}");
            assert_eq!(support::organization(store).dataset(created.id).unwrap(), None, "another organization's");
            let file = file.map(|file| kpi_texts_seen_by_plain_sqlite(file, created.id));
            let asked = || request.kpis.iter().map(|kpi| (kpi.name.clone(), kpi.description.clone(), kpi.unit.clone()));
            assert!(file.is_none_or(|found| found.into_iter().eq(asked())), "{text:?}");
        });
    }
}

#[test]
fn any_number_of_kpis_and_datasets_is_stored_whole() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = support::organization(store);
        for count in [0, 1, 2, 31, 32, 33, 63, 64, 65, 99, 100] {
            let alone = organization.create_dataset(support::request_with_kpis(count)).unwrap();
            assert_eq!(alone.kpis.len(), count);
            assert_eq!(organization.dataset(alone.id).unwrap(), Some(alone));

            let requests = (0..count).map(|index| support::request_with_kpis(index % 40));
            let batch = organization.create_datasets(requests).unwrap();
            let found: Vec<_> =
                batch.iter().map(|created| organization.dataset(created.id).unwrap().unwrap()).collect();
            assert_eq!(found, batch);
        }
    });
}

#[test]
fn a_batch_keeps_its_order_and_an_empty_one_writes_nothing() {
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        assert_eq!(organization.create_datasets([]).unwrap(), []);
        assert_eq!(support::datasets_in_all(store, file), 0);

        // The ids decrease, so that order by id differs from the order of the batch.
        let request =
            |index: u32| NewDataset::new(format!("{index}")).id(Uuid::from_u128(100 - u128::from(index)).into());
        let created = organization.create_datasets((0..40).map(request)).unwrap();
        assert!(created.iter().map(|dataset| dataset.name.clone()).eq((0..40).map(|index| format!("{index}"))));
        assert_eq!(organization.datasets(&DatasetQuery::new()).unwrap().items, created);
    });
}

#[test]
fn the_clock_is_asked_once_for_each_call() {
    for batch in [0, 1, 30] {
        let asked = Arc::new(AtomicI64::new(0));
        let options = || {
            asked.store(0, Ordering::Relaxed);
            let asked = Arc::clone(&asked);
            Store::options().clock(move || second(asked.fetch_add(1, Ordering::Relaxed)))
        };
        support::in_a_file_and_in_memory(options, |store, _| {
            let organization = support::organization(store);
            let first = organization.create_dataset(support::request_with_kpis(3)).unwrap();
            let created = organization.create_datasets(vec![support::request_with_kpis(3); batch]).unwrap();
            assert_eq!(asked.load(Ordering::Relaxed), 2);
            assert_eq!(first.created_at, second(0));
            let kpis = created.iter().flat_map(|dataset| dataset.kpis.iter().map(|kpi| kpi.created_at));
            assert!(created.iter().map(|dataset| dataset.created_at).chain(kpis).all(|time| time == second(1)));
        });
    }
}

/// The expected error of a batch that cannot be stored.
#[derive(Debug, PartialEq)]
enum Refusal {
    Invalid(Vec<&'static str>),
    Exists(DatasetId, Option<KpiId>),
}

#[test]
fn a_batch_with_one_item_that_cannot_be_stored_leaves_no_row() {
    let (stored, fresh, kpi) = (DatasetId::new(), DatasetId::new(), KpiId::new());
    let good = || support::request_with_kpis(4);
    let with_bad_kpi = || {
        let mut request = good();
        request.kpis[3].name.clear();
        request
    };
    let twice = || NewDataset::new("Water").id(fresh).kpis([NewKpi::new("one").id(kpi), NewKpi::new("two").id(kpi)]);
    let cases = [
        ("its last item is invalid", vec![with_bad_kpi()], Refusal::Invalid(vec!["[17].kpis[3].name"])),
        (
            "several are invalid, and an id is taken",
            vec![with_bad_kpi(), good().id(stored), NewDataset::new("").kpi(NewKpi::new("x").sort_order(-1))],
            Refusal::Invalid(vec!["[17].kpis[3].name", "[19].name", "[19].kpis[0].sort_order"]),
        ),
        ("its last id is taken", vec![good().id(stored)], Refusal::Exists(stored, None)),
        ("it repeats an id", vec![good().id(fresh), good(), good().id(fresh)], Refusal::Exists(fresh, None)),
        ("a KPI's id is there twice", vec![twice()], Refusal::Exists(fresh, Some(kpi))),
    ];
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        let before = organization.create_dataset(good().id(stored)).unwrap();
        for (name, last, expected) in &cases {
            let batch = (0..17).map(|_| good()).chain(last.iter().cloned());
            let error = organization.create_datasets(batch).expect_err(name);
            assert_refused(&error, expected, name);
            assert_untouched(&organization, file, &before, name);
        }
        assert_eq!(organization.create_datasets([good(), good().id(fresh)]).unwrap().len(), 2);
    });
}

#[test]
fn a_single_request_that_cannot_be_stored_leaves_no_row() {
    let (stored, fresh, kpi) = (DatasetId::new(), DatasetId::new(), KpiId::new());
    let cases = [
        ("invalid", NewDataset::new("x").kpi(NewKpi::new("")), Refusal::Invalid(vec!["kpis[0].name"])),
        ("taken", support::request_with_kpis(2).id(stored), Refusal::Exists(stored, None)),
        (
            "a KPI's id twice",
            // With KPIs added in between, in another display order.
            support::request_with_kpis(50)
                .id(fresh)
                .kpi(NewKpi::new("a").id(kpi).sort_order(9))
                .kpi(NewKpi::new("b").id(kpi)),
            Refusal::Exists(fresh, Some(kpi)),
        ),
    ];
    support::in_a_file_and_in_memory(Store::options, |store, file| {
        let organization = support::organization(store);
        let before = organization.create_dataset(support::request_with_kpis(4).id(stored)).unwrap();
        for (name, request, expected) in &cases {
            let error = organization.create_dataset(request.clone()).expect_err(name);
            assert_refused(&error, expected, name);
            assert_untouched(&organization, file, &before, name);
        }
        organization.create_dataset(support::request_with_kpis(2).id(fresh)).unwrap();
    });
}

#[test]
fn a_repeated_id_from_the_id_source_is_already_exists() {
    let nil = || Store::options().ids(Uuid::nil);
    support::in_a_file_and_in_memory(nil, |store, file| {
        let organization = support::organization(store);
        let two_kpis = organization.create_dataset(support::request_with_kpis(2)).unwrap_err();
        assert_refused(&two_kpis, &Refusal::Exists(Uuid::nil().into(), Some(Uuid::nil().into())), "two KPIs");
        assert_eq!(support::datasets_in_all(store, file), 0);

        let created = organization.create_dataset(support::request_with_kpis(1)).unwrap();
        let again = organization.create_dataset(NewDataset::new("Waste")).unwrap_err();
        assert_refused(&again, &Refusal::Exists(Uuid::nil().into(), None), "the dataset again");
        assert_untouched(&organization, file, &created, "the dataset again");
    });
}

#[test]
fn a_panic_in_the_callers_own_code_leaves_the_store_usable_and_unlocked() {
    let (clock_fails, ids_fail) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let options = || {
        let (clock_fails, ids_fail) = (Arc::clone(&clock_fails), Arc::clone(&ids_fail));
        let called = AtomicUsize::new(0);
        Store::options()
            .clock(move || if clock_fails.load(Ordering::Relaxed) { panic!("the clock") } else { second(0) })
            .ids(move || {
                let failing = ids_fail.load(Ordering::Relaxed) && called.fetch_add(1, Ordering::Relaxed) % 7 == 6;
                if failing { panic!("the ids") } else { Uuid::now_v7() }
            })
    };
    let panics_at = |index: usize| {
        move |item: usize| if item == index { panic!("the iterator") } else { support::request_with_kpis(3) }
    };
    support::in_a_file_and_in_memory(options, |store, file| {
        let organization = support::organization(store);
        let before = organization.create_dataset(support::request_with_kpis(3)).unwrap();
        for (name, flag, panicking_item) in [
            ("clock", Some(&clock_fails), 99),
            ("ids", Some(&ids_fail), 99),
            ("iterator", None, 4),
            ("iterator", None, 0),
        ] {
            set(flag, true);
            let batch = || organization.create_datasets((0..9).map(panics_at(panicking_item)));
            assert!(catch_unwind(AssertUnwindSafe(batch)).is_err(), "{name}: the panic did not get through");
            set(flag, false);
            assert_untouched(&organization, file, &before, name);
            assert!(file.is_none_or(support::is_unlocked), "{name}: a lock is held");
        }
        assert_eq!(organization.create_datasets((0..9).map(panics_at(99))).unwrap().len(), 9);
    });
}

#[test]
fn iterators_clocks_and_ids_may_call_into_the_store() {
    let file = support::TestFile::new();
    for file in [Some(&file.path), None] {
        let inside = Arc::new(OnceLock::<Organization>::new());
        let count = |inside: &OnceLock<Organization>| {
            inside.get().map_or(0, |inside| inside.count_datasets(&DatasetQuery::new()).unwrap().cast_signed())
        };
        let (clock, ids) = (Arc::clone(&inside), Arc::clone(&inside));
        let options = Store::options().clock(move || second(count(&clock))).ids(move || {
            count(&ids);
            Uuid::now_v7()
        });
        let store = match file {
            Some(file) => options.open(file).unwrap(),
            None => options.open_in_memory().unwrap(),
        };
        let organization = support::organization(&store);
        inside.set(organization.clone()).unwrap();
        let requests = (0..5).map(|index| {
            let inner = organization.create_dataset(NewDataset::new(format!("inner {index}"))).unwrap();
            organization.dataset(inner.id).unwrap().unwrap();
            NewDataset::new(format!("outer {index}"))
        });

        let created = organization.create_datasets(requests).unwrap();

        assert!(created.iter().all(|dataset| dataset.created_at == second(5)), "the clock counted the inner ones");
        assert_eq!(organization.count_datasets(&DatasetQuery::new()).unwrap(), 10);
    }
}

fn set(flag: Option<&Arc<AtomicBool>>, value: bool) {
    if let Some(flag) = flag {
        flag.store(value, Ordering::Relaxed);
    }
}

fn second(number: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(number, 0).unwrap()
}

fn all_texts(text: &str) -> NewKpi {
    NewKpi::new(text).description(text).unit(text)
}

/// KPIs with a value in every field, in display order.
fn full_request() -> NewDataset {
    let kpi = |(place, value_type): (i64, ValueType)| {
        all_texts(value_type.as_str()).value_type(value_type).required(place % 2 == 0).sort_order(place * 7)
    };
    NewDataset::new("Water").description("Withdrawal and discharge").kpis((0..).zip(ValueType::ALL).map(kpi))
}

/// The request for a dataset whose KPIs were given in display order and without ids.
fn as_asked(dataset: &Dataset) -> NewDataset {
    let mut request = NewDataset::new(&dataset.name);
    request.description.clone_from(&dataset.description);
    request.kpis(dataset.kpis.iter().map(|kpi| {
        let mut asked =
            NewKpi::new(&kpi.name).value_type(kpi.value_type).required(kpi.required).sort_order(kpi.sort_order);
        asked.description.clone_from(&kpi.description);
        asked.unit.clone_from(&kpi.unit);
        asked
    }))
}

type KpiTexts = (String, Option<String>, Option<String>);

fn kpi_texts_seen_by_plain_sqlite(file: &Path, id: DatasetId) -> Vec<KpiTexts> {
    let connection = support::plain_sqlite(file);
    let sql = "SELECT name, description, unit FROM kpi WHERE dataset_seq = (SELECT seq FROM dataset WHERE id = ?1)
               ORDER BY position";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([Uuid::from(id).as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn assert_refused(error: &Error, expected: &Refusal, case: &str) {
    match (error, expected) {
        (Error::Invalid(_), Refusal::Invalid(expected)) => assert_eq!(&support::paths(error), expected, "{case}"),
        (Error::AlreadyExists { dataset, kpi, .. }, Refusal::Exists(..)) => {
            assert_eq!(&Refusal::Exists(*dataset, *kpi), expected, "{case}");
        }
        _ => panic!("{case}: {error:?} instead of {expected:?}"),
    }
}

/// The store holds `before` and nothing else.
fn assert_untouched(organization: &Organization, file: Option<&Path>, before: &Dataset, case: &str) {
    assert_eq!(organization.datasets(&DatasetQuery::new()).unwrap().items, std::slice::from_ref(before), "{case}");
    if let Some(file) = file {
        let kpis = before.kpis.len().try_into().unwrap();
        assert_eq!(support::rows_seen_by_plain_sqlite(file), (1, kpis), "{case}");
    }
}
