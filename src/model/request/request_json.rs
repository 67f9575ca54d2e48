//! Reading the JSON body of a request: the fields of the contract, and the rules that their values must follow.

use std::borrow::Cow;

use super::json::{Reader, SyntaxError, Value};
use super::json_object::{Field, ObjectReader, decode};
use super::rule::Rule;
use super::validation;
use super::violation::{Segment, Violations};
use super::violations_builder::ViolationsBuilder;
use crate::model::limits::{KPIS_IN_REQUEST_MAX, SORT_ORDER_MAX, SORT_ORDER_MIN};
use crate::model::new_dataset::{NewDataset, NewKpi};
use crate::model::value_type::ValueType;

impl NewDataset {
    /// Reads the JSON body of a *Create Dataset* request.
    ///
    /// The server accepts every body that this function accepts. Whatever the server rejects, this function rejects at
    /// the same path, with the code of pydantic's strict mode. It is stricter than the server where the stored value
    /// would differ from the request: it also rejects unknown and repeated keys, numbers in strings, and U+0000.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first: in the order of the fields, depth first, KPIs by
    /// index. A body that is not JSON has the single violation `json_invalid`, an empty body the single violation
    /// `missing`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::NewDataset;
    ///
    /// let request = NewDataset::from_json(r#"{"name": "Water", "kpis": [{"name": "Withdrawal", "unit": "m³"}]}"#)?;
    /// assert_eq!(request.kpis[0].unit.as_deref(), Some("m³"));
    ///
    /// let violations = NewDataset::from_json(r#"{"kpis": [{"name": "", "sort_order": "1"}]}"#).unwrap_err();
    /// let found: Vec<_> = violations.iter().map(|violation| (violation.path(), violation.code())).collect();
    /// assert_eq!(found, [
    ///     ("name".to_owned(), "missing"),
    ///     ("kpis[0].name".to_owned(), "string_too_short"),
    ///     ("kpis[0].sort_order".to_owned(), "int_type"),
    /// ]);
    /// # Ok::<(), kpi_store::Violations>(())
    /// ```
    pub fn from_json(body: impl AsRef<[u8]>) -> Result<Self, Violations> {
        let body = body.as_ref();
        if body.is_empty() {
            return Err(Violations::one(vec![Segment::key("body")], Rule::Missing));
        }
        let text = text_of(body)?;
        let mut violations = ViolationsBuilder::in_body();
        let dataset = read_body(text, &mut violations).map_err(|error| not_json(text, &error))?;
        violations.finish()?;
        // Without a violation every required field is present, so this error never occurs.
        dataset.ok_or_else(|| Violations::one(vec![Segment::key("body")], Rule::Missing))
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

fn read_body(text: &str, violations: &mut ViolationsBuilder) -> Result<Option<NewDataset>, SyntaxError> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    let dataset = match value {
        Value::Object => read_dataset(&mut reader, violations)?,
        value => reject_non_object(&mut reader, value, violations)?,
    };
    reader.finish()?;
    Ok(dataset)
}

fn read_dataset(
    reader: &mut Reader<'_>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<NewDataset>, SyntaxError> {
    let (mut name, mut description, mut kpis) = (Field::new("name"), Field::new("description"), Field::new("kpis"));
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        match &*key {
            "name" => object.field(&mut name, read_name)?,
            "description" => object.field(&mut description, read_description)?,
            "kpis" => object.field_with(&mut kpis, read_kpis)?,
            _ => object.unexpected(key)?,
        }
    }
    let name = name.required(violations);
    let description = description.optional(None, violations);
    let kpis = match kpis.into_outcome() {
        None => Some(Vec::new()),
        Some(Ok(kpis)) => Some(kpis),
        Some(Err(found)) => {
            violations.append(found);
            None
        }
    };
    object.finish(violations);
    let complete = || Some(NewDataset { id: None, name: name?, description: description?, kpis: kpis? });
    Ok(complete())
}

/// The KPIs, or the violations of the list or its items.
fn read_kpis(reader: &mut Reader<'_>) -> Result<Result<Vec<NewKpi>, ViolationsBuilder>, SyntaxError> {
    let mut violations = ViolationsBuilder::in_body();
    let mut kpis = Vec::new();
    let list = match reader.value()? {
        Value::Null => Ok(()),
        Value::Array => violations.within(Segment::key("kpis"), |violations| {
            let mut count = 0;
            while reader.next_item()? {
                if count < KPIS_IN_REQUEST_MAX {
                    kpis.extend(violations.within(Segment::Index(count), |violations| read_kpi(reader, violations))?);
                } else {
                    let value = reader.value()?;
                    reader.skip_rest(value)?;
                }
                count += 1;
            }
            Ok(validation::check_count(count, KPIS_IN_REQUEST_MAX))
        })?,
        Value::String(text) => decode(text).map(|_| Err(Rule::ListType))?,
        value => reader.skip_rest(value).map(|()| Err(Rule::ListType))?,
    };
    if let Err(rule) = list {
        // The only violation then: the server does not validate the items of such a list.
        violations = ViolationsBuilder::in_body();
        violations.add_at(Segment::key("kpis"), rule);
    }
    Ok(if violations.is_empty() { Ok(kpis) } else { Err(violations) })
}

fn read_kpi(reader: &mut Reader<'_>, violations: &mut ViolationsBuilder) -> Result<Option<NewKpi>, SyntaxError> {
    let value = reader.value()?;
    let Value::Object = value else { return reject_non_object(reader, value, violations) };
    let (mut name, mut description, mut unit) = (Field::new("name"), Field::new("description"), Field::new("unit"));
    let (mut value_type, mut required) = (Field::new("value_type"), Field::new("required"));
    let mut sort_order = Field::new("sort_order");
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        match &*key {
            "name" => object.field(&mut name, read_name)?,
            "description" => object.field(&mut description, read_description)?,
            "unit" => object.field(&mut unit, read_unit)?,
            "value_type" => object.field(&mut value_type, read_value_type)?,
            "required" => object.field(&mut required, read_required)?,
            "sort_order" => object.field(&mut sort_order, read_sort_order)?,
            _ => object.unexpected(key)?,
        }
    }
    let name = name.required(violations);
    let description = description.optional(None, violations);
    let unit = unit.optional(None, violations);
    let value_type = value_type.optional(ValueType::default(), violations);
    let required = required.optional(true, violations);
    let sort_order = sort_order.optional(0, violations);
    object.finish(violations);
    let complete = || {
        Some(NewKpi {
            id: None,
            name: name?,
            description: description?,
            unit: unit?,
            value_type: value_type?,
            required: required?,
            sort_order: sort_order?,
        })
    };
    Ok(complete())
}

/// Skips a value that is not an object where an object is required, and adds the violation.
fn reject_non_object<T>(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<T>, SyntaxError> {
    if let Value::String(text) = value {
        decode(text)?;
    }
    reader.skip_rest(value)?;
    violations.add(Rule::ModelAttributesType);
    Ok(None)
}

fn read_name(value: Value<'_>) -> Result<String, Rule> {
    let name = read_string(value)?;
    validation::check_name(&name)?;
    Ok(name.into_owned())
}

fn read_description(value: Value<'_>) -> Result<Option<String>, Rule> {
    let description = read_string_or_null(value)?;
    validation::check_description(description.as_deref())?;
    Ok(description.map(Cow::into_owned))
}

fn read_unit(value: Value<'_>) -> Result<Option<String>, Rule> {
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

fn read_value_type(value: Value<'_>) -> Result<ValueType, Rule> {
    match value {
        Value::String(_) => read_string(value)?.parse().map_err(|_| Rule::Enum),
        _ => Err(Rule::Enum),
    }
}

fn read_required(value: Value<'_>) -> Result<bool, Rule> {
    match value {
        Value::Bool(required) => Ok(required),
        value => Err(other_type(value, Rule::BoolType)),
    }
}

fn read_sort_order(value: Value<'_>) -> Result<i64, Rule> {
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

/// The rule that a value of the wrong type breaks. A string with a lone surrogate breaks the rule for Unicode first.
fn other_type(value: Value<'_>, rule: Rule) -> Rule {
    match value {
        Value::String(text) if text.decode().is_none() => Rule::StringUnicode,
        _ => rule,
    }
}
