//! A file as SQLite alone sees it: a check that shares no code with the crate.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

/// A plain connection to the file, with nothing of the crate in it.
pub fn plain_sqlite(file: &Path) -> Connection {
    Connection::open(file).unwrap()
}

/// How many rows a plain connection finds: datasets and KPIs.
pub fn rows_seen_by_plain_sqlite(file: &Path) -> (i64, i64) {
    rows_seen_by(&plain_sqlite(file))
}

/// The same if SQLite finds the file sound.
pub fn counts_if_sound(file: &Path) -> Option<(i64, i64)> {
    let plain = plain_sqlite(file);
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    (check == "ok").then(|| rows_seen_by(&plain))
}

/// Whether another connection can take the write lock at once.
pub fn is_unlocked(file: &Path) -> bool {
    let plain = plain_sqlite(file);
    plain.busy_timeout(Duration::ZERO).unwrap();
    plain.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}

fn rows_seen_by(plain: &Connection) -> (i64, i64) {
    let count = "SELECT (SELECT count(*) FROM dataset), (SELECT count(*) FROM kpi)";
    plain.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}
