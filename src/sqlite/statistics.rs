//! Counting what the file contains, without reading KPIs.

use std::path::Path;

use super::connection::pragma;
use super::failure::Failure;
use super::file::{companions, stat};
use super::snapshot::Snapshot;
use super::table::{audit, dataset};
use crate::model::statistics::Statistics;

/// Counts everything in one snapshot of the `file`, or of a database in memory.
pub(crate) fn of(snapshot: &Snapshot<'_>, file: Option<&Path>) -> Result<Statistics, Failure> {
    let connection = snapshot.connection();
    let counts = audit::counts(snapshot)?;
    let organizations = dataset::organizations(snapshot)?.len() as u64;
    let versions = audit::count_versions(snapshot)?;
    let page_size = pragma(connection, "page_size")?.cast_unsigned();
    let pages = pragma(connection, "page_count")?.cast_unsigned();
    // SQLite reads it from the header as it stands there.
    let free_pages = u64::try_from(pragma(connection, "freelist_count")?).unwrap_or_default().min(pages);
    let (file_bytes, log_bytes) = match file {
        Some(file) => (stat::length(file)?, companions::wal_length(file)?.unwrap_or_default()),
        None => (pages * page_size, 0),
    };
    Ok(Statistics {
        organizations,
        datasets: counts.datasets,
        kpis: counts.kpis,
        deleted: counts.deleted,
        versions,
        file_bytes,
        log_bytes,
        free_bytes: free_pages * page_size,
    })
}
