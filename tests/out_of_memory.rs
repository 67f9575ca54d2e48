//! SQLite gets no memory: at its first allocation, at the second, and so on, until an operation runs without meeting the
//! end, for every operation of a file and of a store in memory, once and from then on.
//!
//! - Every error is `storage`, or `outcome_unknown` where a commit ended early; none says that the file is damaged.
//! - What an error says was not written is nowhere, what was acknowledged is there, and nothing panics.
//! - Once there is memory again, the same operation works on the same handle, and another handle finds a whole file.
//!
//! A binary of its own: SQLite is given its allocator before its first use. The short form takes a sample. The long form:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test out_of_memory -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use kpi_store::{
    Dataset, DatasetId, DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Result, Store,
};
use kpi_store_fault_vfs::memory;
use tempfile::TempDir;

/// Something that is done to a scene, once it was prepared.
struct Operation {
    name: &'static str,
    prepare: fn(&mut Scene),
    run: fn(&mut Scene) -> Result<()>,
}

const OPERATIONS: [Operation; 11] = [
    Operation { name: "first opening", prepare: |_| {}, run: Scene::open },
    Operation { name: "opening", prepare: Scene::with_datasets, run: Scene::open },
    Operation { name: "opening for reading only", prepare: Scene::with_datasets, run: Scene::open_read_only },
    Operation { name: "create", prepare: Scene::opened, run: |scene| scene.create(&[3]) },
    Operation { name: "create with 100 KPIs", prepare: Scene::opened, run: |scene| scene.create(&[100]) },
    Operation { name: "batch", prepare: Scene::opened, run: |scene| scene.create(&[0, 12, 1]) },
    Operation { name: "get, list, count", prepare: Scene::opened, run: |scene| scene.read().map(drop) },
    Operation { name: "verify", prepare: Scene::opened, run: |scene| scene.verify() },
    Operation { name: "backup", prepare: Scene::opened, run: Scene::back_up },
    Operation { name: "close", prepare: Scene::opened, run: Scene::close },
    Operation {
        name: "in memory",
        prepare: |scene| scene.store = Some(Store::open_in_memory().unwrap()),
        run: |scene| {
            scene.create(&[3])?;
            scene.read()?;
            scene.verify()?;
            scene.create(&[1, 30])?;
            scene.back_up()
        },
    },
];

#[test]
fn every_allocation_may_fail_and_nothing_is_lost_or_untrue_and_the_store_goes_on() {
    memory::take_over();
    let step = if std::env::var_os("KPI_STORE_LONG").is_some() { 1 } else { 61 };
    let mut errors = BTreeMap::new();
    let mut faults = 0;
    for operation in &OPERATIONS {
        let mut of_operation = 0;
        for lasting in [false, true] {
            let mut at = 1;
            while fail(operation, at, lasting, &mut errors) {
                at += step;
                of_operation += 1;
            }
        }
        println!("{}: {of_operation} faults", operation.name);
        assert!(of_operation > 0, "the control: {} allocates", operation.name);
        faults += of_operation;
    }
    println!("out of memory: {faults} faults, 0 panics, 0 corrupt, 0 lost, 0 untrue, errors {errors:?}");
}

/// Does the operation with this allocation failing, and looks at everything. False if it was not met.
fn fail(operation: &Operation, at: u64, lasting: bool, errors: &mut BTreeMap<&'static str, usize>) -> bool {
    let mut scene = Scene::new();
    (operation.prepare)(&mut scene);
    memory::fail(at, lasting);
    let done = (operation.run)(&mut scene);
    if !memory::calm() {
        done.unwrap();
        return false;
    }
    let what = format!("{}, allocation {at}, lasting: {lasting}: {done:?}", operation.name);
    if let Err(error) = &done {
        assert!(["storage", "outcome_unknown"].contains(&error.code()), "{what}");
        *errors.entry(error.code()).or_default() += 1;
    }
    scene.is_as_answered(&what);
    if scene.store.is_none() && operation.name == "close" {
        scene.open().unwrap();
    }
    (operation.run)(&mut scene).unwrap_or_else(|error| panic!("{what}; again: {error:?}"));
    scene.is_as_answered(&what);
    true
}

/// A store, what it was asked to keep and what it answered.
struct Scene {
    store: Option<Store>,
    organization: OrganizationId,
    acknowledged: Vec<Dataset>,
    refused: Vec<DatasetId>,
    /// Stored together or not at all.
    unknown: Vec<Vec<DatasetId>>,
    copies: usize,
    file: PathBuf,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let file = folder.path().join("kpis.db");
        Self {
            store: None,
            organization: OrganizationId::new(),
            acknowledged: Vec::new(),
            refused: Vec::new(),
            unknown: Vec::new(),
            copies: 0,
            file,
            folder,
        }
    }

    fn with_datasets(&mut self) {
        self.open().unwrap();
        self.create(&[2, 0]).unwrap();
        self.close().unwrap();
    }

    fn opened(&mut self) {
        self.with_datasets();
        self.open().unwrap();
    }

    fn open(&mut self) -> Result<()> {
        self.store = Some(Store::open(&self.file)?);
        Ok(())
    }

    fn open_read_only(&mut self) -> Result<()> {
        self.store = Some(Store::options().read_only(true).open(&self.file)?);
        self.read().map(drop)
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn organization(&self) -> Organization {
        self.store().organization(self.organization)
    }

    fn create(&mut self, kpis: &[usize]) -> Result<()> {
        let ids: Vec<_> = kpis.iter().map(|_| DatasetId::new()).collect();
        let kpis_of = |count| (0..count).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³").description("ä"));
        let requests = ids.iter().zip(kpis).map(|(id, kpis)| NewDataset::new("Water").kpis(kpis_of(*kpis)).id(*id));
        let created = self.organization().create_datasets(requests);
        match &created {
            Ok(created) => self.acknowledged.extend(created.iter().cloned()),
            Err(Error::OutcomeUnknown { ids, .. }) => self.unknown.push(ids.clone()),
            Err(_) => self.refused.extend(ids),
        }
        created.map(drop)
    }

    fn read(&self) -> Result<Vec<Dataset>> {
        let organization = self.organization();
        let listed: Vec<_> = organization.iter_datasets(&DatasetQuery::new().limit(2)).collect::<Result<_>>()?;
        for dataset in &listed {
            assert_eq!(organization.dataset(dataset.id)?.as_ref(), Some(dataset));
        }
        assert_eq!(organization.count_datasets(&DatasetQuery::new())?, u64::try_from(listed.len()).unwrap());
        assert_eq!(self.store().organizations()?.len(), usize::from(!listed.is_empty()));
        Ok(listed)
    }

    fn verify(&self) -> Result<()> {
        let verification = self.store().verify()?;
        assert!(verification.is_whole(), "{verification:?}");
        Ok(())
    }

    fn back_up(&mut self) -> Result<()> {
        self.copies += 1;
        let copy = self.folder.path().join(format!("copy {}", self.copies));
        let backed_up = self.store().backup_to(&copy);
        assert_eq!(backed_up.is_ok(), copy.exists());
        backed_up
    }

    fn close(&mut self) -> Result<()> {
        self.store.take().unwrap().close()
    }

    /// The same handle, if there is one, and another find what was answered, and no more lies in the folder.
    fn is_as_answered(&self, what: &str) {
        if self.store.is_some() {
            self.judge(&self.read().unwrap_or_else(|error| panic!("{what}; then read: {error:?}")), what);
        }
        if self.store.as_ref().is_none_or(|store| store.path().is_some()) {
            let other = Store::open(&self.file).unwrap_or_else(|error| panic!("{what}; then open: {error:?}"));
            assert!(other.verify().unwrap().is_whole(), "{what}");
            let organization = other.organization(self.organization);
            let found: Vec<_> = organization.iter_datasets(&DatasetQuery::new()).collect::<Result<_>>().unwrap();
            self.judge(&found, what);
        }
        for entry in self.folder.path().read_dir().unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains(".draft"), "{what}: {name} is left");
        }
    }

    fn judge(&self, found: &[Dataset], what: &str) {
        let is_there = |id: &DatasetId| found.iter().any(|dataset| dataset.id == *id);
        assert!(self.acknowledged.iter().all(|dataset| found.contains(dataset)), "{what}: something is lost");
        assert!(!self.refused.iter().any(is_there), "{what}: something is there that was refused");
        let mut known = self.acknowledged.len();
        for ids in &self.unknown {
            let count = ids.iter().filter(|id| is_there(id)).count();
            assert!(count == 0 || count == ids.len(), "{what}: {count} of {}", ids.len());
            known += count;
        }
        assert_eq!(found.len(), known, "{what}: something is there that nobody asked for");
    }
}

/// The control: a missing dataset, and one that was said to be refused, are seen.
#[test]
fn an_untrue_answer_is_noticed() {
    memory::take_over();
    let mut scene = Scene::new();
    scene.opened();
    let found = scene.read().unwrap();
    scene.judge(&found, "true");
    let is_noticed = |scene: &Scene, found: &[Dataset]| {
        std::panic::catch_unwind(AssertUnwindSafe(|| scene.judge(found, "untrue"))).is_err()
    };
    assert!(is_noticed(&scene, &found[1..]));
    let created = scene.acknowledged.pop().unwrap();
    assert!(is_noticed(&scene, &found));
    scene.refused.push(created.id);
    assert!(is_noticed(&scene, &found));
}
