//! Upgrades, by lists of migrations that exist here only: what was stored is there afterwards, or nothing has happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use super::{Database, Settings};
use crate::error::Error;
use crate::sqlite::connection::Durability;
use crate::sqlite::schema::{Migration, Schema};
use crate::{DatasetQuery, Store};

const V1: Migration = Migration {
    file: "V1__create_dataset_and_kpi",
    sql: include_str!("../../../migrations/V1__create_dataset_and_kpi.sql"),
};

/// Adds a column.
pub(crate) static ADDING: Schema = Schema::new(&[
    V1,
    Migration {
        file: "V2__add_archived",
        sql: "ALTER TABLE dataset ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1));",
    },
]);

/// Rebuilds `dataset`, to which `kpi` refers: with foreign keys on, its DROP TABLE would delete every KPI.
pub(crate) static REBUILDING: Schema = Schema::new(&[
    V1,
    Migration {
        file: "V2__rebuild_dataset",
        sql: "
            CREATE TABLE kept AS SELECT * FROM dataset;
            DROP TABLE dataset;
            CREATE TABLE dataset (
                seq INTEGER PRIMARY KEY, id BLOB NOT NULL, organization_id BLOB NOT NULL, name TEXT NOT NULL,
                description TEXT, created_at INTEGER NOT NULL, created_by BLOB, updated_by BLOB, updated_at INTEGER,
                revision INTEGER NOT NULL, digest INTEGER NOT NULL, archived INTEGER NOT NULL DEFAULT 0,
                UNIQUE (organization_id, id)
            ) STRICT;
            INSERT INTO dataset SELECT *, 0 FROM kept;
            DROP TABLE kept;
            CREATE INDEX dataset_by_organization ON dataset (organization_id, seq);",
    },
]);

/// Fails after it has changed something, and only where there are rows: the CHECK forbids it.
static FAILING: Schema = Schema::new(&[
    V1,
    Migration {
        file: "V2__fail",
        sql: "CREATE TABLE extra (x); UPDATE dataset SET name = 'lost'; UPDATE dataset SET revision = 0;",
    },
]);

/// Leaves KPIs without their dataset.
static ORPHANING: Schema = Schema::new(&[V1, Migration { file: "V2__orphan", sql: "DELETE FROM dataset;" }]);

#[test]
fn an_upgraded_file_has_exactly_the_fresh_schema_and_every_row() {
    for schema in [&ADDING, &REBUILDING] {
        let old = OldFile::new();
        let (database, upgraded) = open(&old.file, schema).unwrap();
        let (_, fresh) = open(&old.folder.path().join("fresh.db"), schema).unwrap();

        assert_eq!(objects(&upgraded), objects(&fresh));
        assert_eq!(rows(&old.file), old.rows);
        assert_eq!(integer(&upgraded, "PRAGMA user_version"), 2);
        assert_eq!(integer(&upgraded, "PRAGMA foreign_keys"), 1);
        assert_eq!(integer(&upgraded, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        database.reader().unwrap();
        drop(upgraded);
        open(&old.file, schema).unwrap();
        assert_eq!(backups(&old), ["kpis.db.v1.backup"], "the second opening finds it current");
    }
}

#[test]
fn a_file_is_copied_before_it_is_upgraded_unless_that_is_turned_off() {
    let old = OldFile::new();
    open(&old.file, &ADDING).unwrap();
    let copy = Store::open(old.folder.path().join("kpis.db.v1.backup")).unwrap();
    assert!(copy.verify().unwrap().is_whole());
    assert_eq!(rows(copy.path().unwrap()), old.rows);

    let old = OldFile::new();
    let settings = Settings { backup_before_upgrade: false, ..settings() };
    Database::open_with_schema(&old.file, settings, &ADDING).unwrap();
    assert_eq!(backups(&old), [""; 0]);

    let fresh = old.folder.path().join("fresh.db");
    open(&fresh, &ADDING).unwrap();
    assert_eq!(backups(&old), [""; 0], "an empty file has nothing to lose");
}

#[test]
fn an_upgrade_that_fails_leaves_the_file_as_it_was() {
    for schema in [&FAILING, &ORPHANING] {
        let old = OldFile::new();
        open(&old.file, schema).unwrap_err();
        open(&old.file, schema).unwrap_err();

        let plain = Connection::open(&old.file).unwrap();
        assert_eq!(rows(&old.file), old.rows);
        assert_eq!(integer(&plain, "PRAGMA user_version"), 1);
        drop(plain);
        assert!(Store::open(&old.file).unwrap().verify().unwrap().is_whole());
        assert_eq!(backups(&old), ["kpis.db.v1.backup", "kpis.db.v1.backup.2"], "each attempt keeps a copy");
        open(&old.file, &ADDING).unwrap();
    }
}

#[test]
fn many_that_open_an_old_file_at_once_upgrade_it_once() {
    for schema in [&ADDING, &REBUILDING] {
        let old = OldFile::new();
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&old.file, schema).map(drop))).collect();
            for opened in opening {
                opened.join().unwrap().unwrap();
            }
        });
        assert_eq!(rows(&old.file), old.rows);
        assert_eq!(backups(&old), ["kpis.db.v1.backup"]);
    }
}

#[test]
fn an_old_file_is_not_read_without_being_upgraded_and_a_new_one_not_by_an_old_program() {
    let old = OldFile::new();
    let settings = Settings { read_only: true, ..settings() };
    let error = Database::open_with_schema(&old.file, settings, &ADDING).unwrap_err();
    assert_eq!(error.code(), "read_only");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("must be upgraded"), "{error:?}");

    open(&old.file, &ADDING).unwrap();
    let error = Store::open(&old.file).unwrap_err();
    assert!(matches!(error, Error::TooNew { found: 2, supported: 1 }), "{error:?}");
}

/// Names the file to upgrade in a process that is there to be killed.
const FILE_TO_UPGRADE: &str = "KPI_STORE_FILE_TO_UPGRADE";

/// 100 kills instead of a few: `KPI_STORE_LONG=1 cargo test --release --lib upgrade -- --nocapture`.
#[test]
fn an_upgrade_that_is_killed_leaves_one_version_or_the_other_whole() {
    if let Some(file) = std::env::var_os(FILE_TO_UPGRADE) {
        open(Path::new(&file), &REBUILDING).unwrap();
        return;
    }
    let kills = if std::env::var_os("KPI_STORE_LONG").is_some() { 100 } else { 8 };
    let (mut old_ones, mut new_ones) = (0, 0);
    for kill in 0..kills {
        let old = OldFile::new();
        let this = "sqlite::opening::upgrade_tests::an_upgrade_that_is_killed_leaves_one_version_or_the_other_whole";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(FILE_TO_UPGRADE, &old.file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From before the opening to after it: an upgrade takes some 5 ms, the start of the process as long.
        std::thread::sleep(Duration::from_micros(kill * 37 % 40 * 400));
        child.kill().unwrap();
        child.wait().unwrap();

        let plain = Connection::open(&old.file).unwrap();
        assert_eq!(rows(&old.file), old.rows, "kill {kill}");
        match integer(&plain, "PRAGMA user_version") {
            1 => old_ones += 1,
            version => new_ones += version - 1,
        }
        drop(plain);
        open(&old.file, &REBUILDING).unwrap();
        assert_eq!(rows(&old.file), old.rows, "kill {kill}");
    }
    assert_eq!(old_ones + new_ones, i64::try_from(kills).unwrap());
    println!("{kills} kills: {old_ones} left version 1, {new_ones} version 2, all whole");
}

/// 50 rounds instead of a few: `KPI_STORE_LONG=1 cargo test --release --lib upgrade -- --nocapture`.
#[test]
fn sixteen_processes_that_open_an_old_file_at_once_upgrade_it_once() {
    const FILE: &str = "KPI_STORE_FILE_TO_RACE_FOR";
    if let Some(file) = std::env::var_os(FILE) {
        // All begin when their input ends.
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        open(Path::new(&file), &REBUILDING).unwrap();
        return;
    }
    let rounds = if std::env::var_os("KPI_STORE_LONG").is_some() { 50 } else { 2 };
    for round in 0..rounds {
        let old = OldFile::new();
        let this = "sqlite::opening::upgrade_tests::sixteen_processes_that_open_an_old_file_at_once_upgrade_it_once";
        let racer = || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", this])
                .env(FILE, &old.file)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut racers: Vec<_> = (0..16).map(|_| racer()).collect();
        for racer in &mut racers {
            drop(racer.stdin.take());
        }
        for mut racer in racers {
            assert!(racer.wait().unwrap().success(), "round {round}");
        }
        assert_eq!(rows(&old.file), old.rows, "round {round}");
        assert_eq!(backups(&old), ["kpis.db.v1.backup"], "round {round}");
    }
    println!("{rounds} rounds of 16 processes: 0 failures");
}

/// A copy of the stored file of version 1, with what is in it.
struct OldFile {
    folder: tempfile::TempDir,
    file: PathBuf,
    rows: Vec<String>,
}

impl OldFile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1.db"), &file).unwrap();
        let rows = rows(&file);
        assert!(rows.len() > 10, "the control: there is something to lose");
        let datasets = Store::open(&file).unwrap().organizations().unwrap().len();
        assert!(datasets > 1);
        Self { folder, file, rows }
    }
}

fn settings() -> Settings {
    Settings {
        durability: Durability::Full,
        busy_timeout: Duration::from_secs(5),
        read_only: false,
        backup_before_upgrade: true,
    }
}

fn open(file: &Path, schema: &'static Schema) -> Result<(Database, Connection), Error> {
    Database::open_with_schema(file, settings(), schema)
}

/// Every row of version 1's columns, as text, as a plain connection sees them.
fn rows(file: &Path) -> Vec<String> {
    let sql = "
        SELECT 'dataset ' || json_array(seq, hex(id), hex(organization_id), name, description, created_at, hex(created_by),
            hex(updated_by), updated_at, revision, digest) FROM dataset
        UNION ALL
        SELECT 'kpi ' || json_array(dataset_seq, hex(id), position, name, description, unit, value_type, required, sort_order,
            created_at, updated_at) FROM kpi
        ORDER BY 1";
    texts(&Connection::open(file).unwrap(), sql)
}

fn objects(connection: &Connection) -> Vec<String> {
    texts(connection, "SELECT json_array(type, name, tbl_name, sql) FROM sqlite_schema ORDER BY type, name")
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn integer(connection: &Connection, sql: &str) -> i64 {
    connection.query_one(sql, [], |row| row.get(0)).unwrap()
}

fn backups(old: &OldFile) -> Vec<String> {
    let entries = fs::read_dir(old.folder.path()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.contains(".backup") && !name.ends_with("-wal") && !name.ends_with("-shm"));
    names.sort_unstable();
    names
}

#[test]
fn the_control_reads_what_the_public_calls_read() {
    let old = OldFile::new();
    let store = Store::open(&old.file).unwrap();
    let datasets: u64 = store
        .organizations()
        .unwrap()
        .into_iter()
        .map(|id| store.organization(id).count_datasets(&DatasetQuery::new()).unwrap())
        .sum();
    assert_eq!(old.rows.iter().filter(|row| row.starts_with("dataset")).count() as u64, datasets);
}
