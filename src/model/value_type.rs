//! The types of the values of a KPI.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::from_str_visitor::FromStrVisitor;

/// The type of the values of a KPI. Text and JSON use its lower-case name.
///
/// # Examples
///
/// ```
/// use kpi_store::ValueType;
///
/// assert_eq!("percentage".parse(), Ok(ValueType::Percentage));
/// assert_eq!(ValueType::default().as_str(), "number");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// A number. The default.
    #[default]
    Number = 0,
    /// Free text.
    Text = 1,
    /// A percentage.
    Percentage = 2,
    /// A calendar date.
    Date = 3,
    /// Yes or no.
    Boolean = 4,
}

impl ValueType {
    /// All value types, in the order of the contract.
    pub const ALL: [ValueType; 5] =
        [ValueType::Number, ValueType::Text, ValueType::Percentage, ValueType::Date, ValueType::Boolean];

    /// The name in the contract: `number`, `text`, `percentage`, `date` or `boolean`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ValueType::Number => "number",
            ValueType::Text => "text",
            ValueType::Percentage => "percentage",
            ValueType::Date => "date",
            ValueType::Boolean => "boolean",
        }
    }
}

/// The numbers in the file format. They are stored and hashed into the digest, so they must never change.
impl ValueType {
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|value_type| i64::from(value_type.number()) == number)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not the name of a [`ValueType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 'number', 'text', 'percentage', 'date' or 'boolean'")]
#[non_exhaustive]
pub struct ParseValueTypeError;

/// Parses the exact name: case and white space matter, as in the contract.
impl FromStr for ValueType {
    type Err = ParseValueTypeError;

    fn from_str(text: &str) -> Result<Self, ParseValueTypeError> {
        Self::ALL.into_iter().find(|value_type| value_type.as_str() == text).ok_or(ParseValueTypeError)
    }
}

impl Serialize for ValueType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ValueType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromStrVisitor::new())
    }
}
