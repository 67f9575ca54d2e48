//! A store and its model: chooses the next call, and compares both answers.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use kpi_store::{Cursor, Error, Organization, OrganizationId, Result, Store, UserId};
use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use uuid::Uuid;

use super::model::{Answer, Caller, LAST_TIME, Model, Rules};
use super::requests::uuid;
use super::support::{Random, TestFile};

const OPERATIONS: usize = 50;

/// The error describes a difference between the store and its model.
pub(crate) type Checked<T = ()> = std::result::Result<T, String>;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sequences: usize,
    pub(crate) operations: usize,
    pub(crate) acknowledged: usize,
    /// Datasets that were stored by loads.
    pub(crate) loaded: usize,
    /// Loads that stored a part of their input.
    pub(crate) stopped: usize,
    pub(crate) accepted: usize,
    pub(crate) backups: usize,
    /// Operations in which the disk failed, and that answered with an error.
    pub(crate) failed: usize,
    /// Those that succeeded all the same.
    pub(crate) unimpressed: usize,
    pub(crate) unknown_and_there: usize,
    pub(crate) unknown_and_gone: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequences, operations, acknowledged, loaded, stopped, accepted, .. } = self;
        let Self { backups, failed, unimpressed, .. } = self;
        write!(
            f,
            "{sequences} sequences, {operations} operations, {acknowledged} datasets created, {loaded} loaded, "
        )?;
        write!(f, "{stopped} loads stored in part, {accepted} accepted, ")?;
        write!(f, "{backups} backups; the disk failed in {} operations, {failed} said so; ", failed + unimpressed)?;
        write!(f, "unknown outcomes: {} held, {} did not", self.unknown_and_there, self.unknown_and_gone)
    }
}

pub(crate) struct Handle {
    pub(crate) store: Store,
    pub(crate) is_read_only: bool,
    pub(crate) is_closed: bool,
}

/// A cursor, and what it stands for.
pub(crate) struct Mark {
    pub(crate) cursor: Cursor,
    pub(crate) organization: OrganizationId,
    pub(crate) is_newest_first: bool,
    /// The position of the dataset before it.
    pub(crate) place: usize,
}

/// Where the ids of the stores come from.
pub(crate) struct Ids {
    random: Random,
    all: Vec<Uuid>,
    /// Since this was last cleared.
    pub(crate) drawn: Vec<Uuid>,
}

impl Ids {
    pub(crate) fn next(&mut self) -> Uuid {
        // Rarely a repeated one, which no good source returns.
        let id = if !self.all.is_empty() && self.random.percent(1) {
            self.all[self.random.below(self.all.len())]
        } else {
            uuid(&mut self.random)
        };
        self.all.push(id);
        self.drawn.push(id);
        id
    }
}

pub(crate) struct World {
    // Dropped in this order: the handles before the disk, the folder last.
    pub(crate) handles: Vec<Handle>,
    pub(crate) model: Model,
    pub(crate) random: Random,
    pub(crate) is_in_memory: bool,
    pub(crate) cursors: Vec<Mark>,
    pub(crate) organizations: [OrganizationId; 2],
    users: [UserId; 2],
    pub(crate) ids: Arc<Mutex<Ids>>,
    pub(crate) clock: Arc<AtomicI64>,
    fault: Option<Fault>,
    disk: Disk,
    pub(crate) file: TestFile,
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let file = TestFile::in_memory();
        let ids = Ids { random: Random::new(random.next()), all: Vec::new(), drawn: Vec::new() };
        Self {
            handles: Vec::new(),
            model: Model::new(rules),
            is_in_memory: random.percent(15),
            cursors: Vec::new(),
            organizations: [(); 2].map(|()| uuid(&mut random).into()),
            users: [(); 2].map(|()| uuid(&mut random).into()),
            ids: Arc::new(Mutex::new(ids)),
            clock: Arc::new(AtomicI64::new(1_700_000_000_000_000)),
            fault: None,
            disk: Disk::new(file.folder.path()),
            file,
            random,
        }
    }

    pub(crate) fn play(mut self, counts: &mut Counts) -> Checked {
        self.arm();
        let first = self.open_first();
        self.said("opening first", first)?;
        for operation in 0..OPERATIONS {
            self.arm();
            let done = self.step(counts);
            self.said(&format!("operation {operation}"), done)?;
            counts.operations += 1;
        }
        let ended = self.end();
        self.said("at the end", ended)
    }

    fn said(&mut self, when: &str, checked: Checked) -> Checked {
        let fault = self.fault.take().filter(|_| self.disk.has_failed());
        self.disk.calm();
        checked.map_err(|difference| format!("{when}, the disk failed by {fault:?}: {difference}"))
    }

    fn step(&mut self, counts: &mut Counts) -> Checked {
        let handle = self.random.below(self.handles.len());
        match self.random.below(100) {
            0..17 => self.create(handle, counts),
            17..20 => self.checkpoint(handle, counts),
            20..33 => self.create_together(handle, counts),
            33..41 => self.load(handle, counts),
            41..50 => self.get(handle, counts),
            50..61 => self.page(handle, counts),
            61..66 => self.iterate(handle, counts),
            66..69 => self.count(handle, counts),
            69..72 => self.list_organizations(handle, counts),
            72..76 => self.verify(handle, counts),
            76..80 => self.back_up(handle, counts),
            80..85 => self.alter(),
            85..91 => self.accept(handle, counts),
            91..94 => self.close(handle, counts),
            _ => self.open(counts),
        }
    }

    /// Lets the disk fail in some of the operations.
    fn arm(&mut self) {
        if !self.random.percent(40) {
            return;
        }
        let kinds = if self.random.percent(30) {
            Kind::ALL.to_vec()
        } else {
            vec![Kind::ALL[self.random.below(Kind::ALL.len())]]
        };
        let soon = [2, 8, 40, 200][self.random.below(4)];
        let at = 1 + u64::try_from(self.random.below(soon)).unwrap();
        let cause = if self.random.percent(35) { Cause::Full } else { Cause::Io };
        let fault = Fault { kinds, at, cause, lasting: self.random.percent(30) };
        self.disk.fail(fault.clone());
        self.fault = Some(fault);
    }

    /// Ends the fault.
    pub(crate) fn calm(&self) {
        self.disk.calm();
    }

    /// Whether the fault of the disk explains this error.
    pub(crate) fn is_excused(&self, error: &Error) -> bool {
        let Some(fault) = self.fault.as_ref().filter(|_| self.disk.has_failed()) else { return false };
        match error.code() {
            "storage_full" => fault.cause == Cause::Full,
            // SQLite does not say why a file cannot be opened; a read-only connection reports that it may not be.
            "invalid_path" | "read_only" => fault.kinds.contains(&Kind::Open),
            code => matches!(code, "storage" | "outcome_unknown"),
        }
    }

    /// Whether the answer is the expected one; false if the fault of the disk explains it.
    pub(crate) fn compare<T: PartialEq + Debug>(
        &self,
        what: &str,
        expected: &Answer<T>,
        found: &Result<T>,
        counts: &mut Counts,
    ) -> Checked<bool> {
        let is_as_expected = match (expected, found) {
            (Ok(expected), Ok(found)) => expected == found,
            (Err(code), Err(error)) => *code == error.code(),
            _ => false,
        };
        let has_failed = self.fault.is_some() && self.disk.has_failed();
        match found {
            _ if is_as_expected => counts.unimpressed += usize::from(has_failed),
            Err(error) if self.is_excused(error) => counts.failed += 1,
            _ => return Err(format!("{what}: expected {expected:?}, found {found:?}")),
        }
        Ok(is_as_expected)
    }

    /// The answer of a handle, unless it is closed.
    pub(crate) fn if_open<T>(&self, handle: usize, answer: Answer<T>) -> Answer<T> {
        if self.handles[handle].is_closed { Err("closed") } else { answer }
    }

    /// The answer to a write, unless the handle is closed or read-only.
    pub(crate) fn if_writable<T>(&self, handle: usize, answer: Answer<T>) -> Answer<T> {
        let is_read_only = self.handles[handle].is_read_only;
        self.if_open(handle, if is_read_only { Err("read_only") } else { answer })
    }

    pub(crate) fn any_organization(&mut self) -> OrganizationId {
        self.organizations[self.random.below(2)]
    }

    /// Makes a call that writes, now and then at a time that cannot be stored. Returns the ids drawn for it too.
    pub(crate) fn as_any_caller<T>(
        &mut self,
        handle: usize,
        call: impl FnOnce(Organization) -> T,
    ) -> (Caller, T, Vec<Uuid>) {
        let mut caller = self.any_caller();
        let time = caller.now;
        if self.random.percent(1) {
            caller.now = LAST_TIME + 1;
            self.clock.store(caller.now, Relaxed);
        }
        self.ids.lock().unwrap().drawn.clear();
        let found = call(self.organization(handle, caller));
        self.clock.store(time, Relaxed);
        (caller, found, std::mem::take(&mut self.ids.lock().unwrap().drawn))
    }

    pub(crate) fn any_caller(&mut self) -> Caller {
        let step = [0, 1, 999_999, 86_400_000_000][self.random.below(4)];
        let now = self.clock.fetch_add(step, Relaxed) + step;
        let user = if self.random.percent(50) { Some(self.users[self.random.below(2)]) } else { None };
        Caller { organization: self.any_organization(), user, now }
    }
}
