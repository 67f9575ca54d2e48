//! The file: opening it, its schema, reading and writing its rows.
//!
//! - [`mod@file`]: paths and file names, and all calls to the file system outside SQLite. [`open_files`]: which files this
//!   process has open, for after a fork. [`commit_signal`]: waking the threads that wait for commits to one of them.
//! - [`connection`]: hardened connections. [`database`]: a file that was opened, and further connections to it.
//! - [`deadline`]: how long a call may wait, and how it waits for the write lock.
//! - [`open`]: the steps from a path to the first connection to a file that is known to be a store.
//! - [`schema`]: the objects that the file must and may contain, and the migrations that create them.
//! - [`snapshot`]: what reads run on; [`read_connection`]: the connection for them; [`frozen`]: a file that is read
//!   without locks; [`budget`]: a bound on reading a malformed file.
//! - [`polling`]: whether another connection has changed the file.
//! - [`transaction`]: what writes run in, and the connection for them; [`sequence`]: the sequence numbers of datasets.
//! - [`wal`]: checkpointing and truncating the write-ahead log.
//! - [`table`]: the columns, statements and row mapper of each table.
//! - [`diagnosis`]: whether what SQLite calls malformed is damage, or a read that failed.
//! - [`verification`], [`integrity`]: a check of every row, and SQLite's own; [`backup`]: a copy of the database;
//!   [`vacuum`]: writing it anew; [`statistics`]: what it contains; [`progress`]: their progress callbacks.
//! - [`failure`]: converting the errors of SQLite and of the operating system.

pub(crate) mod backup;
mod budget;
pub(crate) mod commit_signal;
pub(crate) mod connection;
pub(crate) mod database;
pub(crate) mod deadline;
mod diagnosis;
pub(crate) mod failure;
mod file;
mod frozen;
mod integrity;
pub(crate) mod open;
mod open_files;
pub(crate) mod polling;
pub(crate) mod progress;
pub(crate) mod read_connection;
pub(crate) mod schema;
mod sequence;
pub(crate) mod snapshot;
pub(crate) mod statistics;
pub(crate) mod table;
pub(crate) mod transaction;
pub(crate) mod vacuum;
pub(crate) mod verification;
pub(crate) mod wal;
