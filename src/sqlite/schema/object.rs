//! The objects of a schema, as SQLite lists them.

use rusqlite::Connection;

use crate::sqlite::failure::Failure;

const OBJECTS: &str = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";

/// The tables that SQLite makes for statistics and for AUTOINCREMENT may be there or not, exactly as it makes them: name and
/// text. It never drops the last one again.
const MADE_BY_SQLITE: [(&str, &str); 4] = [
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("sqlite_stat3", "CREATE TABLE sqlite_stat3(tbl,idx,neq,nlt,ndlt,sample)"),
    ("sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
    ("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"),
];

/// A row of `sqlite_schema`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// `table`, `index`, `view` or `trigger`.
    pub(super) kind: String,
    pub(super) name: String,
    /// The table that it is, or is on.
    pub(super) table: String,
    /// Empty for an index that a constraint makes.
    pub(super) sql: String,
}

impl Object {
    /// Kind and name, for a message.
    pub(super) fn describe(&self) -> String {
        format!("{} {:?}", self.kind, self.name)
    }

    pub(super) fn is_table(&self) -> bool {
        self.kind == "table"
    }

    fn is_made_by_sqlite(&self) -> bool {
        self.is_table() && self.name == self.table && MADE_BY_SQLITE.contains(&(&self.name, &self.sql))
    }
}

/// Every object of the schema but those that SQLite makes by itself.
pub(super) fn objects(connection: &Connection) -> Result<Vec<Object>, Failure> {
    let mut statement = connection.prepare(OBJECTS)?;
    let rows = statement.query_map([], |row| {
        Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    let mut objects = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    objects.retain(|object| !object.is_made_by_sqlite());
    Ok(objects)
}

/// Those objects that were found beside the expected ones, in no order; an error that names an expected one that is missing or was altered.
pub(super) fn remove_expected(expected: &[Object], mut found: Vec<Object>) -> Result<Vec<Object>, String> {
    for object in expected {
        // In an upgraded file they may have another order than in a fresh one.
        if let Some(index) = found.iter().position(|other| other == object) {
            found.swap_remove(index);
        } else {
            let is_there = found.iter().any(|other| (&other.kind, &other.name) == (&object.kind, &object.name));
            return Err(format!("{} {}", object.describe(), if is_there { "was altered" } else { "is missing" }));
        }
    }
    Ok(found)
}
