//! The view of a store through one organization.

mod list;

use crate::error::Result;
use crate::model::ids::{OrganizationId, UserId};
use crate::model::record::Author;
use crate::store::Store;

/// A store seen through one organization, acting as a user or as none; obtained from [`Store::organization`].
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
    pub(crate) store: Store,
    pub(in crate::store) id: OrganizationId,
    user: Option<UserId>,
}

impl Store {
    /// The store seen through one organization, acting as no user.
    ///
    /// An organization needs no registration: it is its id.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{OrganizationId, Store};
    ///
    /// let id: OrganizationId = "018f4e9a-5b1c-7d30-8a52-3f6d1c2b9e47".parse()?;
    /// let organization = Store::open_in_memory()?.organization(id);
    /// assert_eq!((organization.id(), organization.user()), (id, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn organization(&self, id: OrganizationId) -> Organization {
        Organization::new(self.clone(), id)
    }
}

impl Organization {
    pub(in crate::store) fn new(store: Store, id: OrganizationId) -> Self {
        Self { store, id, user: None }
    }

    /// The same view, acting as `user`: `created_by` of what is created and `updated_by` of what is changed through it.
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

    /// On whose behalf a write happens, and when.
    pub(in crate::store) fn author(&self) -> Result<Author> {
        Ok(Author { organization: self.id, user: self.user, now: self.store.now()? })
    }
}
