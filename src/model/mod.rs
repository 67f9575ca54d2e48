//! The domain: datasets and KPIs, the limits of the contract, and their JSON. No SQL, no I/O.

pub(crate) mod cursor;
pub(crate) mod dataset;
pub(crate) mod digest;
pub(crate) mod durability;
mod from_str_visitor;
pub(crate) mod ids;
mod json;
mod json_object;
pub mod limits;
pub(crate) mod new_dataset;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod record;
mod request_json;
pub(crate) mod rule;
pub(crate) mod time;
pub(crate) mod uuid_v7;
mod validation;
pub(crate) mod value_type;
pub(crate) mod verification;
pub(crate) mod violation;
pub(crate) mod violations_builder;
