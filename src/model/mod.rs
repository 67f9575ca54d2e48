//! The domain: what a dataset is, what the contract allows, how it reads as JSON. No SQL, no I/O.

pub(crate) mod admission;
pub(crate) mod cursor;
pub(crate) mod dataset;
pub(crate) mod digest;
pub(crate) mod ids;
pub mod limits;
pub(crate) mod new_dataset;
mod request_json;
pub(crate) mod time;
mod validation;
pub(crate) mod value_type;
pub(crate) mod verification;
pub(crate) mod violation;
