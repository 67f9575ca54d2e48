//! A job: the same work on both sides, on files of their own, with asserted results.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use kpi_store::{Dataset, OrganizationId, Store};
use tempfile::TempDir;
use uuid::Uuid;

use crate::floor::{self, Floor};
use crate::input::{self, Texts};

/// Does the work this number of times, and returns the time that it took.
pub(crate) type Side = Box<dyn FnMut(u64) -> Duration>;

pub(crate) struct Sides {
    pub(crate) floor: Side,
    pub(crate) store: Side,
}

impl Sides {
    pub(crate) fn new(
        floor: impl FnMut(u64) -> Duration + 'static,
        store: impl FnMut(u64) -> Duration + 'static,
    ) -> Self {
        Self { floor: Box::new(floor), store: Box::new(store) }
    }
}

/// A job by name, and the function that prepares it for an amount of work.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) make: Box<dyn Fn(Amount) -> Sides>,
}

impl Job {
    pub(crate) fn new(name: &'static str, make: impl Fn(Amount) -> Sides + 'static) -> Self {
        Self { name, make: Box::new(make) }
    }
}

/// All of the work, or a fiftieth in the short form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    All,
    Little,
}

impl Amount {
    pub(crate) fn of(self, count: usize) -> usize {
        match self {
            Amount::All => count,
            Amount::Little => count.div_ceil(50),
        }
    }
}

/// A file with the schema, created by the crate and removed after the job.
pub(crate) struct File {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

impl File {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kpis.db");
        Store::open(&path).unwrap().close().unwrap();
        Self { folder, path }
    }
}

/// A file with datasets of ten KPIs, opened by both sides.
pub(crate) struct Filled {
    pub(crate) file: File,
    pub(crate) connection: Floor,
    pub(crate) store: Store,
    pub(crate) organization: OrganizationId,
    pub(crate) datasets: Vec<Dataset>,
}

impl Filled {
    pub(crate) fn new(count: usize) -> Self {
        Self::of(count, Texts::Short)
    }

    pub(crate) fn of(count: usize, texts: Texts) -> Self {
        let file = File::new();
        let (store, organization) = (Store::open(&file.path).unwrap(), OrganizationId::new());
        let datasets = store.organization(organization).create_datasets(input::datasets(count, 10, texts)).unwrap();
        let connection = floor::open(&file.path, "FULL");
        Self { file, connection, store, organization, datasets }
    }

    pub(crate) fn uuid(&self) -> Uuid {
        self.organization.into()
    }
}

/// The time of running `work` this number of times.
pub(crate) fn timed(times: u64, mut work: impl FnMut()) -> Duration {
    measured(&mut || (0..times).for_each(|_| work()))
}

/// The same with a fresh value each time; making and dropping the values is not counted.
pub(crate) fn timed_with<T>(times: u64, mut fresh: impl FnMut() -> T, mut work: impl FnMut(&mut T)) -> Duration {
    let once = |_| {
        let mut fresh = fresh();
        measured(&mut || work(&mut fresh))
    };
    (0..times).map(once).sum()
}

fn measured(work: &mut dyn FnMut()) -> Duration {
    let started = Instant::now();
    if IS_COUNTING.load(Relaxed) {
        counted(work);
    } else {
        work();
    }
    started.elapsed()
}

/// Whether instructions are being counted.
pub(crate) static IS_COUNTING: AtomicBool = AtomicBool::new(false);

/// `benches/instructions.sh` counts the instructions of this function, by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}
