//! The view of a store through one organization.

use super::Store;
use crate::error::Result;
use crate::model::admission::Author;
use crate::model::ids::{OrganizationId, UserId};

/// A store seen through one organization, acting as a user or as none; had from [`Store::organization`].
///
/// There is no way to read or write without one. What belongs to another organization does not exist here: its ids
/// answer exactly as unknown ones, and the same id can be used by both.
///
/// # Examples
///
/// ```
/// use kpi_store::{NewDataset, OrganizationId, Store, UserId};
///
/// let store = Store::open_in_memory()?;
/// let (ours, theirs) = (store.organization(OrganizationId::new()), store.organization(OrganizationId::new()));
/// let user = UserId::new();
///
/// let dataset = ours.acting_as(user).create_dataset(NewDataset::new("Water"))?;
/// assert_eq!(dataset.created_by, Some(user));
/// assert_eq!(theirs.dataset(dataset.id)?, None);
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Organization {
    pub(super) store: Store,
    pub(super) id: OrganizationId,
    user: Option<UserId>,
}

impl Organization {
    pub(super) fn new(store: Store, id: OrganizationId) -> Self {
        Self { store, id, user: None }
    }

    /// The same view, acting as `user`, who becomes `created_by` and `updated_by` of what is written through it.
    #[must_use]
    pub fn acting_as(&self, user: UserId) -> Organization {
        Self { user: Some(user), ..self.clone() }
    }

    /// The organization.
    #[must_use]
    pub fn id(&self) -> OrganizationId {
        self.id
    }

    /// The user that this view acts as.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.user
    }

    /// Who writes, and when.
    pub(super) fn author(&self) -> Result<Author> {
        Ok(Author { organization: self.id, user: self.user, now: self.store.now()? })
    }
}
