//! Reading and checking requests.
//!
//! - [`json`], [`json_object`]: a strict reader of JSON, and of the fields of an object.
//! - [`body`]: the JSON of requests, drafts and patches.
//! - [`validation`]: the limits of the contract, for requests built in code and for those read from JSON.
//! - [`rule`], [`violation`], [`violations_builder`]: what is wrong with a request.

mod body;
mod json;
mod json_object;
pub(crate) mod rule;
pub(crate) mod validation;
pub(crate) mod violation;
pub(crate) mod violations_builder;
