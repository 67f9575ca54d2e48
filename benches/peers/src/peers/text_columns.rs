//! Statements and mappers shared by the peers with ids and times as text.

use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use kpi_store_peers_harness::{Dataset, Durability, ORGANIZATION};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

/// A database in WAL mode with these tables.
pub(super) fn open(folder: &Path, durability: Durability, schema: &str) -> Connection {
    let connection = Connection::open(folder.join("kpis.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection.execute_batch(schema).unwrap();
    connection
}

/// The rows of a page, and the one after them if there is one.
pub(super) fn page<T>(
    connection: &Connection,
    sql: &str,
    after: Option<&Uuid>,
    limit: usize,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let after = after.map_or_else(String::new, Uuid::to_string);
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    connection.prepare_cached(sql)?.query_map(params![ORGANIZATION.to_string(), after, one_more], map)?.collect()
}

/// A page of this many items, and its last id if there are more.
pub(super) fn split<T>(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
    let is_last = items.len() <= limit;
    items.truncate(limit);
    let next = items.last().filter(|_| !is_last).map(id);
    (items, next)
}

/// A dataset without its KPIs.
pub(super) fn head(row: &Row<'_>) -> rusqlite::Result<Dataset> {
    Ok(Dataset {
        id: parsed(row, 0)?,
        organization_id: parsed(row, 1)?,
        name: row.get(2)?,
        created_at: parsed(row, 3)?,
        description: row.get(4)?,
        created_by: optional(row, 5)?,
        updated_by: optional(row, 6)?,
        updated_at: optional(row, 7)?,
        kpis: Vec::new(),
    })
}

pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    optional(row, column).map(|value| value.expect("a column that is not null"))
}

pub(super) fn optional<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let parse = |text: &str| text.parse().unwrap_or_else(|_| panic!("column {column} is no such text"));
    Ok(row.get_ref(column)?.as_str_or_null()?.map(parse))
}

pub(super) fn optional_text(time: Option<DateTime<Utc>>) -> Option<String> {
    time.map(|time| time.to_rfc3339())
}
