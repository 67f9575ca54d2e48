//! The jobs that are measured: each the same work on both sides, on files of their own, results asserted.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kpi_store::{DatasetId, Durability, OrganizationId, Store};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{floor, input};

/// Does a job so many times and says how long that took.
pub(crate) type Side = Box<dyn FnMut(u64) -> Duration>;

pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) floor: Side,
    pub(crate) store: Side,
}

pub(crate) fn all() -> Vec<Job> {
    vec![
        create("create 1x10, Full", Durability::Full, "FULL"),
        create("create 1x10, Normal", Durability::Normal, "NORMAL"),
        bulk("bulk 1,000x10, one transaction"),
        together("8 threads create 1x10, Full"),
        get("get one with 10 KPIs"),
        open("open an up-to-date file"),
    ]
}

/// A file with the schema, made by the crate, that goes with the job.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

fn file() -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kpis.db");
    Store::open(&path).unwrap().close().unwrap();
    File { _folder: folder, path }
}

fn timed(times: u64, mut work: impl FnMut()) -> Duration {
    let started = Instant::now();
    for _ in 0..times {
        work();
    }
    started.elapsed()
}

fn create(name: &'static str, durability: Durability, synchronous: &str) -> Job {
    let requests = input::datasets(1, 10);
    let organization = Uuid::now_v7();

    let floor_file = file();
    let connection = floor::open(&floor_file.path, synchronous);
    let same = requests.clone();
    let floor = move |times| {
        let _kept = &floor_file;
        timed(times, || assert_eq!(floor::create(&connection, organization, &same)[0].kpis.len(), 10))
    };

    let store_file = file();
    let store = Store::options().durability(durability).open(&store_file.path).unwrap();
    let organization = store.organization(organization.into());
    let store = move |times| {
        let _kept = &store_file;
        timed(times, || assert_eq!(organization.create_dataset(requests[0].clone()).unwrap().kpis.len(), 10))
    };
    Job { name, floor: Box::new(floor), store: Box::new(store) }
}

fn bulk(name: &'static str) -> Job {
    let requests = input::datasets(1_000, 10);
    let same = requests.clone();
    let floor = move |times| {
        let file = file();
        let connection = floor::open(&file.path, "FULL");
        timed(times, || assert_eq!(floor::create(&connection, Uuid::now_v7(), &same).len(), 1_000))
    };
    let store = move |times| {
        let file = file();
        let organization = Store::open(&file.path).unwrap().organization(OrganizationId::new());
        timed(times, || assert_eq!(organization.create_datasets(requests.iter().cloned()).unwrap().len(), 1_000))
    };
    Job { name, floor: Box::new(floor), store: Box::new(store) }
}

/// Eight threads on one store, beside one thread on the floor: what is compared is the time per dataset.
fn together(name: &'static str) -> Job {
    const THREADS: u64 = 8;
    let requests = input::datasets(1, 10);
    let Job { floor, .. } = create(name, Durability::Full, "FULL");
    let file = file();
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
        started.elapsed() * u32::try_from(times).unwrap() / u32::try_from(each * THREADS).unwrap()
    };
    Job { name, floor, store: Box::new(store) }
}

fn get(name: &'static str) -> Job {
    let file = file();
    let organization_id = OrganizationId::new();
    let store = Store::open(&file.path).unwrap();
    let organization = store.organization(organization_id);
    let created = organization.create_datasets(input::datasets(1_000, 10)).unwrap();
    let ids: Vec<DatasetId> = created.iter().map(|dataset| dataset.id).collect();

    let connection = floor::open(&file.path, "FULL");
    let uuids: Vec<Uuid> = ids.iter().copied().map(Uuid::from).collect();
    let mut next = uuids.into_iter().cycle();
    let floor = move |times| {
        timed(times, || {
            let dataset = floor::get(&connection, organization_id.into(), next.next().unwrap()).unwrap();
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
    Job { name, floor: Box::new(floor), store: Box::new(store) }
}

fn open(name: &'static str) -> Job {
    let file = file();
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
    Job { name, floor: Box::new(floor), store: Box::new(store) }
}
