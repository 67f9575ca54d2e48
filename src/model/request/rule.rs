//! The rules that an input can break. Codes, messages and parameters are those of the server's response.

use std::fmt;

use serde::Serialize;

/// The rule that an input breaks, with the parameters of its message and its `ctx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Missing,
    StringType,
    StringUnicode,
    StringTooShort { min: usize },
    StringTooLong { max: usize },
    StringNul,
    BytesTooLong { max: usize },
    Enum,
    IntType,
    BoolType,
    GreaterThanEqual { ge: i64 },
    LessThanEqual { le: i64 },
    ListType,
    ModelAttributesType,
    UuidType,
    UuidParsing,
    DatetimeType,
    DatetimeParsing,
    ListTooLong { max: usize, actual: usize },
    ExtraForbidden,
    DuplicateKey,
    DuplicateId,
    AmbiguousOrder,
    JsonInvalid { reason: &'static str, line: usize, column: usize },
}

/// The names of the value types as pydantic lists them.
const EXPECTED_VALUE_TYPES: &str = "'number', 'text', 'percentage', 'date' or 'boolean'";

impl Rule {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Rule::Missing => "missing",
            Rule::StringType => "string_type",
            Rule::StringUnicode => "string_unicode",
            Rule::StringTooShort { .. } => "string_too_short",
            Rule::StringTooLong { .. } => "string_too_long",
            Rule::StringNul => "string_nul",
            Rule::BytesTooLong { .. } => "bytes_too_long",
            Rule::Enum => "enum",
            Rule::IntType => "int_type",
            Rule::BoolType => "bool_type",
            Rule::GreaterThanEqual { .. } => "greater_than_equal",
            Rule::LessThanEqual { .. } => "less_than_equal",
            Rule::ListType => "list_type",
            Rule::ModelAttributesType => "model_attributes_type",
            Rule::UuidType => "uuid_type",
            Rule::UuidParsing => "uuid_parsing",
            Rule::DatetimeType => "datetime_type",
            Rule::DatetimeParsing => "datetime_parsing",
            Rule::ListTooLong { .. } => "too_long",
            Rule::ExtraForbidden => "extra_forbidden",
            Rule::DuplicateKey => "duplicate_key",
            Rule::DuplicateId => "duplicate_id",
            Rule::AmbiguousOrder => "ambiguous_order",
            Rule::JsonInvalid { .. } => "json_invalid",
        }
    }

    /// The parameters of the rule.
    pub(super) fn context(&self) -> Option<Context<'_>> {
        Some(match self {
            Rule::StringTooShort { min } => Context::MinLength { min_length: *min },
            Rule::StringTooLong { max } | Rule::BytesTooLong { max } => Context::MaxLength { max_length: *max },
            Rule::Enum => Context::Expected { expected: EXPECTED_VALUE_TYPES },
            Rule::GreaterThanEqual { ge } => Context::Ge { ge: *ge },
            Rule::LessThanEqual { le } => Context::Le { le: *le },
            Rule::ListTooLong { max, actual } => {
                Context::List { field_type: "List", max_length: *max, actual_length: *actual }
            }
            Rule::JsonInvalid { reason, .. } => Context::Error { error: reason },
            _ => return None,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Missing => f.write_str("Field required"),
            Rule::StringType => f.write_str("Input should be a valid string"),
            Rule::StringUnicode => {
                f.write_str("Input should be a valid string, unable to parse raw data as a unicode string")
            }
            Rule::StringTooShort { min } => write!(f, "String should have at least {}", counted(*min, "character")),
            Rule::StringTooLong { max } => write!(f, "String should have at most {}", counted(*max, "character")),
            Rule::StringNul => f.write_str("String should not contain the character U+0000"),
            Rule::BytesTooLong { max } => write!(f, "Data should have at most {}", counted(*max, "byte")),
            Rule::Enum => write!(f, "Input should be {EXPECTED_VALUE_TYPES}"),
            Rule::IntType => f.write_str("Input should be a valid integer"),
            Rule::BoolType => f.write_str("Input should be a valid boolean"),
            Rule::GreaterThanEqual { ge } => write!(f, "Input should be greater than or equal to {ge}"),
            Rule::LessThanEqual { le } => write!(f, "Input should be less than or equal to {le}"),
            Rule::ListType => f.write_str("Input should be a valid list"),
            Rule::ModelAttributesType => {
                f.write_str("Input should be a valid dictionary or object to extract fields from")
            }
            Rule::UuidType => f.write_str("UUID input should be a string, bytes or UUID object"),
            Rule::UuidParsing => f.write_str("Input should be a valid UUID"),
            Rule::DatetimeType | Rule::DatetimeParsing => f.write_str("Input should be a valid datetime"),
            Rule::ListTooLong { max, actual } => {
                write!(f, "List should have at most {} after validation, not {actual}", counted(*max, "item"))
            }
            Rule::ExtraForbidden => f.write_str("Extra inputs are not permitted"),
            Rule::DuplicateKey => f.write_str("Key should appear only once"),
            Rule::DuplicateId => f.write_str("Id should appear only once"),
            Rule::AmbiguousOrder => f.write_str("Sort order should not be set together with the order of the KPIs"),
            Rule::JsonInvalid { reason, line, column } => {
                write!(f, "JSON decode error: {reason} at line {line}, column {column}")
            }
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The `ctx` of the server's response.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Context<'a> {
    MinLength { min_length: usize },
    MaxLength { max_length: usize },
    Expected { expected: &'a str },
    Ge { ge: i64 },
    Le { le: i64 },
    List { field_type: &'a str, max_length: usize, actual_length: usize },
    Error { error: &'a str },
}
