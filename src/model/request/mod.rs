//! Reading and checking requests.
//!
//! - [`json`], [`json_object`]: a strict reader of JSON, and of the fields of an object.
//! - [`request_json`]: the fields of the contract in the JSON of a request.
//! - [`validation`]: the limits of the contract, for requests built in code and for those read from JSON.
//! - [`rule`], [`violation`], [`violations_builder`]: what is wrong with a request.

mod json;
mod json_object;
mod request_json;
pub(crate) mod rule;
pub(super) mod validation;
pub(crate) mod violation;
pub(crate) mod violations_builder;
