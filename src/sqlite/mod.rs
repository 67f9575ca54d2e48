//! The file: opening it, its schema, reading and writing its rows. No policy.
//!
//! - [`mod@file`]: paths and file names, and all calls to the file system outside SQLite.
//! - [`connection`]: hardened connections.
//! - [`schema`]: the objects that the file must and may contain, and the migrations that create them.
//! - [`open`]: the steps from a path to a connection to a file that is known to be a store.
//! - [`transaction`]: snapshots and transactions; [`read_connection`], [`write_connection`]: the connections they run
//!   on. [`budget`]: a bound on the work of reading a malformed file. [`number`]: the sequence numbers of datasets.
//! - [`verification`], [`integrity`]: a check of every row, and SQLite's own; [`backup`]: a copy of the database;
//!   [`progress`]: their progress callbacks.
//! - [`table`]: the statements and the row mapper of each table.
//! - [`failure`]: converting the errors of SQLite and of the operating system.

pub(crate) mod backup;
mod budget;
pub(crate) mod connection;
pub(crate) mod failure;
mod file;
mod integrity;
mod number;
pub(crate) mod open;
pub(crate) mod progress;
pub(crate) mod read_connection;
pub(crate) mod schema;
pub(crate) mod table;
pub(crate) mod transaction;
pub(crate) mod verification;
pub(crate) mod write_connection;
