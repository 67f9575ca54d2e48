//! Violations: the rules that an input breaks, each with the path to the value that breaks it.

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::rule::Rule;

/// One step of a path into the input.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Segment {
    /// A key of an object. The first segment of every path is a key: `body` for a request, `query` for a query,
    /// `options` for the options of a call.
    Key(Cow<'static, str>),
    /// An index into an array; for the [code](Violation::code) `json_invalid`, the offset in code points.
    Index(usize),
}

impl Segment {
    pub(crate) const fn key(name: &'static str) -> Self {
        Segment::Key(Cow::Borrowed(name))
    }
}

/// A rule of the contract that the input breaks, and the path to the value that breaks it.
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

    /// The path in readable form: `kpis[3].name`; in a batch it begins with the index of the item, `[17].kpis[3].name`.
    ///
    /// Empty if the rule concerns the input as a whole. A key with characters other than ASCII letters, digits and
    /// underscores is printed in brackets and quotes.
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

    /// The path as in the server's response: `["body", "kpis", 3, "name"]`.
    #[must_use]
    pub fn loc(&self) -> &[Segment] {
        &self.loc
    }

    /// The stable name of the rule, such as `string_too_short`: the `type` of the server's response.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.rule.code()
    }

    /// A human-readable message, without the path. Its wording may change.
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

/// An element of the server's `detail`: `type`, `loc`, `msg` and, if the rule has parameters, `ctx`.
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

/// All violations of an input; never empty.
///
/// The list ends after [`VIOLATIONS_MAX`](crate::limits::VIOLATIONS_MAX) (1,000) violations, to bound its memory by a
/// small multiple of the input; [`total`](Self::total) counts all of them.
///
/// As JSON it is the body of the server's 422 response, without the echoed input. If the list was truncated, a second
/// key `total` follows:
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
///
/// let unknown_keys: String = (0..5_000).map(|number| format!(r#","key {number}":0"#)).collect();
/// let violations = NewDataset::from_json(format!(r#"{{"name":"Water"{unknown_keys}}}"#)).unwrap_err();
/// assert_eq!((violations.len(), violations.total()), (1_000, 5_000));
/// assert!(violations.to_string().ends_with("\nand 4000 more"));
/// assert!(serde_json::to_string(&violations)?.ends_with(r#"],"total":5000}"#));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    list: Vec<Violation>,
    total: usize,
}

impl Violations {
    /// A list, and the number of violations that it omits.
    pub(super) fn new(list: Vec<Violation>, omitted: usize) -> Self {
        Self { total: list.len() + omitted, list }
    }

    pub(crate) fn one(loc: Vec<Segment>, rule: Rule) -> Self {
        Self::new(vec![Violation::new(loc, rule)], 0)
    }

    /// The same violations with the paths of a batch in which the input is item `index`.
    pub(crate) fn in_item(mut self, index: usize) -> Self {
        for violation in &mut self.list {
            violation.loc.insert(1.min(violation.loc.len()), Segment::Index(index));
        }
        self
    }

    /// The first 1,000 violations, in the order of the fields, depth first.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.list
    }

    /// An iterator over [`as_slice`](Self::as_slice).
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.list.iter()
    }

    /// The number of listed violations: 1 to 1,000.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The number of all violations, including those that the list omits.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    fn omitted(&self) -> usize {
        self.total - self.list.len()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Violations {
    type Item = &'a Violation;
    type IntoIter = std::slice::Iter<'a, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A line for each violation; if the list was truncated, a last line says how many more there are.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{violation}")?;
        }
        if self.omitted() > 0 { write!(f, "\nand {} more", self.omitted()) } else { Ok(()) }
    }
}

impl std::error::Error for Violations {}

impl Serialize for Violations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_truncated = self.omitted() > 0;
        let mut map = serializer.serialize_map(Some(1 + usize::from(is_truncated)))?;
        map.serialize_entry("detail", &self.list)?;
        if is_truncated {
            map.serialize_entry("total", &self.total)?;
        }
        map.end()
    }
}
