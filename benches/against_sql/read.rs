//! Jobs that read, and opening.

use std::hint::black_box;

use kpi_store::{DatasetId, DatasetQuery, Store};
use uuid::Uuid;

use crate::floor::{self, read, write};
use crate::input::{self, Texts};
use crate::jobs::{Amount, File, Filled, Job, Sides, timed};

pub(crate) fn jobs() -> Vec<Job> {
    vec![
        Job::new("get one with 10 KPIs", |amount| get(amount, Texts::Short)),
        Job::new("get one with 10 KPIs, long texts", |amount| get(amount, Texts::Long)),
        Job::new("get one with 10 KPIs, in memory", get_in_memory),
        Job::new("list 10,000 in pages of 1,000", list),
        Job::new("page of 50", page),
        Job::new("count", count),
        Job::new("summaries of 10,000 in pages of 1,000", summaries),
        Job::new("page of 50 summaries", page_of_summaries),
        Job::new("search 10,000 with 10 KPIs, no hit", |amount| search(amount, "absent", 0)),
        Job::new("search, page of 50 of a common word", |amount| search(amount, "withdrawal", 50)),
        Job::new("open an up-to-date file", |_| open()),
    ]
}

fn get(amount: Amount, texts: Texts) -> Sides {
    let filled = Filled::of(amount.of(1_000), texts);
    let (uuid, organization) = (filled.uuid(), filled.store.organization(filled.organization));
    let ids: Vec<DatasetId> = filled.datasets.iter().map(|dataset| dataset.id).collect();
    let uuids: Vec<Uuid> = ids.iter().copied().map(Uuid::from).collect();

    let mut next = uuids.into_iter().cycle();
    let (connection, file) = (filled.connection, filled.file);
    let floor = move |times| {
        timed(times, || {
            let dataset = read::get(&connection, uuid, next.next().unwrap()).unwrap();
            assert_eq!(black_box(dataset).kpis.len(), 10);
        })
    };
    let mut next = ids.into_iter().cycle();
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let dataset = organization.dataset(next.next().unwrap()).unwrap().unwrap();
            assert_eq!(black_box(dataset).kpis.len(), 10);
        })
    };
    Sides::new(floor, store)
}

fn get_in_memory(amount: Amount) -> Sides {
    let requests = input::datasets(amount.of(1_000), 10, Texts::Short);
    let uuid = Uuid::now_v7();

    let connection = floor::open_in_memory();
    let uuids: Vec<Uuid> = write::create(&connection, uuid, &requests).iter().map(|dataset| dataset.id).collect();
    let mut next = uuids.into_iter().cycle();
    let floor = move |times| {
        timed(times, || {
            let dataset = read::get(&connection, uuid, next.next().unwrap()).unwrap();
            assert_eq!(black_box(dataset).kpis.len(), 10);
        })
    };
    let organization = Store::open_in_memory().unwrap().organization(uuid.into());
    let ids: Vec<DatasetId> =
        organization.create_datasets(requests).unwrap().into_iter().map(|dataset| dataset.id).collect();
    let mut next = ids.into_iter().cycle();
    let store = move |times| {
        timed(times, || {
            let dataset = organization.dataset(next.next().unwrap()).unwrap().unwrap();
            assert_eq!(black_box(dataset).kpis.len(), 10);
        })
    };
    Sides::new(floor, store)
}

fn list(amount: Amount) -> Sides {
    let filled = Filled::new(amount.of(10_000));
    let (uuid, organization, count) =
        (filled.uuid(), filled.store.organization(filled.organization), filled.datasets.len());
    let (connection, file) = (filled.connection, filled.file);
    let floor = move |times| {
        timed(times, || {
            let (mut found, mut next) = (0, Some(0));
            while let Some(place) = next {
                let (page, more) = read::page(&connection, uuid, place, 1_000);
                found += black_box(page).iter().filter(|dataset| dataset.kpis.len() == 10).count();
                next = more;
            }
            assert_eq!(found, count);
        })
    };
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let all = organization.iter_datasets(&DatasetQuery::new().limit(1_000));
            assert_eq!(all.filter(|dataset| dataset.as_ref().unwrap().kpis.len() == 10).count(), count);
        })
    };
    Sides::new(floor, store)
}

fn page(amount: Amount) -> Sides {
    let filled = Filled::new(amount.of(5_000));
    let (uuid, organization) = (filled.uuid(), filled.store.organization(filled.organization));
    let (connection, file) = (filled.connection, filled.file);
    // Starts in the middle of the file.
    let middle = i64::try_from(amount.of(1_000)).unwrap();
    let floor =
        move |times| timed(times, || assert_eq!(black_box(read::page(&connection, uuid, middle, 50)).0.len(), 50));
    let first = organization.datasets(&DatasetQuery::new().limit(u32::try_from(middle).unwrap())).unwrap();
    let query = DatasetQuery::new().limit(50).after(&first.next.unwrap());
    let store = move |times| {
        let _kept = &file;
        timed(times, || assert_eq!(black_box(organization.datasets(&query)).unwrap().items.len(), 50))
    };
    Sides::new(floor, store)
}

fn count(amount: Amount) -> Sides {
    let filled = Filled::new(amount.of(1_000));
    let (uuid, organization, count) =
        (filled.uuid(), filled.store.organization(filled.organization), filled.datasets.len());
    let (connection, file) = (filled.connection, filled.file);
    let floor = move |times| timed(times, || assert_eq!(usize::try_from(read::count(&connection, uuid)), Ok(count)));
    let store = move |times| {
        let _kept = &file;
        timed(times, || assert_eq!(organization.count_datasets(&DatasetQuery::new()).unwrap(), count as u64))
    };
    Sides::new(floor, store)
}

fn summaries(amount: Amount) -> Sides {
    let filled = Filled::new(amount.of(10_000));
    let (uuid, organization, count) =
        (filled.uuid(), filled.store.organization(filled.organization), filled.datasets.len());
    let (connection, file) = (filled.connection, filled.file);
    let floor = move |times| {
        timed(times, || {
            let (mut found, mut next) = (0, Some(0));
            while let Some(place) = next {
                let (page, more) = read::summaries(&connection, uuid, place, 1_000);
                found += black_box(page).iter().filter(|(_, counts)| counts.kpis == 10).count();
                next = more;
            }
            assert_eq!(found, count);
        })
    };
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let all = organization.iter_summaries(&DatasetQuery::new().limit(1_000));
            assert_eq!(all.filter(|summary| summary.as_ref().unwrap().kpi_count == 10).count(), count);
        })
    };
    Sides::new(floor, store)
}

fn page_of_summaries(amount: Amount) -> Sides {
    let filled = Filled::new(amount.of(5_000));
    let (uuid, organization) = (filled.uuid(), filled.store.organization(filled.organization));
    let (connection, file) = (filled.connection, filled.file);
    let floor =
        move |times| timed(times, || assert_eq!(black_box(read::summaries(&connection, uuid, 0, 50)).0.len(), 50));
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let page = organization.summaries(&DatasetQuery::new().limit(50)).unwrap();
            assert_eq!(black_box(page).items.len(), 50);
        })
    };
    Sides::new(floor, store)
}

/// The floor does less here: it folds only ASCII letters, checks no digest, and does not return where it found the
/// word.
fn search(amount: Amount, word: &'static str, count: usize) -> Sides {
    let filled = Filled::new(amount.of(10_000));
    let (uuid, organization) = (filled.uuid(), filled.store.organization(filled.organization));
    let (connection, file) = (filled.connection, filled.file);
    let floor =
        move |times| timed(times, || assert_eq!(black_box(read::search(&connection, uuid, word, 50)).len(), count));
    let query = DatasetQuery::new().matching(word);
    let store = move |times| {
        let _kept = &file;
        timed(times, || assert_eq!(black_box(organization.summaries(&query)).unwrap().items.len(), count))
    };
    Sides::new(floor, store)
}

fn open() -> Sides {
    let file = File::new();
    let path = file.path.clone();
    let floor = move |times| {
        timed(times, || {
            let connection = floor::open(&path, "FULL");
            // Ready to use: SQLite reads the schema only when it first needs it.
            assert!(
                connection.prepare("SELECT seq FROM dataset").unwrap().query([]).unwrap().next().unwrap().is_none()
            );
        })
    };
    let store = move |times| {
        let file = &file;
        timed(times, || assert!(Store::open(&file.path).unwrap().path().is_some()))
    };
    Sides::new(floor, store)
}
