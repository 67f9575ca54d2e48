//! A disk that fails on demand and remembers what was written to it: for the tests of `kpi-store`.
//!
//! A [`Disk`] is a folder. What SQLite does with the files in it, through a VFS that wraps the platform's and is the
//! default from the first disk on, can be made to [fail](Disk::fail) at any moment, and is [recorded](Disk::record) in
//! the order in which it was done. All other files are passed through, so that tests run beside each other.
//!
//! - What the platform's VFS does unasked is recorded as if it had been seen: on Unix the folder is synced with the
//!   first sync of a new journal or log, and with a deletion for which SQLite asks for it.
//! - Shared memory (`-shm`) can fail, but is not recorded: SQLite makes it anew after a power cut.
//! - Calls that a program makes beside SQLite are not seen by a VFS; it tells them by [`may`] and [`done`].
//!
//! [`memory`] lets SQLite's allocations fail.
//!
//! `unsafe` stands in `vfs.rs` and `memory.rs` alone.
#![deny(unsafe_code)]

mod disk;
#[allow(unsafe_code, reason = "SQLite calls an allocator through pointers")]
pub mod memory;
#[allow(unsafe_code, reason = "SQLite calls a VFS through pointers")]
mod vfs;

pub use disk::{Cause, Disk, Fault, Kind, Operation, done, may};
