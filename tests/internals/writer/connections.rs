//! Every connection of a store is hardened: the first writer, a fresh one after a failed commit, the readers, and the
//! only connection of a store in memory.

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use crate::internals::support::with_writer;
use crate::{DatasetQuery, Error, NewDataset, OrganizationId, Store};

#[test]
fn every_connection_assert_hardened_and_readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    with_writer(&store, |writer| assert_hardened(writer, true));
    with_readers(&store, |reader| assert_hardened(reader, false));

    disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: false });
    let failed = ours.create_dataset(NewDataset::new("Lost"));
    assert!(matches!(failed, Err(Error::OutcomeUnknown { .. })), "{failed:?}");
    with_writer(&store, |fresh| assert_hardened(fresh, true));
    with_readers(&store, |reader| assert_hardened(reader, false));

    with_writer(&Store::open_in_memory().unwrap(), |only| assert_hardened(only, true));
}

#[test]
fn no_connection_can_attach_a_file_after_a_compaction() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::open(folder.path().join("kpis.db")).unwrap(), Store::open_in_memory().unwrap()] {
        store.compact().unwrap();
        with_writer(&store, |writer| assert_hardened(writer, true));
        for panics in [false, true] {
            let callback = move |_| if panics { std::panic::panic_any("") } else { std::ops::ControlFlow::Break(()) };
            let compacting = std::panic::AssertUnwindSafe(|| store.compact_with(callback));
            let compacted = std::panic::catch_unwind(compacting);
            assert!(matches!(compacted, Err(_) | Ok(Err(Error::Cancelled))), "{compacted:?}");
            with_writer(&store, |writer| attaches_nothing(writer));
        }
    }
}

#[test]
fn no_connection_can_attach_a_file_after_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::open(folder.path().join("kpis.db")).unwrap(), Store::open_in_memory().unwrap()] {
        let copy = folder.path().join("copy");
        store.backup_to(&copy).unwrap();
        std::fs::remove_file(&copy).unwrap();
        // Also after one that was cancelled.
        let cancelled = store.backup_to_with(&copy, |_| std::ops::ControlFlow::Break(()));
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        with_writer(&store, |writer| attaches_nothing(writer));
        if store.path().is_some() {
            with_readers(&store, attaches_nothing);
        }
    }
}

/// Runs `look` on an idle reader.
fn with_readers(store: &Store, look: impl FnOnce(&Connection)) {
    let readers = store.access().readers.as_ref().unwrap();
    store.organization(OrganizationId::new()).count_datasets(&DatasetQuery::new()).unwrap();
    readers.with_connection(look);
}

fn assert_hardened(connection: &Connection, writes: bool) {
    for (feature, on) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        assert_eq!(connection.db_config(feature).unwrap(), on, "{feature:?}");
    }
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, 1_000_000),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 3),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 10),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    ] {
        assert_eq!(connection.limit(limit).unwrap(), value, "{limit:?}");
    }
    let pragmas =
        [("cell_size_check", 1), ("temp_store", 2), ("secure_delete", 1), ("foreign_keys", 1), ("synchronous", 2)];
    for (pragma, value) in pragmas {
        assert_eq!(connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap(), value, "{pragma}");
    }
    attaches_nothing(connection);
    assert!(connection.prepare("SELECT \"a misspelled column\" FROM dataset").is_err());
    let written = connection.execute("UPDATE dataset SET name = name", []);
    assert_eq!(written.is_ok(), writes, "{written:?}");
}

fn attaches_nothing(connection: &Connection) {
    assert_eq!(connection.limit(Limit::SQLITE_LIMIT_ATTACHED).unwrap(), 0);
    assert!(connection.execute("ATTACH ':memory:' AS another", []).is_err());
}
