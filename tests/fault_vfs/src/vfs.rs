//! The VFS: the platform's, with a check before each operation and a record after it.
//!
//! A file of this VFS is a small header with the platform's file after it, in memory that SQLite provides. SQLite uses
//! a file from one thread at a time, and not after it was closed.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};

use rusqlite::ffi;
use rusqlite::ffi::{sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use crate::disk::{Cause, Kind, Operation, Shared};

const SECTOR: usize = 512;

/// The platform's VFS.
static PLATFORM: OnceLock<Platform> = OnceLock::new();

struct Platform(*mut sqlite3_vfs);
// SAFETY: SQLite itself uses a registered VFS from any thread.
unsafe impl Send for Platform {}
// SAFETY: as above.
unsafe impl Sync for Platform {}

/// What SQLite sees as a file of this VFS: it reads `methods` and nothing else.
#[repr(C)]
struct Header {
    methods: *const sqlite3_io_methods,
    /// Null if the file is on no disk; else made of a box, and freed with the file.
    tracked: *mut Tracked,
}

/// A file that is on a disk.
struct Tracked {
    disk: Arc<Shared>,
    name: String,
    /// On Unix, the platform syncs the folder with the first sync of a new journal or log.
    syncs_folder: bool,
}

/// Makes this VFS the default one, once.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default VFS lives as long as the process, and is initialized once it is found.
        let (platform, of_platform) = unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
            let platform = ffi::sqlite3_vfs_find(std::ptr::null());
            (platform, *platform)
        };
        let header = c_int::try_from(size_of::<Header>()).expect("it is small");
        PLATFORM.get_or_init(|| Platform(platform));
        // The inherited methods find their data in `pAppData`, as in their own VFS.
        let ours = Box::leak(Box::new(sqlite3_vfs {
            szOsFile: header + of_platform.szOsFile,
            pNext: std::ptr::null_mut(),
            zName: c"kpi_store_faults".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..of_platform
        }));
        // SAFETY: `ours` is never freed.
        assert_eq!(unsafe { ffi::sqlite3_vfs_register(ours, 1) }, ffi::SQLITE_OK);
    });
}

fn platform() -> *mut sqlite3_vfs {
    PLATFORM.get().expect("nothing calls this VFS before it is registered").0
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a name that ends with NUL, or null for a file that needs none.
    let path = unsafe { path(name) };
    let found = path.as_deref().and_then(Shared::of);
    // SAFETY: the memory is as long as `szOsFile` says and aligned for pointers; SQLite closes no file without methods.
    unsafe { file.cast::<Header>().write(Header { methods: std::ptr::null(), tracked: std::ptr::null_mut() }) };
    if path.is_none() || flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0 {
        UNNAMED_FILES.set(UNNAMED_FILES.get() + 1);
    }
    if let Some((_, cause)) = found.as_ref().and_then(|(disk, name)| disk.failure(&[Kind::Open], name, None)) {
        return code_of_open(cause, flags);
    }
    let is_new = path.is_some_and(|path| !is_there(&path));
    // SAFETY: behind the header there is as much memory as the platform asks for; its VFS is given with its own method.
    let (code, has_shm) = unsafe {
        let behind = behind(file);
        (*behind).pMethods = std::ptr::null();
        let open = (*platform()).xOpen.expect("every VFS opens");
        let code = open(platform(), name, behind, flags, out_flags);
        let has_shm = !(*behind).pMethods.is_null() && (*(*behind).pMethods).xShmMap.is_some();
        if code != ffi::SQLITE_OK && !(*behind).pMethods.is_null() {
            (*(*behind).pMethods).xClose.expect("every file closes")(behind);
        }
        (code, has_shm)
    };
    if code != ffi::SQLITE_OK {
        return code;
    }
    let tracked = found.map_or(std::ptr::null_mut(), |(disk, name)| {
        if is_new {
            disk.note(|| Operation::Create { file: name.clone() });
        }
        let journal = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
        let syncs_folder = cfg!(unix) && flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journal != 0;
        Box::into_raw(Box::new(Tracked { disk, name, syncs_folder }))
    });
    let methods = if has_shm { &raw const WITH_SHM } else { &raw const WITHOUT_SHM };
    // SAFETY: as above.
    unsafe { file.cast::<Header>().write(Header { methods, tracked }) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: SQLite gives a name that ends with NUL.
    let found = unsafe { path(name) }.as_deref().and_then(Shared::of);
    if let Some((kind, cause)) = found.as_ref().and_then(|(disk, name)| disk.failure(&[Kind::Delete], name, None)) {
        return code(kind, cause);
    }
    // SAFETY: the platform's VFS is given with its own method.
    let deleted = unsafe { (*platform()).xDelete.expect("every VFS deletes")(platform(), name, sync_folder) };
    if let Some((disk, file)) = found.filter(|_| deleted == ffi::SQLITE_OK) {
        disk.note(|| Operation::Delete { file: file.clone() });
        if cfg!(unix) && sync_folder != 0 {
            if let Some((kind, cause)) = disk.failure(&[Kind::SyncFolder], &file, None) {
                return code(kind, cause);
            }
            disk.note(|| Operation::SyncFolder);
        }
    }
    deleted
}

/// # Safety
///
/// `name` must be null or end with NUL.
unsafe fn path(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: the caller's promise. What is not UTF-8 is on no disk.
    let name = if name.is_null() { None } else { unsafe { CStr::from_ptr(name) }.to_str().ok() };
    name.map(PathBuf::from)
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

thread_local! {
    static UNNAMED_FILES: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn unnamed_files() -> u64 {
    UNNAMED_FILES.get()
}

/// The code with which SQLite's VFS for Unix answers the failure of an operation; the functions are those of its
/// `os_unix.c`.
///
/// Some failures it does not report, and they are not simulated: a name that cannot be looked up counts as missing
/// (`unixAccess`), and a folder that cannot be synced with its new journal or log is passed over (`unixSync`).
fn code(kind: Kind, cause: Cause) -> c_int {
    match (kind, cause) {
        (Kind::Open, _) => ffi::SQLITE_CANTOPEN,
        // `unixWrite`: ENOSPC, and a write of nothing; anything else, EDQUOT among it, is an I/O error.
        (Kind::Write | Kind::TornWrite, Cause::Full) => ffi::SQLITE_FULL,
        (Kind::Write | Kind::TornWrite, _) => ffi::SQLITE_IOERR_WRITE,
        // `unixRead`: EIO, ENXIO, ERANGE and EDEVERR; then anything else.
        (Kind::Read, Cause::Io | Cause::Full) => ffi::SQLITE_IOERR_CORRUPTFS,
        (Kind::Read, Cause::Other) => ffi::SQLITE_IOERR_READ,
        // `unixSync`, whatever the reason.
        (Kind::Sync, _) => ffi::SQLITE_IOERR_FSYNC,
        // `unixDelete`, for the folder of the deleted file.
        (Kind::SyncFolder, _) => ffi::SQLITE_IOERR_DIR_FSYNC,
        // `unixTruncate`, `unixDelete`, `unixFileSize`.
        (Kind::Truncate, _) => ffi::SQLITE_IOERR_TRUNCATE,
        (Kind::Delete, _) => ffi::SQLITE_IOERR_DELETE,
        (Kind::Length, _) => ffi::SQLITE_IOERR_FSTAT,
        // `unixLock`, `sqliteErrorFromPosixError`: ENOLCK is answered like a lock that is held; `unixShmSystemLock` answers
        // every reason like that.
        (Kind::Lock, Cause::Other) | (Kind::ShmLock, _) => ffi::SQLITE_BUSY,
        (Kind::Lock, _) => ffi::SQLITE_IOERR_LOCK,
        // `unixShmMap`: mmap; then a file that cannot be extended, or whose length cannot be read.
        (Kind::Shm, Cause::Io) => ffi::SQLITE_IOERR_SHMMAP,
        (Kind::Shm, _) => ffi::SQLITE_IOERR_SHMSIZE,
        (Kind::Link | Kind::Rename, _) => unreachable!("SQLite links and renames nothing"),
    }
}

/// `unixOpen`: a file that cannot be opened or created is answered with `SQLITE_CANTOPEN`. Where the metadata cannot be
/// read, `findInodeInfo` answers for the main file, and `getFileMode` for a journal or log that is to be created.
fn code_of_open(cause: Cause, flags: c_int) -> c_int {
    match cause {
        Cause::Other if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => ffi::SQLITE_IOERR,
        Cause::Other if flags & ffi::SQLITE_OPEN_CREATE != 0 => ffi::SQLITE_IOERR_FSTAT,
        _ => ffi::SQLITE_CANTOPEN,
    }
}

/// The platform's file.
fn behind(file: *mut sqlite3_file) -> *mut sqlite3_file {
    file.cast::<Header>().wrapping_add(1).cast()
}

/// Calls a method of the platform's file.
///
/// SAFETY of its use: `$file` was opened by [`open`] and is not closed, so that the file behind it has the methods of
/// an open file; a method for shared memory is called only where [`WITH_SHM`] was given, and `$arg` are SQLite's.
macro_rules! platform {
    ($file:ident.$method:ident($($arg:expr),*)) => {{
        let behind = behind($file);
        // SAFETY: see the macro.
        unsafe { (*(*behind).pMethods).$method.expect("the platform has it")(behind, $($arg),*) }
    }};
}

/// The state of a file; `None` if it is on no disk.
fn tracked<'a>(file: *mut sqlite3_file) -> Option<&'a mut Tracked> {
    // SAFETY: only methods of open files call this; one thread uses a file at a time, and the box lives until it is
    // closed.
    unsafe { (*file.cast::<Header>()).tracked.as_mut() }
}

/// How an operation is to fail, if it is.
fn failure(file: *mut sqlite3_file, kind: Kind) -> Option<c_int> {
    failure_within(file, kind, None)
}

/// The same for a read of these bytes.
fn failure_within(file: *mut sqlite3_file, kind: Kind, read: Option<Range<u64>>) -> Option<c_int> {
    let Tracked { disk, name, .. } = tracked(file)?;
    disk.failure(&[kind], name, read).map(|(kind, cause)| code(kind, cause))
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let code = platform!(file.xClose());
    if let Some(tracked) = tracked(file) {
        // SAFETY: it was made of a box, and SQLite does not use the file any more.
        drop(unsafe { Box::from_raw(tracked) });
    }
    code
}

unsafe extern "C" fn read(file: *mut sqlite3_file, buffer: *mut c_void, length: c_int, offset: sqlite3_int64) -> c_int {
    let begin = offset.cast_unsigned();
    let bytes = begin..begin + u64::from(length.unsigned_abs());
    failure_within(file, Kind::Read, Some(bytes)).unwrap_or_else(|| platform!(file.xRead(buffer, length, offset)))
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    data: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let Some(Tracked { disk, name, .. }) = tracked(file) else {
        return platform!(file.xWrite(data, length, offset));
    };
    let whole = usize::try_from(length).expect("lengths are not negative");
    let failure = disk.failure(&[Kind::Write, Kind::TornWrite], name, None);
    let written = match failure {
        None => whole,
        Some((Kind::TornWrite, _)) => {
            usize::try_from(disk.writes()).expect("they are few") % whole.div_ceil(SECTOR) * SECTOR
        }
        Some(_) => 0,
    };
    let code_of_failure = failure.map(|(kind, cause)| code(kind, cause));
    if written == 0 {
        return code_of_failure.unwrap_or(ffi::SQLITE_OK);
    }
    let code = platform!(file.xWrite(data, c_int::try_from(written).expect("no longer than the whole"), offset));
    if code == ffi::SQLITE_OK {
        // SAFETY: SQLite gives `length` bytes, of which these are the first.
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), written) };
        let offset = offset.cast_unsigned();
        disk.note(|| Operation::Write { file: name.clone(), offset, data: data.to_vec() });
    }
    code_of_failure.unwrap_or(code)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    if let Some(code) = failure(file, Kind::Truncate) {
        return code;
    }
    let code = platform!(file.xTruncate(length));
    if let Some(Tracked { disk, name, .. }) = tracked(file).filter(|_| code == ffi::SQLITE_OK) {
        disk.note(|| Operation::Truncate { file: name.clone(), length: length.cast_unsigned() });
    }
    code
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let failure = failure(file, Kind::Sync);
    let code = failure.unwrap_or_else(|| platform!(file.xSync(flags)));
    if let Some(Tracked { disk, name, syncs_folder }) = tracked(file) {
        let file = name.clone();
        if code != ffi::SQLITE_OK {
            disk.note(|| Operation::SyncFailed { file });
            return code;
        }
        disk.note(|| Operation::Sync { file });
        if std::mem::take(syncs_folder) {
            disk.note(|| Operation::SyncFolder);
        }
    }
    code
}

unsafe extern "C" fn length(file: *mut sqlite3_file, length: *mut sqlite3_int64) -> c_int {
    failure(file, Kind::Length).unwrap_or_else(|| platform!(file.xFileSize(length)))
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    failure(file, Kind::Lock).unwrap_or_else(|| platform!(file.xLock(level)))
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    platform!(file.xUnlock(level))
}

unsafe extern "C" fn is_reserved(file: *mut sqlite3_file, result: *mut c_int) -> c_int {
    // `unixCheckReservedLock` has one answer for every reason.
    if failure(file, Kind::Lock).is_some() {
        return ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
    }
    platform!(file.xCheckReservedLock(result))
}

unsafe extern "C" fn control(file: *mut sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    platform!(file.xFileControl(operation, argument))
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    platform!(file.xSectorSize())
}

unsafe extern "C" fn characteristics(file: *mut sqlite3_file) -> c_int {
    platform!(file.xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    mapped: *mut *mut c_void,
) -> c_int {
    failure(file, Kind::Shm).unwrap_or_else(|| platform!(file.xShmMap(page, size, extend, mapped)))
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    let failure = if flags & ffi::SQLITE_SHM_LOCK == 0 { None } else { failure(file, Kind::ShmLock) };
    failure.unwrap_or_else(|| platform!(file.xShmLock(offset, count, flags)))
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    platform!(file.xShmBarrier());
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    platform!(file.xShmUnmap(delete))
}

/// Version 2: SQLite maps no file of it, so that every read and write is seen.
static WITH_SHM: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(length),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(is_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// For a file that the platform opens without locks, a log among them.
static WITHOUT_SHM: sqlite3_io_methods = sqlite3_io_methods { iVersion: 1, xShmMap: None, ..WITH_SHM };
