//! Reading the JSON of a body: what it must be as a whole, and a file for each type that is read from one.
//!
//! - [`new_dataset`], [`new_kpi`]: the requests of the contract.
//! - [`draft`], [`patch`]: a response as a web view edited it, and a merge patch of one.
//! - [`kpis`], [`scalars`]: the fields that they share.

mod draft;
mod kpis;
mod new_dataset;
mod new_kpi;
mod patch;
mod scalars;

use super::json::{Reader, SyntaxError, Value};
use super::json_object::decode;
use super::rule::Rule;
use super::violation::{Segment, Violations};
use super::violations_builder::ViolationsBuilder;

/// Reads a body, which must be an object, with `read_object`; its opening brace is read before.
fn read<T>(
    body: &[u8],
    read_object: impl FnOnce(&mut Reader<'_>, &mut ViolationsBuilder) -> Result<Option<T>, SyntaxError>,
) -> Result<T, Violations> {
    if body.is_empty() {
        return Err(Violations::one(vec![Segment::key("body")], Rule::Missing));
    }
    let text = text_of(body)?;
    let mut violations = ViolationsBuilder::in_body();
    let mut reader = Reader::new(text);
    let object = read_item(&mut reader, &mut violations, read_object)
        .and_then(|object| reader.finish().map(|()| object))
        .map_err(|error| not_json(text, &error))?;
    violations.finish()?;
    // Without a violation every required field is present, so this error never occurs.
    object.ok_or_else(|| Violations::one(vec![Segment::key("body")], Rule::Missing))
}

/// Reads a value, which must be an object, with `read_object`; its opening brace is read before.
fn read_item<'a, T>(
    reader: &mut Reader<'a>,
    violations: &mut ViolationsBuilder,
    read_object: impl FnOnce(&mut Reader<'a>, &mut ViolationsBuilder) -> Result<Option<T>, SyntaxError>,
) -> Result<Option<T>, SyntaxError> {
    match reader.value()? {
        Value::Object => read_object(reader, violations),
        value => {
            if let Value::String(text) = value {
                decode(text)?;
            }
            reader.skip_rest(value)?;
            violations.add(Rule::ModelAttributesType);
            Ok(None)
        }
    }
}

/// The body as text: UTF-8 without a byte order mark.
fn text_of(body: &[u8]) -> Result<&str, Violations> {
    let reason = match body {
        [0xEF, 0xBB, 0xBF, ..] => "a UTF-8 byte order mark; expected JSON without one",
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => "a UTF-32 byte order mark; expected UTF-8 without one",
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "a UTF-16 byte order mark; expected UTF-8 without one",
        _ => {
            return std::str::from_utf8(body).map_err(|error| {
                let valid = body.get(..error.valid_up_to()).unwrap_or_default();
                let error = SyntaxError { offset: valid.len(), reason: "invalid UTF-8" };
                not_json(std::str::from_utf8(valid).unwrap_or_default(), &error)
            });
        }
    };
    Err(not_json("", &SyntaxError { offset: 0, reason }))
}

/// The single violation of a body that is not JSON, with the code point, line and column of the unexpected byte.
fn not_json(text: &str, error: &SyntaxError) -> Violations {
    let before = text.get(..error.offset).unwrap_or(text);
    let line_before = before.rsplit('\n').next().unwrap_or_default();
    let rule = Rule::JsonInvalid {
        reason: error.reason,
        line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
        column: 1 + line_before.chars().count(),
    };
    Violations::one(vec![Segment::key("body"), Segment::Index(before.chars().count())], rule)
}
