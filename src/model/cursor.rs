//! Cursors: a position in a listing, with a checksum that detects its use in another listing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::filter::Filter;
use super::from_str_visitor::FromStrVisitor;
use super::ids::{DatasetId, OrganizationId};

/// The first character of every cursor: the version of its format.
const VERSION: char = '1';

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// By the creation of the datasets, or of deleted ones by the deletion.
    #[default]
    OldestFirst,
    /// The reverse of it.
    NewestFirst,
    /// By the number of the last change, or of the creation if there was none.
    RecentlyChanged,
}

impl Order {
    /// Whether the dataset with this number comes after that with `other` in a listing of this order.
    pub(crate) fn is_after(self, other: i64, number: i64) -> bool {
        match self {
            Order::OldestFirst => number > other,
            Order::NewestFirst | Order::RecentlyChanged => number < other,
        }
    }
}

/// The items of a listing, and their order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listing<'a> {
    Datasets(Order, &'a Filter),
    /// The trash, by the deletions, which are the last changes.
    Deleted(Order, &'a Filter),
    /// The history of a dataset.
    History(DatasetId),
}

impl Listing<'_> {
    fn letter(self) -> char {
        match self {
            Listing::Datasets(Order::OldestFirst, _) => 'o',
            Listing::Datasets(Order::NewestFirst, _) => 'n',
            Listing::Datasets(Order::RecentlyChanged, _) => 'c',
            Listing::Deleted(Order::OldestFirst, _) => 'd',
            Listing::Deleted(Order::NewestFirst | Order::RecentlyChanged, _) => 'e',
            Listing::History(_) => 'h',
        }
    }
}

/// A position in a listing of one organization, in one order and with the same filters, after which the listing
/// continues.
///
/// A cursor is opaque. It prints and serializes as a short string of letters and digits, which needs no escaping in a
/// URL and stays valid in another process on the same file. A listing that continues from a cursor neither skips nor
/// repeats a dataset that existed before, whatever is inserted meanwhile; only with
/// [`recently_changed_first`](crate::DatasetQuery::recently_changed_first) it can miss one that was changed meanwhile.
///
/// # Examples
///
/// ```
/// # use kpi_store::{Cursor, DatasetQuery, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
/// let next = organization.datasets(&DatasetQuery::new().limit(1))?.next.unwrap();
///
/// let kept = next.to_string();
/// assert_eq!(kept.parse::<Cursor>()?, next);
/// assert_eq!("1x".parse::<Cursor>().unwrap_err().to_string(), "expected a cursor from an earlier page");
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The letter of the listing.
    listing: char,
    /// The number of the last dataset, deletion or change before the cursor.
    number: i64,
    check: u32,
}

impl Cursor {
    pub(crate) fn new(organization: OrganizationId, listing: Listing<'_>, number: i64) -> Self {
        Self { listing: listing.letter(), number, check: check(organization, listing, number) }
    }

    /// The number of the last item before the cursor, if the cursor belongs to this listing of this organization.
    pub(crate) fn number(&self, organization: OrganizationId, listing: Listing<'_>) -> Option<i64> {
        (*self == Self::new(organization, listing, self.number)).then_some(self.number)
    }
}

/// A checksum over the version, the listing with its filter, the number and the organization. It detects misuse; it is
/// not tamper-proof.
fn check(organization: OrganizationId, listing: Listing<'_>, number: i64) -> u32 {
    let mut text = format!("{VERSION}{}{number}{organization}", listing.letter());
    match listing {
        Listing::Datasets(_, filter) | Listing::Deleted(_, filter) => text.push_str(&filter.to_string()),
        Listing::History(dataset) => text.push_str(&dataset.to_string()),
    }
    (xxh3_64(text.as_bytes()) >> 32) as u32
}

/// The version, the letter of the listing, the number in hexadecimal, eight hexadecimal digits of checksum.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}{}{:x}{:08x}", self.listing, self.number, self.check)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

/// The text is not a cursor, or it was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor from an earlier page")]
#[non_exhaustive]
pub struct ParseCursorError;

/// Parses exactly what [`Display`](fmt::Display) writes. Whether the cursor belongs to a listing is checked when the
/// listing uses it.
impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        let parse = || {
            let rest = text.strip_prefix(VERSION)?;
            let listing = rest.chars().next()?;
            let digits = rest.strip_prefix(['o', 'n', 'c', 'd', 'e', 'h'])?;
            let (number, check) = digits.split_at_checked(digits.len().checked_sub(8)?)?;
            let number = u64::from_str_radix(number, 16).ok()?.cast_signed();
            Some(Self { listing, number, check: u32::from_str_radix(check, 16).ok()? })
        };
        // Another spelling of the same number, in capitals or with leading zeros, is never printed, so it is
        // rejected.
        parse().filter(|cursor| cursor.to_string() == text).ok_or(ParseCursorError)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromStrVisitor::new())
    }
}
