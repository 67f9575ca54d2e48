//! The operations on datasets: a file for each.
//!
//! - [`create`], [`get`], [`list`], [`count`], [`accept`].
//! - [`load`]: any number of datasets; [`load_options`]: how, and what it tells.
//! - [`query`]: what a listing is asked.

mod accept;
mod count;
mod create;
mod get;
pub(crate) mod list;
mod load;
pub(crate) mod load_options;
pub(crate) mod query;
