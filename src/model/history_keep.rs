//! The rules by which versions of a history stay when it is pruned.

use chrono::{DateTime, Utc};

use super::ids::DatasetId;

/// The earlier versions that [`Organization::prune_history`](crate::Organization::prune_history) keeps.
///
/// A version stays if at least one of the rules, [`last`](Self::last) and [`since`](Self::since), keeps it. The present
/// version of each dataset always stays; without a rule no other does.
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
    /// Keeps no earlier version of any dataset of the organization.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps this many of the newest versions of each dataset, counting the present one.
    pub fn last(mut self, versions: u64) -> Self {
        self.last = versions;
        self
    }

    /// Keeps the versions that were the present one at this time or later.
    pub fn since(mut self, time: DateTime<Utc>) -> Self {
        self.since = Some(time);
        self
    }

    /// Prunes only the history of this dataset.
    pub fn of(mut self, dataset: DatasetId) -> Self {
        self.of = Some(dataset);
        self
    }

    /// Whether an earlier version stays. `index` counts backwards from the present version, which is 0; `replaced_at`
    /// is the time at which the version was replaced, if that is known.
    pub(crate) fn keeps(&self, index: u64, replaced_at: Option<DateTime<Utc>>) -> bool {
        index < self.last || self.since.is_some_and(|since| replaced_at.is_some_and(|replaced_at| replaced_at >= since))
    }
}
