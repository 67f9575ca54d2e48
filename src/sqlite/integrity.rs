//! SQLite's own checks, in a file that may have other tables than this crate's.

use rusqlite::{Connection, ffi};

use super::connection;
use super::failure::{Failure, damaged};
use super::schema::Schema;
use super::snapshot::Snapshot;

const CHECK: &str = "PRAGMA integrity_check(1000000)";

/// Reads every page too, but does not compare the indexes with the tables.
const QUICK_CHECK: &str = "PRAGMA quick_check(1000)";
const QUICK_CHECK_MAX: usize = 1_000;

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'";

/// The messages of the integrity check of the whole file; empty if it finds nothing. The CHECK constraints of the
/// tables in `without_checks` are not evaluated.
///
/// If there are such tables, or tables of others, whose CHECK constraints may fail in any way, the whole file is
/// checked without CHECK constraints, and then the rows of this crate's remaining tables with them.
pub(super) fn texts(snapshot: &Snapshot<'_>, schema: &Schema, without_checks: &[&str]) -> Result<Vec<String>, Failure> {
    let connection = snapshot.connection();
    let tables = match tables(connection, schema) {
        // The check of the whole file reports this damage in more detail.
        Err(failure) if snapshot.is_damage(&failure) => Tables::default(),
        tables => tables?,
    };
    if !tables.has_others && without_checks.is_empty() {
        return check(connection, CHECK);
    }
    let mut texts = connection::without_checks(connection, || check(connection, CHECK))?;
    for table in tables.ours.iter().filter(|table| !without_checks.contains(&table.as_str())) {
        let of_table = check(connection, &format!("PRAGMA quick_check({table:?})"))?;
        texts.extend(of_table.into_iter().filter(|text| !texts.contains(text)).collect::<Vec<_>>());
    }
    Ok(texts)
}

/// The messages of the quick check of the whole file, up to damage that ends it.
pub(super) fn quick_check(connection: &Connection) -> Result<Vec<String>, Failure> {
    connection.pragma_update(None, "ignore_check_constraints", 1)?;
    let mut statement = connection.prepare(QUICK_CHECK)?;
    let mut rows = statement.query([])?;
    let mut texts = Vec::new();
    loop {
        match rows.next().map_err(Failure::from) {
            Ok(Some(row)) => texts.push(row.get(0)?),
            Ok(None) => break,
            Err(failure) if failure.is_damage() && !texts.is_empty() => break,
            Err(failure) => return Err(failure),
        }
    }
    found(texts)
}

/// Fails if a page is in use twice. A copy of such a file can be far larger than the file.
pub(super) fn check_pages(connection: &Connection) -> Result<(), Failure> {
    let texts = connection::without_checks(connection, || check(connection, QUICK_CHECK))?;
    let mut lines = texts.iter().flat_map(|text| text.lines());
    if lines.any(|line| line.contains("2nd reference to page")) || texts.len() >= QUICK_CHECK_MAX {
        return Err(damaged("a page is in use twice").into());
    }
    Ok(())
}

/// The number of rows of this crate's tables that refer to a row that does not exist. Foreign keys of other tables, and
/// of those in `without_orphans`, are not checked.
pub(super) fn orphans(connection: &Connection, schema: &Schema, without_orphans: &[&str]) -> Result<usize, Failure> {
    let mut count = 0;
    for table in tables(connection, schema)?.ours.iter().filter(|table| !without_orphans.contains(&table.as_str())) {
        let mut statement = connection.prepare(&format!("PRAGMA foreign_key_check({table:?})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {
            count += 1;
        }
    }
    Ok(count)
}

#[derive(Default)]
struct Tables {
    /// The names of this crate's tables, which need no escaping in SQL.
    ours: Vec<String>,
    has_others: bool,
}

fn tables(connection: &Connection, schema: &Schema) -> Result<Tables, Failure> {
    let mut statement = connection.prepare(TABLES)?;
    let mut rows = statement.query([])?;
    let mut tables = Tables::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if schema.has_table(&name)? {
            tables.ours.push(name);
        } else {
            tables.has_others = true;
        }
    }
    Ok(tables)
}

fn check(connection: &Connection, sql: &str) -> Result<Vec<String>, Failure> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    found(rows.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// The messages of a check that found something. Fails if one is that of a failed read, which a check reports like
/// damage.
fn found(mut texts: Vec<String>) -> Result<Vec<String>, Failure> {
    texts.retain(|text| text != "ok");
    // One text may have several lines, each with a message.
    texts.iter().flat_map(|text| text.lines()).try_for_each(check_was_read)?;
    Ok(texts)
}

fn check_was_read(text: &str) -> Result<(), Failure> {
    let code = match text.rsplit_once("unable to get the page. error code=") {
        Some((_, code)) => code.trim().parse().ok(),
        None => text.contains("failed to get page").then_some(ffi::SQLITE_IOERR),
    };
    let Some(code) = code else { return Ok(()) };
    let failure = Failure::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text.to_owned())));
    if failure.is_damage() { Ok(()) } else { Err(failure) }
}
