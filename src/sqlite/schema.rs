//! What must be in the file: the objects of the schema and the rows of the history.
//!
//! The migrations are an explicit list, and what they make is found by running them in memory, once per process. So
//! there is one statement of the schema; a file is compared with it object by object, which says more than a checksum.

use std::sync::OnceLock;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Failure, shared};

/// Marks the file as one of this crate: "KPIS".
pub(super) const APPLICATION_ID: i64 = 0x4B50_4953;

/// Marks a backup that was not opened for writing yet: "KPIB".
pub(super) const BACKUP_ID: i64 = 0x4B50_4942;

/// refinery's history, with our own text: refinery's differs between features that any crate of the tree may enable.
pub(super) const HISTORY_TABLE: &str = "kpi_store_migration";
pub(super) const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS kpi_store_migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_on TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT";

const OBJECTS: &str = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";

/// The tables in which ANALYZE keeps its statistics may be there or not, exactly as it makes them: name and text.
const STATISTICS: [(&str, &str); 3] = [
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("sqlite_stat3", "CREATE TABLE sqlite_stat3(tbl,idx,neq,nlt,ndlt,sample)"),
    ("sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
];

const HISTORY: &str = "SELECT version, name, applied_on, checksum FROM kpi_store_migration ORDER BY version";

/// The migrations of this version of the crate.
pub(crate) static SCHEMA: Schema = Schema::new(&[Migration {
    file: "V1__create_dataset_and_kpi",
    sql: include_str!("../../migrations/V1__create_dataset_and_kpi.sql"),
}]);

/// One step of the schema. Once released it is frozen to the byte.
#[derive(Debug)]
pub(crate) struct Migration {
    /// The name of its file without the ending, `V<n>__<name>`.
    pub(crate) file: &'static str,
    pub(crate) sql: &'static str,
}

impl Migration {
    /// Its name in the history.
    fn name(&self) -> &'static str {
        self.file.split_once("__").map_or(self.file, |(_, name)| name)
    }
}

/// A list of migrations, numbered from 1, and what they make of an empty file.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(super) migrations: &'static [Migration],
    /// The objects after each number of migrations.
    made: OnceLock<Vec<Vec<Object>>>,
}

/// A row of `sqlite_schema`: type, name, table and text.
type Object = (String, String, String, String);

impl Schema {
    pub(crate) const fn new(migrations: &'static [Migration]) -> Self {
        Self { migrations, made: OnceLock::new() }
    }

    /// The version of a file that is up to date.
    pub(super) fn current(&self) -> i64 {
        self.migrations.len().try_into().unwrap_or(i64::MAX)
    }

    /// Refuses a file of `version` whose schema or history is not exactly what the migrations make.
    pub(super) fn check(&self, connection: &Connection, version: i64) -> Result<(), Failure> {
        let made = self.made()?;
        let expected =
            usize::try_from(version).ok().and_then(|version| made.get(version)).map_or(&[][..], Vec::as_slice);
        if let Some(difference) = first_difference(expected, &objects(connection)?) {
            return Err(Error::damaged(difference).into());
        }
        self.check_history(connection, version)
    }

    fn check_history(&self, connection: &Connection, version: i64) -> Result<(), Failure> {
        let mut statement = connection.prepare(HISTORY)?;
        let mut rows = statement.query([])?;
        let mut expected = (1..=version).zip(self.migrations);
        let mut is_whole = true;
        while let Some(row) = rows.next()? {
            is_whole &= expected.next().is_some_and(|(number, migration)| is_applied(row, number, migration));
        }
        if is_whole && expected.next().is_none() {
            Ok(())
        } else {
            Err(Error::damaged("the history of migrations was altered").into())
        }
    }

    fn made(&self) -> Result<&[Vec<Object>], Failure> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(CREATE_HISTORY)?;
        let mut made = vec![objects(&connection)?];
        for migration in self.migrations {
            // Not the file is wrong, but the migration.
            connection.execute_batch(migration.sql).map_err(|error| Error::Storage { source: shared(error) })?;
            made.push(objects(&connection)?);
        }
        Ok(self.made.get_or_init(|| made))
    }
}

/// Whether a row of the history says that this migration was applied. When, and with which checksum, differs between
/// files that are whole; that it is a time and a checksum does not.
fn is_applied(row: &Row<'_>, number: i64, migration: &Migration) -> bool {
    let text = |column| row.get_ref(column).ok().and_then(|value| value.as_str().ok());
    row.get_ref(0).is_ok_and(|version| version == ValueRef::Integer(number))
        && text(1) == Some(migration.name())
        && text(2).is_some_and(|time| OffsetDateTime::parse(time, &Rfc3339).is_ok())
        && text(3).is_some_and(|checksum| checksum.parse::<u64>().is_ok())
}

fn objects(connection: &Connection) -> Result<Vec<Object>, Failure> {
    let mut statement = connection.prepare(OBJECTS)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut objects = rows.collect::<rusqlite::Result<Vec<Object>>>()?;
    objects.retain(|object| !is_statistic(object));
    Ok(objects)
}

fn is_statistic((kind, name, table, sql): &Object) -> bool {
    kind == "table" && name == table && STATISTICS.contains(&(name, sql))
}

/// What is missing, was altered or does not belong, in words.
fn first_difference(expected: &[Object], found: &[Object]) -> Option<String> {
    if expected == found {
        return None;
    }
    let is_same = |one: &Object, other: &Object| (&one.0, &one.1) == (&other.0, &other.1);
    let describe = |(kind, name, ..): &Object, what| format!("{kind} {name:?} {what}");
    let is_there = |object: &Object| found.iter().any(|other| is_same(object, other));
    if let Some(object) = expected.iter().find(|object| !found.contains(object)) {
        return Some(describe(object, if is_there(object) { "was altered" } else { "is missing" }));
    }
    let is_ours = |object: &Object| expected.iter().any(|other| is_same(object, other));
    if let Some(stranger) = found.iter().find(|object| !is_ours(object)) {
        return Some(describe(stranger, "does not belong to a store"));
    }
    // An upgraded file may have them in another order than a fresh one.
    (found.len() != expected.len()).then(|| "an object of the schema stands there twice".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// File, refinery's checksum and the length of the text of each migration that was released.
    const RELEASED: [(&str, u64, usize); 1] = [("V1__create_dataset_and_kpi", 7_665_575_347_425_858_093, 2_827)];

    #[test]
    fn released_migrations_are_frozen_to_the_byte() {
        let found: Vec<_> = SCHEMA
            .migrations
            .iter()
            .map(|Migration { file, sql }| {
                (*file, refinery_core::Migration::unapplied(file, sql).unwrap().checksum(), sql.len())
            })
            .collect();
        assert_eq!(found, RELEASED);
    }

    #[test]
    fn the_list_is_the_folder_and_is_numbered_from_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let in_the_folder: BTreeSet<_> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let in_the_list: BTreeSet<_> =
            SCHEMA.migrations.iter().map(|Migration { file, .. }| format!("{file}.sql")).collect();
        assert_eq!(in_the_list, in_the_folder);

        for (number, migration) in (1_i64..).zip(SCHEMA.migrations) {
            let Migration { file, sql } = migration;
            assert_eq!(*file, format!("V{number}__{}", migration.name()));
            assert_eq!(*sql, std::fs::read_to_string(folder.join(format!("{file}.sql"))).unwrap(), "{file}");
            assert!(!sql.contains('\r'), "{file} was checked out with other line ends");
        }
    }

    #[test]
    fn the_difference_is_named_that_comes_first() {
        let object = |name: &str, sql: &str| ("table".to_owned(), name.to_owned(), name.to_owned(), sql.to_owned());
        let expected = [object("a", "1"), object("b", "2")];
        let difference = |found: &[Object]| first_difference(&expected, found);
        assert_eq!(difference(&expected), None);
        assert_eq!(difference(&expected[..1]).as_deref(), Some("table \"b\" is missing"));
        assert_eq!(difference(&[object("a", "1"), object("b", "3")]).as_deref(), Some("table \"b\" was altered"));
        let more = [object("a", "1"), object("b", "2"), object("c", "3")];
        assert_eq!(difference(&more).as_deref(), Some("table \"c\" does not belong to a store"));
    }
}
