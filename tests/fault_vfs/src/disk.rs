//! What a disk is told, what it answers, and what it remembers. No pointers.

use std::collections::HashMap;
use std::io;
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
    /// Syncing a file. What is written and not synced when that fails may never reach the disk, whatever later syncs say.
    Sync,
    /// Cutting a file.
    Truncate,
    /// Removing a file.
    Delete,
    /// Asking for the length of a file.
    Length,
    /// Taking a lock on a file; giving it back does not fail.
    Lock,
    /// Mapping shared memory, or taking a lock in it.
    Shm,
    /// Renaming a file, which only the program does.
    Rename,
    /// Syncing the folder, where the program does it.
    SyncFolder,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 12] = [
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
        Kind::Rename,
        Kind::SyncFolder,
    ];

    /// A torn write is an end of the operation, not another operation.
    fn counted_as(self) -> Self {
        if self == Kind::TornWrite { Kind::Write } else { self }
    }
}

/// What a failure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The device failed.
    Io,
    /// There is no room; of operations other than writing, creating and renaming this is as [`Io`](Self::Io).
    Full,
}

/// Which operations are to fail, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kinds of operations that are counted, and fail.
    pub kinds: Vec<Kind>,
    /// The number of the operation that fails, counted from 1 and from when the disk was told.
    pub at: u64,
    /// What it says.
    pub cause: Cause,
    /// Whether all of these kinds that come later fail, too.
    pub lasting: bool,
}

/// What was done to a folder and to the files in it, each by its name in the folder.
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

    /// From now on the disk fails by this; a fault set before is forgotten, and so is whether it struck.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.shared.lock();
        (state.fault, state.matched, state.has_failed) = (Some(fault), 0, false);
    }

    /// From now on nothing fails. Whether something did is kept.
    pub fn calm(&self) {
        self.shared.lock().fault = None;
    }

    /// Whether an operation failed since the disk was told to [fail](Self::fail).
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.lock().has_failed
    }

    /// How many operations of this kind there were, failed ones included.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.shared.lock().counts.get(&kind.counted_as()).copied().unwrap_or(0)
    }

    /// From now on operations are recorded; what was recorded before is forgotten.
    pub fn record(&self) {
        self.shared.lock().record = Some(Vec::new());
    }

    /// How many operations are recorded so far.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.shared.lock().record.as_ref().map_or(0, Vec::len)
    }

    /// What was recorded; recording ends.
    #[must_use]
    pub fn take_record(&self) -> Vec<Operation> {
        self.shared.lock().record.take().unwrap_or_default()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Files that are still open keep what they share with it, but nothing fails any more.
        *self.shared.lock() = State::default();
        all().retain(|disk| !Arc::ptr_eq(disk, &self.shared));
    }
}

/// Asks the disk, if the file is on one, before the program itself does an operation.
///
/// # Errors
///
/// If the operation is to fail.
pub fn may(kind: Kind, file: &Path) -> io::Result<()> {
    match Shared::of(file).and_then(|(disk, _)| disk.failure(&[kind])) {
        None => Ok(()),
        Some((Kind::Open | Kind::Rename, Cause::Full)) => Err(io::ErrorKind::StorageFull.into()),
        Some(_) => Err(io::Error::other("the disk was told to fail")),
    }
}

/// Tells the disk, if the file is on one, what the program itself has done to it; `operation` is given its name.
pub fn done(file: &Path, operation: impl FnOnce(String) -> Operation) {
    if let Some((disk, name)) = Shared::of(file) {
        disk.note(|| operation(name));
    }
}

/// What a disk shares with its files.
#[derive(Debug)]
pub(crate) struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// How many operations the fault was counted for.
    matched: u64,
    has_failed: bool,
    counts: HashMap<Kind, u64>,
    record: Option<Vec<Operation>>,
}

impl Shared {
    /// The disk that a file is on, and its name there. Shared memory has no name of its own.
    pub(crate) fn of(file: &Path) -> Option<(Arc<Self>, String)> {
        let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
        let found = all().iter().find(|disk| disk.folder == folder).map(Arc::clone)?;
        Some((found, name.to_owned()))
    }

    /// Counts an operation of the first of these kinds; says by which of them it is to fail, if it is.
    pub(crate) fn failure(&self, kinds: &[Kind]) -> Option<(Kind, Cause)> {
        let mut state = self.lock();
        *state.counts.entry(kinds[0]).or_default() += 1;
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

    /// Notes an operation, if anyone wants to know.
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
