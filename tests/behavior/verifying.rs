//! Verifying: every kind of finding is found and named, all of them at once, and what was changed on purpose can be taken.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use kpi_store::{Dataset, DatasetId, DatasetQuery, Error, NewDataset, Organization, Store, Verification};

use crate::support::{self, Place};

/// A code, and the place of the dataset that the finding names.
type Found = (&'static str, Option<usize>);

/// A store with three datasets, and what is in it.
struct Scene {
    place: Place,
    store: Store,
    organization: Organization,
    datasets: Vec<Dataset>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let store = Store::open(&place.file).unwrap();
        let organization = support::organization(&store);
        let datasets = organization.create_datasets((2..5).map(support::request_with_kpis)).unwrap();
        Self { place, store, organization, datasets }
    }

    /// Changes the file behind the crate's back, foreign keys off.
    fn change(&self, sql: &str) {
        support::plain_sqlite(&self.place.file).execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    }

    /// The codes found, each with the place of the dataset it names.
    fn found(&self) -> Vec<Found> {
        let place = |id: DatasetId| self.datasets.iter().position(|dataset| dataset.id == id).unwrap();
        let findings = self.store.verify().unwrap().findings;
        findings.iter().map(|finding| (finding.code, finding.dataset.map(place))).collect()
    }
}

#[test]
fn a_whole_store_has_no_findings_and_everything_is_counted() {
    let scene = Scene::new();
    let other = support::organization(&scene.store);
    other.create_dataset(support::request_with_kpis(1)).unwrap();
    for store in [scene.store, Store::open_in_memory().unwrap()] {
        let verification: Verification = store.verify().unwrap();
        assert!(verification.is_whole(), "{:?}", verification.findings);
        let expected = if store.path().is_some() { (4, 10) } else { (0, 0) };
        assert_eq!((verification.datasets, verification.kpis), expected);
    }
}

#[test]
fn each_kind_of_finding_is_named_with_its_dataset() {
    // What another tool does, and what must be found. Two of them change rows while the schema has no index of listings.
    let moved = without_an_index(
        "UPDATE dataset SET seq = 70 WHERE seq = 3; UPDATE kpi SET dataset_seq = 70 WHERE dataset_seq = 3",
    );
    let deleted = without_an_index("DELETE FROM dataset WHERE seq = 3; DELETE FROM kpi WHERE dataset_seq = 3");
    let table: [(&str, &[Found]); 7] = [
        ("UPDATE kpi SET name = 'other' WHERE dataset_seq = 2", &[("dataset", Some(1))]),
        ("UPDATE dataset SET digest = digest + 1 WHERE seq = 1", &[("dataset", Some(0))]),
        ("DELETE FROM kpi WHERE dataset_seq = 3 AND position = 1", &[("dataset", Some(2))]),
        ("DELETE FROM dataset WHERE seq = 2", &[("foreign_key", None)]),
        (
            "UPDATE kpi SET position = 0, sort_order = position WHERE dataset_seq = 1",
            &[("dataset", Some(0)), ("order", Some(0))],
        ),
        (&moved, &[("integrity", None), ("hidden", Some(2))]),
        (&deleted, &[("integrity", None), ("count", None)]),
    ];
    for (sql, expected) in table {
        let scene = Scene::new();
        scene.change(sql);
        let mut found = scene.found();
        found.dedup();
        for finding in expected {
            assert!(found.contains(finding), "{sql}: {found:?}");
        }
        let others = found.iter().filter(|finding| !expected.contains(finding) && finding.0 != "integrity");
        assert_eq!(others.count(), 0, "{sql}: {found:?}");
    }
}

/// SQL that does `change` while the schema has no index of listings, and then has it again as it was.
fn without_an_index(change: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         CREATE TEMP TABLE entry AS SELECT * FROM sqlite_schema WHERE name = 'dataset_by_organization';
         DELETE FROM sqlite_schema WHERE name = 'dataset_by_organization';
         PRAGMA writable_schema = RESET;
         {change};
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM entry;
         PRAGMA writable_schema = RESET"
    )
}

#[test]
fn all_findings_come_at_once_and_carry_no_stored_value() {
    let scene = Scene::new();
    scene.change(
        "UPDATE dataset SET name = 's3cr3t' WHERE seq < 3; UPDATE kpi SET unit = CAST(x'ff' || 's3cr3t' AS TEXT)",
    );
    let verification = scene.store.verify().unwrap();
    assert!(!verification.is_whole());
    let named: Vec<_> = verification.findings.iter().filter_map(|finding| finding.dataset).collect();
    for dataset in &scene.datasets {
        assert!(named.contains(&dataset.id), "{:?}", verification.findings);
    }
    assert!(verification.findings.iter().all(|finding| finding.organization == Some(scene.organization.id())));
    assert!(!format!("{verification:?}").contains("s3cr3t"));
}

#[test]
fn progress_rises_to_the_end_and_breaking_ends_it() {
    let scene = Scene::new();
    scene.organization.create_datasets((0..3_000).map(|_| NewDataset::new("Water"))).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let watch = move |progress: kpi_store::Progress| {
        telling.lock().unwrap().push((progress.done, progress.total));
        ControlFlow::Continue(())
    };
    scene.store.verify_with(watch).unwrap();
    let told = told.lock().unwrap();
    assert!(told.is_sorted() && told.len() > 2, "{told:?}");
    assert_eq!(told.last(), Some(&(3_003, 3_003)));

    for calls in [1, told.len() / 2] {
        let mut left = calls;
        let watch = move |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let cancelled = scene.store.verify_with(watch);
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert!(scene.store.verify().unwrap().is_whole(), "and the store goes on");
    }
}

#[test]
fn a_change_on_purpose_is_taken_once_it_is_accepted() {
    let scene = Scene::new();
    let id = scene.datasets[1].id;
    scene.change("UPDATE dataset SET name = 'Corrected' WHERE seq = 2");
    assert!(matches!(scene.organization.dataset(id), Err(Error::Corrupt { .. })));

    let accepted = scene.organization.accept_dataset(id).unwrap().unwrap();

    assert_eq!(accepted.name, "Corrected");
    assert_eq!(scene.organization.dataset(id).unwrap(), Some(accepted));
    assert!(scene.store.verify().unwrap().is_whole());
    let revisions = "SELECT group_concat(revision) FROM (SELECT revision FROM dataset ORDER BY seq)";
    let found: String = support::plain_sqlite(&scene.place.file).query_row(revisions, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "1,2,1", "it is a change of that dataset and of no other");
}

#[test]
fn nothing_is_accepted_that_is_not_there_or_that_this_crate_never_writes() {
    let scene = Scene::new();
    assert_eq!(scene.organization.accept_dataset(DatasetId::new()).unwrap(), None);
    let foreign = support::organization(&scene.store);
    assert_eq!(foreign.accept_dataset(scene.datasets[0].id).unwrap(), None);
    scene.change("UPDATE dataset SET name = CAST(x'ff' AS TEXT) WHERE seq = 1");
    let refused = scene.organization.accept_dataset(scene.datasets[0].id).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { dataset: Some(id), .. } if id == scene.datasets[0].id), "{refused:?}");
    assert_eq!(scene.organization.count_datasets(&DatasetQuery::new()).unwrap(), 3);
}
