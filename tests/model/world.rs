//! A store and its model: chooses the next call, and compares both answers.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use kpi_store::{Cursor, DatasetId, Error, Organization, OrganizationId, Result, Store, UserId};
use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use uuid::Uuid;

use super::drafts::Draft;
use super::following::{Followed, Watched};
use super::model::listing::{Filter, Order};
use super::model::{Answer, Caller, LAST_TIME, Model, Rules};
use super::requests::uuid;
use super::support::{Random, TestFile};

const OPERATIONS: usize = 110;

/// The error describes a difference between the store and its model.
pub(crate) type Checked<T = ()> = std::result::Result<T, String>;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sequences: usize,
    pub(crate) operations: usize,
    pub(crate) acknowledged: usize,
    /// Of each operation on stored datasets how many succeeded and how many did not.
    pub(crate) done: BTreeMap<&'static str, (usize, usize)>,
    /// Datasets that were stored by loads.
    pub(crate) loaded: usize,
    /// Loads that stored a part of their input.
    pub(crate) stopped: usize,
    pub(crate) accepted: usize,
    pub(crate) backups: usize,
    /// Purges that a call for changes told.
    pub(crate) purges_told: usize,
    /// Operations in which the disk failed, and that answered with an error.
    pub(crate) failed: usize,
    /// Those that succeeded all the same.
    pub(crate) unimpressed: usize,
    pub(crate) unknown_and_there: usize,
    pub(crate) unknown_and_gone: usize,
}

impl Counts {
    pub(crate) fn note(&mut self, name: &'static str, has_succeeded: bool) {
        let (succeeded, refused) = self.done.entry(name).or_default();
        *if has_succeeded { succeeded } else { refused } += 1;
    }

    pub(crate) fn note_unknown(&mut self, is_there: bool) {
        *if is_there { &mut self.unknown_and_there } else { &mut self.unknown_and_gone } += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequences, operations, acknowledged, loaded, stopped, accepted, .. } = self;
        let Self { backups, purges_told, failed, unimpressed, .. } = self;
        write!(
            f,
            "{sequences} sequences, {operations} operations, {acknowledged} datasets created, {loaded} loaded, "
        )?;
        for (name, (succeeded, refused)) in &self.done {
            write!(f, "{name} {succeeded} (and {refused} not), ")?;
        }
        write!(f, "{stopped} loads stored in part, {accepted} accepted, ")?;
        write!(
            f,
            "{purges_told} purges told, {backups} backups; the disk failed in {} operations, {failed} said so; ",
            failed + unimpressed
        )?;
        write!(f, "unknown outcomes: {} held, {} did not", self.unknown_and_there, self.unknown_and_gone)
    }
}

pub(crate) struct Handle {
    pub(crate) store: Store,
    pub(crate) is_read_only: bool,
    pub(crate) is_closed: bool,
    pub(crate) watch: Option<Watched>,
}

/// What a cursor continues.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Listed {
    Datasets { order: Order, filter: Filter },
    Trash { is_newest_first: bool, filter: Filter },
    History(DatasetId),
}

impl Listed {
    pub(crate) fn has_filter(&self) -> bool {
        matches!(self, Listed::Datasets { filter, .. } | Listed::Trash { filter, .. } if *filter != Filter::default())
    }

    pub(crate) fn forget_filter(&mut self) {
        if let Listed::Datasets { filter, .. } | Listed::Trash { filter, .. } = self {
            *filter = Filter::default();
        }
    }
}

/// A cursor, and what it stands for.
#[derive(Clone)]
pub(crate) struct Mark {
    pub(crate) cursor: Cursor,
    pub(crate) organization: OrganizationId,
    pub(crate) listed: Listed,
    /// The number of what is before it.
    pub(crate) place: usize,
}

impl Mark {
    pub(crate) fn is_of(&self, organization: OrganizationId, listed: &Listed) -> bool {
        (self.organization, &self.listed) == (organization, listed)
    }
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
    pub(crate) followed: Vec<Followed>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) organizations: [OrganizationId; 2],
    users: [UserId; 2],
    pub(crate) ids: Arc<Mutex<Ids>>,
    pub(crate) clock: Arc<AtomicI64>,
    fault: Option<Fault>,
    pub(crate) disk: Disk,
    pub(crate) file: TestFile,
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let file = TestFile::in_memory();
        let ids = Ids { random: Random::new(random.next()), all: Vec::new(), drawn: Vec::new() };
        Self {
            handles: Vec::new(),
            model: Model::new(rules, 0),
            is_in_memory: random.percent(15),
            cursors: Vec::new(),
            followed: Vec::new(),
            drafts: Vec::new(),
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
        let mut handle = self.random.below(self.handles.len());
        if self.handles[handle].is_closed || self.handles[handle].is_read_only {
            handle = self.random.below(self.handles.len());
        }
        match self.random.below(234) {
            0..14 => self.create(handle, counts),
            14..17 => self.checkpoint(handle, counts),
            17..26 => self.create_together(handle, counts),
            26..31 => self.load(handle, counts),
            31..36 => self.get(handle, counts),
            36..43 => self.page(handle, counts),
            43..46 => self.iterate(handle, counts),
            46..48 => self.count(handle, counts),
            48..50 => self.list_organizations(handle, counts),
            50..53 => self.verify(handle, counts),
            53..55 => self.back_up(handle, counts),
            55..61 => self.alter(),
            61..68 => self.accept(handle, counts),
            68..69 => self.close(handle, counts),
            69..75 => self.open(counts),
            75..102 => self.save(handle, counts),
            102..122 => self.update(handle, counts),
            122..131 => self.create_kpi(handle, counts),
            131..142 => self.delete(handle, counts),
            142..152 => self.restore(handle, counts),
            152..158 => self.page_trash(handle, counts),
            158..160 => self.count_trash(handle, counts),
            160..164 => self.purge(handle, counts),
            164..166 => self.purge_before(handle, counts),
            166..176 => self.page_history(handle, counts),
            176..182 => self.version(handle, counts),
            182..192 => self.revert(handle, counts),
            192..197 => self.prune(handle, counts),
            200..213 => self.follow_changes(handle, counts),
            213..220 => self.watch(handle, counts),
            220..228 => self.set_properties(handle, counts),
            228..231 => self.property(handle, counts),
            231..234 => self.statistics(handle, counts),
            // Mostly once something was purged, since that is forgotten.
            _ if self.random.percent(if self.model.purged.is_empty() { 25 } else { 75 }) => {
                self.purge_organization(handle, counts)
            }
            _ => self.compact(handle, counts),
        }
    }

    /// Lets the disk fail in some of the operations.
    fn arm(&mut self) {
        if !self.random.percent(30) {
            return;
        }
        let (kinds, soon) = match self.random.below(100) {
            0..30 => (Kind::ALL.to_vec(), [2, 8, 40, 200][self.random.below(4)]),
            // The sync of a commit, which is then complete in the log and may not last.
            30..45 => (vec![Kind::Sync], 2),
            _ => (vec![Kind::ALL[self.random.below(Kind::ALL.len())]], [2, 8, 40, 200][self.random.below(4)]),
        };
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

    /// Now and then one of the cursors, mostly one that fits, through text, as an application stores it.
    pub(crate) fn any_mark(&mut self, fits: impl Fn(&Mark) -> bool) -> Option<Mark> {
        let may_misfit = self.random.percent(15);
        let marks: Vec<_> = self.cursors.iter().filter(|mark| may_misfit || fits(mark)).collect();
        if marks.is_empty() || self.random.percent(50) {
            return None;
        }
        let mut mark = marks[self.random.below(marks.len())].clone();
        mark.cursor = mark.cursor.to_string().parse().unwrap();
        Some(mark)
    }

    pub(crate) fn any_user(&mut self) -> UserId {
        self.users[self.random.below(2)]
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
        let caller = self.any_caller();
        self.as_caller(handle, caller, call)
    }

    /// The same for this caller.
    pub(crate) fn as_caller<T>(
        &mut self,
        handle: usize,
        mut caller: Caller,
        call: impl FnOnce(Organization) -> T,
    ) -> (Caller, T, Vec<Uuid>) {
        let time = caller.now;
        if self.random.percent(1) {
            // Rarely the last time, after which a dataset cannot be changed.
            caller.now = LAST_TIME + i64::from(self.random.percent(85));
            self.clock.store(caller.now, Relaxed);
        }
        self.ids.lock().unwrap().drawn.clear();
        let found = call(self.organization(handle, caller));
        self.clock.store(time, Relaxed);
        (caller, found, std::mem::take(&mut self.ids.lock().unwrap().drawn))
    }

    pub(crate) fn any_caller(&mut self) -> Caller {
        // Now and then the clock steps back.
        let step = [0, 1, 999_999, 86_400_000_000, -2, -86_400_000_000][self.random.below(6)];
        let now = self.clock.fetch_add(step, Relaxed) + step;
        let user = if self.random.percent(50) { Some(self.any_user()) } else { None };
        Caller { organization: self.any_organization(), user, now }
    }
}
