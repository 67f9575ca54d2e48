//! The smallest and the largest values of every column, written by another tool while checks are off: no call leaves
//! out a row that others return, and `verify` finds every value that this crate never writes.

use kpi_store::{DatasetQuery, Organization, Store};

use super::Whole;
use crate::support::{TestFile, plain_sqlite};

const INTEGERS: [&str; 6] = ["-9223372036854775808", "-1", "0", "1", "9223372036854775806", "9223372036854775807"];
const TEXTS: [&str; 6] = [
    "''",
    "char(0)",
    "'a' || char(0)",
    "printf('%.*c', 51, 'x')",
    "printf('%.*c', 256, 'x')",
    "printf('%.*c', 2001, 'x')",
];
const BLOBS: [&str; 5] = ["x''", "zeroblob(15)", "zeroblob(16)", "zeroblob(17)", "unhex(printf('%.*c', 32, 'f'))"];

/// The columns with their values, and the conditions under which a value is one that this crate writes.
const COLUMNS: &[(&str, &str, &[&str], &str)] = &[
    ("dataset", "seq", &INTEGERS, "seq BETWEEN 1 AND 9223372036854775806"),
    ("dataset", "id", &BLOBS, "length(id) = 16"),
    ("dataset", "organization_id", &BLOBS, "length(organization_id) = 16"),
    ("dataset", "name", &TEXTS, "length(name) BETWEEN 1 AND 255 AND instr(name, char(0)) = 0"),
    ("dataset", "description", &TEXTS, "length(description) <= 2000 AND instr(description, char(0)) = 0"),
    ("dataset", "created_at", &INTEGERS, "created_at BETWEEN -62135596800000000 AND 253402300799999999"),
    ("dataset", "created_by", &BLOBS, "length(created_by) = 16"),
    ("dataset", "updated_by", &BLOBS, "length(updated_by) = 16"),
    ("dataset", "updated_at", &INTEGERS, "updated_at BETWEEN -62135596800000000 AND 253402300799999999"),
    ("dataset", "revision", &INTEGERS, "revision >= 1"),
    ("dataset", "kpi_count", &INTEGERS, "kpi_count BETWEEN required_count AND 10000"),
    ("dataset", "required_count", &INTEGERS, "required_count BETWEEN 0 AND kpi_count"),
    ("dataset", "head_digest", &INTEGERS, "head_digest IS NOT NULL"),
    ("dataset", "kpi_digest", &INTEGERS, "kpi_digest IS NOT NULL"),
    ("dataset", "changed", &INTEGERS, "changed > seq"),
    ("dataset", "deleted_at", &INTEGERS, "deleted_at BETWEEN -62135596800000000 AND 253402300799999999"),
    ("dataset", "deleted_by", &BLOBS, "length(deleted_by) = 16"),
    ("dataset", "state_digest", &INTEGERS, "state_digest IS NULL"),
    ("kpi", "id", &BLOBS, "length(id) = 16"),
    ("kpi", "position", &INTEGERS, "position >= 0"),
    ("kpi", "name", &TEXTS, "length(name) BETWEEN 1 AND 255 AND instr(name, char(0)) = 0"),
    ("kpi", "description", &TEXTS, "length(description) <= 2000 AND instr(description, char(0)) = 0"),
    ("kpi", "unit", &TEXTS, "length(unit) <= 50 AND instr(unit, char(0)) = 0"),
    ("kpi", "value_type", &INTEGERS, "value_type BETWEEN 0 AND 4"),
    ("kpi", "required", &INTEGERS, "required IN (0, 1)"),
    ("kpi", "sort_order", &INTEGERS, "sort_order >= 0"),
    ("kpi", "created_at", &INTEGERS, "created_at BETWEEN -62135596800000000 AND 253402300799999999"),
    ("kpi", "updated_at", &INTEGERS, "updated_at BETWEEN -62135596800000000 AND 253402300799999999"),
    ("counter", "id", &INTEGERS, "id = 1"),
    ("counter", "last", &INTEGERS, "last BETWEEN 0 AND 9223372036854775806"),
];

#[test]
fn a_value_at_a_boundary_is_found_by_verify_and_hidden_by_no_call() {
    let whole = Whole::new();
    let (mut allowed, mut found) = (0, 0);
    for (table, column, values, condition) in COLUMNS {
        for value in *values {
            let what = format!("{table}.{column} = {value}");
            let file = TestFile::with(&whole.file);
            let plain = plain_sqlite(&file.path);
            plain.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
            let row = match *table {
                "dataset" => "seq = 3",
                "kpi" => "dataset_seq = 3 AND position = 1",
                _ => "id = 1",
            };
            // The KPIs follow their dataset.
            plain.execute_batch("PRAGMA foreign_keys = ON; PRAGMA defer_foreign_keys = ON; BEGIN").unwrap();
            if plain.execute(&format!("UPDATE {table} SET {column} = {value} WHERE {row}"), []).is_err() {
                assert_eq!((*column, *value), ("seq", "1"), "only that number is taken");
                continue;
            }
            if *column == "seq" {
                plain.execute(&format!("UPDATE kpi SET dataset_seq = {value} WHERE dataset_seq = 3"), []).unwrap();
            }
            plain.execute_batch("COMMIT").unwrap();
            let is_allowed: bool = plain
                .query_row(&format!("SELECT min(ifnull({condition}, 1)) FROM {table}"), [], |row| row.get(0))
                .unwrap();
            plain.close().unwrap();
            if is_allowed {
                allowed += 1;
                continue;
            }
            found += 1;
            for read_only in [true, false] {
                let store = Store::options().read_only(read_only).open(&file.path).unwrap();
                let verification = store.verify().unwrap();
                assert!(!verification.is_whole() && verification.datasets == 5, "{what}: {verification:?}");
                let ours = store.organization(whole.datasets[0].organization_id);
                if *column != "seq" {
                    lists_as_many_as_it_counts(&ours, &what);
                }
                // A change takes a number, which the counter then has.
                if *table == "counter" {
                    continue;
                }
                // Accepting counts the KPIs and computes digests that match; another value that no create could have
                // stored stays damage.
                let accepted = ours.accept_dataset(whole.datasets[2].id);
                let is_mended = column.ends_with("_count") && accepted.is_ok();
                assert_eq!(store.verify().unwrap().is_whole(), is_mended, "{what}: {accepted:?}");
            }
        }
    }
    assert!(allowed > 20 && found > 50, "the control: {allowed} and {found}");
}

fn lists_as_many_as_it_counts(ours: &Organization, what: &str) {
    let count = ours.count_datasets(&DatasetQuery::new()).unwrap();
    for query in [DatasetQuery::new(), DatasetQuery::new().newest_first()] {
        let page = ours.datasets(&query).unwrap();
        assert_eq!((page.items.len() + page.damaged.len()) as u64, count, "{what}: {page:?}");
        for dataset in page.items {
            assert_eq!(ours.dataset(dataset.id).unwrap().as_ref(), Some(&dataset), "{what}");
        }
    }
}
