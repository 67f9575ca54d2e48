//! The file: how it is opened, what is in it, how it is read and written. No policy.
//!
//! - [`file`]: where files are and what they are called, and all calls to the file system outside SQLite.
//! - [`connection`]: one connection, hardened.
//! - [`schema`]: what must be in the file, what may be, and how it gets there.
//! - [`open`]: the steps from a path to a connection on a file that is known to be ours.
//! - [`transaction`]: what reads and writes run in; [`read_connection`], [`write_connection`]: the connections they run on.
//!   [`budget`]: a bound on reads of files without an end. [`number`]: the numbers that datasets get.
//! - [`verification`], [`integrity`]: a check of every row, and SQLite's own; [`backup`]: a copy of all rows; [`progress`]
//!   tells how far they are.
//! - [`table`]: the statements and the row mapper of each table.
//! - [`failure`]: what the errors of SQLite and of the operating system mean.

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
