//! The contents of a store, in numbers.

use serde::Serialize;

/// What [`Store::statistics`](crate::Store::statistics) has counted.
///
/// # Examples
///
/// ```
/// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
/// # let store = Store::open_in_memory()?;
/// let water = NewDataset::new("Water").kpi(NewKpi::new("Withdrawal"));
/// store.organization(OrganizationId::new()).create_dataset(water)?;
///
/// let statistics = store.statistics()?;
/// let json = serde_json::to_value(statistics)?;
/// assert_eq!((&json["datasets"], &json["kpis"]), (&1.into(), &1.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// The number of organizations that own datasets, in the trash or not: the length of
    /// [`organizations`](crate::Store::organizations).
    pub organizations: u64,
    /// The number of datasets, without those in the trash.
    pub datasets: u64,
    /// The number of KPIs of these datasets.
    pub kpis: u64,
    /// The number of datasets in the trash.
    pub deleted: u64,
    /// The number of earlier versions in the histories of all datasets, also of those in the trash.
    pub versions: u64,
    /// The length of the file in bytes; in memory, that of the database.
    pub file_bytes: u64,
    /// The length of the write-ahead log in bytes; 0 in memory. The next writes reuse it, so it does not shrink by
    /// itself.
    pub log_bytes: u64,
    /// The bytes of the file that are free: the next writes reuse them, or [`compact`](crate::Store::compact) gives
    /// them back to the disk. As long as changes are only in the log, they may be more than the file has.
    pub free_bytes: u64,
}
