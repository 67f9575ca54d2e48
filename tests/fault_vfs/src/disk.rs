//! Simulated disks: their faults and their records. No pointers.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::vfs;

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Opening or creating a file.
    Open,
    /// Reading from a file.
    Read,
    /// Writing to a file; if it fails, nothing is written.
    Write,
    /// The same; if it fails, the first sectors of 512 bytes are written.
    TornWrite,
    /// Syncing a file. What is written and not synced when that fails may never reach the disk, whatever later syncs
    /// say.
    Sync,
    /// Truncating a file.
    Truncate,
    /// Removing a file.
    Delete,
    /// Asking for the length of a file.
    Length,
    /// Taking a lock on a file; releasing it does not fail.
    Lock,
    /// Opening, extending or mapping shared memory.
    Shm,
    /// Taking a lock in shared memory; releasing it does not fail.
    ShmLock,
    /// Giving a file a second name, which only the program does.
    Link,
    /// Renaming a file, which only the program does.
    Rename,
    /// Syncing the folder, where the program does it.
    SyncFolder,
}

impl Kind {
    /// Every kind, except [`ShmLock`](Self::ShmLock): SQLite waits for ten seconds before it gives up.
    pub const ALL: [Kind; 13] = [
        Kind::Open,
        Kind::Read,
        Kind::Write,
        Kind::TornWrite,
        Kind::Sync,
        Kind::Truncate,
        Kind::Delete,
        Kind::Length,
        Kind::Lock,
        Kind::Shm,
        Kind::Link,
        Kind::Rename,
        Kind::SyncFolder,
    ];

    /// A torn write is a way in which a write fails, not another operation.
    fn counted_as(self) -> Self {
        if self == Kind::TornWrite { Kind::Write } else { self }
    }
}

/// The reason that a failure gives. The platform's VFS answers some operations with different codes for different
/// reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The device failed: EIO.
    Io,
    /// There is no room: ENOSPC. For operations other than writing, creating, linking and renaming this is the same as
    /// [`Io`](Self::Io).
    Full,
    /// Another reason: for a read one that is not of the device, such as ESTALE; for a lock that the file system has
    /// none, ENOLCK; for opening a file that its metadata cannot be read; for mapping memory that the file cannot be
    /// extended. For other operations this is the same as [`Io`](Self::Io).
    Other,
}

impl Cause {
    /// The error of the program's own operation.
    fn error(self, kind: Kind) -> io::Error {
        match (kind, self) {
            (Kind::Open | Kind::Write | Kind::Link | Kind::Rename, Cause::Full) => io::ErrorKind::StorageFull.into(),
            (Kind::Lock, Cause::Other) => io::Error::from_raw_os_error(ENOLCK),
            _ => io::Error::from_raw_os_error(EIO),
        }
    }
}

const EIO: i32 = 5;
const ENOLCK: i32 = 37;

/// Which operations are to fail, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kinds of operations that are counted, and fail.
    pub kinds: Vec<Kind>,
    /// The number of the operation that fails, counted from 1 since [`Disk::fail`].
    pub at: u64,
    /// The reason that it gives.
    pub cause: Cause,
    /// Whether all later operations of these kinds fail too.
    pub lasting: bool,
}

/// An operation on a folder or a file in it, which is named relative to the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operation {
    Create {
        file: String,
    },
    Write {
        file: String,
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        file: String,
        length: u64,
    },
    Sync {
        file: String,
    },
    /// See [`Kind::Sync`].
    SyncFailed {
        file: String,
    },
    Delete {
        file: String,
    },
    /// The file has both names.
    Link {
        from: String,
        to: String,
    },
    Rename {
        from: String,
        to: String,
    },
    SyncFolder,
}

/// A folder whose files fail on demand and whose operations are recorded, until it is dropped.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
}

impl Disk {
    /// A disk for what is directly in the folder, which must exist.
    ///
    /// # Panics
    ///
    /// If the folder does not exist, or is a disk already.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        vfs::register();
        let folder = folder.canonicalize().expect("the folder exists");
        let mut disks = all();
        assert!(disks.iter().all(|disk| disk.folder != folder), "one disk for each folder");
        let shared = Arc::new(Shared { folder, state: Mutex::default() });
        disks.push(Arc::clone(&shared));
        Self { shared }
    }

    /// Sets the fault, in place of an earlier one, and forgets whether that struck.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.shared.lock();
        (state.fault, state.matched, state.has_failed) = (Some(fault), 0, false);
    }

    /// Ends the fault. Whether it struck is kept.
    pub fn calm(&self) {
        self.shared.lock().fault = None;
    }

    /// Whether nothing is to fail.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let state = self.shared.lock();
        state.fault.is_none() && state.unreadable.is_none()
    }

    /// Makes every read fail that touches these bytes of the file, in place of an earlier such range, until
    /// [`heal`](Self::heal): a sector that the device cannot read any more.
    pub fn wear_out(&self, file: &str, bytes: Range<u64>) {
        let mut state = self.shared.lock();
        (state.unreadable, state.has_failed) = (Some((file.to_owned(), bytes)), false);
    }

    /// Makes every byte readable again. Whether a read failed is kept.
    pub fn heal(&self) {
        self.shared.lock().unreadable = None;
    }

    /// Runs `act` before the operation `at`, counted from now and from 1, of this kind.
    pub fn before(&self, kind: Kind, at: u64, act: impl FnOnce() + Send + 'static) {
        self.shared.lock().act = Some(Act { kind, left: at, run: Box::new(act) });
    }

    /// Whether an action still waits for its operation.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.shared.lock().act.is_some()
    }

    /// Whether an operation failed since [`fail`](Self::fail) or [`wear_out`](Self::wear_out).
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.lock().has_failed
    }

    /// How many operations of this kind there were, failed ones included.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.shared.lock().counts.get(&kind.counted_as()).copied().unwrap_or(0)
    }

    /// How many unnamed files SQLite has opened in this thread since the first disk. They are in the system's temporary
    /// folder, and so on no disk.
    #[must_use]
    pub fn unnamed_files() -> u64 {
        vfs::unnamed_files()
    }

    /// Makes the file system one that does not have this operation, of those that the program itself does.
    pub fn lack(&self, kind: Kind) {
        self.shared.lock().lacking.push(kind);
    }

    /// Starts a new record.
    pub fn record(&self) {
        self.shared.lock().record = Some(Vec::new());
    }

    /// How many operations are recorded so far.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.shared.lock().record.as_ref().map_or(0, Vec::len)
    }

    /// Ends the record and returns it.
    #[must_use]
    pub fn take_record(&self) -> Vec<Operation> {
        self.shared.lock().record.take().unwrap_or_default()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Files that are still open keep the shared state, but nothing fails any more.
        *self.shared.lock() = State::default();
        all().retain(|disk| !Arc::ptr_eq(disk, &self.shared));
    }
}

/// Asks the disk that the file is on, if any, before the program itself does an operation.
///
/// # Errors
///
/// If the operation is to fail.
pub fn may(kind: Kind, file: &Path) -> io::Result<()> {
    let Some((disk, name)) = Shared::of(file) else { return Ok(()) };
    if disk.lock().lacking.contains(&kind) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    match disk.failure(&[kind], &name, None) {
        None => Ok(()),
        Some((kind, cause)) => Err(cause.error(kind)),
    }
}

/// Tells the disk that the file is on, if any, what the program itself did; `operation` is given the name of the file.
pub fn done(file: &Path, operation: impl FnOnce(String) -> Operation) {
    if let Some((disk, name)) = Shared::of(file) {
        disk.note(|| operation(name));
    }
}

/// The state that a disk shares with its files.
#[derive(Debug)]
pub(crate) struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// How many operations of the kinds of the fault there were.
    matched: u64,
    has_failed: bool,
    counts: HashMap<Kind, u64>,
    /// A file and the bytes of it that cannot be read.
    unreadable: Option<(String, Range<u64>)>,
    record: Option<Vec<Operation>>,
    act: Option<Act>,
    /// The operations that the file system does not have.
    lacking: Vec<Kind>,
}

/// What happens before an operation.
struct Act {
    kind: Kind,
    left: u64,
    run: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Act").field("kind", &self.kind).field("left", &self.left).finish_non_exhaustive()
    }
}

impl State {
    /// What is to be done before an operation of this kind.
    fn take_act(&mut self, kind: Kind) -> Option<Act> {
        let act = self.act.as_mut().filter(|act| act.kind == kind)?;
        act.left -= 1;
        if act.left == 0 { self.act.take() } else { None }
    }
}

impl Shared {
    /// The disk that a file is on, and its name there. Shared memory has no name of its own.
    pub(crate) fn of(file: &Path) -> Option<(Arc<Self>, String)> {
        let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
        let found = all().iter().find(|disk| disk.folder == folder).map(Arc::clone)?;
        Some((found, name.to_owned()))
    }

    /// Counts an operation of the first of these kinds on this file; returns the one by which it is to fail, if any.
    /// `read` are the bytes that a read wants.
    pub(crate) fn failure(&self, kinds: &[Kind], file: &str, read: Option<Range<u64>>) -> Option<(Kind, Cause)> {
        // Without the lock, since it may use the disk itself.
        let act = self.lock().take_act(kinds[0]);
        if let Some(act) = act {
            (act.run)();
        }
        let mut state = self.lock();
        *state.counts.entry(kinds[0]).or_default() += 1;
        if let (Some((name, bytes)), Some(read)) = (&state.unreadable, read)
            && name == file
            && read.start < bytes.end
            && bytes.start < read.end
        {
            state.has_failed = true;
            return Some((Kind::Read, Cause::Io));
        }
        let fault = state.fault.as_ref()?;
        let kind = kinds.iter().copied().find(|kind| fault.kinds.contains(kind))?;
        let (at, cause, lasting) = (fault.at, fault.cause, fault.lasting);
        state.matched += 1;
        let fails = state.matched == at || lasting && state.matched > at;
        state.has_failed |= fails;
        fails.then_some((kind, cause))
    }

    /// How many writes there were.
    pub(crate) fn writes(&self) -> u64 {
        self.lock().counts.get(&Kind::Write).copied().unwrap_or(0)
    }

    /// Notes an operation, if a record was started.
    pub(crate) fn note(&self, operation: impl FnOnce() -> Operation) {
        if let Some(record) = &mut self.lock().record {
            record.push(operation());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every disk of this process.
fn all() -> MutexGuard<'static, Vec<Arc<Shared>>> {
    static ALL: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}
