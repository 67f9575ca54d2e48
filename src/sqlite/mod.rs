//! The file: how it is opened, what is in it, how it is read and written. No policy.
//!
//! - [`files`]: where files are and what they are called; [`disk`]: the calls outside SQLite that change them.
//! - [`forks`]: which files are open, lest a forked child use them.
//! - [`connection`]: one connection, hardened.
//! - [`opening`]: the steps from a path to a connection on a file that is known to be ours.
//! - [`schema`], [`migration`]: what must be in the file, and how it gets there.
//! - [`transaction`]: begin, commit, roll back.
//! - [`verification`], [`backup`]: a look at every row, and a copy of all of them; [`progress`] tells how far they are.
//! - [`dataset`], [`kpi`]: the statements and the row mapper of each table; [`row`]: columns as borrowed, checked values.

pub(crate) mod backup;
pub(crate) mod connection;
pub(crate) mod dataset;
mod disk;
mod files;
mod forks;
mod kpi;
mod migration;
pub(crate) mod opening;
pub(crate) mod progress;
mod row;
pub(crate) mod schema;
pub(crate) mod transaction;
pub(crate) mod verification;
