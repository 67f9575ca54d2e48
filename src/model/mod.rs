//! The domain: datasets and KPIs, the limits of the contract, and their JSON. No SQL, no I/O.
//!
//! - [`new_dataset`]: what is asked for; [`request`]: reading and checking it; [`limits`].
//! - [`dataset`], [`value_type`]: what is stored and returned; [`record`]: with what is stored beside it; [`digest`].
//! - [`draft`], [`patch`]: changes of what is stored; [`content`]: what they make of it; [`order`]: the `sort_order` of
//!   KPIs.
//! - [`diff`], [`merge`]: what two versions differ in, and bringing them together.
//! - [`ids`], [`id_source`], [`uuid_v7`]: identifiers, and where they come from. [`time`](mod@time): times as the
//!   contract prints them.
//! - [`version`], [`replaced`], [`earlier`]: what the history stores, and putting earlier versions together.
//! - [`page`], [`cursor`]: listings. [`verification`], [`progress`]: what long operations return and report.

pub(crate) mod change;
pub(crate) mod content;
pub(crate) mod cursor;
pub(crate) mod dataset;
pub(crate) mod diff;
pub(crate) mod digest;
pub(crate) mod draft;
pub(crate) mod durability;
pub(crate) mod earlier;
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
pub(crate) mod record;
pub(crate) mod replaced;
pub(crate) mod request;
pub(crate) mod state;
pub(crate) mod time;
mod uuid_v7;
pub(crate) mod value_type;
pub(crate) mod verification;
pub(crate) mod version;
