//! The state of a dataset, apart from its content: the number of its last change, and whether it is in the trash.

use chrono::{DateTime, Utc};

use super::digest;
use super::ids::{DatasetId, OrganizationId, UserId};

/// The state of a dataset that was changed at least once. It has a digest of its own, so that deleting a damaged
/// dataset does not make its content look intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The number of the last change.
    pub(crate) changed: i64,
    /// When and by whom it was deleted; `None` if it is not in the trash.
    pub(crate) deleted: Option<(DateTime<Utc>, Option<UserId>)>,
}

impl State {
    pub(crate) fn digest(&self, organization: OrganizationId, dataset: DatasetId) -> u64 {
        digest::state(organization, dataset, self)
    }
}
