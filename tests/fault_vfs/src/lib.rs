//! A simulated disk that fails on demand and records its operations, for the tests of `kpi-store`.
//!
//! A [`Disk`] is a folder. What SQLite does with the files in it, through a VFS that wraps the platform's and is the
//! default from the first disk on, can be made to [fail](Disk::fail) at any moment, and is [recorded](Disk::record) in
//! the order in which it was done. All other files are passed through, so that tests run beside each other.
//!
//! - Syncs of the folder that the platform's VFS does implicitly are recorded too: on Unix with the first sync of a new
//!   journal or log, and with a deletion for which SQLite requests it.
//! - Shared memory (`-shm`) can fail, but is not recorded: SQLite rebuilds it after a power cut.
//! - A VFS does not see calls that the program itself makes to the file system; it reports them by [`may`] and
//!   [`done`].
//!
//! [`memory`] lets SQLite's allocations fail.
//!
//! `unsafe` is confined to `vfs.rs` and `memory.rs`.
#![deny(unsafe_code)]

mod disk;
#[allow(unsafe_code, reason = "SQLite calls an allocator through pointers")]
pub mod memory;
#[allow(unsafe_code, reason = "SQLite calls a VFS through pointers")]
mod vfs;

pub use disk::{Cause, Disk, Fault, Kind, Operation, done, may};
