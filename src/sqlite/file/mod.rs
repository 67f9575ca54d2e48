//! The file and its companions as the operating system sees them.
//!
//! - [`path`]: resolving a path to the real file.
//! - [`stat`]: the identity, the length and the last change of a file.
//! - [`companions`]: the `-wal`, `-journal` and `-shm` that SQLite keeps beside it.
//! - [`draft`]: a temporary file that gets its name when it is complete.
//! - [`folder`]: the folder of a file.
//! - [`mounts`]: files that are mount points.
//! - [`disk`]: all calls to the file system.
//!
//! IMPORTANT: an existing database is never opened here. Closing any descriptor of a file drops all POSIX locks that
//! the process holds on it, including those of SQLite (<https://sqlite.org/howtocorrupt.html>, section 2.2). So its
//! length comes from `stat`, and other threads cannot open a new file until the descriptor that created it is closed.

pub(super) mod companions;
mod disk;
pub(super) mod draft;
pub(super) mod folder;
mod mounts;
pub(super) mod path;
pub(super) mod stat;
