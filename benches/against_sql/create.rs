//! Jobs that create.

use std::time::Instant;

use kpi_store::{Durability, LoadOptions, OrganizationId, Store};
use uuid::Uuid;

use crate::floor::{self, write};
use crate::input::{self, Texts};
use crate::jobs::{Amount, File, Job, Sides, timed, timed_with};

pub(crate) fn jobs() -> Vec<Job> {
    vec![
        Job::new("create 1x10, Full", |_| create(Durability::Full, "FULL", Texts::Short)),
        Job::new("create 1x10, Normal", |_| create(Durability::Normal, "NORMAL", Texts::Short)),
        Job::new("create 1x10, in memory", |_| create_in_memory(10)),
        Job::new("create 1x10, long texts, Full", |_| create(Durability::Full, "FULL", Texts::Long)),
        Job::new("create 1x10, long texts, Normal", |_| create(Durability::Normal, "NORMAL", Texts::Long)),
        Job::new("lone writer, 1x0, in memory", |_| create_in_memory(0)),
        Job::new("8 threads create 1x10, Full", |_| together()),
        Job::new("bulk 1,000x10", |amount| bulk(amount.of(1_000), 10, Texts::Short)),
        Job::new("bulk 10,000x10", |amount| bulk(amount.of(10_000), 10, Texts::Short)),
        Job::new("bulk 1,000x100", |amount| bulk(amount.of(1_000), 100, Texts::Short)),
        Job::new("bulk 1,000x10, long texts", |amount| bulk(amount.of(1_000), 10, Texts::Long)),
        Job::new("bulk 1,000x10, in memory", bulk_in_memory),
        Job::new("load 10,000x10, all or nothing", |amount| load(amount.of(10_000), None)),
        Job::new("load 10,000x10, in batches of 500", |amount| load(amount.of(10_000), Some(500))),
    ]
}

fn create(durability: Durability, synchronous: &'static str, texts: Texts) -> Sides {
    let requests = input::datasets(1, 10, texts);
    let organization = Uuid::now_v7();

    let floor_file = File::new();
    let connection = floor::open(&floor_file.path, synchronous);
    let same = requests.clone();
    let floor = move |times| {
        let _kept = &floor_file;
        timed(times, || assert_eq!(write::create(&connection, organization, &same)[0].kpis.len(), 10))
    };

    let store_file = File::new();
    let store = Store::options().durability(durability).open(&store_file.path).unwrap();
    let organization = store.organization(organization.into());
    let store = move |times| {
        let _kept = &store_file;
        timed(times, || assert_eq!(organization.create_dataset(requests[0].clone()).unwrap().kpis.len(), 10))
    };
    Sides::new(floor, store)
}

/// Without a disk, and with few or no KPIs: most of what is left is the way through the crate to SQLite.
fn create_in_memory(kpis: usize) -> Sides {
    let requests = input::datasets(1, kpis, Texts::Short);
    let organization = Uuid::now_v7();
    let same = requests.clone();
    let floor = move |times| {
        let fresh = floor::open_in_memory();
        timed(times, || assert_eq!(write::create(&fresh, organization, &same)[0].kpis.len(), kpis))
    };
    let store = move |times| {
        let fresh = Store::open_in_memory().unwrap().organization(organization.into());
        timed(times, || assert_eq!(fresh.create_dataset(requests[0].clone()).unwrap().kpis.len(), kpis))
    };
    Sides::new(floor, store)
}

/// Eight threads on one store, and one thread on the floor. The time per dataset is compared.
fn together() -> Sides {
    const THREADS: u64 = 8;
    let requests = input::datasets(1, 10, Texts::Short);
    let Sides { floor, .. } = create(Durability::Full, "FULL", Texts::Short);
    let file = File::new();
    let organization = Store::open(&file.path).unwrap().organization(OrganizationId::new());
    let store = move |times: u64| {
        let _kept = &file;
        let each = times.div_ceil(THREADS);
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..each {
                        assert_eq!(organization.create_dataset(requests[0].clone()).unwrap().kpis.len(), 10);
                    }
                });
            }
        });
        started.elapsed().div_f64((each * THREADS) as f64 / times as f64)
    };
    Sides { floor, store: Box::new(store) }
}

/// One transaction into a fresh file.
fn bulk(count: usize, kpis: usize, texts: Texts) -> Sides {
    let requests = input::datasets(count, kpis, texts);
    let same = requests.clone();
    let floor = move |times| {
        let fresh = || {
            let file = File::new();
            (floor::open(&file.path, "FULL"), file)
        };
        timed_with(times, fresh, |(connection, _)| {
            assert_eq!(write::create(connection, Uuid::now_v7(), &same).len(), count);
        })
    };
    let store = move |times| {
        let fresh = || {
            let file = File::new();
            (Store::open(&file.path).unwrap().organization(OrganizationId::new()), file)
        };
        timed_with(times, fresh, |(organization, _)| {
            assert_eq!(organization.create_datasets(requests.iter().cloned()).unwrap().len(), count);
        })
    };
    Sides::new(floor, store)
}

fn bulk_in_memory(amount: Amount) -> Sides {
    let count = amount.of(1_000);
    let requests = input::datasets(count, 10, Texts::Short);
    let same = requests.clone();
    let floor = move |times| {
        timed_with(times, floor::open_in_memory, |connection| {
            assert_eq!(write::create(connection, Uuid::now_v7(), &same).len(), count);
        })
    };
    let store = move |times| {
        let fresh = || Store::open_in_memory().unwrap().organization(OrganizationId::new());
        timed_with(times, fresh, |organization| {
            assert_eq!(organization.create_datasets(requests.iter().cloned()).unwrap().len(), count);
        })
    };
    Sides::new(floor, store)
}

/// In one transaction or in several, with few datasets in memory at a time.
fn load(count: usize, batch: Option<u32>) -> Sides {
    let requests = input::datasets(count, 10, Texts::Short);
    let same = requests.clone();
    let floor = move |times| {
        let fresh = || {
            let file = File::new();
            (floor::open(&file.path, "FULL"), file)
        };
        let size = batch.map_or(count, |size| size as usize);
        timed_with(times, fresh, |(connection, _)| {
            assert_eq!(write::load(connection, Uuid::now_v7(), same.iter(), size), count);
        })
    };
    let store = move |times| {
        let fresh = || {
            let file = File::new();
            (Store::open(&file.path).unwrap().organization(OrganizationId::new()), file)
        };
        timed_with(times, fresh, |(organization, _)| {
            let options = batch.map_or_else(LoadOptions::new, |size| LoadOptions::new().in_batches_of(size));
            let loaded = organization.load_datasets(requests.iter().cloned(), options).unwrap();
            assert_eq!(loaded.datasets, count as u64);
        })
    };
    Sides::new(floor, store)
}
