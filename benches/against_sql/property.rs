//! Jobs of properties and statistics.

use std::hint::black_box;

use kpi_store::{DatasetPatch, Durability, OrganizationId, Store};
use uuid::Uuid;

use crate::floor::{self, property};
use crate::jobs::{File, Filled, Job, Sides, timed};

pub(crate) fn jobs() -> Vec<Job> {
    vec![
        Job::new("property of 100 bytes", |_| get(100)),
        Job::new("property of 64 KiB", |_| get(64 * 1_024)),
        Job::new("set 2 properties, Full", |_| set(Durability::Full)),
        Job::new("set 2 properties, Normal", |_| set(Durability::Normal)),
        Job::new("statistics of 10,000x10", |amount| statistics(amount.of(10_000), 0)),
        Job::new("statistics of 10,000x10 with 10 versions each", |amount| statistics(amount.of(10_000), 10)),
    ]
}

/// Reads properties of this length in turn.
fn get(length: usize) -> Sides {
    let (file, organization) = (File::new(), OrganizationId::new());
    let store = Store::open(&file.path).unwrap().organization(organization);
    let keys: Vec<String> = (0..50).map(|number| format!("key {number}")).collect();
    let content = vec![7; length];
    store.set_properties(keys.iter().map(|key| (key, Some(content.as_slice())))).unwrap();
    let connection = floor::open(&file.path, "FULL");

    let mut next = keys.clone().into_iter().cycle();
    let floor = move |times| {
        timed(times, || {
            let content = property::get(&connection, organization.into(), &next.next().unwrap());
            assert_eq!(black_box(content).len(), length);
        })
    };
    let mut next = keys.into_iter().cycle();
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let content = store.property(&next.next().unwrap()).unwrap().unwrap();
            assert_eq!(black_box(content).len(), length);
        })
    };
    Sides::new(floor, store)
}

/// Replaces a short property and one of some 2,000 bytes, on files of their own.
fn set(durability: Durability) -> Sides {
    let (floor_file, store_file, organization) = (File::new(), File::new(), Uuid::now_v7());
    let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
    let connection = floor::open(&floor_file.path, synchronous);
    let store = Store::options().durability(durability).open(&store_file.path).unwrap();
    let store = store.organization(organization.into());
    let (mut number_of_floor, mut number) = (0_u64, 0_u64);
    let floor = move |times| {
        let _kept = &floor_file;
        timed(times, || {
            number_of_floor += 1;
            let cursor = number_of_floor.to_le_bytes();
            property::set(&connection, organization, &[("cursor", &cursor), ("map", &cursor.repeat(250))]);
        })
    };
    let store = move |times| {
        let _kept = &store_file;
        timed(times, || {
            number += 1;
            let cursor = number.to_le_bytes();
            let map = cursor.repeat(250);
            store.set_properties([("cursor", Some(cursor.as_slice())), ("map", Some(map.as_slice()))]).unwrap();
        })
    };
    Sides::new(floor, store)
}

fn statistics(count: usize, versions: usize) -> Sides {
    let filled = Filled::new(count);
    let organization = filled.store.organization(filled.organization);
    for version in 0..versions {
        for dataset in &filled.datasets {
            organization.update_dataset(dataset.id, DatasetPatch::new().name(format!("version {version}"))).unwrap();
        }
    }
    let Filled { file, connection, store, .. } = filled;
    let path = file.path.clone();
    let expected = [count, 0, 10 * count, 1, count * versions].map(|number| i64::try_from(number).unwrap());
    let floor =
        move |times| timed(times, || assert_eq!(black_box(property::statistics(&connection, &path))[..5], expected));
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let found = store.statistics().unwrap();
            let found = [found.datasets, found.deleted, found.kpis, found.organizations, found.versions];
            assert_eq!(black_box(found).map(u64::cast_signed), expected);
        })
    };
    Sides::new(floor, store)
}
