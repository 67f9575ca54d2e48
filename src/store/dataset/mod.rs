//! The operations on datasets, one in each file.
//!
//! - [`create`], [`get`], [`list`], [`count`], [`accept`].
//! - [`load`]: storing any number of datasets; [`load_options`]: its options, progress and error.
//! - [`query`]: the query of a listing.

mod accept;
mod count;
mod create;
mod get;
pub(crate) mod list;
mod load;
pub(crate) mod load_options;
pub(crate) mod query;
