//! The file and its companions as the operating system sees them.
//!
//! - [`path`]: from the path that was given to the one real file behind it.
//! - [`stat`]: which file has a name, how long it is, when it was changed.
//! - [`companions`]: the `-wal`, `-journal` and `-shm` that SQLite keeps beside it.
//! - [`draft`]: a new file, written under another name and then published.
//! - [`folder`]: the folder of a file.
//! - [`disk`]: the calls to the file system, of which there are none elsewhere.
//!
//! IMPORTANT: an existing database is never opened here. Closing any descriptor of a file drops all POSIX locks that the
//! process holds on it, those of SQLite included (<https://sqlite.org/howtocorrupt.html>, section 2.2). So its length
//! comes from `stat`, and a file that is being made is hidden from other threads until its descriptor is closed.

pub(super) mod companions;
mod disk;
pub(super) mod draft;
pub(super) mod folder;
pub(super) mod path;
pub(super) mod stat;
