//! A failed upgrade leaves the file unchanged to the byte, and usable by the version that created it.

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};

use super::schemas::FIRST;
use super::*;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::Failure;
use crate::sqlite::schema::Migration;

/// A schema with this SQL as its second migration.
macro_rules! second {
    ($sql:literal) => {{
        static SCHEMA: Schema = Schema::new(&[FIRST, Migration { file: "V2__fail", sql: $sql }]);
        &SCHEMA
    }};
}

/// Migrations that fail after a part of their work: a description, the code of the error, the schema.
fn failing() -> [(&'static str, &'static str, &'static Schema); 7] {
    [
        ("a misspelled statement", "storage", second!("DELETE FROM dataset; SELEKT 1")),
        ("a row that a CHECK refuses", "storage", second!("DELETE FROM kpi; UPDATE dataset SET revision = 0")),
        (
            "rows that are not unique",
            "storage",
            second!("DELETE FROM kpi; CREATE UNIQUE INDEX i ON dataset (revision)"),
        ),
        ("a KPI without its dataset", "corrupt", second!("DELETE FROM dataset WHERE seq = 1")),
        ("KPIs without their table", "corrupt", second!("DROP TABLE dataset")),
        // With foreign keys off, as in an upgrade, this does not rewrite the reference of `kpi`.
        (
            "a schema that differs from that of a fresh file",
            "corrupt",
            second!(
                "PRAGMA legacy_alter_table = ON; ALTER TABLE dataset RENAME TO renamed;
                ALTER TABLE renamed RENAME TO dataset; PRAGMA legacy_alter_table = OFF"
            ),
        ),
        ("a commit of its own", "storage", second!("DELETE FROM kpi; COMMIT; BEGIN")),
    ]
}

#[test]
fn a_failed_upgrade_leaves_the_file_unchanged_to_the_byte_and_no_copies() {
    for (what, code, schema) in failing() {
        let place = Place::new();
        for _ in 0..3 {
            let found = open(&place.file, schema).map(drop).map_err(|error| error.code());
            assert_eq!(found, Err(code), "{what}");
            assert_eq!(fs::read(&place.file).unwrap(), FILE, "{what}");
            assert_eq!(place.names(), ["kpis.db"], "{what}");
        }
        is_version_1(&place.file);
        let opened = open(&place.file, &V1).unwrap();
        assert!(verification::verify(&opened, true, &AtomicU64::new(0)).unwrap().is_whole(), "{what}");
        drop(opened);
        // A later upgrade succeeds.
        open(&place.file, &REBUILDS).unwrap();
        assert_eq!(rows(&plain(&place.file)), rows(&plain(&Place::new().file)), "{what}");
    }
}

#[test]
fn after_a_failed_upgrade_foreign_keys_are_on_and_no_transaction_is_open() {
    // The last one fails earlier, when the migrations run in memory.
    for (what, code, schema) in failing().into_iter().take(6) {
        let place = Place::new();
        let connection = open(&place.file, &V1).unwrap();
        let Failure(error) = migrate(&connection, schema, &Deadline::after(Duration::ZERO), |_| Ok(None)).unwrap_err();
        assert_eq!(error.code(), code, "{what}");
        assert_eq!(pragma(&connection, "foreign_keys").unwrap(), 1, "{what}");
        assert!(connection.is_autocommit(), "{what}");
        is_version_1(&place.file);
    }
    // The control: a successful upgrade.
    let place = Place::new();
    let connection = open(&place.file, &V1).unwrap();
    migrate(&connection, &REBUILDS, &Deadline::after(Duration::ZERO), |_| Ok(None)).unwrap();
    assert_eq!(pragma(&connection, "foreign_keys").unwrap(), 1);
    assert!(schema_of(&connection) == schema_of_a_fresh_file(&REBUILDS));
}

#[test]
fn an_upgrade_on_a_full_disk_fails_with_storage_full_and_can_be_repeated() {
    let place = Place::with_many(20);
    let connection = open(&place.file, &V1).unwrap();
    let before = rows(&connection);
    let pages = pragma(&connection, "page_count").unwrap();
    connection.pragma_update(None, "max_page_count", pages).unwrap();
    let Failure(error) = migrate(&connection, &REBUILDS, &Deadline::after(Duration::ZERO), |_| Ok(None)).unwrap_err();
    assert_eq!(error.code(), "storage_full", "{error:?}");
    assert_eq!(rows(&connection), before);
    connection.pragma_update(None, "max_page_count", pages * 2).unwrap();
    migrate(&connection, &REBUILDS, &Deadline::after(Duration::ZERO), |_| Ok(None)).unwrap();
    assert_eq!(rows(&connection), before);
}

#[test]
fn a_damaged_file_is_not_upgraded() {
    let place = Place::with_many(20);
    let mut content = fs::read(&place.file).unwrap();
    let (page, size) = (content.len() / 4_096 / 2, 4_096);
    content[page * size..][..size].fill(0x5a);
    fs::write(&place.file, &content).unwrap();
    for backup_before_upgrade in [true, false] {
        let settings = Settings { backup_before_upgrade, ..SETTINGS };
        // The second migration does not read the damaged page; only the check of the file finds it.
        for schema in [&REBUILDS, &ADDS_A_COLUMN] {
            let opened = Database::open(&place.file, settings, schema);
            assert_eq!(opened.map(drop).map_err(|error| error.code()), Err("corrupt"), "{backup_before_upgrade}");
            assert_eq!(fs::read(&place.file).unwrap(), content, "{backup_before_upgrade}");
            assert_eq!(place.names(), ["kpis.db"]);
        }
    }
}

/// The disk is full at each write in turn: of the copy, of the migration, of the commit.
#[test]
fn an_upgrade_that_fails_on_a_full_disk_leaves_no_copies() {
    let mut in_commit = 0;
    for at in 1.. {
        let place = Place::with_many(3);
        let disk = Disk::new(place.folder.path());
        for attempt in 1..=3 {
            disk.fail(Fault { kinds: vec![Kind::Write], at, cause: Cause::Full, lasting: true });
            let opened = open(&place.file, &REBUILDS).map(drop);
            if !disk.has_failed() {
                assert!(opened.is_ok() && in_commit > 0, "write {at}: {opened:?}");
                return;
            }
            let code = opened.map_err(|error| error.code());
            disk.calm();
            let mut names = place.names();
            // If a write of the final checkpoint fails, the upgrade is already committed.
            let is_done = pragma(&plain(&place.file), "user_version").unwrap() == 2;
            in_commit += usize::from(is_done);
            names.retain(|name| name.contains("draft") || name.contains("backup"));
            let expected: &[&str] = if is_done { &["kpis.db.v1.backup"] } else { &[] };
            assert_eq!(names, expected, "write {at}, attempt {attempt}: {code:?}");
            if is_done {
                break;
            }
            assert_eq!(code, Err("storage_full"), "write {at}, attempt {attempt}");
        }
    }
}
