//! Upgrading: a file of version 1 gets exactly the schema of a fresh one and keeps every row, or it stays unchanged.
//! The later versions exist only in these tests.

mod backups;
mod failing;
mod killed;
mod others;
mod races;
pub(crate) mod schemas;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;

use self::schemas::{ADDS_A_COLUMN, DOES_BOTH, REBUILDS, V1};
use crate::Durability;
use crate::error::Error;
use crate::sqlite::connection::{pragma, set_pragma};
use crate::sqlite::database::{Database, Settings};
use crate::sqlite::file::companions;
use crate::sqlite::open::upgrade::migrate;
use crate::sqlite::schema::{APPLICATION_ID, Schema};
use crate::sqlite::{transaction, verification};

/// A file of version 1 as it was released.
const FILE: &[u8] = include_bytes!("../../fixtures/v1.db");

/// How many rows it has.
const ROWS: usize = 60;

const SETTINGS: Settings = Settings {
    durability: Durability::Full,
    busy_timeout: Duration::from_secs(30),
    read_only: false,
    backup_before_upgrade: true,
    log_max: Settings::LOG_MAX,
};

/// A folder with a file of version 1.
struct Place {
    folder: TempDir,
    file: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        fs::write(&file, FILE).unwrap();
        Self { folder, file }
    }

    /// The same with `count` more datasets of 100 KPIs each, by plain SQL.
    fn with_many(count: u32) -> Self {
        let place = Self::new();
        let numbers = |to| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {to})");
        plain(&place.file)
            .execute_batch(&format!(
                "BEGIN;
                {} INSERT INTO dataset (seq, id, organization_id, name, created_at, revision, kpi_count, required_count,
                    head_digest, kpi_digest)
                    SELECT 1000 + i, randomblob(16), organization_id, name, created_at, 1, 100, 100, head_digest,
                        kpi_digest
                    FROM n, (SELECT * FROM dataset WHERE seq = 1);
                {} INSERT INTO kpi SELECT seq, randomblob(16), i, 'KPI ' || i, NULL, 'm³', 0, 1, i, 0, NULL
                    FROM n, dataset WHERE seq > 1000;
                COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
                numbers(count),
                numbers(100)
            ))
            .unwrap();
        place
    }

    /// The names of all files in the folder.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn open(file: &Path, schema: &'static Schema) -> Result<Connection, Error> {
    Database::open(file, SETTINGS, schema).map(|(_, first)| first.into_connection())
}

fn plain(file: &Path) -> Connection {
    Connection::open(file).unwrap()
}

/// The columns of version 1, of every row.
fn rows(connection: &Connection) -> Vec<Vec<Value>> {
    const COLUMNS: [(&str, &str, &str); 5] = [
        (
            "dataset",
            "seq, id, organization_id, name, description, created_at, created_by, updated_by, updated_at, revision,
             kpi_count, required_count, head_digest, kpi_digest, changed, deleted_at, deleted_by, state_digest",
            "seq",
        ),
        (
            "kpi",
            "dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at",
            "dataset_seq, id",
        ),
        (
            "dataset_version",
            "dataset_seq, change, part, origin, changed_at, changed_by, revision, head_digest, kpi_digest, replaced, digest",
            "dataset_seq, change, part",
        ),
        ("purged_dataset", "organization_id, change, id, digest", "organization_id, change"),
        ("organization_property", "organization_id, key, content, digest", "organization_id, key"),
    ];
    let mut all = Vec::new();
    for (table, columns, order) in COLUMNS {
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table} ORDER BY {order}")).unwrap();
        let count = statement.column_count();
        let values = |row: &rusqlite::Row<'_>| (0..count).map(|column| row.get(column)).collect();
        all.extend(statement.query_map([], values).unwrap().map(Result::unwrap));
    }
    all
}

fn count(connection: &Connection, table: &str) -> usize {
    let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

fn counts(connection: &Connection, tables: &[&str]) -> usize {
    tables.iter().map(|table| count(connection, table)).sum()
}

/// Every object of the schema with its text, by plain SQL.
fn schema_of(connection: &Connection) -> Vec<(String, String, String, Option<String>)> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn schema_of_a_fresh_file(schema: &'static Schema) -> Vec<(String, String, String, Option<String>)> {
    let folder = tempfile::tempdir().unwrap();
    schema_of(&open(&folder.path().join("fresh.db"), schema).unwrap())
}

/// Asserts that the file equals the released one of version 1: rows and schema.
fn is_version_1(file: &Path) {
    let place = Place::new();
    let (found, released) = (plain(file), plain(&place.file));
    assert_eq!(pragma(&found, "user_version").unwrap(), 1);
    assert_eq!(schema_of(&found), schema_of(&released));
    assert_eq!(rows(&found), rows(&released));
}

#[test]
fn an_upgraded_file_has_the_schema_of_a_fresh_one_and_every_row() {
    for schema in [&ADDS_A_COLUMN, &REBUILDS, &DOES_BOTH] {
        let place = Place::new();
        let before = rows(&plain(&place.file));
        assert_eq!(before.len(), ROWS);
        let upgraded = open(&place.file, schema).unwrap();
        assert_eq!(rows(&upgraded), before);
        assert!(verification::verify(&upgraded, true, &AtomicU64::new(0)).unwrap().is_whole());
        drop(upgraded);

        let found = plain(&place.file);
        assert_eq!(schema_of(&found), schema_of_a_fresh_file(schema));
        assert_eq!(rows(&found), before);
        assert_eq!(pragma(&found, "user_version").unwrap(), schema.current());
        assert_eq!(pragma(&found, "application_id").unwrap(), APPLICATION_ID);
        assert_ne!(schema_of(&found), schema_of_a_fresh_file(&V1), "the control");
        // A second opening has nothing to do.
        let names = place.names();
        open(&place.file, schema).unwrap();
        assert_eq!(place.names(), names);
    }
}

#[test]
fn a_rebuilt_table_has_the_text_of_its_migration_and_its_foreign_keys_hold() {
    let place = Place::new();
    let upgraded = open(&place.file, &REBUILDS).unwrap();
    let text = |name: &str| -> String {
        upgraded.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0)).unwrap()
    };
    assert!(schemas::REBUILD.sql.contains(&format!("{};", text("dataset"))));
    assert!(V1.migrations[0].sql.contains(&format!("{};", text("kpi"))));

    assert_eq!(pragma(&upgraded, "foreign_keys").unwrap(), 1);
    let orphan = upgraded.execute("UPDATE kpi SET dataset_seq = 99 WHERE position = 0", []);
    assert_eq!(orphan.unwrap_err().sqlite_error_code(), Some(ErrorCode::ConstraintViolation));
    upgraded.execute_batch("DELETE FROM dataset").unwrap();
    assert_eq!(rows(&upgraded).len(), counts(&upgraded, &["purged_dataset", "organization_property"]));
}

/// The control: the reason why foreign keys are off during an upgrade.
#[test]
fn with_foreign_keys_on_the_rebuild_would_delete_every_kpi_and_every_history() {
    let place = Place::new();
    let plain = plain(&place.file);
    set_pragma(&plain, "foreign_keys", 1).unwrap();
    plain.execute_batch(schemas::REBUILD.sql).unwrap();
    assert_eq!(["kpi", "dataset_version"].map(|table| count(&plain, table)), [0, 0]);
    assert_eq!(rows(&plain).len(), counts(&plain, &["dataset", "purged_dataset", "organization_property"]));
}

#[test]
fn a_file_of_any_version_is_upgraded_to_the_latest() {
    let place = Place::new();
    let before = rows(&plain(&place.file));
    for schema in [&V1, &ADDS_A_COLUMN, &DOES_BOTH] {
        open(&place.file, schema).unwrap();
    }
    assert_eq!(schema_of(&plain(&place.file)), schema_of_a_fresh_file(&DOES_BOTH));
    assert_eq!(rows(&plain(&place.file)), before);
    assert_eq!(place.names(), ["kpis.db", "kpis.db.v1.backup", "kpis.db.v2.backup"]);
}

#[test]
fn rows_that_are_only_in_the_log_are_upgraded_and_backed_up() {
    let [place, left] = [Place::new(), Place::new()];
    let writer = open(&place.file, &V1).unwrap();
    writer.execute("UPDATE dataset SET name = 'Waste'", []).unwrap();
    // As a killed process leaves it.
    for suffix in ["", "-wal"] {
        fs::copy(companions::beside(&place.file, suffix), companions::beside(&left.file, suffix)).unwrap();
    }
    let upgraded = open(&left.file, &REBUILDS).unwrap();
    assert_eq!(rows(&upgraded), rows(&writer));
    assert_eq!(rows(&plain(&left.folder.path().join("kpis.db.v1.backup"))), rows(&writer));
    assert_ne!(rows(&writer), rows(&plain(&Place::new().file)), "the control");
}

#[test]
fn an_older_file_opened_for_reading_only_is_refused_with_the_reason_that_it_needs_an_upgrade() {
    let place = Place::new();
    let settings = Settings { read_only: true, ..SETTINGS };
    let error = Database::open(&place.file, settings, &REBUILDS).map(drop).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert_eq!(error.code(), "read_only");
    assert!(source.contains("version 1") && source.contains("to upgrade it"), "{source}");
    assert_eq!((place.names().len(), fs::read(&place.file).unwrap().as_slice()), (1, FILE));
    Database::open(&place.file, settings, &V1).unwrap();
}

#[test]
fn a_newer_file_is_refused_and_stays_unchanged() {
    let place = Place::new();
    open(&place.file, &DOES_BOTH).unwrap();
    let (content, names) = (fs::read(&place.file).unwrap(), place.names());
    for read_only in [false, true] {
        let settings = Settings { read_only, ..SETTINGS };
        for (schema, supported) in [(&V1, 1), (&ADDS_A_COLUMN, 2)] {
            let error = Database::open(&place.file, settings, schema).map(drop).unwrap_err();
            assert!(matches!(error, Error::TooNew { found: 3, supported: found } if found == supported), "{error:?}");
        }
    }
    assert_eq!((place.names(), fs::read(&place.file).unwrap()), (names, content));
}
