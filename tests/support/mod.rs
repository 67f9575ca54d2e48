//! What several tests need: stores, requests, and, from the package of the same name, what knows nothing of this crate.

#![allow(dead_code, unused_imports, reason = "each binary uses some of it")]

use std::collections::BTreeSet;
use std::path::Path;

use kpi_store::{
    Dataset, DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Store, StoreOptions, Violation,
};

pub(crate) use kpi_store_test_support::*;

/// An organization of its own on the store.
pub(crate) fn organization(store: &Store) -> Organization {
    store.organization(OrganizationId::new())
}

/// A valid request with this number of KPIs.
pub(crate) fn request_with_kpis(count: usize) -> NewDataset {
    NewDataset::new("Water").kpis((0..count).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³")))
}

/// The paths of the violations that an error names.
pub(crate) fn paths(error: &Error) -> Vec<String> {
    let Error::Invalid(violations) = error else { panic!("expected violations, got {error:?}") };
    violations.iter().map(Violation::path).collect()
}

/// A closed store with one dataset in it: one file.
pub(crate) fn checkpointed_store() -> TestFile {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    organization(&store).create_dataset(request_with_kpis(60)).unwrap();
    store.close().unwrap();
    file
}

/// Runs the same check on a store in a file, whose path it is given, and on one in memory.
pub(crate) fn in_a_file_and_in_memory(options: impl Fn() -> StoreOptions, check: impl Fn(&Store, Option<&Path>)) {
    let file = TestFile::new();
    check(&options().open(&file.path).unwrap(), Some(&file.path));
    check(&options().open_in_memory().unwrap(), None);
}

/// Everything of an organization, in the order of creation.
pub(crate) fn listed(organization: &Organization) -> Vec<Dataset> {
    organization.iter_datasets(&DatasetQuery::new().limit(500)).collect::<Result<_, _>>().unwrap()
}

/// How many datasets there are in all; in a file a plain connection must find as many.
pub(crate) fn datasets_in_all(store: &Store, file: Option<&Path>) -> u64 {
    let count = |id| store.organization(id).count_datasets(&DatasetQuery::new()).unwrap();
    let counted = store.organizations().unwrap().into_iter().map(count).sum();
    if let Some(file) = file {
        assert_eq!(rows_seen_by_plain_sqlite(file).0.cast_unsigned(), counted, "plain SQLite counts otherwise");
    }
    counted
}

/// The ids of everything in the file, in which `verify` finds nothing.
pub(crate) fn ids_in_a_sound_file(file: &Path) -> BTreeSet<String> {
    let store = Store::open(file).unwrap();
    assert!(store.verify().unwrap().is_whole());
    let organizations = store.organizations().unwrap().into_iter().map(|id| store.organization(id));
    organizations.flat_map(|organization| listed(&organization)).map(|dataset| dataset.id.to_string()).collect()
}
