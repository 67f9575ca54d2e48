//! What several modules need: stores, requests, and a second eye on the file.

use std::path::{Path, PathBuf};

use kpi_store::{Error, NewDataset, NewKpi, Organization, OrganizationId, Store};
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
