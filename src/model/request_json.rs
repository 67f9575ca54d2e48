//! The JSON body of a request, read strictly.
//!
//! `serde_json` does the parsing; this module decides what is read. Every value is kept as its raw text until its
//! field is known, because a typed reader would lose what the contract needs: it stops at the first error, turns large
//! integers into floats, refuses `1e400` as broken JSON, and lets the last of two equal keys win. What
//! `serde_json` does not look at in a raw value (UTF-8, depth) is checked for the whole body first.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess};
use serde_json::value::RawValue;

use super::limits::{JSON_DEPTH_MAX, SORT_ORDER_MAX, SORT_ORDER_MIN};
use super::new_dataset::{NewDataset, NewKpi};
use super::validation::{self, Findings};
use super::value_type::ValueType;
use super::violation::{Rule, Segment, Violations};

/// The names of the request types in the contract.
const DATASET_CLASS: &str = "DatasetCreateSch";
const KPI_CLASS: &str = "KpiInlineCreateSch";

const DATASET_FIELDS: [&str; 3] = ["name", "description", "kpis"];
const KPI_FIELDS: [&str; 6] = ["name", "description", "unit", "value_type", "required", "sort_order"];

impl NewDataset {
    /// Reads the JSON body of a *Create Dataset* request.
    ///
    /// What this accepts, the server accepts too; what the server refuses, this refuses at the same place, with the
    /// code that pydantic's strict mode gives. Stricter than the server, it also refuses what would be stored
    /// otherwise than it was written: unknown and repeated keys, numbers in strings, U+0000.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first: in the order of the fields, depth first, KPIs by
    /// index. A body that is no JSON has the one violation `json_invalid`.
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
        read(body.as_ref())
    }
}

fn read(body: &[u8]) -> Result<NewDataset, Violations> {
    let text = check_utf8(body).and_then(check_depth).map_err(NotJson::into_violations)?;
    let mut findings = Findings::in_body();
    let dataset = Reader { text }.dataset(&mut findings).map_err(NotJson::into_violations)?;
    findings.finish()?;
    // Without a finding every required field was there.
    dataset.ok_or_else(|| NotJson { offset: 0, error: "no dataset".into() }.into_violations())
}

/// The body is no JSON, as far as this crate reads JSON: at which code point, and why.
struct NotJson {
    offset: usize,
    error: String,
}

impl NotJson {
    fn at(before: &str, error: impl Into<String>) -> Self {
        Self { offset: before.chars().count(), error: error.into() }
    }

    fn into_violations(self) -> Violations {
        let error = format!("{} at character {}", self.error, self.offset);
        Violations::one(vec![Segment::key("body"), Segment::Index(self.offset)], Rule::JsonInvalid { error })
    }
}

fn check_utf8(body: &[u8]) -> Result<&str, NotJson> {
    std::str::from_utf8(body).map_err(|error| {
        let valid = body.get(..error.valid_up_to()).unwrap_or_default();
        NotJson::at(&String::from_utf8_lossy(valid), "invalid UTF-8")
    })
}

/// Refuses nesting deeper than the limit, before anything walks into it.
fn check_depth(text: &str) -> Result<&str, NotJson> {
    // Most bodies have fewer brackets in all, and counting them costs a tenth of following them.
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= JSON_DEPTH_MAX {
        return Ok(text);
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            // Outside of a string it is no JSON, and nothing behind it is read.
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    let before = text.get(..offset).unwrap_or_default();
                    return Err(NotJson::at(before, format!("nesting deeper than {JSON_DEPTH_MAX}")));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(text)
}

/// What a field holds, by its JSON type.
enum Value<'a> {
    Null,
    Bool(bool),
    /// The text of the literal.
    Number(&'a str),
    String(Cow<'a, str>),
    /// A string with half of a surrogate pair in it, which is no Unicode text.
    LoneSurrogate,
    Array(&'a str),
    Object(&'a str),
}

impl<'a> Value<'a> {
    fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            // The syntax was checked when the raw value was read; all that can be wrong is a surrogate, which is an escape.
            Some(b'"') => match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                Some(plain) if !plain.contains('\\') => Value::String(Cow::Borrowed(plain)),
                _ => serde_json::from_str(text).map_or(Value::LoneSurrogate, |Text(string)| Value::String(string)),
            },
            Some(b'{') => Value::Object(text),
            Some(b'[') => Value::Array(text),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            _ => Value::Number(text),
        }
    }
}

/// A string that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads the parts of one body; `text` is the whole of it, for offsets.
struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn dataset(&self, findings: &mut Findings) -> Result<Option<NewDataset>, NotJson> {
        if !self.text.trim_start().starts_with('{') {
            return self.no_object(self.parse(self.text)?, DATASET_CLASS, findings).map(|()| None);
        }
        let object = self.object(self.text, &DATASET_FIELDS)?;
        let name = object.required("name", read_name, findings);
        let description = object.optional("description", None, read_description, findings);
        let mut kpis = Vec::new();
        for value in object.values("kpis") {
            let (before, read) = (findings.len(), self.kpis(value, findings)?);
            if findings.len() > before {
                break;
            }
            kpis = read;
        }
        object.note_strangers(findings);
        Ok(name.zip(description).map(|(name, description)| NewDataset { id: None, name, description, kpis }))
    }

    fn kpis(&self, raw: &'a RawValue, findings: &mut Findings) -> Result<Vec<NewKpi>, NotJson> {
        let items: Result<Vec<&RawValue>, Rule> = match Value::of(raw) {
            Value::Null => Ok(Vec::new()),
            Value::Array(array) => {
                let items: Vec<_> = self.parse(array)?;
                validation::check_count(items.len()).map(|()| items)
            }
            Value::LoneSurrogate => return Err(self.lone_surrogate(raw)),
            _ => Err(Rule::ListType),
        };
        let items = findings.field("kpis", items).unwrap_or_default();
        let mut kpis = Vec::with_capacity(items.len());
        findings.within(Segment::key("kpis"), |findings| {
            for (index, item) in items.into_iter().enumerate() {
                kpis.extend(findings.within(Segment::Index(index), |findings| self.kpi(item, findings))?);
            }
            Ok(kpis)
        })
    }

    fn kpi(&self, raw: &'a RawValue, findings: &mut Findings) -> Result<Option<NewKpi>, NotJson> {
        let Value::Object(text) = Value::of(raw) else {
            return self.no_object(raw, KPI_CLASS, findings).map(|()| None);
        };
        let object = self.object(text, &KPI_FIELDS)?;
        let name = object.required("name", read_name, findings);
        let description = object.optional("description", None, read_description, findings);
        let unit = object.optional("unit", None, read_unit, findings);
        let value_type = object.optional("value_type", ValueType::default(), read_value_type, findings);
        let required = object.optional("required", true, read_required, findings);
        let sort_order = object.optional("sort_order", 0, read_sort_order, findings);
        object.note_strangers(findings);
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

    fn no_object(&self, raw: &RawValue, class_name: &'static str, findings: &mut Findings) -> Result<(), NotJson> {
        if let Value::LoneSurrogate = Value::of(raw) {
            return Err(self.lone_surrogate(raw));
        }
        findings.here(Rule::ModelType { class_name });
        Ok(())
    }

    fn object<const N: usize>(&self, text: &'a str, names: &[&'static str; N]) -> Result<Object<'a, N>, NotJson> {
        let Entries(entries) = self.parse(text)?;
        Ok(Object::sort(entries, names))
    }

    fn parse<T: Deserialize<'a>>(&self, part: &'a str) -> Result<T, NotJson> {
        serde_json::from_str(part).map_err(|error| {
            let inside = byte_offset(part, &error);
            let message = error.to_string();
            let reason = message.split(" at line ").next().unwrap_or_default();
            NotJson::at(self.before(part, inside), reason)
        })
    }

    fn lone_surrogate(&self, raw: &RawValue) -> NotJson {
        NotJson::at(self.before(raw.get(), 0), "lone surrogate in a string")
    }

    /// The body up to the byte `inside` of `part`, which is a part of it.
    fn before(&self, part: &str, inside: usize) -> &'a str {
        let start = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let end = self.text.floor_char_boundary(start.saturating_add(inside));
        self.text.get(..end).unwrap_or_default()
    }
}

/// The byte of `text` that broke it. `serde_json` says it by line and column, counted from 1, columns in bytes, of the
/// byte that it looked at last: mostly the culprit, but the one before a control character, and one inside of a word that
/// is no literal.
fn byte_offset(text: &str, error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let lines_before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let looked_at = lines_before + error.column();
    let before = text.as_bytes().get(..looked_at.saturating_sub(1)).unwrap_or_default();
    let reason = error.to_string();
    if reason.starts_with("control character") {
        looked_at
    } else if reason.starts_with("expected ident") {
        before.iter().rposition(|byte| !byte.is_ascii_alphabetic()).map_or(0, |last| last + 1)
    } else {
        before.len()
    }
}

/// The entries of a JSON object as they stand in the text, repeated keys included.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::with_capacity(KPI_FIELDS.len());
                while let Some((Text(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A JSON object: the values of each known field, and the entries that do not belong.
struct Object<'a, const N: usize> {
    /// The first value of each.
    fields: [(&'static str, Option<&'a RawValue>); N],
    /// The further values of keys that are repeated.
    repeated: Vec<(&'static str, &'a RawValue)>,
    strangers: Vec<(Cow<'a, str>, Rule)>,
}

impl<'a, const N: usize> Object<'a, N> {
    fn sort(entries: Vec<(Cow<'a, str>, &'a RawValue)>, names: &[&'static str; N]) -> Self {
        let fields = names.map(|name| (name, None));
        let mut object = Self { fields, repeated: Vec::new(), strangers: Vec::new() };
        let mut unknown = HashSet::new();
        for (key, value) in entries {
            let rule = match object.fields.iter_mut().find(|(name, _)| *name == key) {
                Some((_, first @ None)) => {
                    *first = Some(value);
                    continue;
                }
                Some((name, _)) => {
                    object.repeated.push((*name, value));
                    Rule::DuplicateKey
                }
                None if unknown.insert(key.clone()) => Rule::ExtraForbidden,
                None => Rule::DuplicateKey,
            };
            object.strangers.push((key, rule));
        }
        object
    }

    /// The values of a field, in the order of the input.
    ///
    /// Of a repeated key the first value counts, and the server takes the last. So that what the server refuses is
    /// refused with the same code, all are read: the field's violation is the first that is found.
    fn values(&self, field: &'static str) -> impl Iterator<Item = &'a RawValue> {
        let first = self.fields.iter().find(|(name, _)| *name == field).and_then(|(_, value)| *value);
        let further = self.repeated.iter().filter(move |(name, _)| *name == field).map(|(_, value)| *value);
        first.into_iter().chain(further)
    }

    fn required<T>(&self, field: &'static str, read: Read<T>, findings: &mut Findings) -> Option<T> {
        findings.field(field, self.read(field, read).unwrap_or(Err(Rule::Missing)))
    }

    fn optional<T>(&self, field: &'static str, default: T, read: Read<T>, findings: &mut Findings) -> Option<T> {
        findings.field(field, self.read(field, read).unwrap_or(Ok(default)))
    }

    fn read<T>(&self, field: &'static str, read: Read<T>) -> Option<Result<T, Rule>> {
        let mut values = self.values(field).map(|raw| read(Value::of(raw)));
        let first = values.next()?;
        Some(first.and_then(|first| values.try_fold(first, |first, further| further.map(|_| first))))
    }

    /// Notes the entries that do not belong, after the known fields of their object, in the order of the input.
    fn note_strangers(self, findings: &mut Findings) {
        for (key, rule) in self.strangers {
            findings.within(Segment::Key(Cow::Owned(key.into_owned())), |findings| findings.here(rule));
        }
    }
}

/// Reads a field's value, or says which rule it breaks.
type Read<T> = fn(Value<'_>) -> Result<T, Rule>;

fn read_name(value: Value<'_>) -> Result<String, Rule> {
    let name = read_string(value)?;
    validation::check_name(&name)?;
    Ok(name)
}

fn read_description(value: Value<'_>) -> Result<Option<String>, Rule> {
    let description = read_string_or_null(value)?;
    validation::check_description(description.as_deref())?;
    Ok(description)
}

fn read_unit(value: Value<'_>) -> Result<Option<String>, Rule> {
    let unit = read_string_or_null(value)?;
    validation::check_unit(unit.as_deref())?;
    Ok(unit)
}

fn read_string_or_null(value: Value<'_>) -> Result<Option<String>, Rule> {
    match value {
        Value::Null => Ok(None),
        value => read_string(value).map(Some),
    }
}

fn read_string(value: Value<'_>) -> Result<String, Rule> {
    match value {
        Value::String(string) => Ok(string.into_owned()),
        Value::LoneSurrogate => Err(Rule::StringUnicode),
        _ => Err(Rule::StringType),
    }
}

fn read_value_type(value: Value<'_>) -> Result<ValueType, Rule> {
    match value {
        Value::String(name) => name.parse().map_err(|_| Rule::Enum),
        Value::LoneSurrogate => Err(Rule::StringUnicode),
        _ => Err(Rule::Enum),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every reader")]
fn read_required(value: Value<'_>) -> Result<bool, Rule> {
    match value {
        Value::Bool(required) => Ok(required),
        Value::LoneSurrogate => Err(Rule::StringUnicode),
        _ => Err(Rule::BoolType),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every reader")]
fn read_sort_order(value: Value<'_>) -> Result<i64, Rule> {
    let literal = match value {
        Value::Number(literal) if !literal.contains(['.', 'e', 'E']) => literal,
        Value::LoneSurrogate => return Err(Rule::StringUnicode),
        _ => return Err(Rule::IntType),
    };
    // An integer literal that is no i64 lies beyond one of the two limits, however large it is.
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
