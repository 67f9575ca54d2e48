//! The operations on datasets, one in each file.
//!
//! - [`create`], [`get`], [`list`], [`count`]: creating and reading.
//! - [`update`], [`create_kpi`], [`accept`]: changes of the content.
//! - [`delete`], [`restore`], [`trash`], [`purge`]: the way into the trash and out of it.
//! - [`history`], [`revert`], [`prune`]: earlier versions.
//! - [`change`]: the job and the errors that all changes share.
//! - [`load`]: storing any number of datasets; [`load_options`]: its options, progress and error.
//! - [`query`]: the query of a listing; [`pages`]: reading one to its end.

mod accept;
mod change;
mod count;
mod create;
mod create_kpi;
mod delete;
mod get;
pub(crate) mod history;
pub(crate) mod list;
mod load;
pub(crate) mod load_options;
mod pages;
mod prune;
mod purge;
pub(crate) mod query;
mod restore;
mod revert;
mod trash;
mod update;
