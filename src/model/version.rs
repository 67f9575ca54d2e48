//! The history of a dataset: its versions, and the changes that made them.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::dataset::Dataset;
use super::diff::DatasetDiff;
use super::digest::{Bytes, Digest};
use super::ids::{DatasetId, OrganizationId, UserId};
use super::time;

/// An entry in the history of a dataset: a version, or a deletion or restoration, which makes no new version.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetPatch, HistoryQuery, NewDataset, Origin, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let id = organization.create_dataset(NewDataset::new("Watr"))?.id;
/// organization.update_dataset(id, DatasetPatch::new().name("Water"))?;
///
/// let history = organization.history(id, &HistoryQuery::new())?;
/// let [newest, first] = &history.items[..] else { panic!("two versions") };
/// assert_eq!((newest.revision, newest.origin, newest.dataset.name.as_str()), (2, Origin::Edited, "Water"));
/// assert_eq!((first.revision, first.origin, first.dataset.name.as_str()), (1, Origin::Created, "Watr"));
/// assert_eq!(newest.diff.as_ref().map(ToString::to_string).as_deref(), Some("name: \"Watr\" -> \"Water\""));
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DatasetVersion {
    /// 1 when the dataset was created, incremented by every change of the dataset or its KPIs. A deletion or
    /// restoration has the revision that the dataset had.
    pub revision: u64,
    /// The kind of change that made this entry.
    pub origin: Origin,
    /// The time of the change: the `updated_at` of the version, or its `created_at` if it is the first; of a deletion
    /// or restoration its own time.
    #[serde(with = "time::utc")]
    pub changed_at: DateTime<Utc>,
    /// The user who made the change, if one was given.
    pub changed_by: Option<UserId>,
    /// The dataset as it was then.
    pub dataset: Dataset,
    /// The differences from the version before. `None` for the first version, if the version before is not known, and
    /// for deletions and restorations, which change no content.
    pub diff: Option<DatasetDiff>,
}

/// The kind of change that made an entry of a history. Text and JSON use its lower-case name, which is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The dataset was created.
    Created,
    /// It or its KPIs were changed.
    Edited,
    /// It was [reverted](crate::Organization::revert_dataset) to an earlier version.
    Reverted,
    /// A change by another tool was [accepted](crate::Organization::accept_dataset). The version before it is missing
    /// from the history, since the tool has overwritten it.
    Accepted,
    /// It was moved to the trash.
    Deleted,
    /// It was restored from the trash.
    Restored,
}

impl Origin {
    /// The name: `created`, `edited`, `reverted`, `accepted`, `deleted` or `restored`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Created => "created",
            Origin::Edited => "edited",
            Origin::Reverted => "reverted",
            Origin::Accepted => "accepted",
            Origin::Deleted => "deleted",
            Origin::Restored => "restored",
        }
    }

    /// The number that is stored for the origin; `None` for a creation, which has no row in the history.
    pub(crate) const fn number(self) -> Option<i64> {
        match self {
            Origin::Created => None,
            Origin::Edited => Some(0),
            Origin::Reverted => Some(1),
            Origin::Accepted => Some(2),
            Origin::Deleted => Some(3),
            Origin::Restored => Some(4),
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [Origin::Edited, Origin::Reverted, Origin::Accepted, Origin::Deleted, Origin::Restored]
            .into_iter()
            .find(|origin| origin.number() == Some(number))
    }

    /// Whether the change made a new revision.
    pub(crate) const fn is_of_content(self) -> bool {
        !matches!(self, Origin::Deleted | Origin::Restored)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A change as it is stored, without the values that it replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeEntry {
    /// The number of the change.
    pub(crate) change: i64,
    pub(crate) origin: Origin,
    pub(crate) changed_at: DateTime<Utc>,
    pub(crate) changed_by: Option<UserId>,
    /// The revision and the digests that the dataset had before.
    pub(crate) revision: i64,
    pub(crate) digest: Digest,
}

impl ChangeEntry {
    /// The digest of a row: of this entry, with a part of what the change replaced.
    pub(crate) fn row_digest(
        &self,
        organization: OrganizationId,
        dataset: DatasetId,
        part: i64,
        replaced: Option<&str>,
    ) -> u64 {
        let mut bytes = Bytes::new();
        bytes.put(organization.as_bytes());
        bytes.put(dataset.as_bytes());
        bytes.integer(self.change);
        bytes.integer(part);
        bytes.integer(self.origin.number().unwrap_or(-1));
        bytes.time(self.changed_at);
        bytes.user(self.changed_by);
        bytes.integer(self.revision);
        bytes.integer(self.digest.head.cast_signed());
        bytes.integer(self.digest.kpis.cast_signed());
        bytes.optional(replaced, Bytes::text);
        bytes.hash()
    }
}

/// A dataset in the trash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeletedDataset {
    /// The dataset as it was when it was deleted, and as it will be restored.
    pub dataset: Dataset,
    /// When it was deleted.
    #[serde(with = "time::utc")]
    pub deleted_at: DateTime<Utc>,
    /// The user who deleted it, if one was given.
    pub deleted_by: Option<UserId>,
}
