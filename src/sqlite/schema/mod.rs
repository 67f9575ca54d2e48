//! The schema: the objects that a file must contain, and the history of migrations.
//!
//! The migrations are an explicit list. The expected objects are determined by running the migrations in memory, once
//! per process, so that the schema is defined in one place only. A file is compared with it object by object, which
//! allows more precise errors than a checksum. A file may also contain [other tables](others).

mod object;
mod others;
pub(super) mod refinery;

use std::sync::OnceLock;

use chrono::DateTime;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use self::object::{Object, objects, remove_expected};
use crate::error::Error;
use crate::sqlite::failure::{Failure, cause, damaged};

/// Marks the file as one of this crate: "KPIS".
pub(super) const APPLICATION_ID: i64 = 0x4B50_4953;

/// Marks a backup that has not been opened for writing yet: "KPIB".
pub(super) const BACKUP_ID: i64 = 0x4B50_4942;

/// In bytes. The rows of a dataset fill a few such pages; with pages twice as large, texts of maximum length would
/// triple the file.
pub(super) const PAGE_SIZE: i64 = 4096;

/// refinery's history. Its SQL is defined here, since refinery's own differs between features that any crate in the
/// dependency tree may enable.
const HISTORY_TABLE: &str = "kpi_store_migration";
const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS kpi_store_migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_on TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT";

/// Names that are reserved for objects of this crate in this or a later version: one of these, alone or followed by
/// `_`.
const RESERVED: [&str; 2] = ["dataset", "kpi"];

const HISTORY: &str = "SELECT version, name, applied_on, checksum FROM kpi_store_migration ORDER BY version";

/// The migrations of this version of the crate.
pub(crate) static SCHEMA: Schema = Schema::new(&[Migration {
    file: "V1__create_dataset_and_kpi",
    sql: include_str!("../../../migrations/V1__create_dataset_and_kpi.sql"),
}]);

/// A migration. Once released, it must never change, not even by a byte.
#[derive(Debug)]
pub(crate) struct Migration {
    /// The name of its file without the extension, `V<n>__<name>`.
    pub(crate) file: &'static str,
    pub(crate) sql: &'static str,
}

impl Migration {
    /// Its name in the history.
    fn name(&self) -> &'static str {
        self.file.split_once("__").map_or(self.file, |(_, name)| name)
    }
}

/// A list of migrations, numbered from 1, and the objects that they create.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(super) migrations: &'static [Migration],
    /// The objects of each schema version, from 0.
    versions: OnceLock<Vec<Vec<Object>>>,
}

impl Schema {
    pub(crate) const fn new(migrations: &'static [Migration]) -> Self {
        Self { migrations, versions: OnceLock::new() }
    }

    /// The current schema version.
    pub(super) fn current(&self) -> i64 {
        self.migrations.len().try_into().unwrap_or(i64::MAX)
    }

    /// Fails if the schema or the history of a file of `version` differs from what the migrations create. Other tables
    /// are allowed.
    pub(super) fn check(&self, connection: &Connection, version: i64) -> Result<(), Failure> {
        let versions = self.versions()?;
        let expected =
            usize::try_from(version).ok().and_then(|version| versions.get(version)).map_or(&[][..], Vec::as_slice);
        let others = remove_expected(expected, objects(connection)?).map_err(damaged)?;
        if let Some(object) = others.iter().find(|object| expected.contains(object)) {
            return Err(damaged(format!("{} exists twice", object.describe())).into());
        }
        if !others.is_empty() {
            others::check(&others, |name| is_reserved(name) || is_used(versions, name))?;
        }
        self.check_history(connection, version)
    }

    /// Whether any version of the schema has this table.
    pub(super) fn has_table(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.versions()?.iter().flatten().any(|object| object.is_table() && object.name == name))
    }

    fn check_history(&self, connection: &Connection, version: i64) -> Result<(), Failure> {
        let mut statement = connection.prepare(HISTORY)?;
        let mut rows = statement.query([])?;
        let mut expected = (1..=version).zip(self.migrations);
        let mut is_intact = true;
        while let Some(row) = rows.next()? {
            is_intact &= expected.next().is_some_and(|(number, migration)| is_applied(row, number, migration));
        }
        if is_intact && expected.next().is_none() {
            Ok(())
        } else {
            Err(damaged("the history of migrations was altered").into())
        }
    }

    fn versions(&self) -> Result<&[Vec<Object>], Failure> {
        if let Some(versions) = self.versions.get() {
            return Ok(versions);
        }
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(CREATE_HISTORY)?;
        let mut versions = vec![objects(&connection)?];
        for migration in self.migrations {
            // Such an error is not damage: the migration is wrong, not the file.
            connection.execute_batch(migration.sql).map_err(|error| Error::Storage { source: cause(error) })?;
            versions.push(objects(&connection)?);
        }
        Ok(self.versions.get_or_init(|| versions))
    }
}

/// Whether a row of the history is that of this migration. The time and the checksum may differ between intact files,
/// so only their format is checked.
fn is_applied(row: &Row<'_>, number: i64, migration: &Migration) -> bool {
    let text = |column| row.get_ref(column).ok().and_then(|value| value.as_str().ok());
    row.get_ref(0).is_ok_and(|version| version == ValueRef::Integer(number))
        && text(1) == Some(migration.name())
        && text(2).is_some_and(|time| DateTime::parse_from_rfc3339(time).is_ok())
        && text(3).is_some_and(|checksum| checksum.parse::<u64>().is_ok())
}

fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.iter().any(|word| name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
}

/// Whether any version of the schema has an object of this name. SQLite ignores the case of ASCII letters in names.
fn is_used(versions: &[Vec<Object>], name: &str) -> bool {
    versions.iter().flatten().any(|object| object.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// File, refinery's checksum and the length of the text of each migration that was released.
    const RELEASED: [(&str, u64, usize); 1] = [("V1__create_dataset_and_kpi", 13_173_182_697_881_807_825, 7_272)];

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
        let object = |name: &str, sql: &str| Object {
            kind: "table".to_owned(),
            name: name.to_owned(),
            table: name.to_owned(),
            sql: sql.to_owned(),
        };
        let expected = [object("a", "1"), object("b", "2")];
        let compare = |found: &[Object]| remove_expected(&expected, found.to_vec());
        assert_eq!(compare(&expected), Ok(Vec::new()));
        assert_eq!(compare(&expected[..1]).unwrap_err(), "table \"b\" is missing");
        assert_eq!(compare(&[object("a", "1"), object("b", "3")]).unwrap_err(), "table \"b\" was altered");
        let more = [object("c", "3"), object("b", "2"), object("a", "1")];
        assert_eq!(compare(&more), Ok(vec![object("c", "3")]));
    }

    #[test]
    fn names_like_ours_are_reserved_in_any_spelling() {
        for name in ["dataset", "KPI", "kpi_store_migration", "Dataset_version"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["kpis", "datasets", "_litestream_seq", "note", ""] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
