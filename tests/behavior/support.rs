//! What several modules need: stores, requests, and a second eye on the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kpi_store::{DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Store, StoreOptions};
use tempfile::TempDir;

/// A folder that goes with the test, and the path of a store in it.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) file: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        Self { folder, file }
    }
}

/// An organisation of its own on the store.
pub(crate) fn organization(store: &Store) -> Organization {
    store.organization(OrganizationId::new())
}

/// A valid request with so many KPIs.
pub(crate) fn request_with_kpis(count: usize) -> NewDataset {
    NewDataset::new("Water").kpis((0..count).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³")))
}

/// The paths of the violations that an error names.
pub(crate) fn paths(error: &Error) -> Vec<String> {
    let Error::Invalid(violations) = error else { panic!("expected violations, got {error:?}") };
    violations.iter().map(kpi_store::Violation::path).collect()
}

/// A plain connection to the file, with nothing of this crate in it.
pub(crate) fn plain_sqlite(file: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(file).unwrap()
}

/// How many rows a plain connection finds: datasets and KPIs.
pub(crate) fn rows_seen_by_plain_sqlite(file: &Path) -> (i64, i64) {
    let count = "SELECT (SELECT count(*) FROM dataset), (SELECT count(*) FROM kpi)";
    plain_sqlite(file).query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// Checks the same of a store in a file, whose path is given too, and of one in memory.
pub(crate) fn in_a_file_and_in_memory(options: impl Fn() -> StoreOptions, check: impl Fn(&Store, Option<&Path>)) {
    let place = Place::new();
    check(&options().open(&place.file).unwrap(), Some(&place.file));
    check(&options().open_in_memory().unwrap(), None);
}

/// How many datasets there are in all; in a file a plain connection must find as many.
pub(crate) fn datasets_in_all(store: &Store, file: Option<&Path>) -> u64 {
    let count = |id| store.organization(id).count_datasets(&DatasetQuery::new()).unwrap();
    let counted = store.organizations().unwrap().into_iter().map(count).sum();
    if let Some(file) = file {
        assert_eq!(rows_seen_by_plain_sqlite(file).0.cast_unsigned(), counted, "two eyes on one file");
    }
    counted
}

/// Whether another connection can take the write lock at once: nobody holds it.
pub(crate) fn is_unlocked(file: &Path) -> bool {
    let connection = plain_sqlite(file);
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}
