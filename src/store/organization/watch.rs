//! Waiting for the changes of an organization.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

use crate::access::watch::{self, StopHandle};
use crate::error::{Error, Result};
use crate::model::changes::{ChangeCursor, Changes};
use crate::model::ids::OrganizationId;
use crate::model::page::Damage;
use crate::sqlite::table::changes;
use crate::store::organization::Organization;

impl Organization {
    /// Watches the organization for changes after a cursor, including those that were made before this call.
    ///
    /// The watch does not keep the store open, and ends when it closes.
    ///
    /// # Errors
    ///
    /// Those of [`changes_since`](Self::changes_since).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let mut watch = organization.watch(organization.change_cursor()?)?;
    /// let other = organization.clone();
    /// let creating = std::thread::spawn(move || other.create_dataset(NewDataset::new("Water")));
    ///
    /// let changes = watch.wait(Duration::from_secs(10))?;
    /// let dataset = creating.join().unwrap()?;
    /// assert_eq!(changes.items[0].dataset, dataset.id);
    /// assert!(watch.wait(Duration::ZERO)?.items.is_empty());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn watch(&self, since: ChangeCursor) -> Result<Watch> {
        let waiting = self.store.access().watch()?;
        self.changes_since(&since)?;
        Ok(Watch { waiting, organization: self.id, cursor: since, damaged: Vec::new(), has_ended: false })
    }
}

/// A watch of an organization's changes; obtained from [`Organization::watch`].
///
/// [`wait`](Self::wait) returns as soon as a change of the organization was committed: at once if this process made it,
/// through any handle or another store of the same file, and within 100 ms if another process did. A reported change
/// can be read, and is as durable as the store's [`Durability`](crate::Durability) says; one that is rolled back is
/// never reported. A dataset that was changed several times since the last call is reported once, with its last state.
///
/// Nothing runs in the background: the waiting thread polls the file every 50 ms, which takes microseconds. Changes
/// that are made while no thread waits are reported by the next call. In a file, the watches of a store share one
/// connection.
///
/// As an iterator it waits without a timeout. It yields what [`wait`](Self::wait) returns, errors included, and ends
///
/// - when it is [stopped](StopHandle::stop), or the store is closed or its last handle dropped;
/// - after an error that every further attempt would repeat: [`InvalidCursor`](Error::InvalidCursor),
///   [`TooNew`](Error::TooNew), [`InvalidPath`](Error::InvalidPath) if the write-ahead log was lost, or any error in a
///   forked child process.
///
/// # Examples
///
/// A thread follows all changes until the watch is stopped:
///
/// ```
/// use kpi_store::{ChangeCursor, NewDataset, OrganizationId, Store};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("kpis.db");
/// let store = Store::open(&path)?;
/// let organization = store.organization(OrganizationId::new());
/// let watch = organization.watch(ChangeCursor::start())?;
/// let stop = watch.stop_handle();
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let following = std::thread::spawn(move || {
///     for changes in watch {
///         // A real application reports the error. The watch continues, unless it was the last item.
///         let Ok(changes) = changes else { continue };
///         for change in changes.items {
///             let _ = sender.send(change.dataset);
///         }
///     }
/// });
///
/// let dataset = organization.create_dataset(NewDataset::new("Water"))?;
/// assert_eq!(receiver.recv()?, dataset.id);
/// stop.stop();
/// following.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a watch reports changes only while it is waited for"]
pub struct Watch {
    waiting: watch::Watch,
    organization: OrganizationId,
    /// The cursor after the reported changes.
    cursor: ChangeCursor,
    /// The damage that the last read found.
    damaged: Vec<Damage>,
    /// Whether the iterator has ended.
    has_ended: bool,
}

impl Watch {
    /// Waits until the organization has changes after [`cursor`](Self::cursor), at most as long as the timeout, and
    /// returns them, at most [`CHANGES_MAX`](crate::limits::CHANGES_MAX).
    ///
    /// At the timeout it returns no items. With [`Duration::ZERO`] it returns the changes that there are without
    /// waiting, and with [`Duration::MAX`] it waits without a timeout. If there are [more](Changes::has_more), the next
    /// call returns at once. Damage that remains is reported once.
    ///
    /// In memory, where reads wait for writes, changes are returned when the write in progress is done, or else by a
    /// later call. With [`Duration::ZERO`], which has to find what there is, the call waits for that write, at most for
    /// the busy timeout, unless the last call found nothing and nothing was committed since.
    ///
    /// # Errors
    ///
    /// - [`Error::Cancelled`] after the watch is [stopped](StopHandle::stop), and [`Error::Closed`] after the store is
    ///   closed or its last handle dropped. Either ends the wait at once.
    /// - [`Error::InvalidCursor`] if this or another organization was purged from the file with
    ///   [`purge_organization`](crate::Store::purge_organization): list again, and watch from a new cursor.
    /// - [`Error::InvalidPath`] if the file or its write-ahead log was moved, replaced or removed, so that further
    ///   changes would not be noticed.
    /// - Those of [`changes_since`](Organization::changes_since).
    ///
    /// No change is lost by an error: the next call continues from the same cursor. It first pauses, so that a loop
    /// over errors does not occupy a processor: for 50 ms, twice as long after each further error, up to 1 s, and never
    /// longer than its timeout. After a call without an error the pauses begin anew at 50 ms.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use kpi_store::{ChangeCursor, Error, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let mut watch = organization.watch(ChangeCursor::start())?;
    /// assert!(watch.wait(Duration::ZERO)?.items.is_empty());
    ///
    /// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// assert_eq!(watch.wait(Duration::ZERO)?.items.len(), 2);
    ///
    /// watch.stop_handle().stop();
    /// assert!(matches!(watch.wait(Duration::MAX), Err(Error::Cancelled)));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn wait(&mut self, timeout: Duration) -> Result<Changes> {
        let (organization, cursor, damaged) = (self.organization, &mut self.cursor, &mut self.damaged);
        let found = self.waiting.wait(timeout, |access, patience| {
            let after = cursor.position(organization).ok_or(Error::InvalidCursor)?;
            let found = access.read_at_once(patience, |snapshot| changes::since(snapshot, organization, after))?;
            let changes = found.into_changes(organization);
            // Damage that ends an index is found by every read, at the same position.
            let is_known = changes.next == *cursor && is_same(&changes.damaged, damaged);
            let has_news = !changes.items.is_empty() || changes.has_more || !(changes.damaged.is_empty() || is_known);
            cursor.clone_from(&changes.next);
            damaged.clone_from(&changes.damaged);
            Ok(has_news.then_some(changes))
        })?;
        let nothing = || Changes { items: Vec::new(), damaged: Vec::new(), next: self.cursor.clone(), has_more: false };
        Ok(found.unwrap_or_else(nothing))
    }

    /// The cursor after the reported changes, from which a later watch continues, also in another process.
    #[must_use]
    pub fn cursor(&self) -> &ChangeCursor {
        &self.cursor
    }

    /// A handle that stops this watch from another thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.waiting.stop_handle()
    }
}

/// Whether it is the same damage, beside whichever items.
fn is_same(one: &[Damage], other: &[Damage]) -> bool {
    let what = |damage: &Damage| (damage.dataset, damage.detail.clone());
    one.iter().map(what).eq(other.iter().map(what))
}

impl Iterator for Watch {
    type Item = Result<Changes>;

    fn next(&mut self) -> Option<Result<Changes>> {
        if self.has_ended {
            return None;
        }
        let waited = self.wait(Duration::MAX);
        self.has_ended = match &waited {
            Err(Error::Cancelled | Error::Closed) => true,
            Err(error) => self.waiting.is_permanent(error),
            Ok(_) => false,
        };
        match waited {
            Err(Error::Cancelled | Error::Closed) => None,
            waited => Some(waited),
        }
    }
}

impl FusedIterator for Watch {}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
