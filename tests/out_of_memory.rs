//! SQLite's allocations fail: the first, the second, and so on, until an operation ends before the fault, for every
//! operation of a store in a file and in memory, once and from then on.
//!
//! - Every error is `storage`, or `outcome_unknown` where a commit was interrupted; none reports damage.
//! - What an error reports as not written is absent, what was acknowledged is there, and nothing panics.
//! - Once there is memory again, the same operation works on the same handle, and another handle finds a sound file.
//!
//! It is a binary of its own, since SQLite must be given its allocator before its first use. The short form takes a
//! sample. The long form:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test out_of_memory -- --nocapture
//! ```

mod support;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use kpi_store::{
    Dataset, DatasetId, DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Result, Store,
};
use kpi_store_fault_vfs::memory;

use support::ledger::{self, Creation, Outcome};
use support::{TestFile, is_long, listed};

/// A step that is run in a prepared session.
struct Operation {
    name: &'static str,
    prepare: fn(&mut Session),
    run: fn(&mut Session) -> Result<()>,
}

const OPERATIONS: [Operation; 11] = [
    Operation { name: "first opening", prepare: |_| {}, run: Session::open },
    Operation { name: "opening", prepare: Session::with_datasets, run: Session::open },
    Operation { name: "opening for reading only", prepare: Session::with_datasets, run: Session::open_read_only },
    Operation { name: "create", prepare: Session::opened, run: |session| session.create(&[3]) },
    Operation { name: "create with 100 KPIs", prepare: Session::opened, run: |session| session.create(&[100]) },
    Operation { name: "batch", prepare: Session::opened, run: |session| session.create(&[0, 12, 1]) },
    Operation { name: "get, list, count", prepare: Session::opened, run: |session| session.read().map(drop) },
    Operation { name: "verify", prepare: Session::opened, run: |session| session.verify() },
    Operation { name: "backup", prepare: Session::opened, run: Session::back_up },
    Operation { name: "close", prepare: Session::opened, run: Session::close },
    Operation {
        name: "in memory",
        prepare: |session| session.store = Some(Store::open_in_memory().unwrap()),
        run: |session| {
            session.create(&[3])?;
            session.read()?;
            session.verify()?;
            session.create(&[1, 30])?;
            session.back_up()
        },
    },
];

#[test]
fn after_a_failure_of_any_allocation_no_answer_is_false_and_the_store_works() {
    memory::take_over();
    let step = if is_long() { 1 } else { 61 };
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

/// Runs the operation with this allocation failing, and checks everything. False if the fault was not reached.
fn fail(operation: &Operation, at: u64, lasting: bool, errors: &mut BTreeMap<&'static str, usize>) -> bool {
    let mut session = Session::new();
    (operation.prepare)(&mut session);
    memory::fail(at, lasting);
    let done = (operation.run)(&mut session);
    if !memory::calm() {
        done.unwrap();
        return false;
    }
    let what = format!("{}, allocation {at}, lasting: {lasting}: {done:?}", operation.name);
    if let Err(error) = &done {
        assert!(["storage", "outcome_unknown"].contains(&error.code()), "{what}");
        *errors.entry(error.code()).or_default() += 1;
    }
    session.is_as_answered(&what);
    if session.store.is_none() && operation.name == "close" {
        session.open().unwrap();
    }
    (operation.run)(&mut session).unwrap_or_else(|error| panic!("{what}; again: {error:?}"));
    session.is_as_answered(&what);
    true
}

/// A store, with a ledger of what it was asked to create and what it answered.
struct Session {
    store: Option<Store>,
    organization: OrganizationId,
    creations: Vec<Creation<DatasetId, Dataset>>,
    copies: usize,
    file: TestFile,
}

impl Session {
    fn new() -> Self {
        Self {
            store: None,
            organization: OrganizationId::new(),
            creations: Vec::new(),
            copies: 0,
            file: TestFile::in_memory(),
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
        self.store = Some(Store::open(&self.file.path)?);
        Ok(())
    }

    fn open_read_only(&mut self) -> Result<()> {
        self.store = Some(Store::options().read_only(true).open(&self.file.path)?);
        self.read().map(drop)
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn organization(&self) -> Organization {
        self.store().organization(self.organization)
    }

    fn create(&mut self, kpis: &[usize]) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let kpis_of = |count| (0..count).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³").description("ä"));
        let requests = asked.iter().map(|(id, kpis)| NewDataset::new("Water").kpis(kpis_of(*kpis)).id(*id));
        let created = self.organization().create_datasets(requests);
        let outcome = match &created {
            Ok(created) => Outcome::Acknowledged(created.clone()),
            Err(Error::OutcomeUnknown { ids, .. }) => {
                assert!(ids.iter().eq(asked.iter().map(|(id, _)| id)), "the ids of what was asked");
                Outcome::Unknown
            }
            Err(_) => Outcome::Refused,
        };
        self.creations.push(Creation { asked, outcome });
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
        let copy = self.file.folder.path().join(format!("copy {}", self.copies));
        let backed_up = self.store().backup_to(&copy);
        assert_eq!(backed_up.is_ok(), copy.exists());
        backed_up
    }

    fn close(&mut self) -> Result<()> {
        self.store.take().unwrap().close()
    }

    /// The same handle, if there is one, and another find what was answered, and no draft is left.
    fn is_as_answered(&self, what: &str) {
        if self.store.is_some() {
            self.judge(&self.read().unwrap_or_else(|error| panic!("{what}; then read: {error:?}")), what);
        }
        if self.store.as_ref().is_none_or(|store| store.path().is_some()) {
            let other = Store::open(&self.file.path).unwrap_or_else(|error| panic!("{what}; then open: {error:?}"));
            assert!(other.verify().unwrap().is_whole(), "{what}");
            self.judge(&listed(&other.organization(self.organization)), what);
        }
        for entry in self.file.folder.path().read_dir().unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains(".draft"), "{what}: {name} is left");
        }
    }

    fn judge(&self, found: &[Dataset], what: &str) {
        let creations = self.creations.iter().map(|creation| (creation, creation.outcome.demand()));
        let judged = ledger::judge(creations, found, |dataset| (dataset.id, dataset.kpis.len()));
        judged.unwrap_or_else(|breach| panic!("{what}: {breach:?}"));
    }
}

/// The control: a missing dataset, and one that was reported as refused, are detected.
#[test]
fn the_harness_detects_a_false_answer() {
    memory::take_over();
    let mut session = Session::new();
    session.opened();
    let found = session.read().unwrap();
    session.judge(&found, "true");
    let is_noticed = |session: &Session, found: &[Dataset]| {
        std::panic::catch_unwind(AssertUnwindSafe(|| session.judge(found, "untrue"))).is_err()
    };
    assert!(is_noticed(&session, &found[1..]));
    let created = session.creations.pop().unwrap();
    assert!(is_noticed(&session, &found));
    session.creations.push(Creation { outcome: Outcome::Refused, ..created });
    assert!(is_noticed(&session, &found));
}
