//! Statistics: every number is that of the rows, in a file and in memory, of a read-only and of a damaged file.

use std::fs;
use std::path::Path;

use kpi_store::{DatasetPatch, HistoryKeep, NewDataset, Store};
use rusqlite::Connection;

use crate::support::{TestFile, in_a_file_and_in_memory, organization, plain_sqlite, request_with_kpis, with_suffix};

/// Organizations, datasets, KPIs, deleted, versions.
type Counts = [u64; 5];

fn counts(store: &Store) -> Counts {
    let found = store.statistics().unwrap();
    [found.organizations, found.datasets, found.kpis, found.deleted, found.versions]
}

/// The same by plain SQL, from the rows.
fn counts_by_sql(plain: &Connection) -> Counts {
    [
        "SELECT count(DISTINCT organization_id) FROM dataset",
        "SELECT count(*) FROM dataset WHERE deleted_at IS NULL",
        "SELECT count(*) FROM kpi JOIN dataset ON seq = dataset_seq WHERE deleted_at IS NULL",
        "SELECT count(*) FROM dataset WHERE deleted_at IS NOT NULL",
        "SELECT count(DISTINCT dataset_seq || ' ' || change) FROM dataset_version WHERE replaced IS NOT NULL",
    ]
    .map(|sql| plain.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned())
}

#[test]
fn every_number_is_that_of_the_rows() {
    in_a_file_and_in_memory(Store::options, |store, file| {
        let check = |expected: Counts| {
            assert_eq!(counts(store), expected);
            if let Some(file) = file {
                assert_eq!(counts_by_sql(&plain_sqlite(file)), expected);
            }
        };
        check([0; 5]);
        let (ours, theirs) = (organization(store), organization(store));
        organization(store).set_properties([("a", Some(b"1".as_slice()))]).unwrap();
        let made = ours.create_datasets([3, 0, 5].map(request_with_kpis)).unwrap();
        let in_trash = theirs.create_dataset(request_with_kpis(100)).unwrap();
        check([2, 4, 108, 0, 0]);
        theirs.delete_dataset(in_trash.id).unwrap();
        check([2, 3, 8, 1, 0]);
        ours.update_dataset(made[0].id, DatasetPatch::new().delete_kpi(made[0].kpis[0].id)).unwrap();
        let longer = ours.update_dataset(made[2].id, DatasetPatch::new().name("Waste")).unwrap();
        let mut draft = longer.edit();
        draft.kpis.clear();
        ours.save_dataset(&draft).unwrap();
        ours.delete_dataset(made[1].id).unwrap();
        ours.restore_dataset(made[1].id).unwrap();
        check([2, 3, 2, 1, 3]);
        // Its history is in several parts, which are one version.
        let long = ours.create_dataset(request_with_kpis(100).description("🌊".repeat(2_000))).unwrap();
        let mut draft = long.edit();
        draft.kpis.iter_mut().for_each(|kpi| kpi.description = Some("🌊".repeat(2_000)));
        let mut draft = ours.save_dataset(&draft).unwrap().edit();
        draft.kpis.clear();
        ours.save_dataset(&draft).unwrap();
        if let Some(file) = file {
            let parts = "SELECT max(part) FROM dataset_version";
            assert!(plain_sqlite(file).query_row(parts, [], |row| row.get::<_, i64>(0)).unwrap() > 0, "the control");
        }
        check([2, 4, 2, 1, 5]);
        ours.prune_history(&HistoryKeep::new().last(1)).unwrap();
        check([2, 4, 2, 1, 0]);
        theirs.purge_dataset(in_trash.id).unwrap();
        check([1, 4, 2, 0, 0]);
        store.purge_organization(ours.id()).unwrap();
        check([0; 5]);
    });
}

#[test]
fn bytes_are_those_of_the_files_and_free_ones_are_given_back_by_compacting() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    let ours = organization(&store);
    let made = ours.create_datasets((0..50).map(|_| request_with_kpis(100))).unwrap();
    let full = store.statistics().unwrap();
    assert_eq!(full.log_bytes, length(&with_suffix(&file.path, "-wal")));
    assert!(full.log_bytes > 100_000 && full.free_bytes == 0, "{full:?}");
    assert!(store.checkpoint().unwrap());
    let full = store.statistics().unwrap();
    assert_eq!((full.file_bytes, full.log_bytes), (length(&file.path), 0));

    let ids: Vec<_> = made.iter().map(|dataset| dataset.id).collect();
    ours.delete_datasets(ids.iter().copied()).unwrap();
    for id in ids {
        ours.purge_dataset(id).unwrap();
    }
    assert!(store.checkpoint().unwrap());
    let free = store.statistics().unwrap();
    let pages: u64 = plain_sqlite(&file.path)
        .query_row("SELECT freelist_count * 4096 FROM pragma_freelist_count", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .cast_unsigned();
    assert_eq!((free.file_bytes, free.free_bytes), (full.file_bytes, pages));
    assert!(free.free_bytes * 10 > free.file_bytes * 7, "{free:?}");
    store.compact().unwrap();
    let compacted = store.statistics().unwrap();
    assert_eq!(compacted.free_bytes, 0);
    assert_eq!(compacted.file_bytes, length(&file.path));
    assert!(compacted.file_bytes <= free.file_bytes - free.free_bytes, "{compacted:?}");
}

#[test]
fn in_memory_the_bytes_are_those_of_the_pages() {
    let store = Store::open_in_memory().unwrap();
    let empty = store.statistics().unwrap();
    organization(&store).create_datasets((0..20).map(|_| request_with_kpis(100))).unwrap();
    let full = store.statistics().unwrap();
    assert_eq!((empty.log_bytes, full.log_bytes), (0, 0));
    assert!(full.file_bytes > empty.file_bytes + 100_000 && full.file_bytes.is_multiple_of(4_096), "{full:?}");
}

#[test]
fn a_reader_and_a_backup_count_the_same() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let dataset = ours.create_dataset(request_with_kpis(7)).unwrap();
    ours.create_dataset(NewDataset::new("Waste")).unwrap();
    ours.update_dataset(dataset.id, DatasetPatch::new().name("Rivers")).unwrap();
    ours.delete_dataset(dataset.id).unwrap();
    let expected = counts(&store);
    assert_eq!(expected, [1, 1, 0, 1, 1]);
    let copy = file.folder.path().join("copy.db");
    store.backup_to(&copy).unwrap();
    for path in [&file.path, &copy] {
        assert_eq!(counts(&Store::options().read_only(true).open(path).unwrap()), expected);
    }
    let another = store.clone();
    store.close().unwrap();
    assert_eq!(another.statistics().unwrap_err().code(), "closed");
}

/// Damaged numbers are left out, and never make a sum overflow.
#[test]
fn numbers_that_are_never_written_are_not_added_up() {
    let table = [
        ("kpi_count = 9223372036854775807", 5),
        ("kpi_count = -9223372036854775808", 5),
        ("kpi_count = 10001", 5),
        ("kpi_count = 10000", 10_005),
    ];
    for (change, expected) in table {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        organization(&store).create_datasets([5, 2, 2].map(request_with_kpis)).unwrap();
        let plain = plain_sqlite(&file.path);
        plain.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        assert_eq!(plain.execute(&format!("UPDATE dataset SET {change} WHERE seq = 2"), []).unwrap(), 1);
        assert_eq!(plain.execute("UPDATE dataset SET kpi_count = 10001 WHERE seq = 3", []).unwrap(), 1);
        let found = store.statistics().unwrap();
        assert_eq!((found.datasets, found.kpis), (3, expected), "{change}");
    }
}
