//! The domain: datasets and KPIs, the limits of the contract, and their JSON. No SQL, no I/O.
//!
//! - [`new_dataset`]: the request to create a dataset; [`request`]: reading and checking requests; [`limits`].
//! - [`dataset`], [`value_type`]: the values that are stored and returned; [`record`]: a dataset with the columns that
//!   only the store needs; [`digest`].
//! - [`draft`], [`patch`]: requests to change a dataset; [`content`]: the content that they give to it; [`order`]: the
//!   `sort_order` of its KPIs.
//! - [`change`]: a change and the rows that it writes; [`replaced`]: the values that it replaced; [`earlier`]: earlier
//!   versions, put together from these values.
//! - [`version`], [`history_keep`]: the history, and the rules for pruning it; [`state`]: whether a dataset is in the
//!   trash.
//! - [`diff`], [`merge`]: the differences between two versions; merging a draft with another version.
//! - [`ids`], [`id_source`], [`uuid_v7`]: identifiers, and where they come from. [`time`](mod@time): times as the
//!   contract prints them.
//! - [`version`], [`replaced`], [`earlier`]: what the history stores, and putting earlier versions together.
//! - [`page`], [`cursor`], [`filter`], [`summary`]: listings. [`search`]: text search.
//! - [`changes`]: what has changed since a cursor. [`property`]: what an application keeps beside its datasets.
//! - [`verification`], [`statistics`], [`progress`]: what operations on the file return and report.

pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod content;
pub(crate) mod cursor;
pub(crate) mod dataset;
pub(crate) mod diff;
pub(crate) mod digest;
pub(crate) mod draft;
pub(crate) mod durability;
pub(crate) mod earlier;
pub(crate) mod filter;
mod from_str_visitor;
pub(crate) mod history_keep;
pub(crate) mod id_source;
pub(crate) mod ids;
pub mod limits;
pub(crate) mod merge;
pub(crate) mod new_dataset;
mod order;
pub(crate) mod page;
pub(crate) mod patch;
pub(crate) mod progress;
pub(crate) mod property;
pub(crate) mod record;
pub(crate) mod replaced;
pub(crate) mod request;
pub(crate) mod search;
pub(crate) mod state;
pub(crate) mod statistics;
pub(crate) mod summary;
pub(crate) mod time;
mod uuid_v7;
pub(crate) mod value_type;
pub(crate) mod verification;
pub(crate) mod version;
