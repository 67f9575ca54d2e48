//! SQL that removes an organization.

use rusqlite::Connection;

use super::counter;
use super::removal::{delete_all, lacks_a_row, reindex, without_foreign_keys};
use crate::model::ids::OrganizationId;
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::Transaction;

/// A damaged index may lack rows of the organization, and a row that an index lacks cannot be deleted; or it may have
/// entries of rows that do not exist, with the id of the organization.
const REINDEX_DATASETS: &str = "REINDEX dataset";
const REINDEX_PURGED: &str = "REINDEX purged_dataset";

/// From the tables, in which nothing is missing.
const DELETE_DATASETS: &str = "DELETE FROM dataset NOT INDEXED WHERE organization_id = ?1";
const DELETE_PURGED: &str = "DELETE FROM purged_dataset NOT INDEXED WHERE organization_id = ?1";

/// By a scan (`+`), which misses none.
const DELETE_PROPERTIES: &str = "DELETE FROM organization_property WHERE +organization_id = ?1";

const SEQS: &str = "SELECT seq FROM dataset NOT INDEXED WHERE organization_id = ?1";
const DELETE_DATASET: &str = "DELETE FROM dataset NOT INDEXED WHERE +seq = ?1";

/// Rows that belong to no dataset: the KPIs and the histories of those that were removed, and rows that damage has
/// separated from their dataset. No call returns them, and nobody can tell whose they were.
struct Orphans {
    /// Most of them, fast. The numbers of the datasets are collected by a scan (`+`), which misses none.
    delete: &'static str,
    delete_without_number: &'static str,
    /// Those that a search for their key did not find.
    left: &'static str,
    delete_left: &'static str,
}

const ORPHANS: [Orphans; 2] = [
    Orphans {
        delete: "DELETE FROM kpi WHERE dataset_seq NOT IN (SELECT +seq FROM dataset NOT INDEXED)",
        delete_without_number: "DELETE FROM kpi WHERE typeof(dataset_seq) <> 'integer'",
        left: "SELECT DISTINCT dataset_seq FROM kpi
            WHERE dataset_seq NOT IN (SELECT +seq FROM dataset NOT INDEXED)",
        delete_left: "DELETE FROM kpi WHERE +dataset_seq = ?1",
    },
    Orphans {
        delete: "DELETE FROM dataset_version WHERE dataset_seq NOT IN (SELECT +seq FROM dataset NOT INDEXED)",
        delete_without_number: "DELETE FROM dataset_version WHERE typeof(dataset_seq) <> 'integer'",
        left: "SELECT DISTINCT dataset_seq FROM dataset_version
            WHERE dataset_seq NOT IN (SELECT +seq FROM dataset NOT INDEXED)",
        delete_left: "DELETE FROM dataset_version WHERE +dataset_seq = ?1",
    },
];

/// Removes every row of the organization: its datasets, in the trash or not, with all that belongs to them, the ids
/// of those that were purged, and its properties. They need not be intact.
///
/// Nothing is left by which the organization's datasets could be reported as purged, so the changes are counted anew,
/// in another generation, unless there were none.
pub(crate) fn purge(transaction: &Transaction<'_>, organization: OrganizationId) -> Result<(), Failure> {
    let connection = transaction.connection();
    without_foreign_keys(connection, || {
        reindex(connection, REINDEX_DATASETS)?;
        reindex(connection, REINDEX_PURGED)?;
        let changed_before = connection.total_changes();
        match delete_all(connection, DELETE_DATASETS, [organization.as_bytes()]) {
            Err(error) if lacks_a_row(&error) => delete_one_by_one(connection, organization)?,
            deleted => deleted?,
        }
        delete_all(connection, DELETE_PURGED, [organization.as_bytes()])?;
        if connection.total_changes() > changed_before {
            match counter::draw_generation(connection).map_err(Failure::from) {
                // Nobody can ask for changes if the counter cannot be read.
                Err(failure) if failure.is_damage() => {}
                drawn => drawn?,
            }
        }
        delete_all(connection, DELETE_PROPERTIES, [organization.as_bytes()])?;
        ORPHANS.iter().try_for_each(|orphans| Ok(orphans.remove(connection)?))
    })
}

/// Removes the datasets where two are equal that must not be, so that the indexes could not be built anew. Once one of
/// the two is removed, they can.
fn delete_one_by_one(connection: &Connection, organization: OrganizationId) -> rusqlite::Result<()> {
    for seq in numbers(connection, SEQS, [organization.as_bytes()])? {
        match delete_all(connection, DELETE_DATASET, [seq]) {
            Err(error) if lacks_a_row(&error) => {
                reindex(connection, REINDEX_DATASETS)?;
                delete_all(connection, DELETE_DATASET, [seq])?;
            }
            deleted => deleted?,
        }
    }
    Ok(())
}

impl Orphans {
    fn remove(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.prepare_cached(self.delete)?.execute([])?;
        delete_all(connection, self.delete_without_number, [])?;
        for seq in numbers(connection, self.left, [])? {
            delete_all(connection, self.delete_left, [seq])?;
        }
        Ok(())
    }
}

fn numbers(connection: &Connection, sql: &str, of: impl rusqlite::Params) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(of, |row| row.get(0))?.collect()
}
