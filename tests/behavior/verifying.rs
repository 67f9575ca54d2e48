//! Verifying: every kind of damage is found and named, all at once, and an intended change can be accepted.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use kpi_store::{
    Dataset, DatasetId, DatasetPatch, DatasetQuery, Error, HistoryQuery, NewDataset, Organization, Store, Verification,
};

use crate::support::{self, TestFile};

/// A code, and the index of the dataset that the finding names.
type Found = (&'static str, Option<usize>);

/// A store with three datasets.
struct Sample {
    store: Store,
    organization: Organization,
    datasets: Vec<Dataset>,
    // The last, so that no store is open when its folder is removed: another file may get its inode.
    file: TestFile,
}

impl Sample {
    fn new() -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let organization = support::organization(&store);
        let datasets = organization.create_datasets((2..5).map(support::request_with_kpis)).unwrap();
        Self { store, organization, datasets, file }
    }

    /// Changes the file by plain SQL, foreign keys off.
    fn change(&self, sql: &str) {
        support::plain_sqlite(&self.file.path).execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    }

    /// The codes found, each with the index of the dataset it names.
    fn found(&self) -> Vec<Found> {
        let place = |id: DatasetId| self.datasets.iter().position(|dataset| dataset.id == id).unwrap();
        let findings = self.store.verify().unwrap().findings;
        findings.iter().map(|finding| (finding.kind.as_str(), finding.dataset.map(place))).collect()
    }
}

#[test]
fn a_whole_store_has_no_findings_and_everything_is_counted() {
    let sample = Sample::new();
    let other = support::organization(&sample.store);
    other.create_dataset(support::request_with_kpis(1)).unwrap();
    for store in [sample.store, Store::open_in_memory().unwrap()] {
        let verification: Verification = store.verify().unwrap();
        assert!(verification.is_whole(), "{:?}", verification.findings);
        let expected = if store.path().is_some() { (4, 10) } else { (0, 0) };
        assert_eq!((verification.datasets, verification.kpis), expected);
    }
}

#[test]
fn each_kind_of_finding_is_named_with_its_dataset() {
    // Changes by another tool, and the expected findings. Two of them are made while the index of listings is dropped.
    let moved = without_an_index(
        "UPDATE dataset SET seq = 70 WHERE seq = 3; UPDATE kpi SET dataset_seq = 70 WHERE dataset_seq = 3",
    );
    let deleted = without_an_index("DELETE FROM dataset WHERE seq = 3; DELETE FROM kpi WHERE dataset_seq = 3");
    let orphan = |seq: i64| {
        format!(
            "PRAGMA ignore_check_constraints = ON; CREATE TEMP TABLE one AS SELECT * FROM kpi LIMIT 1;
             UPDATE one SET dataset_seq = {seq}; INSERT INTO kpi SELECT * FROM one"
        )
    };
    let table: [(&str, &[Found]); 9] = [
        ("UPDATE kpi SET name = 'other' WHERE dataset_seq = 2", &[("dataset", Some(1))]),
        ("UPDATE dataset SET head_digest = head_digest + 1 WHERE seq = 1", &[("dataset", Some(0))]),
        ("DELETE FROM kpi WHERE dataset_seq = 3 AND position = 1", &[("dataset", Some(2))]),
        ("DELETE FROM dataset WHERE seq = 2", &[("foreign_key", None)]),
        (&orphan(i64::MIN), &[("foreign_key", None)]),
        (&orphan(i64::MAX), &[("foreign_key", None)]),
        (
            "UPDATE kpi SET position = 0, sort_order = position WHERE dataset_seq = 1",
            &[("dataset", Some(0)), ("order", Some(0))],
        ),
        (&moved, &[("integrity", None), ("hidden", Some(2))]),
        // SQLite does not count the entries of an index that has a condition.
        (&deleted, &[("count", None)]),
    ];
    for (sql, expected) in table {
        let sample = Sample::new();
        sample.change(sql);
        let mut found = sample.found();
        found.dedup();
        for finding in expected {
            assert!(found.contains(finding), "{sql}: {found:?}");
        }
        let others = found.iter().filter(|finding| !expected.contains(finding) && finding.0 != "integrity");
        assert_eq!(others.count(), 0, "{sql}: {found:?}");
    }
}

/// SQL that does `change` while the index of listings is dropped, and then recreates it.
fn without_an_index(change: &str) -> String {
    without("dataset_by_organization", change)
}

/// SQL that does `change` while this index is dropped, and then recreates it.
fn without(index: &str, change: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         CREATE TEMP TABLE entry AS SELECT * FROM sqlite_schema WHERE name = '{index}';
         DELETE FROM sqlite_schema WHERE name = '{index}';
         PRAGMA writable_schema = RESET;
         {change};
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM entry;
         PRAGMA writable_schema = RESET"
    )
}

/// The first dataset is edited, the second in the trash, the third was there, and a fourth was purged.
fn changed_sample() -> Sample {
    let sample = Sample::new();
    let ours = &sample.organization;
    ours.update_dataset(sample.datasets[0].id, DatasetPatch::new().name("Waste")).unwrap();
    ours.delete_dataset(sample.datasets[1].id).unwrap();
    ours.delete_dataset(sample.datasets[2].id).unwrap();
    ours.restore_dataset(sample.datasets[2].id).unwrap();
    let purged = ours.create_dataset(support::request_with_kpis(1)).unwrap().id;
    ours.delete_dataset(purged).unwrap();
    ours.purge_dataset(purged).unwrap();
    ours.set_properties([("cursor", Some(b"17".as_slice()))]).unwrap();
    assert!(sample.store.verify().unwrap().is_whole());
    sample
}

#[test]
fn damage_to_state_history_purged_ids_and_properties_is_found() {
    const CHECKS_OFF: &str = "PRAGMA ignore_check_constraints = ON;";
    let [first, second, third] = [("dataset", Some(0)), ("dataset", Some(1)), ("dataset", Some(2))];
    let of_history = |index| ("history", Some(index));
    let table: Vec<(&str, Vec<Found>)> = vec![
        ("UPDATE dataset SET kpi_count = kpi_count + 1 WHERE seq = 1", vec![first]),
        ("UPDATE dataset SET required_count = required_count - 1 WHERE seq = 1", vec![first]),
        ("UPDATE dataset SET changed = changed + 1 WHERE seq = 1", vec![first]),
        ("UPDATE dataset SET changed = changed + 1000 WHERE seq = 2", vec![second, ("count", None)]),
        ("UPDATE dataset SET state_digest = state_digest + 1 WHERE seq = 3", vec![third]),
        ("UPDATE dataset SET deleted_at = NULL WHERE seq = 2", vec![second]),
        ("UPDATE dataset SET deleted_at = 0 WHERE seq = 3", vec![third]),
        ("UPDATE dataset SET deleted_by = zeroblob(16) WHERE seq = 2", vec![second]),
        ("UPDATE dataset SET changed = NULL, state_digest = NULL WHERE seq = 1", vec![of_history(0)]),
        (
            "UPDATE dataset SET changed = NULL, deleted_at = NULL, state_digest = NULL WHERE seq = 2",
            vec![of_history(1)],
        ),
        ("UPDATE dataset_version SET changed_at = 0 WHERE dataset_seq = 1", vec![of_history(0)]),
        ("UPDATE dataset_version SET replaced = NULL WHERE dataset_seq = 1", vec![of_history(0)]),
        ("UPDATE dataset_version SET replaced = '{}', digest = 0 WHERE dataset_seq = 2", vec![of_history(1)]),
        ("UPDATE dataset_version SET origin = 3 WHERE dataset_seq = 3 AND origin = 4", vec![of_history(2)]),
        ("DELETE FROM dataset_version WHERE dataset_seq = 3 AND origin = 3", vec![of_history(2)]),
        ("DELETE FROM dataset_version WHERE dataset_seq = 3 AND origin = 4", vec![of_history(2)]),
        ("DELETE FROM dataset_version", vec![of_history(0), of_history(1), of_history(2)]),
        ("UPDATE dataset_version SET dataset_seq = 3 WHERE dataset_seq = 1", vec![of_history(0), of_history(2)]),
        (
            "UPDATE dataset_version SET dataset_seq = 0 WHERE dataset_seq = 1",
            vec![of_history(0), ("foreign_key", None)],
        ),
        ("UPDATE counter SET last = 3", vec![("count", None)]),
        ("UPDATE purged_dataset SET id = zeroblob(15)", vec![("history", None)]),
        ("UPDATE purged_dataset SET id = randomblob(16)", vec![("history", None)]),
        ("UPDATE purged_dataset SET organization_id = randomblob(16)", vec![("history", None)]),
        ("UPDATE purged_dataset SET change = 0", vec![("history", None)]),
        ("UPDATE purged_dataset SET change = change + 1", vec![("history", None)]),
        ("UPDATE purged_dataset SET digest = digest + 1", vec![("history", None)]),
        ("UPDATE organization_property SET organization_id = zeroblob(15)", vec![("property", None)]),
        ("UPDATE organization_property SET organization_id = randomblob(16)", vec![("property", None)]),
        ("UPDATE organization_property SET key = ''", vec![("property", None)]),
        ("UPDATE organization_property SET key = 'Cursor'", vec![("property", None)]),
        ("UPDATE organization_property SET content = x''", vec![("property", None)]),
        ("UPDATE organization_property SET content = CAST(content || x'00' AS BLOB)", vec![("property", None)]),
        ("UPDATE organization_property SET content = zeroblob(65537)", vec![("property", None)]),
        ("UPDATE organization_property SET digest = digest + 1", vec![("property", None)]),
    ];
    for (sql, mut expected) in table {
        let sample = changed_sample();
        sample.change(&format!("{CHECKS_OFF} {sql}"));
        let mut found = sample.found();
        assert!(!found.is_empty(), "{sql}");
        // SQLite finds what a CHECK refuses.
        found.retain(|(kind, _)| *kind != "integrity");
        found.sort_unstable();
        found.dedup();
        expected.sort_unstable();
        assert_eq!(found, expected, "{sql}");
    }
}

#[test]
fn a_dataset_that_is_missing_in_an_index_is_found_and_so_is_an_entry_without_one() {
    // The index, a dataset that it has, and one that it lacks.
    let indexes = [("dataset_by_organization", 1, 2), ("dataset_by_change", 1, 0), ("dataset_in_trash", 2, 3)];
    for (index, seq, other) in indexes {
        let moved = format!(
            "UPDATE dataset SET seq = 50 WHERE seq = {seq}; UPDATE kpi SET dataset_seq = 50
            WHERE dataset_seq = {seq}; UPDATE dataset_version SET dataset_seq = 50 WHERE dataset_seq = {seq}"
        );
        let sample = changed_sample();
        sample.change(&without(index, &format!("PRAGMA ignore_check_constraints = ON; {moved}")));
        let place = usize::try_from(seq - 1).unwrap();
        assert!(sample.found().contains(&("hidden", Some(place))), "{index}: {:?}", sample.found());

        let deleted = format!(
            "DELETE FROM dataset WHERE seq = {seq}; DELETE FROM kpi WHERE dataset_seq = {seq};
            DELETE FROM dataset_version WHERE dataset_seq = {seq}"
        );
        let sample = changed_sample();
        sample.change(&without(index, &deleted));
        assert_eq!(sample.found(), [("count", None)], "{index}");

        // The control: where the index has no entry, nothing is missing.
        if other > 0 {
            let moved = format!("UPDATE dataset SET name = name WHERE seq = {other}");
            let sample = changed_sample();
            sample.change(&without(index, &moved));
            assert_eq!(sample.found(), [], "{index}");
        }
    }
}

/// The order of the last changes skips what its index has as deleted.
#[test]
fn an_index_that_has_a_present_dataset_as_deleted_is_found() {
    let sample = changed_sample();
    sample.change("UPDATE dataset SET deleted_at = 5 WHERE seq = 1");
    sample.change(&without("dataset_by_change", "UPDATE dataset SET deleted_at = NULL WHERE seq = 1"));
    assert_eq!(sample.store.verify().unwrap().datasets, 3);
    let mut found = sample.found();
    found.retain(|(kind, _)| *kind != "integrity");
    assert_eq!(found, [("hidden", Some(0))]);
}

#[test]
fn damage_that_several_checks_meet_is_told_once() {
    let Sample { file, store, organization, .. } = Sample::new();
    organization.create_datasets((0..50).map(|_| support::request_with_kpis(20))).unwrap();
    store.close().unwrap();
    let mut bytes = std::fs::read(&file.path).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4_096].fill(0xff);
    std::fs::write(&file.path, bytes).unwrap();

    let findings = Store::open(&file.path).unwrap().verify().unwrap().findings;

    let texts: std::collections::BTreeSet<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), findings.len(), "{findings:?}");
}

#[test]
fn all_findings_come_at_once_and_carry_no_stored_value() {
    let sample = Sample::new();
    sample.change(
        "UPDATE dataset SET name = 's3cr3t' WHERE seq < 3; UPDATE kpi SET unit = CAST(x'ff' || 's3cr3t' AS TEXT)",
    );
    let verification = sample.store.verify().unwrap();
    assert!(!verification.is_whole());
    let named: Vec<_> = verification.findings.iter().filter_map(|finding| finding.dataset).collect();
    for dataset in &sample.datasets {
        assert!(named.contains(&dataset.id), "{:?}", verification.findings);
    }
    assert!(verification.findings.iter().all(|finding| finding.organization == Some(sample.organization.id())));
    assert!(!format!("{verification:?}").contains("s3cr3t"));
}

#[test]
fn progress_rises_to_the_end_and_breaking_ends_it() {
    let sample = Sample::new();
    sample.organization.create_datasets((0..3_000).map(|_| NewDataset::new("Water"))).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let watch = move |progress: kpi_store::Progress| {
        telling.lock().unwrap().push((progress.done, progress.total));
        ControlFlow::Continue(())
    };
    sample.store.verify_with(watch).unwrap();
    let told = told.lock().unwrap();
    assert!(told.is_sorted() && told.len() > 2, "{told:?}");
    assert_eq!(told.last(), Some(&(3_003, 3_003)));

    for calls in [1, told.len() / 2] {
        let mut left = calls;
        let watch = move |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let cancelled = sample.store.verify_with(watch);
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert!(sample.store.verify().unwrap().is_whole(), "the store can still be verified");
    }
}

#[test]
fn an_intended_change_is_read_once_it_is_accepted() {
    let sample = Sample::new();
    let id = sample.datasets[1].id;
    sample.change("UPDATE dataset SET name = 'Corrected' WHERE seq = 2");
    assert!(matches!(sample.organization.dataset(id), Err(Error::Corrupt { .. })));

    let accepted = sample.organization.accept_dataset(id).unwrap();

    assert_eq!(accepted.name, "Corrected");
    assert_eq!(sample.organization.dataset(id).unwrap(), Some(accepted));
    assert!(sample.store.verify().unwrap().is_whole());
    let revisions = "SELECT group_concat(revision) FROM (SELECT revision FROM dataset ORDER BY seq)";
    let found: String = support::plain_sqlite(&sample.file.path).query_row(revisions, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "1,2,1", "it is a change of that dataset and of no other");
}

#[test]
fn an_acceptance_leaves_a_gap_in_the_history_and_no_damage() {
    let sample = Sample::new();
    let (ours, id) = (&sample.organization, sample.datasets[0].id);
    ours.update_dataset(id, DatasetPatch::new().name("Waste")).unwrap();
    sample.change("UPDATE dataset SET description = 'By hand' WHERE seq = 1");
    ours.accept_dataset(id).unwrap();
    assert!(sample.store.verify().unwrap().is_whole());
    let history = ours.history(id, &HistoryQuery::new()).unwrap();
    assert_eq!(history.items.iter().map(|version| version.revision).collect::<Vec<_>>(), [3]);
    assert_eq!((history.damaged, history.items[0].diff.clone()), (Vec::new(), None));
    assert_eq!(ours.version(id, 1).unwrap(), None);
}

#[test]
fn nothing_is_accepted_that_is_not_there_or_that_this_crate_never_writes() {
    let sample = Sample::new();
    let foreign = support::organization(&sample.store);
    for (organization, id) in [(&sample.organization, DatasetId::new()), (&foreign, sample.datasets[0].id)] {
        let missing = organization.accept_dataset(id).unwrap_err();
        assert!(matches!(missing, Error::NotFound { dataset, .. } if dataset == id), "{missing:?}");
        assert_eq!(missing.code(), "not_found");
    }
    sample.change("UPDATE dataset SET name = CAST(x'ff' AS TEXT) WHERE seq = 1");
    let refused = sample.organization.accept_dataset(sample.datasets[0].id).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { dataset: Some(id), .. } if id == sample.datasets[0].id), "{refused:?}");
    assert_eq!(sample.organization.count_datasets(&DatasetQuery::new()).unwrap(), 3);
}

#[test]
fn a_backup_of_a_damaged_store_reports_the_damage_once() {
    let sample = Sample::new();
    sample.change("UPDATE dataset SET name = 'x' WHERE seq = 2");
    let error = sample.store.backup_to(sample.file.with_suffix("-copy")).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("the file is damaged at dataset {}: it does not match its digest", sample.datasets[1].id)
    );
    let findings = sample.store.verify().unwrap().findings;
    assert_eq!(
        findings[0].to_string(),
        format!("dataset: it does not match its digest (dataset {})", sample.datasets[1].id)
    );
}
