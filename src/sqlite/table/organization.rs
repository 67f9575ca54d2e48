//! SQL that removes an organization.

use rusqlite::{Connection, ErrorCode};

use crate::model::ids::OrganizationId;
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::Transaction;

/// A damaged index may lack rows of the organization, and a row that an index lacks cannot be deleted; or it may have
/// entries of rows that do not exist, with the id of the organization.
const REINDEX: [&str; 2] = ["REINDEX dataset", "REINDEX purged_dataset"];

/// From the tables, in which nothing is missing. The KPIs and the histories go with the datasets, by their foreign
/// keys.
const DELETE: [&str; 2] = [
    "DELETE FROM dataset NOT INDEXED WHERE organization_id = ?1",
    "DELETE FROM purged_dataset NOT INDEXED WHERE organization_id = ?1",
];

/// What belongs to no dataset: no call returns it, and nobody can tell whose it was.
const DELETE_ORPHANS: [&str; 2] = [
    "DELETE FROM kpi WHERE dataset_seq NOT IN (SELECT seq FROM dataset NOT INDEXED)",
    "DELETE FROM dataset_version WHERE dataset_seq NOT IN (SELECT seq FROM dataset NOT INDEXED)",
];

/// Removes every row of the organization: its datasets, in the trash or not, with all that belongs to them, and the ids
/// of those that were purged. They need not be intact.
pub(crate) fn purge(transaction: &Transaction<'_>, organization: OrganizationId) -> Result<(), Failure> {
    let connection = transaction.connection();
    for sql in REINDEX {
        reindex(connection, sql)?;
    }
    for sql in DELETE {
        connection.prepare_cached(sql)?.execute([organization.as_bytes()])?;
    }
    for sql in DELETE_ORPHANS {
        connection.prepare_cached(sql)?.execute([])?;
    }
    Ok(())
}

/// Builds the indexes anew, unless damage made two rows equal that must not be: then they stay as they are.
fn reindex(connection: &Connection, sql: &str) -> Result<(), Failure> {
    match connection.prepare_cached(sql)?.execute([]) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(()),
        reindexed => Ok(reindexed.map(drop)?),
    }
}
