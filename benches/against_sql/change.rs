//! Jobs that change stored datasets.

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use kpi_store::{
    Dataset, DatasetId, DatasetPatch, DatasetQuery, Durability, HistoryQuery, KpiId, KpiPatch, NewDataset, NewKpi,
    Organization, OrganizationId, Store,
};
use uuid::Uuid;

use crate::floor::{self, Floor, change, history, read};
use crate::input::{self, Texts};
use crate::jobs::{Amount, File, Job, Sides, timed, timed_with};

pub(crate) fn jobs() -> Vec<Job> {
    use Durability::{Full, Normal};
    vec![
        Job::new("update a KPI of 10, Full", |amount| rename_kpi(amount, Full)),
        Job::new("update a KPI of 10, Normal", |amount| rename_kpi(amount, Normal)),
        Job::new("save a KPI of 10, Full", |amount| save(amount, Full)),
        Job::new("save a KPI of 10, Normal", |amount| save(amount, Normal)),
        Job::new("rename a dataset of 10, Full", |amount| rename(amount, Full)),
        Job::new("rename a dataset of 10, Normal", |amount| rename(amount, Normal)),
        Job::new("add a KPI to 10, Full", |amount| add_kpi(amount, Full)),
        Job::new("add a KPI to 10, Normal", |amount| add_kpi(amount, Normal)),
        Job::new("add a KPI to 9,500, beside to 10, Full", |amount| add_kpi_to_many(amount, Full)),
        Job::new("add a KPI to 9,500, beside to 10, Normal", |amount| add_kpi_to_many(amount, Normal)),
        Job::new("delete and restore, Full", |amount| delete_and_restore(amount, Full)),
        Job::new("delete and restore, Normal", |amount| delete_and_restore(amount, Normal)),
        Job::new("history of 50 versions", |_| history_page()),
        Job::new("verify 4,000 added KPIs, beside 1,000", verify_added),
    ]
}

/// Two files with the same datasets of ten KPIs, one for each side.
struct Twins {
    floor_file: File,
    floor: Floor,
    store_file: File,
    store: Organization,
    organization: Uuid,
    datasets: Vec<Dataset>,
}

impl Twins {
    fn new(count: usize, durability: Durability) -> Self {
        let (floor_file, store_file, organization) = (File::new(), File::new(), Uuid::now_v7());
        let store = Store::open(&store_file.path).unwrap();
        let new = input::datasets(count, 10, Texts::Short);
        let datasets = store.organization(organization.into()).create_datasets(new).unwrap();
        store.close().unwrap();
        fs::copy(&store_file.path, &floor_file.path).unwrap();
        let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
        let floor = floor::open(&floor_file.path, synchronous);
        let store = Store::options().durability(durability).open(&store_file.path).unwrap();
        let store = store.organization(organization.into());
        Self { floor_file, floor, store_file, store, organization, datasets }
    }

    /// Does `floor` and `store` to one dataset after the other. Both return the time that they took. Once before that,
    /// they do it to the first one: the files must then hold the same.
    fn sides(
        self,
        mut floor: impl FnMut(&Floor, Uuid, usize) -> Duration + 'static,
        mut store: impl FnMut(&Organization, usize) -> Duration + 'static,
    ) -> Sides {
        let Self { floor_file, floor: connection, store_file, store: handle, organization, datasets } = self;
        floor(&connection, organization, 0);
        store(&handle, 0);
        assert_same(&floor_file, &handle, &datasets[0]);
        let (mut next, mut next_of_store) = ((0..datasets.len()).cycle(), (0..datasets.len()).cycle());
        let floor = move |times| {
            let _kept = &floor_file;
            (0..times).map(|_| floor(&connection, organization, next.next().unwrap())).sum()
        };
        let store = move |times| {
            let _kept = &store_file;
            (0..times).map(|_| store(&handle, next_of_store.next().unwrap())).sum()
        };
        Sides::new(floor, store)
    }
}

/// The dataset and its history in the file of the floor are what the crate has stored, apart from times and new ids.
fn assert_same(floor: &File, store: &Organization, dataset: &Dataset) {
    let opened = Store::options().open(&floor.path).unwrap();
    assert!(opened.verify().unwrap().is_whole());
    let of_floor = opened.organization(store.id());
    let content = |dataset: &Dataset| {
        let kpi = |kpi: &kpi_store::Kpi| (kpi.name.clone(), kpi.sort_order, kpi.updated_at.is_some());
        let kpis: Vec<_> = dataset.kpis.iter().map(kpi).collect();
        (dataset.id, dataset.name.clone(), dataset.updated_at.is_some(), kpis)
    };
    let trail = |organization: &Organization| {
        let page = organization.history(dataset.id, &HistoryQuery::new()).unwrap();
        assert!(page.damaged.is_empty());
        let version =
            |version: &kpi_store::DatasetVersion| (version.revision, version.origin, content(&version.dataset));
        page.items.iter().map(version).collect::<Vec<_>>()
    };
    let trail_of_floor = trail(&of_floor);
    assert!(trail_of_floor.len() > 1);
    assert_eq!(trail_of_floor, trail(store));
    let count = |organization: &Organization| organization.count_datasets(&DatasetQuery::new()).unwrap();
    assert_eq!(count(&of_floor), count(store));
    opened.close().unwrap();
}

/// The index of the KPI that is changed.
const CHANGED: usize = 3;

/// A new name for each dataset or KPI, another one each time, so that every change changes something.
struct Names(Vec<bool>);

impl Names {
    fn new(count: usize) -> Self {
        Self(vec![false; count])
    }

    fn next(&mut self, index: usize) -> &'static str {
        self.0[index] ^= true;
        if self.0[index] { "Total water withdrawal, all sources" } else { "Total water discharge, all sources" }
    }
}

fn rename_kpi(amount: Amount, durability: Durability) -> Sides {
    let twins = Twins::new(amount.of(1_000), durability);
    let ids: Vec<(DatasetId, KpiId)> =
        twins.datasets.iter().map(|dataset| (dataset.id, dataset.kpis[CHANGED].id)).collect();
    let (same, mut names, mut names_of_store) = (ids.clone(), Names::new(ids.len()), Names::new(ids.len()));
    let floor = move |floor: &Floor, organization, index: usize| {
        let ((id, kpi), name) = (same[index], names.next(index));
        timed(1, || {
            let updated = change::rename_kpi(floor, organization, id.into(), kpi.into(), name);
            assert_eq!(black_box(updated).kpis[CHANGED].name, name);
        })
    };
    let store = move |store: &Organization, index: usize| {
        let ((id, kpi), name) = (ids[index], names_of_store.next(index));
        timed(1, || {
            let patch = DatasetPatch::new().update_kpi(kpi, KpiPatch::new().name(name));
            assert_eq!(black_box(store.update_dataset(id, patch)).unwrap().kpis[CHANGED].name, name);
        })
    };
    twins.sides(floor, store)
}

fn rename(amount: Amount, durability: Durability) -> Sides {
    let twins = Twins::new(amount.of(1_000), durability);
    let ids: Vec<DatasetId> = twins.datasets.iter().map(|dataset| dataset.id).collect();
    let (same, mut names, mut names_of_store) = (ids.clone(), Names::new(ids.len()), Names::new(ids.len()));
    let floor = move |floor: &Floor, organization, index: usize| {
        let name = names.next(index);
        timed(1, || assert_eq!(black_box(change::rename(floor, organization, same[index].into(), name)).name, name))
    };
    let store = move |store: &Organization, index: usize| {
        let name = names_of_store.next(index);
        timed(1, || {
            let patch = DatasetPatch::new().name(name);
            assert_eq!(black_box(store.update_dataset(ids[index], patch)).unwrap().name, name);
        })
    };
    twins.sides(floor, store)
}

/// As a form saves: all fields are given, and one of them was changed. Making the draft is not counted.
fn save(amount: Amount, durability: Durability) -> Sides {
    let twins = Twins::new(amount.of(1_000), durability);
    let count = twins.datasets.len();
    let get = |dataset: &Dataset| read::get(&twins.floor, twins.organization, dataset.id.into()).unwrap();
    let mut forms: Vec<floor::Dataset> = twins.datasets.iter().map(get).collect();
    let mut names = Names::new(count);
    let floor = move |floor: &Floor, organization, index: usize| {
        let (form, name) = (&mut forms[index], names.next(index));
        form.kpis[CHANGED].name = name.to_owned();
        timed(1, || {
            *form = change::save(floor, organization, form);
            assert_eq!(form.kpis[CHANGED].name, name);
        })
    };
    let (mut datasets, mut names) = (twins.datasets.clone(), Names::new(count));
    let store = move |store: &Organization, index: usize| {
        let (dataset, name) = (&mut datasets[index], names.next(index));
        let mut draft = dataset.edit();
        name.clone_into(&mut draft.kpis[CHANGED].name);
        timed(1, || {
            *dataset = store.save_dataset(&draft).unwrap();
            assert_eq!(dataset.kpis[CHANGED].name, name);
        })
    };
    twins.sides(floor, store)
}

fn new_kpi() -> NewKpi {
    NewKpi::new("Total water consumption").description("GRI 303-5-a, source 17").unit("m³").sort_order(4)
}

fn add_kpi(amount: Amount, durability: Durability) -> Sides {
    let twins = Twins::new(amount.of(1_000), durability);
    let ids: Vec<DatasetId> = twins.datasets.iter().map(|dataset| dataset.id).collect();
    let (same, new) = (ids.clone(), new_kpi());
    let floor = move |floor: &Floor, organization, index: usize| {
        timed(1, || {
            let added = change::add_kpi(floor, organization, same[index].into(), &new);
            assert_eq!(black_box(added).name, new.name);
        })
    };
    let new = new_kpi();
    let store = move |store: &Organization, index: usize| {
        timed(1, || assert_eq!(black_box(store.create_kpi(ids[index], new.clone())).unwrap().name, new.name))
    };
    twins.sides(floor, store)
}

/// Both sides are the crate.
fn add_kpi_to_many(amount: Amount, durability: Durability) -> Sides {
    // A fresh dataset each time that this number was added: a dataset may have 10,000.
    let side = move |kpis: usize, added_max: usize| {
        let file = File::new();
        let store = Store::options().durability(durability).open(&file.path).unwrap();
        let organization = store.organization(OrganizationId::new());
        let (new, mut id, mut added) = (new_kpi(), None, 0);
        move |times| {
            let _kept = &file;
            let fresh = || {
                added += 1;
                if id.is_none() || added > added_max {
                    let dataset = input::datasets(1, kpis, Texts::Short).remove(0);
                    (id, added) = (Some(organization.create_dataset(dataset).unwrap().id), 1);
                }
                id.unwrap()
            };
            timed_with(times, fresh, |id| {
                assert_eq!(black_box(organization.create_kpi(*id, new.clone())).unwrap().name, new.name);
            })
        }
    };
    Sides::new(side(10, 10), side(amount.of(9_500), 500))
}

/// Two transactions.
fn delete_and_restore(amount: Amount, durability: Durability) -> Sides {
    let twins = Twins::new(amount.of(1_000), durability);
    let ids: Vec<DatasetId> = twins.datasets.iter().map(|dataset| dataset.id).collect();
    let same = ids.clone();
    let floor = move |floor: &Floor, organization, index: usize| {
        timed(1, || {
            change::delete(floor, organization, same[index].into());
            assert_eq!(black_box(change::restore(floor, organization, same[index].into())).kpis.len(), 10);
        })
    };
    let store = move |store: &Organization, index: usize| {
        timed(1, || {
            store.delete_dataset(ids[index]).unwrap();
            assert_eq!(black_box(store.restore_dataset(ids[index])).unwrap().kpis.len(), 10);
        })
    };
    twins.sides(floor, store)
}

/// Of a dataset that was changed 60 times. The crate also returns how each version differs from the one before.
fn history_page() -> Sides {
    let file = File::new();
    let store = Store::open(&file.path).unwrap().organization(OrganizationId::new());
    let dataset = store.create_dataset(input::datasets(1, 10, Texts::Short).remove(0)).unwrap();
    let id = dataset.id;
    for index in 0..60 {
        let patch = KpiPatch::new().name(format!("Total water withdrawal, version {index}"));
        store.update_dataset(id, DatasetPatch::new().update_kpi(dataset.kpis[index % 10].id, patch)).unwrap();
    }
    let (connection, organization) = (floor::open(&file.path, "FULL"), Uuid::from(store.id()));
    let of_floor = history::page(&connection, organization, id.into(), 50);
    let of_store = store.history(id, &HistoryQuery::new()).unwrap();
    assert_eq!(of_floor.len(), of_store.items.len());
    for (floor, store) in of_floor.iter().zip(&of_store) {
        let names = store.dataset.kpis.iter().map(|kpi| &kpi.name);
        assert!(floor.dataset.kpis.iter().map(|kpi| &kpi.name).eq(names));
        assert_eq!(floor.revision.cast_unsigned(), store.revision);
        assert_eq!((floor.changed_at, floor.changed_by), (store.changed_at.timestamp_micros(), None));
    }
    let floor = move |times| {
        timed(times, || {
            assert_eq!(black_box(history::page(&connection, organization, id.into(), 50)).len(), 50);
        })
    };
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            assert_eq!(black_box(store.history(id, &HistoryQuery::new())).unwrap().items.len(), 50);
        })
    };
    Sides::new(floor, store)
}

/// Both sides are the crate: what a walk through a history costs follows the number of changes, although each version
/// has more KPIs than the one before.
fn verify_added(amount: Amount) -> Sides {
    let side = move |count: usize| {
        let file = File::new();
        let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
        let organization = store.organization(OrganizationId::new());
        let id = organization.create_dataset(NewDataset::new("Water")).unwrap().id;
        for _ in 0..count {
            organization.create_kpi(id, new_kpi()).unwrap();
        }
        move |times| {
            let _kept = &file;
            timed(times, || {
                let verification = black_box(store.verify()).unwrap();
                assert!(verification.is_whole() && verification.kpis == count as u64);
            })
        }
    };
    Sides::new(side(amount.of(1_000)), side(amount.of(4_000)))
}
