//! What kind of value a KPI asks for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::FromText;

/// What kind of value a KPI asks for. In JSON and in text its lower-case name.
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
    Number,
    /// Free text.
    Text,
    /// A share of a whole.
    Percentage,
    /// A calendar date.
    Date,
    /// Yes or no.
    Boolean,
}

impl ValueType {
    /// All value types, in the order of the contract. In the file each is stored as its place here, 0 to 4.
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

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not the name of a [`ValueType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 'number', 'text', 'percentage', 'date' or 'boolean'")]
#[non_exhaustive]
pub struct UnknownValueType;

/// Reads the exact name: case and white space matter, as in the contract.
impl FromStr for ValueType {
    type Err = UnknownValueType;

    fn from_str(text: &str) -> Result<Self, UnknownValueType> {
        Self::ALL.into_iter().find(|value_type| value_type.as_str() == text).ok_or(UnknownValueType)
    }
}

impl Serialize for ValueType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ValueType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText::new())
    }
}
