//! Reading the versions of a dataset.

use chrono::{DateTime, Utc};

use super::query::check_limit;
use crate::error::{Error, Result};
use crate::model::cursor::{Cursor, Listing};
use crate::model::ids::DatasetId;
use crate::model::limits::PAGE_DEFAULT;
use crate::model::page::Page;
use crate::model::version::DatasetVersion;
use crate::sqlite::table::history;
use crate::store::organization::Organization;

/// How many versions of a history to list, and after which.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetPatch, HistoryQuery, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let id = organization.create_dataset(NewDataset::new("Water"))?.id;
/// organization.update_dataset(id, DatasetPatch::new().description("Of the year"))?;
///
/// let query = HistoryQuery::new().limit(1);
/// let newest = organization.history(id, &query)?;
/// let first = organization.history(id, &query.after(&newest.next.unwrap()))?;
/// assert_eq!((newest.items[0].revision, first.items[0].revision, first.next), (2, 1, None));
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct HistoryQuery {
    limit: u32,
    after: Option<Cursor>,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        Self { limit: PAGE_DEFAULT, after: None }
    }
}

impl HistoryQuery {
    /// The newest versions, 50 per page.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most this many versions per page: 1 to 1,000, by default 50. Out-of-range values are rejected when the query
    /// runs. A page also ends before it takes more than 64 MiB in memory, though not before its first version.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Only versions after this cursor, which must come from the history of the same dataset.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.after = Some(cursor.clone());
        self
    }
}

impl Organization {
    /// A page of the versions of a dataset, the newest first, with the deletions and restorations between them.
    ///
    /// Versions are put together from the present one backwards, so a page costs as much as all changes from the newest
    /// to its last. Each version is checked by its digests. One that cannot be put together is listed in
    /// [`Page::damaged`]. The version before an [accepted](crate::Origin::Accepted) one is missing, and so are those
    /// that were [pruned](Self::prune_history).
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] if the limit is outside 1 to 1,000.
    /// - [`Error::InvalidCursor`] if the cursor belongs to another listing.
    /// - [`Error::NotFound`] if this organization has no dataset with this id.
    /// - Those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{HistoryQuery, NewDataset, OrganizationId, Store, UserId};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let (water, user) = (organization.create_dataset(NewDataset::new("Water"))?, UserId::new());
    /// organization.acting_as(user).delete_dataset(water.id)?;
    /// organization.restore_dataset(water.id)?;
    ///
    /// let history = organization.history(water.id, &HistoryQuery::new())?;
    /// let trail: Vec<_> = history.iter().map(|version| (version.origin.as_str(), version.changed_by)).collect();
    /// assert_eq!(trail, [("restored", None), ("deleted", Some(user)), ("created", None)]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn history(&self, id: DatasetId, query: &HistoryQuery) -> Result<Page<DatasetVersion>> {
        check_limit(query.limit)?;
        let listing = Listing::History(id);
        let after = self.place(query.after.as_ref(), listing)?;
        let page = self.store.access().read(|snapshot| history::page(snapshot, self.id, id, after, query.limit))?;
        let history::RawHistory { items, damaged, next } = page;
        Ok(Page { items, damaged, next: self.cursor(listing, next) })
    }

    /// The version of a dataset with this revision; `None` if there is no such dataset, or its history has no such
    /// version.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if damage hides the version; those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetPatch, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// organization.update_dataset(water.id, DatasetPatch::new().name("Waste"))?;
    /// assert_eq!(organization.version(water.id, 1)?.map(|version| version.dataset), Some(water));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn version(&self, id: DatasetId, revision: u64) -> Result<Option<DatasetVersion>> {
        none_if_missing(self.store.access().read(|snapshot| {
            history::find(snapshot, self.id, id, |record| record.revision.cast_unsigned() == revision)
        }))
    }

    /// The version of a dataset with this `updated_at`, such as the base of a
    /// [merge](crate::DatasetDraft::merge); `None` if there is no such dataset, or its history has no such version.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if damage hides the version; those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetPatch, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// organization.update_dataset(water.id, DatasetPatch::new().name("Waste"))?;
    /// let base = organization.version_at(water.id, water.updated_at)?;
    /// assert_eq!(base.map(|version| version.dataset), Some(water));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn version_at(&self, id: DatasetId, updated_at: Option<DateTime<Utc>>) -> Result<Option<DatasetVersion>> {
        none_if_missing(
            self.store.access().read(|snapshot| {
                history::find(snapshot, self.id, id, |record| record.dataset.updated_at == updated_at)
            }),
        )
    }
}

fn none_if_missing<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(Error::NotFound { .. }) => Ok(None),
        found => found,
    }
}
