//! The view of a store through one organization.

mod changes;
mod list;
mod properties;
mod purge;
pub(crate) mod watch;

use crate::error::Result;
use crate::model::ids::{OrganizationId, UserId};
use crate::model::record::Author;
use crate::store::Store;

/// The view of a store through one organization, acting as a user or as none; obtained from [`Store::organization`].
///
/// Datasets are read and written only through such a view. Datasets of other organizations do not exist in it: their
/// ids behave exactly like unknown ids, and two organizations can use the same id.
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
    /// The view of one organization, acting as no user.
    ///
    /// An organization needs no registration; any id will do.
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

    /// The same view, acting as `user`, which becomes `created_by` of the datasets that it creates, `updated_by` of
    /// those that it changes, and the user of its deletions and restorations.
    #[must_use]
    pub fn acting_as(&self, user: UserId) -> Organization {
        Self { user: Some(user), ..self.clone() }
    }

    /// The id of the organization.
    #[must_use]
    pub fn id(&self) -> OrganizationId {
        self.id
    }

    /// The user that this view acts as, if any.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.user
    }

    /// The organization, the user and the time of a write. Reads the clock.
    pub(in crate::store) fn author(&self) -> Result<Author> {
        Ok(Author { organization: self.id, user: self.user, now: self.store.now()? })
    }
}
