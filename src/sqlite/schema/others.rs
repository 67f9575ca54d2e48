//! Other tables in the file: those of tools such as Litestream, and those of the application itself.
//!
//! An ordinary table and its indexes are allowed. They have no effect when rows of this crate are read or written:
//! their CHECKs, defaults and keys concern only their own rows. Everything that could affect rows of this crate is
//! rejected: triggers, views, virtual tables, and indexes and foreign keys on tables of this crate.
//!
//! A backup also copies the other tables: SQLite executes the stored SQL again, copies the rows, and then checks every
//! table of the copy by reading its rows and indexes. Whatever could make a backup fail is rejected when the file is
//! opened, rather than when the backup is needed: SQL that only the application that created the table can execute (its
//! functions and collations), and generated columns and indexes with expressions or conditions, whose computation may
//! fail.

use rusqlite::{Connection, ErrorCode};

use super::object::Object;
use crate::error::Error;
use crate::sqlite::connection;
use crate::sqlite::failure::{Failure, cause, damaged};
use crate::sqlite::table::gather;

/// Tables with a generated column.
const GENERATED: &str =
    "SELECT tables.name FROM pragma_table_list AS tables, pragma_table_xinfo(tables.name) AS columns
    WHERE columns.hidden > 1 LIMIT 1";

/// Indexes on expressions, or with a condition.
const COMPUTED: &str = "SELECT indexes.name FROM pragma_table_list AS tables, pragma_index_list(tables.name) AS indexes
    WHERE indexes.partial OR EXISTS (SELECT 1 FROM pragma_index_xinfo(indexes.name) WHERE cid = -2) LIMIT 1";

/// Tables with a foreign key, and the tables that it refers to.
const REFERENCES: &str = "SELECT tables.name, keys.\"table\"
    FROM pragma_table_list AS tables, pragma_foreign_key_list(tables.name) AS keys";

/// Fails on an object that is not an ordinary table or an index on one, or that could affect rows of this crate.
///
/// `is_reserved` tells whether a name is reserved for objects of this crate in this or a later version.
pub(super) fn check(others: &[Object], is_reserved: impl Fn(&str) -> bool) -> Result<(), Failure> {
    for object in others {
        check_kind(object, others, &is_reserved)?;
    }
    let connection = create_in_memory(others)?;
    check_computed(&connection)?;
    check_references(&connection, is_reserved)
}

fn check_kind(object: &Object, others: &[Object], is_reserved: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let is_on_another = others.iter().any(|other| other.is_table() && other.name == object.table);
    let what = match object.kind.as_str() {
        _ if is_reserved(&object.name) => "has a name that is reserved for tables of the store",
        // SQLite normalizes the beginning of the stored SQL to these words.
        "table" if object.sql.starts_with("CREATE TABLE ") => return Ok(()),
        "table" => "is a virtual table, which cannot be in a store",
        "index" if is_on_another => return Ok(()),
        "index" => "is not part of the store, but is on one of its tables",
        _ => "cannot be in a store",
    };
    Err(refuse(&object.describe(), what).into())
}

/// Creates the tables and indexes without rows, as a backup does.
fn create_in_memory(others: &[Object]) -> Result<Connection, Failure> {
    let connection = connection::connect_in_memory()?;
    gather::remove(&connection)?;
    let (tables, indexes): (Vec<_>, Vec<_>) = others.iter().partition(|object| object.is_table());
    // The index of a constraint has no SQL; it is created with its table.
    for object in tables.into_iter().chain(indexes).filter(|object| !object.sql.is_empty()) {
        if let Err(error) = connection.execute(&object.sql, []) {
            return Err(creation_failed(object, error));
        }
    }
    Ok(connection)
}

fn creation_failed(object: &Object, error: rusqlite::Error) -> Failure {
    // SQLITE_ERROR: a function or a collation is unknown, or the SQL is invalid.
    if !matches!(error.sqlite_error_code(), None | Some(ErrorCode::Unknown)) {
        return error.into();
    }
    let what = "uses a function or collation that only its own application has, so a backup would fail";
    let detail = format!("{} {what}; {DROP}", object.describe());
    Error::Corrupt { dataset: None, detail: detail.into(), source: cause(error) }.into()
}

fn check_computed(connection: &Connection) -> Result<(), Failure> {
    for (kind, what, sql) in [
        ("table", "has a generated column, which cannot be in a store", GENERATED),
        ("index", "has an expression or a condition, which cannot be in a store", COMPUTED),
    ] {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        if let Some(row) = rows.next()? {
            return Err(refuse(&format!("{kind} {:?}", row.get::<_, String>(0)?), what).into());
        }
    }
    Ok(())
}

fn check_references(connection: &Connection, is_reserved: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let mut statement = connection.prepare(REFERENCES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(1)?);
        if is_reserved(&parent) {
            return Err(refuse(&format!("table {table:?}"), "has a foreign key to a table of the store").into());
        }
    }
    Ok(())
}

const DROP: &str = "drop it with the tool that created it";

fn refuse(object: &str, what: &str) -> Error {
    damaged(format!("{object} {what}; {DROP}"))
}
