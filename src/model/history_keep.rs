//! Which versions of a history stay when it is pruned.

use chrono::{DateTime, Utc};

use super::ids::DatasetId;

/// Which earlier versions to keep; see [`Organization::prune_history`](crate::Organization::prune_history).
///
/// A version stays if one of the rules keeps it. Without a rule only the present version of each dataset stays, which
/// no rule can remove.
///
/// # Examples
///
/// ```
/// # use kpi_store::chrono::{DateTime, TimeDelta, Utc};
/// # use kpi_store::{HistoryKeep, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let now = DateTime::<Utc>::from(std::time::SystemTime::now());
/// let of_this_year = HistoryKeep::new().last(20).since(now - TimeDelta::days(365));
/// assert_eq!(organization.prune_history(&of_this_year)?, 0);
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct HistoryKeep {
    last: u64,
    since: Option<DateTime<Utc>>,
    pub(crate) of: Option<DatasetId>,
}

impl HistoryKeep {
    /// Keeps no earlier version, of no dataset of the organization.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the last versions of each dataset, this many with the present one.
    pub fn last(mut self, versions: u64) -> Self {
        self.last = versions;
        self
    }

    /// Keeps the versions that were present at this time or later.
    pub fn since(mut self, time: DateTime<Utc>) -> Self {
        self.since = Some(time);
        self
    }

    /// Prunes only the history of this dataset.
    pub fn of(mut self, dataset: DatasetId) -> Self {
        self.of = Some(dataset);
        self
    }

    /// Whether the version stays that is the `index`-th, the present one being 0, and was replaced at this time, if
    /// that is known.
    pub(crate) fn keeps(&self, index: u64, replaced_at: Option<DateTime<Utc>>) -> bool {
        index < self.last || self.since.is_some_and(|since| replaced_at.is_some_and(|replaced_at| replaced_at >= since))
    }
}
