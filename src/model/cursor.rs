//! Where a listing goes on: a place, with a check that it is used where it was given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::ids::{FromText, OrganizationId};
use crate::error::{Error, Result};

/// The first character of every cursor; another form gets another.
const VERSION: char = '1';

/// In which order datasets are listed, by their creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    OldestFirst,
    NewestFirst,
}

impl Order {
    /// Whether `place` comes behind `other` in a listing of this order.
    pub(crate) fn is_behind(self, other: i64, place: i64) -> bool {
        match self {
            Order::OldestFirst => place > other,
            Order::NewestFirst => place < other,
        }
    }
}

/// A place in a listing of one organization in one order: the listing goes on behind it.
///
/// Opaque. It prints as a short string of letters and digits that can stand in a URL as it is, and is that string in
/// serde; the string can be kept, and used in another process on the same file. Whatever is inserted meanwhile, a
/// listing neither skips nor repeats what was there.
///
/// # Examples
///
/// ```
/// # use kpi_store::{Cursor, DatasetQuery, Error, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
/// let next = organization.datasets(&DatasetQuery::new().limit(1))?.next.unwrap();
///
/// let kept = next.to_string();
/// assert_eq!(kept.parse::<Cursor>()?, next);
/// assert!(matches!("1x".parse::<Cursor>(), Err(Error::InvalidCursor)));
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// `o` for the oldest first, `n` for the newest first.
    order: char,
    place: i64,
    check: u32,
}

impl Cursor {
    pub(crate) fn new(organization: OrganizationId, order: Order, place: i64) -> Self {
        let order = match order {
            Order::OldestFirst => 'o',
            Order::NewestFirst => 'n',
        };
        Self { order, place, check: check(organization, order, place) }
    }

    /// The place, if the cursor was given for this organization and order.
    pub(crate) fn place(&self, organization: OrganizationId, order: Order) -> Result<i64> {
        if *self == Self::new(organization, order, self.place) { Ok(self.place) } else { Err(Error::InvalidCursor) }
    }
}

/// Over the version, the order, the place and the organization. It finds mistakes; it is no seal.
fn check(organization: OrganizationId, order: char, place: i64) -> u32 {
    let text = format!("{VERSION}{order}{place}{organization}");
    (xxh3_64(text.as_bytes()) >> 32) as u32
}

/// Version, order, place in hexadecimal, eight digits of check.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}{}{:x}{:08x}", self.order, self.place, self.check)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

/// Reads what [`Display`](fmt::Display) wrote, and nothing else: the error is [`Error::InvalidCursor`].
impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let rest = text.strip_prefix(VERSION)?;
            let order = rest.chars().next()?;
            let (place, check) = rest.strip_prefix(['o', 'n'])?.split_at_checked(rest.len().checked_sub(9)?)?;
            let place = u64::from_str_radix(place, 16).ok()?.cast_signed();
            Some(Self { order, place, check: u32::from_str_radix(check, 16).ok()? })
        };
        // The same place can be spelled otherwise, in capitals or with zeros before it; those are not ours.
        parse().filter(|cursor| cursor.to_string() == text).ok_or(Error::InvalidCursor)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText::new())
    }
}
