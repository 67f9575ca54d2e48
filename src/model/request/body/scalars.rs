//! The scalar fields of the contract: the types that their JSON must have, and the limits of their values.

use std::borrow::Cow;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::model::limits::{SORT_ORDER_MAX, SORT_ORDER_MIN};
use crate::model::request::json::Value;
use crate::model::request::rule::Rule;
use crate::model::request::validation;
use crate::model::time;
use crate::model::value_type::ValueType;

pub(super) fn read_name(value: Value<'_>) -> Result<String, Rule> {
    let name = read_string(value)?;
    validation::check_name(&name)?;
    Ok(name.into_owned())
}

pub(super) fn read_description(value: Value<'_>) -> Result<Option<String>, Rule> {
    let description = read_string_or_null(value)?;
    validation::check_description(description.as_deref())?;
    Ok(description.map(Cow::into_owned))
}

pub(super) fn read_unit(value: Value<'_>) -> Result<Option<String>, Rule> {
    let unit = read_string_or_null(value)?;
    validation::check_unit(unit.as_deref())?;
    Ok(unit.map(Cow::into_owned))
}

fn read_string_or_null(value: Value<'_>) -> Result<Option<Cow<'_, str>>, Rule> {
    match value {
        Value::Null => Ok(None),
        value => read_string(value).map(Some),
    }
}

fn read_string(value: Value<'_>) -> Result<Cow<'_, str>, Rule> {
    match value {
        Value::String(text) => text.decode().ok_or(Rule::StringUnicode),
        _ => Err(Rule::StringType),
    }
}

pub(super) fn read_value_type(value: Value<'_>) -> Result<ValueType, Rule> {
    match value {
        Value::String(_) => read_string(value)?.parse().map_err(|_| Rule::Enum),
        _ => Err(Rule::Enum),
    }
}

pub(super) fn read_required(value: Value<'_>) -> Result<bool, Rule> {
    match value {
        Value::Bool(required) => Ok(required),
        value => Err(other_type(value, Rule::BoolType)),
    }
}

pub(super) fn read_sort_order(value: Value<'_>) -> Result<i64, Rule> {
    let literal = match value {
        Value::Number(literal) if !literal.contains(['.', 'e', 'E']) => literal,
        value => return Err(other_type(value, Rule::IntType)),
    };
    // An integer literal that does not fit into an i64 exceeds one of the two limits.
    let sort_order = literal.parse().map_err(|_| {
        if literal.starts_with('-') {
            Rule::GreaterThanEqual { ge: SORT_ORDER_MIN }
        } else {
            Rule::LessThanEqual { le: SORT_ORDER_MAX }
        }
    })?;
    validation::check_sort_order(sort_order)?;
    Ok(sort_order)
}

/// A `sort_order` that nobody edits: JavaScript rounds the largest ones up, beyond the limit.
pub(super) fn read_rounded_sort_order(value: Value<'_>) -> Result<i64, Rule> {
    match read_sort_order(value) {
        Err(Rule::LessThanEqual { le }) => Ok(le),
        read => read,
    }
}

/// The rule that a value of the wrong type breaks. A string with a lone surrogate breaks the rule for Unicode first.
fn other_type(value: Value<'_>, rule: Rule) -> Rule {
    match value {
        Value::String(text) if text.decode().is_none() => Rule::StringUnicode,
        _ => rule,
    }
}

pub(super) fn read_id<T: FromStr>(value: Value<'_>) -> Result<T, Rule> {
    match value {
        Value::String(_) => read_string(value)?.parse().map_err(|_| Rule::UuidParsing),
        _ => Err(Rule::UuidType),
    }
}

pub(super) fn read_id_or_null<T: FromStr>(value: Value<'_>) -> Result<Option<T>, Rule> {
    match value {
        Value::Null => Ok(None),
        value => read_id(value).map(Some),
    }
}

pub(super) fn read_time_or_null(value: Value<'_>) -> Result<Option<DateTime<Utc>>, Rule> {
    match value {
        Value::Null => Ok(None),
        Value::String(_) => time::from_text(&read_string(value)?).map(Some).map_err(|_| Rule::DatetimeParsing),
        _ => Err(Rule::DatetimeType),
    }
}
