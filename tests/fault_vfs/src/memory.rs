//! SQLite's own allocator, whose allocations can be made to fail.
//!
//! A fault is set for one thread, so that tests run in parallel.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::{Once, OnceLock};

use rusqlite::ffi;
use rusqlite::ffi::sqlite3_mem_methods;

/// Which allocations of a thread fail.
#[derive(Clone, Copy)]
struct Shortage {
    /// The number of the first that fails; none if 0.
    at: u64,
    lasting: bool,
    /// How many allocations there were since.
    count: u64,
}

thread_local! {
    static SHORTAGE: Cell<Shortage> = const { Cell::new(Shortage { at: 0, lasting: false, count: 0 }) };
}

/// Replaces SQLite's allocator, and turns off its pool of small allocations, which would hide some of them.
///
/// # Panics
///
/// If SQLite was used before in this process.
pub fn take_over() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut own = std::mem::MaybeUninit::<sqlite3_mem_methods>::zeroed();
        // SAFETY: SQLite fills what it is given; its answer is asked for before it is used.
        let own = unsafe {
            assert_eq!(ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, own.as_mut_ptr()), ffi::SQLITE_OK);
            own.assume_init()
        };
        let ours = sqlite3_mem_methods { xMalloc: Some(allocate), xRealloc: Some(reallocate), ..own };
        OWN.get_or_init(|| Own(own));
        let none: c_int = 0;
        // SAFETY: SQLite copies what it is given.
        let codes = unsafe {
            [
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const ours),
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, none, none),
            ]
        };
        assert_eq!(codes, [ffi::SQLITE_OK; 2], "SQLite was used before");
    });
}

/// Makes allocation number `at` of this thread fail, and all later ones too if that is lasting.
pub fn fail(at: u64, lasting: bool) {
    SHORTAGE.set(Shortage { at, lasting, count: 0 });
}

/// Ends the fault, and returns whether it struck.
#[must_use]
pub fn calm() -> bool {
    let Shortage { at, count, .. } = SHORTAGE.get();
    fail(0, false);
    at != 0 && count >= at
}

fn fails() -> bool {
    let mut shortage = SHORTAGE.get();
    shortage.count += 1;
    SHORTAGE.set(shortage);
    let Shortage { at, lasting, count } = shortage;
    at != 0 && (count == at || lasting && count > at)
}

/// SQLite's own methods.
static OWN: OnceLock<Own> = OnceLock::new();

struct Own(sqlite3_mem_methods);
// SAFETY: SQLite itself uses them from any thread, and nothing changes them.
unsafe impl Send for Own {}
// SAFETY: as above.
unsafe impl Sync for Own {}

fn own() -> &'static sqlite3_mem_methods {
    &OWN.get().expect("SQLite does not call these before it was given them").0
}

unsafe extern "C" fn allocate(length: c_int) -> *mut c_void {
    let allocate = own().xMalloc.expect("every allocator allocates");
    // SAFETY: SQLite's own method, called as SQLite would.
    if fails() { std::ptr::null_mut() } else { unsafe { allocate(length) } }
}

unsafe extern "C" fn reallocate(memory: *mut c_void, length: c_int) -> *mut c_void {
    let reallocate = own().xRealloc.expect("every allocator reallocates");
    // SAFETY: as above; what was allocated by `allocate` is of the same allocator.
    if fails() { std::ptr::null_mut() } else { unsafe { reallocate(memory, length) } }
}
