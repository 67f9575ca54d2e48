//! Tables of others in the file, such as Litestream's and Android's, are tolerated and never touched: everything works
//! beside them, and their rows survive all of it.

use std::path::Path;

use kpi_store::{DatasetQuery, Store};
use rusqlite::types::Value;

use crate::support::{TestFile, checkpointed_store, organization, plain_sqlite, request_with_kpis};

/// What others keep in a file, as plain SQL, and their tables.
const OTHERS: &[(&str, &str, &[&str])] = &[
    (
        "Litestream",
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
        CREATE TABLE _litestream_lock (id INTEGER);
        INSERT INTO _litestream_seq VALUES (1, 42)",
        &["_litestream_seq", "_litestream_lock"],
    ),
    (
        "Android",
        "CREATE TABLE android_metadata (locale TEXT); INSERT INTO android_metadata VALUES ('en_US')",
        &["android_metadata"],
    ),
    (
        "a queue with AUTOINCREMENT, indexes and statistics",
        "CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL UNIQUE COLLATE NOCASE, due);
        INSERT INTO job (what, due) VALUES ('send', 1), ('fetch', 2);
        CREATE INDEX job_by_due ON job (due DESC, what COLLATE RTRIM);
        ANALYZE",
        &["job"],
    ),
    ("what is left of a dropped table with AUTOINCREMENT", "CREATE TABLE t (x INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE t", &[]),
    (
        "a strict table without a rowid, with a default",
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY DEFAULT (random())) STRICT, WITHOUT ROWID;
        INSERT INTO setting (name) VALUES ('theme'); INSERT INTO setting VALUES ('size', x'00ff')",
        &["setting"],
    ),
    (
        "keys of others that do not hold",
        "PRAGMA foreign_keys = OFF;
        CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (parent REFERENCES parent, lost REFERENCES missing);
        INSERT INTO child VALUES (7, 8)",
        &["parent", "child"],
    ),
    (
        "constraints of others that do not hold, or cannot be computed",
        "PRAGMA ignore_check_constraints = ON; CREATE TABLE amount (x INTEGER CHECK (abs(x) > 5));
        INSERT INTO amount VALUES (1), (-9223372036854775808)",
        &["amount"],
    ),
    ("a name with quotes", "CREATE TABLE \"a \"\"quoted\"\" 'name'\" (x); INSERT INTO \"a \"\"quoted\"\" 'name'\" VALUES (1)", &["a \"quoted\" 'name'"]),
];

#[test]
fn everything_works_beside_other_tables_and_their_rows_survive() {
    for (what, sql, tables) in OTHERS {
        works_beside(what, sql, tables);
    }
}

#[test]
fn everything_works_beside_hundreds_of_other_tables() {
    let columns: Vec<_> = (0..50).map(|column| format!("c{column} INTEGER NOT NULL DEFAULT 1")).collect();
    let table = |number: u32| {
        let columns = columns.join(", ");
        format!(
            "CREATE TABLE t{number} ({columns}); CREATE INDEX i{number} ON t{number} (c1, c2); INSERT INTO t{number} DEFAULT VALUES;"
        )
    };
    let sql: String = (0..300).map(table).collect();
    works_beside("hundreds of tables", &format!("BEGIN; {sql} COMMIT"), &["t0", "t299"]);
}

fn works_beside(what: &str, sql: &str, tables: &[&str]) {
    let file = checkpointed_store();
    plain_sqlite(&file.path).execute_batch(sql).unwrap_or_else(|error| panic!("{what}: {error}"));
    let before = rows(&file.path, tables);

    let store = Store::open(&file.path).unwrap_or_else(|error| panic!("{what}: {error}"));
    let ours = organization(&store);
    let dataset = ours.create_dataset(request_with_kpis(3)).unwrap();
    ours.create_datasets((0..20).map(|_| request_with_kpis(10))).unwrap();
    assert_eq!(ours.dataset(dataset.id).unwrap().as_ref(), Some(&dataset), "{what}");
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 21, "{what}");
    assert_whole(what, &store);
    let backup = file.folder.path().join("backup.db");
    store.backup_to(&backup).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    store.close().unwrap();
    assert_eq!(rows(&file.path, tables), before, "{what}");

    for file in [&file.path, &backup] {
        for read_only in [true, false, true] {
            let store =
                Store::options().read_only(read_only).open(file).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(store.organization(ours.id()).dataset(dataset.id).unwrap().as_ref(), Some(&dataset), "{what}");
            assert_whole(what, &store);
        }
        assert_eq!(rows(file, tables), before, "{what}");
    }
}

fn assert_whole(what: &str, store: &Store) {
    let verification = store.verify().unwrap();
    assert!(verification.is_whole(), "{what}: {:?}", verification.findings);
}

/// Every row of the tables, by plain SQL.
fn rows(file: &Path, tables: &[&str]) -> Vec<Vec<Value>> {
    let plain = plain_sqlite(file);
    let mut all = Vec::new();
    for table in tables {
        let mut statement = plain.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""))).unwrap();
        let columns = statement.column_count();
        let values = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        all.extend(statement.query_map([], values).unwrap().map(Result::unwrap));
    }
    all
}

/// Damage to our own rows, all of which is found in a file without tables of others.
const DAMAGE: &[(&str, &str)] = &[
    ("foreign_key", "PRAGMA foreign_keys = OFF; DELETE FROM dataset"),
    ("dataset", "PRAGMA ignore_check_constraints = ON; UPDATE dataset SET name = ''"),
    ("dataset", "PRAGMA ignore_check_constraints = ON; UPDATE kpi SET sort_order = -1"),
    (
        "integrity",
        "PRAGMA ignore_check_constraints = ON;
        INSERT INTO purged_dataset (organization_id, change, id, digest) VALUES (zeroblob(15), 1, zeroblob(16), 0)",
    ),
];

#[test]
fn damage_to_the_tables_of_the_store_is_found_beside_other_tables() {
    for (code, damage) in DAMAGE {
        for (what, others, _) in OTHERS.iter().chain(&[("nothing", "", &[][..])]) {
            let file = checkpointed_store();
            plain_sqlite(&file.path).execute_batch(&format!("{others}; {damage}")).unwrap();
            let store = Store::open(&file.path).unwrap();
            let findings = store.verify().unwrap().findings;
            assert!(findings.iter().any(|finding| finding.kind.as_str() == *code), "{what}, {damage}: {findings:?}");
            let refused = store.backup_to(file.folder.path().join("backup.db")).unwrap_err();
            assert_eq!(refused.code(), "corrupt", "{what}, {damage}");
        }
    }
}

/// A page that the list of free pages and a table of ours both hold would be written over by the next write.
#[test]
fn damage_between_tables_is_found_beside_other_tables() {
    let file = checkpointed_store();
    let plain = plain_sqlite(&file.path);
    plain
        .execute_batch("CREATE TABLE note (body); INSERT INTO note VALUES (zeroblob(20000)); DELETE FROM note")
        .unwrap();
    let root: u32 =
        plain.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'kpi'", [], |row| row.get(0)).unwrap();
    drop(plain);
    let mut content = std::fs::read(&file.path).unwrap();
    let trunk = u32::from_be_bytes(content[32..36].try_into().unwrap()) as usize;
    assert!(trunk > 1, "there are free pages");
    // The first page that the trunk lists.
    content[(trunk - 1) * 4_096 + 8..][..4].copy_from_slice(&root.to_be_bytes());
    std::fs::write(&file.path, content).unwrap();
    let findings = Store::options().read_only(true).open(&file.path).unwrap().verify().unwrap().findings;
    assert!(findings.iter().any(|finding| finding.kind == kpi_store::FindingKind::Integrity), "{findings:?}");
}

#[test]
fn a_database_with_only_other_tables_is_not_a_store() {
    for (what, sql, tables) in OTHERS.iter().filter(|(.., tables)| !tables.is_empty()) {
        let file = TestFile::new();
        plain_sqlite(&file.path).execute_batch(sql).unwrap();
        let before = rows(&file.path, tables);
        assert_eq!(Store::open(&file.path).unwrap_err().code(), "not_a_store", "{what}");
        assert_eq!(rows(&file.path, tables), before, "{what}");
    }
}
