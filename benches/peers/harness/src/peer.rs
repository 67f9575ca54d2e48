//! The operations of a peer.

use std::path::Path;

use kpi_store::{Durability, NewDataset, NewKpi, Violations};
use uuid::Uuid;

use crate::{Dataset, Summary};

/// The organization that owns all datasets. Every peer stores it with each dataset and selects by it.
pub const ORGANIZATION: Uuid = Uuid::from_u128(0x0197_d5b5_7c2e_7d2a_9d3a_5f6f_2f0c_1a77);

/// A store of datasets, used as its documentation recommends.
///
/// Every peer validates what it stores with [`NewDataset::validate`] and changes nothing if that fails. It gives each
/// dataset and each KPI a UUIDv7, and the datasets of one call the same time of creation. A failure of the
/// disk may panic.
///
/// Requests are borrowed, so every peer copies what it needs of them. The results of a peer have its own types: only
/// the checks, which are not measured, convert them.
pub trait Peer: Sized + Sync {
    /// A stored dataset with its KPIs in display order, owned.
    type Stored: Send;
    /// A stored dataset without its KPIs, but with their numbers, owned.
    type Summary;
    /// Where the next page starts.
    type Cursor;

    /// Opens what is stored in this folder, which is empty the first time.
    fn open(folder: &Path, durability: Durability) -> Self;

    /// Closes it. The folder then has everything that was stored, and can be opened again.
    fn close(self);

    /// Creates one dataset, as durably as the store was opened for. The returned one equals what [`get`](Self::get)
    /// returns.
    ///
    /// # Errors
    ///
    /// The violations of the request. Nothing was stored.
    fn create(&self, new: &NewDataset) -> Result<Self::Stored, Violations>;

    /// Creates all of these datasets or none.
    ///
    /// # Errors
    ///
    /// The violations of the requests. Nothing was stored.
    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Self::Stored>, Violations>;

    /// Creates valid datasets in transactions of `batch`, with as few in memory at a time as the peer can; `usize::MAX`
    /// means all or none. Returns their number.
    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64;

    /// The dataset with this id.
    fn get(&self, id: Uuid) -> Option<Self::Stored>;

    /// All datasets, in the order of their creation.
    fn list(&self) -> Vec<Self::Stored>;

    /// At most `limit` datasets in the order of creation, and the cursor of the next page if there are more.
    fn page(&self, after: Option<&Self::Cursor>, limit: usize) -> (Vec<Self::Stored>, Option<Self::Cursor>);

    /// The same without KPIs.
    fn summaries(&self, after: Option<&Self::Cursor>, limit: usize) -> (Vec<Self::Summary>, Option<Self::Cursor>);

    /// The number of datasets.
    fn count(&self) -> u64;

    /// Gives a KPI another name, and sets `updated_at` of the KPI and of its dataset to the same time. Returns the whole
    /// dataset, with its KPIs, as it is then.
    ///
    /// # Errors
    ///
    /// The violations of the name ([`validate_name`]). Nothing was changed.
    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Self::Stored, Violations>;

    /// A stored dataset as the checks compare it.
    fn plain(stored: Self::Stored) -> Dataset;

    /// The same of a summary.
    fn plain_summary(summary: Self::Summary) -> Summary;
}

/// Validates the name of a KPI.
///
/// # Errors
///
/// Its violations.
pub fn validate_name(name: &str) -> Result<(), Violations> {
    NewKpi::new(name).validate()
}
