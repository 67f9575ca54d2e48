//! Other tables in the file: an upgrade leaves them unchanged, and the backup has them.

use super::schemas::FIRST;
use super::*;
use crate::sqlite::schema::Migration;

const OTHERS: &str = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
    INSERT INTO _litestream_seq VALUES (1, 42);
    CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL UNIQUE, parent REFERENCES job (id));
    CREATE INDEX job_by_parent ON job (parent);
    INSERT INTO job (what, parent) VALUES ('send', 1), ('fetch', 99); ANALYZE";

fn rows_of_others(file: &Path) -> String {
    let sql = "SELECT (SELECT group_concat(id || ' ' || seq) FROM _litestream_seq)
        || (SELECT group_concat(id || ' ' || what || ' ' || parent) FROM job)";
    plain(file).query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_upgrade_leaves_other_tables_unchanged_and_the_backup_has_them() {
    for schema in [&ADDS_A_COLUMN, &REBUILDS, &DOES_BOTH] {
        let place = Place::new();
        // A foreign key of another table that does not hold does not make an upgrade fail.
        plain(&place.file).execute_batch(&format!("PRAGMA foreign_keys = OFF; {OTHERS}")).unwrap();
        let (before, before_of_others) = (rows(&plain(&place.file)), rows_of_others(&place.file));
        let upgraded = open(&place.file, schema).unwrap();
        assert_eq!(rows(&upgraded), before);
        assert!(verification::verify(&upgraded, true, &AtomicU64::new(0)).unwrap().is_whole());
        drop(upgraded);
        let backup = place.folder.path().join("kpis.db.v1.backup");
        for (file, version) in [(&place.file, schema.current()), (&backup, 1)] {
            assert_eq!(pragma(&plain(file), "user_version").unwrap(), version);
            assert_eq!(rows_of_others(file), before_of_others);
            assert_eq!(rows(&plain(file)), before);
        }
        open(&backup, &V1).unwrap();
        open(&place.file, schema).unwrap();
    }
}

/// Only a later version knows the names of its own tables; its migration would fail.
#[test]
fn an_upgrade_names_another_table_that_has_the_name_of_a_new_one() {
    static LABELS: Schema = Schema::new(&[FIRST, Migration { file: "V2__label", sql: "CREATE TABLE Label (next)" }]);
    let place = Place::new();
    plain(&place.file).execute_batch("CREATE TABLE label (x)").unwrap();
    let before = fs::read(&place.file).unwrap();
    open(&place.file, &V1).unwrap();
    let error = open(&place.file, &LABELS).unwrap_err();
    assert!(
        error.code() == "corrupt" && error.to_string().contains("table \"label\" has a name that is reserved"),
        "{error}"
    );
    assert!(fs::read(&place.file).unwrap().len() == before.len() && place.names() == ["kpis.db"]);
    plain(&place.file).execute_batch("DROP TABLE label").unwrap();
    open(&place.file, &LABELS).unwrap();
}
