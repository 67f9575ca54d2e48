//! The filter of a listing.

use std::fmt;

use super::ids::UserId;
use super::search::pattern::Pattern;
use super::value_type::ValueType;

/// Which datasets a listing has: those that meet every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Created by this user.
    pub(crate) created_by: Option<UserId>,
    /// With at least one KPI of this type.
    pub(crate) value_type: Option<ValueType>,
    /// With every word of the pattern in one of the texts.
    pub(crate) pattern: Option<Pattern>,
}

impl Filter {
    /// Whether it leaves nothing out.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The text that the checksum of a cursor covers: empty if the filter is empty, and otherwise one that no other filter
/// has.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = self.created_by {
            write!(f, " by {user}")?;
        }
        if let Some(value_type) = self.value_type {
            write!(f, " of {value_type}")?;
        }
        // The last, since its words could look like the others.
        if let Some(pattern) = &self.pattern {
            write!(f, " with {}", pattern.canonical())?;
        }
        Ok(())
    }
}
