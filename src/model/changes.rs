//! The changes since a cursor: which datasets, and the state in which each is now.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::from_str_visitor::FromStrVisitor;
use super::ids::{DatasetId, OrganizationId};
use super::page::Damage;

/// The first character of every cursor but the first one: the version of its format.
const VERSION: char = '1';

/// The text of [`ChangeCursor::start`].
const START: &str = "0";

/// The changes of an organization after a cursor; see
/// [`Organization::changes_since`](crate::Organization::changes_since).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Changes {
    /// The changed datasets, in the order of their last changes; each is there once, with its last state.
    pub items: Vec<Change>,
    /// Damaged datasets, which may have been changed; empty in an intact file. Items and damaged datasets together are
    /// at most [`CHANGES_MAX`](crate::limits::CHANGES_MAX). The next call does not repeat them.
    pub damaged: Vec<Damage>,
    /// The cursor after these changes, from which the next call continues. Store it even if there are no items.
    pub next: ChangeCursor,
    /// Whether there are more changes after [`next`](Self::next).
    pub has_more: bool,
}

/// A dataset that was changed, and the state in which its last change left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its state.
    pub state: ChangeState,
}

/// The state of a changed dataset. Text and JSON use its lower-case name, which is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeState {
    /// It was created, changed or restored: [`dataset`](crate::Organization::dataset) reads it.
    Present,
    /// It is in the trash, from which it can be [restored](crate::Organization::restore_dataset).
    Deleted,
    /// It was purged: it cannot be restored, and its id is never given again.
    Purged,
}

impl ChangeState {
    /// The name: `present`, `deleted` or `purged`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeState::Present => "present",
            ChangeState::Deleted => "deleted",
            ChangeState::Purged => "purged",
        }
    }
}

impl fmt::Display for ChangeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ChangeState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A position in the changes of an organization, after which [`changes_since`](crate::Organization::changes_since)
/// continues.
///
/// A cursor is opaque. It prints and serializes as a short string of letters, digits and hyphens, which needs no
/// escaping in a URL and stays valid in another process on the same file. It becomes invalid when the file is restored
/// from a backup, or when [`purge_organization`](crate::Store::purge_organization) removes an organization from it.
///
/// # Examples
///
/// ```
/// # use kpi_store::{ChangeCursor, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let before = organization.change_cursor()?;
/// let dataset = organization.create_dataset(NewDataset::new("Water"))?;
///
/// let kept = before.to_string();
/// let changes = organization.changes_since(&kept.parse::<ChangeCursor>()?)?;
/// assert_eq!(changes.items[0].dataset, dataset.id);
/// assert_eq!("1x".parse::<ChangeCursor>().unwrap_err().to_string(), "expected a cursor of changes");
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChangeCursor {
    /// `None` for [`start`](Self::start), which comes before every change of any organization and file.
    at: Option<Checked>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Checked {
    position: Position,
    check: u32,
}

/// A position in the changes of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    /// The generation of the file, of which [`number`](Self::number) counts the changes.
    pub(crate) generation: i64,
    /// The number of the last change before the position, 0 if there is none. Only an intact row advances it: one with
    /// a damaged number could advance it past changes that are not made yet.
    pub(crate) number: i64,
    /// The number of the last damaged row that was reported, if it is larger; otherwise 0.
    pub(crate) reported: i64,
}

impl Position {
    /// The position before the first change of a generation.
    pub(crate) fn first(generation: i64) -> Self {
        Self { generation, number: 0, reported: 0 }
    }
}

impl ChangeCursor {
    /// The cursor before every change, from which [`changes_since`](crate::Organization::changes_since) returns all
    /// datasets of the organization, deleted and purged ones included. It is valid for every organization and file.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{ChangeCursor, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// assert_eq!(organization.changes_since(&ChangeCursor::start())?.items.len(), 2);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    #[must_use]
    pub const fn start() -> Self {
        Self { at: None }
    }

    pub(crate) fn new(organization: OrganizationId, position: Position) -> Self {
        let reported = if position.reported > position.number { position.reported } else { 0 };
        let position = Position { reported, ..position };
        Self { at: Some(Checked { position, check: check(organization, position) }) }
    }

    /// The position of the cursor, if it belongs to this organization: `Some(None)` before every change.
    #[expect(clippy::option_option, reason = "`None` belongs to another organization, `Some(None)` to each")]
    pub(crate) fn position(&self, organization: OrganizationId) -> Option<Option<Position>> {
        match self.at {
            None => Some(None),
            Some(Checked { position, .. }) => (*self == Self::new(organization, position)).then_some(Some(position)),
        }
    }
}

/// A checksum over the version, the position and the organization. It detects misuse; it is not tamper-proof.
fn check(organization: OrganizationId, position: Position) -> u32 {
    let Position { generation, number, reported } = position;
    (xxh3_64(format!("{VERSION}{generation} {number} {reported} {organization}").as_bytes()) >> 32) as u32
}

/// The version, sixteen hexadecimal digits of the generation, the number in hexadecimal, that of the last damaged row
/// after a hyphen if there is one, eight hexadecimal digits of checksum.
impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Checked { position: Position { generation, number, reported }, check }) = self.at else {
            return f.write_str(START);
        };
        write!(f, "{VERSION}{generation:016x}{number:x}")?;
        if reported > number {
            write!(f, "-{reported:x}")?;
        }
        write!(f, "{check:08x}")
    }
}

impl fmt::Debug for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangeCursor({self})")
    }
}

/// The text is not a [`ChangeCursor`], or it was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a cursor of changes")]
#[non_exhaustive]
pub struct ParseChangeCursorError;

/// Parses exactly what [`Display`](fmt::Display) writes. Whether the cursor belongs to an organization and a file is
/// checked when it is used.
impl FromStr for ChangeCursor {
    type Err = ParseChangeCursorError;

    fn from_str(text: &str) -> Result<Self, ParseChangeCursorError> {
        if text == START {
            return Ok(Self::start());
        }
        let integer = |digits| Some(u64::from_str_radix(digits, 16).ok()?.cast_signed());
        let parse = || {
            let (generation, rest) = text.strip_prefix(VERSION)?.split_at_checked(16)?;
            let (numbers, check) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            let (number, reported) =
                numbers.split_once('-').map_or((numbers, None), |(number, reported)| (number, Some(reported)));
            let reported = reported.map_or(Some(0), integer)?;
            let position = Position { generation: integer(generation)?, number: integer(number)?, reported };
            Some(Self { at: Some(Checked { position, check: u32::from_str_radix(check, 16).ok()? }) })
        };
        // Another spelling of the same numbers, in capitals or with leading zeros, is never printed, so it is rejected.
        parse().filter(|cursor| cursor.to_string() == text).ok_or(ParseChangeCursorError)
    }
}

impl Serialize for ChangeCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChangeCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromStrVisitor::new())
    }
}
