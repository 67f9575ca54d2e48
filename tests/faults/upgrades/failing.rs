//! An upgrade that fails leaves the file as it was, to the byte, and usable by the version that made it.

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};

use super::schemas::FIRST;
use super::*;
use crate::sqlite::failure::Failure;
use crate::sqlite::schema::Migration;

/// A list whose second migration is this text.
macro_rules! second {
    ($sql:literal) => {{
        static SCHEMA: Schema = Schema::new(&[FIRST, Migration { file: "V2__fail", sql: $sql }]);
        &SCHEMA
    }};
}

/// Migrations that go wrong in the middle, with part of their work done.
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
        // With foreign keys off, as they are in an upgrade, this does not rewrite the reference; elsewhere it does.
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
fn a_failed_upgrade_leaves_the_file_to_the_byte_and_no_copies_of_it() {
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
        assert!(verification::verify(&opened, &AtomicU64::new(0)).unwrap().is_whole(), "{what}");
        drop(opened);
        // Nor is it in the way of one that works.
        open(&place.file, &REBUILDS).unwrap();
        assert_eq!(rows(&plain(&place.file)), rows(&plain(&Place::new().file)), "{what}");
    }
}

#[test]
fn a_connection_has_its_foreign_keys_and_no_transaction_after_a_failed_upgrade() {
    // The last is refused earlier, when it runs in memory.
    for (what, code, schema) in failing().into_iter().take(6) {
        let place = Place::new();
        let connection = open(&place.file, &V1).unwrap();
        let Failure(error) = migrate(&connection, schema, |_| Ok(None)).unwrap_err();
        assert_eq!(error.code(), code, "{what}");
        assert_eq!(pragma(&connection, "foreign_keys").unwrap(), 1, "{what}");
        assert!(connection.is_autocommit(), "{what}");
        is_version_1(&place.file);
    }
    // The control: the same is seen to succeed.
    let place = Place::new();
    let connection = open(&place.file, &V1).unwrap();
    migrate(&connection, &REBUILDS, |_| Ok(None)).unwrap();
    assert_eq!(pragma(&connection, "foreign_keys").unwrap(), 1);
    assert!(schema_of(&connection) == schema_of_a_fresh_file(&REBUILDS));
}

#[test]
fn what_the_disk_or_the_file_refuses_keeps_its_name() {
    let place = Place::with_many(20);
    let connection = open(&place.file, &V1).unwrap();
    let before = rows(&connection);
    let pages = pragma(&connection, "page_count").unwrap();
    connection.pragma_update(None, "max_page_count", pages).unwrap();
    let Failure(error) = migrate(&connection, &REBUILDS, |_| Ok(None)).unwrap_err();
    assert_eq!(error.code(), "storage_full", "{error:?}");
    assert_eq!(rows(&connection), before);
    connection.pragma_update(None, "max_page_count", pages * 2).unwrap();
    migrate(&connection, &REBUILDS, |_| Ok(None)).unwrap();
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
        // Of a table that the migration does not touch, only the copy's check sees it.
        for schema in [&REBUILDS, &ADDS_A_COLUMN] {
            let opened = Database::open(&place.file, settings, schema);
            assert_eq!(opened.map(drop).map_err(|error| error.code()), Err("corrupt"), "{backup_before_upgrade}");
            assert_eq!(fs::read(&place.file).unwrap(), content, "{backup_before_upgrade}");
            assert_eq!(place.names(), ["kpis.db"]);
        }
    }
}

/// Wherever the disk is full, in the copy, in the migration or in the commit, nothing is left of the attempt.
#[test]
fn an_upgrade_for_which_the_disk_has_no_room_leaves_no_copies() {
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
            // A write of the checkpoint at the end fails when the upgrade is done.
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
