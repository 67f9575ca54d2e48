//! What is wrong with an input: one rule broken at one place, and the collection of all of them.

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// One step of a place in the input.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Segment {
    /// A key of an object. The first segment of every place is one: `body` for a request, `query` for a query, `options`
    /// for the options of a call.
    Key(Cow<'static, str>),
    /// An index into an array, or for [`Violation::code`] `json_invalid` the offset in code points.
    Index(usize),
}

impl Segment {
    pub(crate) const fn key(name: &'static str) -> Self {
        Segment::Key(Cow::Borrowed(name))
    }
}

/// The rule that an input breaks, with what its message and its `ctx` need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Missing,
    StringType,
    StringUnicode,
    StringTooShort { min: usize },
    StringTooLong { max: usize },
    StringNul,
    Enum,
    IntType,
    BoolType,
    GreaterThanEqual { ge: i64 },
    LessThanEqual { le: i64 },
    ListType,
    ModelType { class_name: &'static str },
    ListTooLong { max: usize, actual: usize },
    ExtraForbidden,
    DuplicateKey,
    JsonInvalid { error: String },
}

/// The names of the value types as pydantic lists them.
const EXPECTED_VALUE_TYPES: &str = "'number', 'text', 'percentage', 'date' or 'boolean'";

impl Rule {
    fn code(&self) -> &'static str {
        match self {
            Rule::Missing => "missing",
            Rule::StringType => "string_type",
            Rule::StringUnicode => "string_unicode",
            Rule::StringTooShort { .. } => "string_too_short",
            Rule::StringTooLong { .. } => "string_too_long",
            Rule::StringNul => "string_nul",
            Rule::Enum => "enum",
            Rule::IntType => "int_type",
            Rule::BoolType => "bool_type",
            Rule::GreaterThanEqual { .. } => "greater_than_equal",
            Rule::LessThanEqual { .. } => "less_than_equal",
            Rule::ListType => "list_type",
            Rule::ModelType { .. } => "model_type",
            Rule::ListTooLong { .. } => "too_long",
            Rule::ExtraForbidden => "extra_forbidden",
            Rule::DuplicateKey => "duplicate_key",
            Rule::JsonInvalid { .. } => "json_invalid",
        }
    }

    /// The server's `ctx`: the parameters of the rule.
    fn context(&self) -> Option<Context<'_>> {
        Some(match self {
            Rule::StringTooShort { min } => Context::MinLength { min_length: *min },
            Rule::StringTooLong { max } => Context::MaxLength { max_length: *max },
            Rule::Enum => Context::Expected { expected: EXPECTED_VALUE_TYPES },
            Rule::GreaterThanEqual { ge } => Context::Ge { ge: *ge },
            Rule::LessThanEqual { le } => Context::Le { le: *le },
            Rule::ModelType { class_name } => Context::ClassName { class_name },
            Rule::ListTooLong { max, actual } => {
                Context::List { field_type: "List", max_length: *max, actual_length: *actual }
            }
            Rule::JsonInvalid { error } => Context::Error { error },
            _ => return None,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Missing => f.write_str("Field required"),
            Rule::StringType => f.write_str("Input should be a valid string"),
            Rule::StringUnicode => f.write_str("Input should be a valid string, without lone surrogates"),
            Rule::StringTooShort { min } => write!(f, "String should have at least {}", counted(*min, "character")),
            Rule::StringTooLong { max } => write!(f, "String should have at most {}", counted(*max, "character")),
            Rule::StringNul => f.write_str("String should not contain the character U+0000"),
            Rule::Enum => write!(f, "Input should be {EXPECTED_VALUE_TYPES}"),
            Rule::IntType => f.write_str("Input should be a valid integer"),
            Rule::BoolType => f.write_str("Input should be a valid boolean"),
            Rule::GreaterThanEqual { ge } => write!(f, "Input should be greater than or equal to {ge}"),
            Rule::LessThanEqual { le } => write!(f, "Input should be less than or equal to {le}"),
            Rule::ListType => f.write_str("Input should be a valid list"),
            Rule::ModelType { .. } => f.write_str("Input should be an object"),
            Rule::ListTooLong { max, actual } => {
                write!(f, "List should have at most {}, not {actual}", counted(*max, "item"))
            }
            Rule::ExtraForbidden => f.write_str("Extra inputs are not permitted"),
            Rule::DuplicateKey => f.write_str("Key should appear only once"),
            Rule::JsonInvalid { error } => write!(f, "JSON decode error: {error}"),
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The `ctx` of the server's answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Context<'a> {
    MinLength { min_length: usize },
    MaxLength { max_length: usize },
    Expected { expected: &'a str },
    Ge { ge: i64 },
    Le { le: i64 },
    ClassName { class_name: &'a str },
    List { field_type: &'a str, max_length: usize, actual_length: usize },
    Error { error: &'a str },
}

/// One rule of the contract that the input breaks, and where.
///
/// # Examples
///
/// ```
/// use kpi_store::{NewDataset, Segment};
///
/// let violations = NewDataset::from_json(r#"{"name": "Water", "kpis": [{"name": ""}]}"#).unwrap_err();
/// let violation = violations.iter().next().unwrap();
/// assert_eq!(violation.path(), "kpis[0].name");
/// assert_eq!(violation.code(), "string_too_short");
/// assert_eq!(violation.message(), "String should have at least 1 character");
/// assert_eq!(violation.loc()[2], Segment::Index(0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    loc: Vec<Segment>,
    rule: Rule,
}

impl Violation {
    pub(crate) fn new(loc: Vec<Segment>, rule: Rule) -> Self {
        Self { loc, rule }
    }

    /// The place for a person: `kpis[3].name`; in a batch it begins with the item, `[17].kpis[3].name`.
    ///
    /// Empty where the input as a whole is wrong. A key that is no plain word stands in brackets and quotes.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        if let Rule::JsonInvalid { .. } = self.rule {
            return path;
        }
        for segment in self.loc.iter().skip(1) {
            match segment {
                Segment::Index(index) => path.extend(["[", &index.to_string(), "]"]),
                Segment::Key(key) if !is_plain(key) => path.extend(["[\"", &key.escape_debug().to_string(), "\"]"]),
                Segment::Key(key) if path.is_empty() => path.push_str(key),
                Segment::Key(key) => path.extend([".", key]),
            }
        }
        path
    }

    /// The place as the server names it: `["body", "kpis", 3, "name"]`.
    #[must_use]
    pub fn loc(&self) -> &[Segment] {
        &self.loc
    }

    /// What kind of rule is broken: the `type` of the server's answer, such as `string_too_short`. Stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.rule.code()
    }

    /// A sentence for a person, without the place. Its wording may change.
    #[must_use]
    pub fn message(&self) -> String {
        self.rule.to_string()
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `kpis[3].name: String should have at least 1 character`.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if path.is_empty() { write!(f, "{}", self.rule) } else { write!(f, "{path}: {}", self.rule) }
    }
}

/// An element of the server's `detail`: `type`, `loc`, `msg` and, where the rule has parameters, `ctx`.
impl Serialize for Violation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let context = self.rule.context();
        let mut map = serializer.serialize_map(Some(3 + usize::from(context.is_some())))?;
        map.serialize_entry("type", self.code())?;
        map.serialize_entry("loc", &self.loc)?;
        map.serialize_entry("msg", &self.message())?;
        if let Some(context) = context {
            map.serialize_entry("ctx", &context)?;
        }
        map.end()
    }
}

/// Everything that is wrong with an input; never empty.
///
/// As JSON it is the body of the server's 422 answer, without the echoed input:
///
/// ```
/// use kpi_store::NewDataset;
///
/// let violations = NewDataset::new("").validate().unwrap_err();
/// assert_eq!(
///     serde_json::to_string(&violations)?,
///     r#"{"detail":[{"type":"string_too_short","loc":["body","name"],"msg":"String should have at least 1 character","ctx":{"min_length":1}}]}"#
/// );
/// assert_eq!(violations.to_string(), "name: String should have at least 1 character");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// The violations as a result: an error if there are any.
    pub(crate) fn check(found: Vec<Violation>) -> Result<(), Self> {
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    pub(crate) fn one(loc: Vec<Segment>, rule: Rule) -> Self {
        Self(vec![Violation::new(loc, rule)])
    }

    /// The same violations seen from a batch whose item `index` they were found in.
    pub(crate) fn in_item(mut self, index: usize) -> Self {
        for violation in &mut self.0 {
            violation.loc.insert(1.min(violation.loc.len()), Segment::Index(index));
        }
        self
    }

    /// The violations, in the order of the fields, depth first.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.0.iter()
    }

    /// How many there are; at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Violations {
    type Item = &'a Violation;
    type IntoIter = std::slice::Iter<'a, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A line per violation.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

impl Serialize for Violations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("detail", &self.0)?;
        map.end()
    }
}
