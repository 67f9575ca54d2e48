//! Verifying and copying by hand.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use super::read;

/// SQLite's own check, then a read of every dataset with its digest. Returns the number of datasets.
pub(crate) fn verify(connection: &Connection, organization: Uuid) -> usize {
    let found: String = connection.query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    read::page(connection, organization, 0, usize::try_from(u32::MAX).unwrap()).0.len()
}

/// A compact copy, durable with its name. It is not verified.
pub(crate) fn backup(connection: &Connection, target: &Path) {
    // The limit that forbids ATTACH also forbids VACUUM INTO.
    connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 1).unwrap();
    connection.execute("VACUUM INTO ?1", [target.to_str().unwrap()]).unwrap();
    connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 0).unwrap();
    File::open(target).unwrap().sync_all().unwrap();
    File::open(target.parent().unwrap()).unwrap().sync_all().unwrap();
}
