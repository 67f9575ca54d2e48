//! Values of a type that a STRICT table does not accept, written while the schema was changed to accept them.

use kpi_store::Store;

use super::{Whole, named, on_the_third};
use crate::support::{TestFile, plain_sqlite};

const TYPES: &[&str] = &[
    "UPDATE dataset SET id = 'sixteen letters!'",
    "UPDATE dataset SET id = 16",
    "UPDATE dataset SET name = CAST(name AS BLOB)",
    "UPDATE dataset SET name = NULL",
    "UPDATE dataset SET name = 12",
    "UPDATE dataset SET description = x'00'",
    "UPDATE dataset SET created_at = 'yesterday'",
    "UPDATE dataset SET created_at = 1.5",
    "UPDATE dataset SET created_at = NULL",
    "UPDATE dataset SET created_by = 'sixteen letters!'",
    "UPDATE dataset SET updated_at = x'00'",
    "UPDATE dataset SET revision = 'first'",
    "UPDATE dataset SET revision = NULL",
    "UPDATE dataset SET kpi_count = 'three'",
    "UPDATE dataset SET kpi_count = NULL",
    "UPDATE dataset SET required_count = 0.5",
    "UPDATE dataset SET required_count = NULL",
    "UPDATE dataset SET head_digest = 0.5",
    "UPDATE dataset SET head_digest = CAST(head_digest AS TEXT) || 'x'",
    "UPDATE dataset SET head_digest = NULL",
    "UPDATE dataset SET kpi_digest = x'00'",
    "UPDATE dataset SET kpi_digest = NULL",
    "UPDATE dataset SET changed = 'once'",
    "UPDATE dataset SET deleted_by = 'sixteen letters!'",
    "UPDATE dataset SET state_digest = 0.5",
    "UPDATE kpi SET id = 'sixteen letters!' WHERE position = 0",
    "UPDATE kpi SET id = 3.5 WHERE position = 0",
    "UPDATE kpi SET position = 'first'",
    "UPDATE kpi SET position = NULL",
    "UPDATE kpi SET name = x'41'",
    "UPDATE kpi SET name = NULL",
    "UPDATE kpi SET unit = 5.5",
    "UPDATE kpi SET value_type = 'number'",
    "UPDATE kpi SET value_type = NULL",
    "UPDATE kpi SET required = 'true'",
    "UPDATE kpi SET required = 0.5",
    "UPDATE kpi SET sort_order = 1e300",
    "UPDATE kpi SET sort_order = NULL",
    "UPDATE kpi SET created_at = zeroblob(8)",
];

#[test]
fn a_value_of_another_type_is_an_error_and_hides_no_other() {
    let whole = Whole::new();
    for change in TYPES {
        let file = TestFile::with(&whole.file);
        without_strictness(&file, &on_the_third(change)).unwrap();
        let ours = Store::open(&file.path).unwrap().organization(whole.datasets[0].organization_id);
        if change.contains("dataset SET id") {
            // Nothing tells which dataset it was.
            assert_eq!(ours.dataset(whole.datasets[2].id).unwrap(), None, "{change}");
            whole.lists(&ours, &|index| (index == 2).then_some(None), change);
        } else {
            assert_eq!(named(&ours.dataset(whole.datasets[2].id).unwrap_err()), Some(whole.datasets[2].id));
            whole.is_damaged_at(&ours, &[2], change);
        }
    }
}

/// Does `change` while the tables accept any type; afterwards the schema is to the letter as before. Fails if SQLite
/// refuses the change all the same: a part of a primary key cannot be null.
pub(super) fn without_strictness(file: &TestFile, change: &str) -> rusqlite::Result<()> {
    let plain = plain_sqlite(&file.path);
    plain
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; PRAGMA writable_schema = ON;
             CREATE TEMP TABLE entry AS SELECT * FROM sqlite_schema
                 WHERE name IN ('dataset', 'kpi', 'dataset_version', 'organization_property', 'purged_dataset');
             UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql,
                 'STRICT, WITHOUT', 'WITHOUT'), ') STRICT', ')'), 'NOT NULL CHECK', 'CHECK'), 'NOT NULL,', ',')
                 WHERE name IN (SELECT name FROM entry);
             PRAGMA writable_schema = RESET",
        )
        .unwrap();
    let changed = plain.execute(change, []);
    plain
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = (SELECT sql FROM entry WHERE entry.name = sqlite_schema.name)
                 WHERE name IN (SELECT name FROM entry);
             PRAGMA writable_schema = RESET",
        )
        .unwrap();
    assert_ne!(changed, Ok(0), "{change} changes nothing");
    changed.map(drop)
}
