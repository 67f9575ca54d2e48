//! The changes of an organization since a cursor.

use crate::error::{Error, Result};
use crate::model::changes::{ChangeCursor, Changes};
use crate::model::ids::OrganizationId;
use crate::sqlite::table::changes::{self, RawChanges};
use crate::store::organization::Organization;

impl Organization {
    /// The cursor after the last change, from which [`changes_since`](Self::changes_since) returns the changes that are
    /// made from now on.
    ///
    /// Take the cursor before a listing, not after it: a change between the two is then returned although the listing
    /// has it already, and not missed.
    ///
    /// # Errors
    ///
    /// Those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_dataset(NewDataset::new("Water"))?;
    /// let cursor = organization.change_cursor()?;
    /// let listed = organization.datasets(&DatasetQuery::new())?;
    /// assert_eq!(listed.items.len(), 1);
    /// assert!(organization.changes_since(&cursor)?.items.is_empty());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn change_cursor(&self) -> Result<ChangeCursor> {
        let position = self.store.access().read(|snapshot| changes::now(snapshot, self.id))?;
        Ok(ChangeCursor::new(self.id, position))
    }

    /// The datasets that were changed after the cursor, each once, with its last state, at most 1,000 of them.
    ///
    /// No change that was committed after the cursor is missed, also none by another process, and also after a restart.
    /// A dataset that was created, changed or restored is [`Present`](crate::ChangeState::Present), one that was moved
    /// to the trash is [`Deleted`](crate::ChangeState::Deleted), and one that was purged is
    /// [`Purged`](crate::ChangeState::Purged). If the changes are read in several calls, a dataset that is changed
    /// meanwhile may be returned again. Pruning a history is no change: it alters nothing that
    /// [`dataset`](Self::dataset) reads.
    ///
    /// With [`Normal`](crate::Durability::Normal), a power cut may undo changes that were returned already, and later
    /// changes then have their numbers. A cursor that is kept in a [property](Self::set_properties) is undone with
    /// them; one that is kept elsewhere may miss what follows.
    ///
    /// The cost depends on what has changed, not on what is stored. A damaged dataset does not make the call fail: it
    /// is listed in [`Changes::damaged`], and no change is missed because of it.
    ///
    /// # Errors
    ///
    /// - [`InvalidCursor`](Error::InvalidCursor) if the cursor belongs to another organization or file, or if the file
    ///   was restored from a backup since, or an organization was [purged](crate::Store::purge_organization) from it.
    ///   Start over from [`ChangeCursor::start`]: a dataset that the application knows, and that is then neither
    ///   returned nor listed as damaged, does not exist any more.
    /// - Those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{ChangeCursor, ChangeState, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let dataset = organization.create_dataset(NewDataset::new("Water"))?;
    /// let first = organization.changes_since(&ChangeCursor::start())?;
    /// assert_eq!((first.items[0].dataset, first.items[0].state), (dataset.id, ChangeState::Present));
    ///
    /// organization.delete_dataset(dataset.id)?;
    /// organization.purge_dataset(dataset.id)?;
    /// let second = organization.changes_since(&first.next)?;
    /// assert_eq!((second.items[0].dataset, second.items[0].state), (dataset.id, ChangeState::Purged));
    /// assert!(!second.has_more);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn changes_since(&self, cursor: &ChangeCursor) -> Result<Changes> {
        let after = cursor.position(self.id).ok_or(Error::InvalidCursor)?;
        let found = self.store.access().read(|snapshot| changes::since(snapshot, self.id, after))?;
        Ok(found.into_changes(self.id))
    }
}

impl RawChanges {
    /// The changes as the organization gets them: with a cursor instead of a position.
    pub(super) fn into_changes(self, organization: OrganizationId) -> Changes {
        let Self { items, damaged, next, has_more } = self;
        Changes { items, damaged, next: ChangeCursor::new(organization, next), has_more }
    }
}
