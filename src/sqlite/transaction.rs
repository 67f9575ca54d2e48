//! Begin, commit, roll back: prepared once and kept, since parsing them would cost more than running them.

use rusqlite::Connection;

/// Takes the write lock at once, so that waiting for it happens here and nowhere later.
pub(crate) fn begin_write(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN IMMEDIATE")
}

pub(super) fn begin_read(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN DEFERRED")
}

pub(crate) fn commit(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "COMMIT")
}

/// Ends a transaction that must not hold. Says whether the connection is out of it.
pub(crate) fn roll_back(connection: &Connection) -> bool {
    // SQLite rolls back by itself after some errors; ROLLBACK then fails, for there is nothing to roll back.
    connection.is_autocommit() || run(connection, "ROLLBACK").is_ok() || connection.is_autocommit()
}

/// Copies the write-ahead log into the file as far as readers let it, waiting for nobody.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
