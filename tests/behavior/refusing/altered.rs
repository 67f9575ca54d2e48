//! Databases that another application, a later version, a tool or an attacker made: refused, for writing and read-only,
//! in any journal mode.

use std::fs;

use kpi_store::Store;

use super::refuses;
use crate::support::{TestFile, checkpointed_store, plain_sqlite, with_suffix};

/// Databases of another application or a later version, as plain SQL on an empty file.
const DATABASES: &[(&str, &str, &str)] = &[
    ("another's mark", "not_a_store", "PRAGMA application_id = 252006673"),
    ("another's negative mark", "not_a_store", "PRAGMA application_id = -1"),
    ("another's mark and our version", "not_a_store", "PRAGMA application_id = 1; PRAGMA user_version = 1"),
    ("tables without a mark", "not_a_store", "CREATE TABLE note (body)"),
    ("our tables without a mark", "not_a_store", "CREATE TABLE dataset (seq); CREATE TABLE kpi (id)"),
    ("a view alone", "not_a_store", "CREATE VIEW note AS SELECT 1"),
    ("a version alone", "not_a_store", "PRAGMA user_version = 1"),
    ("a negative version alone", "not_a_store", "PRAGMA user_version = -7"),
    ("our mark alone", "corrupt", "PRAGMA application_id = 0x4B504953"),
    ("our mark and version alone", "corrupt", "PRAGMA application_id = 0x4B504953; PRAGMA user_version = 1"),
    ("our mark and a later version", "too_new", "PRAGMA application_id = 0x4B504953; PRAGMA user_version = 2"),
];

#[test]
fn refuses_the_database_of_another_application_and_leaves_it_unchanged() {
    for (what, code, sql) in DATABASES {
        for log in LOGS {
            refuses_altered(what, code, sql, log, TestFile::new);
        }
    }
}

/// Another index under the name of the listing's.
macro_rules! instead_of_the_index {
    ($on:literal) => {
        concat!("DROP INDEX dataset_by_organization; CREATE INDEX dataset_by_organization ", $on)
    };
}

/// Alterations of a store, as plain SQL.
const ALTERATIONS: &[(&str, &str, &str)] = &[
    ("a later version", "too_new", "PRAGMA user_version = 2"),
    ("the last version", "too_new", "PRAGMA user_version = 2147483647"),
    ("a later version with its tables", "too_new", "PRAGMA user_version = 2; DROP TABLE kpi; CREATE TABLE new (x)"),
    (
        "a later version whose schema none can read",
        "too_new",
        "PRAGMA user_version = 2; PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = 'CREATE TABLE dataset ()' WHERE name = 'dataset'",
    ),
    ("version 0", "corrupt", "PRAGMA user_version = 0"),
    ("version -1", "corrupt", "PRAGMA user_version = -1"),
    ("another's mark", "not_a_store", "PRAGMA application_id = 1"),
    ("no mark", "not_a_store", "PRAGMA application_id = 0"),
    ("neither mark nor version", "not_a_store", "PRAGMA application_id = 0; PRAGMA user_version = 0"),
    ("a view", "corrupt", "CREATE VIEW everything AS SELECT * FROM kpi"),
    ("a trigger", "corrupt", "CREATE TRIGGER t AFTER INSERT ON kpi BEGIN DELETE FROM dataset; END"),
    ("another index", "corrupt", "CREATE INDEX by_name ON dataset (name)"),
    (
        "a virtual table",
        "corrupt",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema
        VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING dbstat')",
    ),
    ("a virtual table in the place of a table", "corrupt", "DROP TABLE kpi; CREATE VIRTUAL TABLE kpi USING fts5 (id)"),
    ("a view in the place of a table", "corrupt", "ALTER TABLE kpi RENAME TO k; CREATE VIEW kpi AS SELECT * FROM k"),
    (
        "a view without an end in the place of a table",
        "corrupt",
        "DROP TABLE kpi; CREATE VIEW kpi AS WITH RECURSIVE r (id) AS (SELECT 1 UNION ALL SELECT id FROM r) SELECT * FROM r",
    ),
    (
        "a trigger on the history",
        "corrupt",
        "CREATE TRIGGER t BEFORE DELETE ON kpi_store_migration BEGIN SELECT 1; END",
    ),
    (
        "a trigger in the place of a view in the place of a table",
        "corrupt",
        "ALTER TABLE kpi RENAME TO k; CREATE VIEW kpi AS SELECT * FROM k;
        CREATE TRIGGER t INSTEAD OF INSERT ON kpi BEGIN DELETE FROM dataset; END",
    ),
    ("a generated column", "corrupt", "ALTER TABLE dataset ADD COLUMN loud TEXT AS (upper(name))"),
    (
        "a default that calls a function",
        "corrupt",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET
        sql = replace(sql, 'unit TEXT CHECK', 'unit TEXT DEFAULT (load_extension(''x'')) CHECK') WHERE name = 'kpi'",
    ),
    (
        "a CHECK that calls a function",
        "corrupt",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET
        sql = replace(sql, '(revision >= 1)', '(revision >= 1 AND zeroblob(1000000000))') WHERE name = 'dataset'",
    ),
    (
        "an unknown collation",
        "corrupt",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET
        sql = replace(sql, 'name TEXT', 'name TEXT COLLATE nobodys') WHERE name = 'dataset'",
    ),
    (
        "a partial index by our name",
        "corrupt",
        instead_of_the_index!("ON dataset (organization_id, seq) WHERE seq > 1"),
    ),
    ("an index of expressions by our name", "corrupt", instead_of_the_index!("ON dataset (hex(organization_id), seq)")),
    ("an index of another table by our name", "corrupt", instead_of_the_index!("ON kpi (dataset_seq, id)")),
    (
        "an index the other way round by our name",
        "corrupt",
        instead_of_the_index!("ON dataset (organization_id, seq DESC)"),
    ),
    (
        "an object that stands there twice",
        "corrupt",
        "PRAGMA writable_schema = ON;
        INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'sqlite_autoindex_dataset_1'",
    ),
    (
        "a name that is no text",
        "corrupt",
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET tbl_name = CAST(x'ff' AS TEXT) WHERE name = 'sqlite_autoindex_dataset_1'",
    ),
    (
        "a text longer than SQLite may read",
        "corrupt",
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = sql || printf('%.*c', 2000000, ' ') WHERE name = 'kpi'",
    ),
    (
        "a virtual table by the name of a statistic",
        "corrupt",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema
        VALUES ('table', 'sqlite_stat1', 'sqlite_stat1', 0, 'CREATE VIRTUAL TABLE sqlite_stat1 USING dbstat')",
    ),
    (
        "a statistic that computes",
        "corrupt",
        "ANALYZE; PRAGMA writable_schema = ON; UPDATE sqlite_schema SET
        sql = 'CREATE TABLE sqlite_stat1(tbl,idx,stat AS (hex(zeroblob(1000000))))' WHERE name = 'sqlite_stat1'",
    ),
    ("a dropped index", "corrupt", "DROP INDEX dataset_by_organization"),
    ("a dropped table", "corrupt", "DROP TABLE kpi"),
    (
        "a changed CHECK",
        "corrupt",
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, ', 255)', ', 256)') WHERE name = 'dataset'",
    ),
    (
        "a changed comment",
        "corrupt",
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'Ids', 'ids') WHERE name = 'dataset'",
    ),
    ("a renamed column", "corrupt", "ALTER TABLE dataset RENAME COLUMN description TO notes"),
    ("a renamed table", "corrupt", "ALTER TABLE kpi RENAME TO indicator"),
    ("another column", "corrupt", "ALTER TABLE kpi ADD COLUMN weight INTEGER"),
    ("a dropped column", "corrupt", "ALTER TABLE kpi DROP COLUMN unit"),
    (
        "a schema that none can read",
        "corrupt",
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = 'CREATE TABLE dataset ()' WHERE name = 'dataset'",
    ),
    ("no history", "corrupt", "DROP TABLE kpi_store_migration"),
    ("an empty history", "corrupt", "DELETE FROM kpi_store_migration"),
    ("a longer history", "corrupt", "INSERT INTO kpi_store_migration VALUES (2, 'more', 'now', '1')"),
    ("a history that begins earlier", "corrupt", "INSERT INTO kpi_store_migration VALUES (0, 'first', 'now', '1')"),
    ("a renamed migration", "corrupt", "UPDATE kpi_store_migration SET name = 'create_dataset'"),
    ("a renumbered migration", "corrupt", "UPDATE kpi_store_migration SET version = 2"),
];

/// Objects of others that could act on the rows of a store, or make its backups fail. Ordinary tables are tolerated
/// (`other_tables.rs`).
const OBJECTS_OF_OTHERS: &[(&str, &str, &str)] = &[
    (
        "a trigger on another table",
        "corrupt",
        "CREATE TABLE note (body); CREATE TRIGGER t AFTER INSERT ON note BEGIN DELETE FROM dataset; END",
    ),
    ("a view of another table", "corrupt", "CREATE TABLE note (body); CREATE VIEW v AS SELECT * FROM note"),
    ("a virtual table with tables of its own", "corrupt", "CREATE VIRTUAL TABLE v USING fts5 (body)"),
    ("a foreign key to a table of ours", "corrupt", "CREATE TABLE note (d REFERENCES dataset (seq) ON DELETE CASCADE)"),
    ("a foreign key in capitals", "corrupt", "CREATE TABLE note (a, b, FOREIGN KEY (a, b) REFERENCES \"KPI\")"),
    ("a table by a name like ours", "corrupt", "CREATE TABLE kpi_value (x)"),
    ("a table by a name like ours in capitals", "corrupt", "CREATE TABLE \"DATASET_Note\" (x)"),
    ("an index by a name like ours", "corrupt", "CREATE TABLE note (body); CREATE INDEX kpi_by_name ON note (body)"),
    ("a generated column in another table", "corrupt", "CREATE TABLE note (body, loud AS (upper(body)))"),
    ("a stored generated column", "corrupt", "CREATE TABLE note (body, loud AS (upper(body)) STORED)"),
    ("a partial index", "corrupt", "CREATE TABLE note (body); CREATE INDEX i ON note (body) WHERE abs(body) > 1"),
    ("an index of expressions", "corrupt", "CREATE TABLE note (body); CREATE INDEX i ON note (body, abs(body))"),
    (
        "a CHECK that calls a function that only its application has",
        "corrupt",
        "CREATE TABLE note (body CHECK (length(body) > 0)); PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'length', 'applications') WHERE name = 'note'",
    ),
    (
        "a collation that only its application has",
        "corrupt",
        "CREATE TABLE note (body COLLATE nocase); PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'nocase', 'LOCALIZED') WHERE name = 'note'",
    ),
    (
        "a trigger that says it is a table",
        "corrupt",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema
        VALUES ('table', 't', 'kpi', 0, 'CREATE TRIGGER t AFTER INSERT ON kpi BEGIN DELETE FROM dataset; END')",
    ),
    (
        "an index on a statistic",
        "corrupt",
        "ANALYZE; CREATE TABLE note (body); CREATE INDEX i ON note (body); PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET tbl_name = 'sqlite_stat1', sql = 'CREATE INDEX i ON sqlite_stat1 (tbl)' WHERE name = 'i'",
    ),
];

#[test]
fn refuses_foreign_objects_that_could_act_and_leaves_the_store_unchanged() {
    let store = fs::read(checkpointed_store().path).unwrap();
    let copy_of_the_store = || TestFile::with(&store);
    for (what, code, sql) in OBJECTS_OF_OTHERS {
        for log in LOGS {
            refuses_altered(what, code, sql, log, copy_of_the_store);
        }
    }
}

#[test]
fn a_refused_object_of_others_is_named_and_can_be_dropped() {
    let file = checkpointed_store();
    let plain = plain_sqlite(&file.path);
    for (make, name, drop) in [
        ("CREATE VIEW all_kpis AS SELECT * FROM kpi", "view \"all_kpis\"", "DROP VIEW all_kpis"),
        ("CREATE VIRTUAL TABLE words USING fts5 (body)", "\"words", "DROP TABLE words"),
        ("CREATE TABLE note (d REFERENCES dataset)", "table \"note\"", "DROP TABLE note"),
        ("CREATE INDEX by_name ON kpi (name)", "index \"by_name\"", "DROP INDEX by_name"),
    ] {
        plain.execute_batch(make).unwrap();
        let text = Store::open(&file.path).unwrap_err().to_string();
        assert!(text.contains(name) && text.contains("drop it with the tool that created it"), "{text}");
        plain.execute_batch(drop).unwrap();
        Store::open(&file.path).unwrap();
    }
}

#[test]
fn refuses_an_altered_store_and_leaves_it_unchanged() {
    let store = fs::read(checkpointed_store().path).unwrap();
    let copy_of_the_store = || TestFile::with(&store);
    for (what, code, sql) in ALTERATIONS {
        for log in LOGS {
            refuses_altered(what, code, sql, log, copy_of_the_store);
        }
    }
}

/// Objects under the names of ANALYZE's statistics, which are tolerated only as tables.
const DISGUISED: &[(&str, &str, &str)] = &[
    ("trigger", "t", "CREATE TRIGGER t AFTER INSERT ON kpi BEGIN DELETE FROM dataset; END"),
    ("view", "v", "CREATE VIEW v AS SELECT * FROM kpi"),
    ("index", "i", "CREATE INDEX i ON kpi (name)"),
];

#[test]
fn refuses_a_trigger_view_or_index_by_the_name_of_a_statistic() {
    for (kind, name, sql) in DISGUISED {
        let disguise = format!(
            "{sql}; PRAGMA writable_schema = ON; UPDATE sqlite_schema SET name = 'sqlite_stat1',
                tbl_name = iif(tbl_name = name, 'sqlite_stat1', tbl_name),
                sql = replace(sql, '{kind} {name} ', '{kind} sqlite_stat1 ') WHERE name = '{name}'",
            kind = kind.to_uppercase()
        );
        refuses_altered(kind, "corrupt", &disguise, Log::WriteAhead, checkpointed_store);
    }
}

/// Empty databases that cannot get the properties that the file format requires.
const EMPTY: &[(&str, &str)] = &[
    ("UTF-16", "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (x); DROP TABLE t"),
    ("other pages", "PRAGMA page_size = 1024; CREATE TABLE t (x); DROP TABLE t"),
];

#[test]
fn refuses_an_empty_database_of_another_encoding_or_page_size() {
    for (what, sql) in EMPTY {
        refuses_altered(what, "not_a_store", sql, Log::Rollback, TestFile::new);
    }
}

/// The journal mode of a database, and what is beside it when it is opened.
const LOGS: [Log; 3] = [Log::Rollback, Log::WriteAhead, Log::LeftBehind];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    /// In rollback mode.
    Rollback,
    /// In WAL mode, with nothing beside it.
    WriteAhead,
    /// In WAL mode, with the `-wal` of a killed process beside it, which holds the alteration.
    LeftBehind,
}

/// SQLite would convert every text that it reads and writes, and the CHECKs look at the bytes.
#[test]
fn refuses_a_store_in_utf_16_and_leaves_it_unchanged() {
    for encoding in ["UTF-16le", "UTF-16be"] {
        for mark in ["0x4B504953", "0x4B504942"] {
            let file = TestFile::new();
            let original = checkpointed_store();
            let (from, to) = (plain_sqlite(&original.path), plain_sqlite(&file.path));
            to.execute_batch(&format!("PRAGMA encoding = '{encoding}'")).unwrap();
            let mut objects = from.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
            for sql in objects.query_map([], |row| row.get::<_, String>(0)).unwrap() {
                to.execute_batch(&sql.unwrap()).unwrap();
            }
            let (name, time, sum): (String, String, String) = from
                .query_row("SELECT name, applied_on, checksum FROM kpi_store_migration", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            to.execute("INSERT INTO kpi_store_migration VALUES (1, ?1, ?2, ?3)", [name, time, sum]).unwrap();
            let marks = format!("PRAGMA application_id = {mark}; PRAGMA user_version = 1");
            to.execute_batch(&format!("INSERT INTO counter VALUES (1, 0, 0); {marks}")).unwrap();
            to.close().unwrap();
            refuses_either_way(encoding, &file, "corrupt");
            let error = Store::open(&file.path).map(drop).unwrap_err();
            assert!(error.to_string().contains("UTF-16"), "{error}");
        }
    }
}

/// Alters the file by plain SQL; it is then refused and stays as it was.
fn refuses_altered(what: &str, code: &str, sql: &str, log: Log, make: impl Fn() -> TestFile) {
    let what = format!("{what} ({log:?})");
    let file = make();
    let plain = plain_sqlite(&file.path);
    let mode = if log == Log::Rollback { "DELETE" } else { "WAL" };
    plain.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
    plain.execute_batch(sql).unwrap_or_else(|error| panic!("{what}: {error}"));
    if log != Log::LeftBehind {
        drop(plain);
        return refuses_either_way(&what, &file, code);
    }
    let left = TestFile::new();
    for suffix in ["", "-wal"] {
        fs::copy(with_suffix(&file.path, suffix), with_suffix(&left.path, suffix)).unwrap();
    }
    refuses_either_way(&what, &left, code);
}

/// For writing, and read-only.
fn refuses_either_way(what: &str, file: &TestFile, code: &str) {
    refuses(what, file.folder.path(), &file.path, code);
    let before = fs::read(&file.path).unwrap();
    let read = Store::options().read_only(true).open(&file.path);
    assert_eq!(read.map(drop).map_err(|error| error.code()), Err(code), "{what}, for reading only");
    assert!(fs::read(&file.path).unwrap() == before, "{what}, for reading only");
}
