//! The objects of a schema, as SQLite lists them.

use rusqlite::Connection;

use crate::sqlite::failure::Failure;

const OBJECTS: &str = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";

/// The names and SQL of the tables that SQLite creates for ANALYZE and AUTOINCREMENT. A file may contain them with
/// exactly this SQL. `sqlite_sequence` stays even if no table with AUTOINCREMENT is left.
const INTERNAL_TABLES: [(&str, &str); 4] = [
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
    /// The table to which it belongs; for a table its own name.
    pub(super) table: String,
    /// Empty for the index of a constraint.
    pub(super) sql: String,
}

impl Object {
    /// Kind and name for an error message.
    pub(super) fn describe(&self) -> String {
        format!("{} {:?}", self.kind, self.name)
    }

    pub(super) fn is_table(&self) -> bool {
        self.kind == "table"
    }

    fn is_internal(&self) -> bool {
        self.is_table() && self.name == self.table && INTERNAL_TABLES.contains(&(&self.name, &self.sql))
    }
}

/// Every object of the schema, except SQLite's internal tables.
pub(super) fn objects(connection: &Connection) -> Result<Vec<Object>, Failure> {
    let mut statement = connection.prepare(OBJECTS)?;
    let rows = statement.query_map([], |row| {
        Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    let mut objects = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    objects.retain(|object| !object.is_internal());
    Ok(objects)
}

/// Removes the expected objects from `found` and returns the others, in no particular order. The error names an
/// expected object that is missing or was altered.
pub(super) fn remove_expected(expected: &[Object], mut found: Vec<Object>) -> Result<Vec<Object>, String> {
    for object in expected {
        // The order may differ between an upgraded file and a fresh one.
        if let Some(index) = found.iter().position(|other| other == object) {
            found.swap_remove(index);
        } else {
            let exists = found.iter().any(|other| (&other.kind, &other.name) == (&object.kind, &object.name));
            return Err(format!("{} {}", object.describe(), if exists { "was altered" } else { "is missing" }));
        }
    }
    Ok(found)
}
