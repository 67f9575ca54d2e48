//! SQL of deleted datasets: counting them, and purging them with their history.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::dataset::{self, SELECT_BY_SEQ, column, state};
use super::row::Columns;
use super::{counter, listing, removal};
use crate::error::Error;
use crate::model::digest;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::state::State;
use crate::sqlite::failure::{self, Failure, UnexpectedValue};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

const COUNT: &str = "
    SELECT count(*) FROM dataset INDEXED BY dataset_in_trash
    WHERE organization_id = ?1 AND deleted_at IS NOT NULL
        AND changed BETWEEN -9223372036854775808 AND 9223372036854775807";

/// The number of deleted datasets of this organization.
pub(crate) fn count(snapshot: &Snapshot<'_>, organization: OrganizationId) -> Result<u64, Failure> {
    let mut statement = snapshot.connection().prepare_cached(COUNT)?;
    let count: i64 = statement.query_one([organization.as_bytes()], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Unless it is there already, which only another tool can have made.
const REMEMBER: &str = "
    INSERT INTO purged_dataset (organization_id, change, id, digest) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (organization_id, id) DO NOTHING";
const LAST_PURGE: &str = "SELECT max(change) FROM purged_dataset WHERE organization_id = ?1";

/// Removes a deleted dataset with its KPIs and its history. It need not be intact.
pub(crate) fn purge(transaction: &Transaction<'_>, organization: OrganizationId, id: DatasetId) -> Result<(), Failure> {
    let found =
        find_deleted(transaction, organization, id).map_err(|Failure(error)| Failure(error.with_dataset(id)))?;
    remove(transaction, organization, found.ok_or(Error::not_found(id))?)
}

/// A dataset in the trash that is to be removed.
#[derive(Clone, Copy)]
struct Deleted {
    seq: i64,
    id: DatasetId,
    /// The number of its deletion.
    changed: i64,
}

fn find_deleted(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Option<Deleted>, Failure> {
    let mut statement = transaction.connection().prepare_cached(&dataset::SELECT_ONE)?;
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()])?;
    match rows.next()? {
        Some(row) => match state(row, organization, id)? {
            Some(State { deleted: Some(_), changed }) => {
                Ok(Some(Deleted { seq: Columns(row).integer(column::SEQ)?, id, changed }))
            }
            _ => Ok(None),
        },
        None => Ok(None),
    }
}

/// Removes the datasets of this organization that were deleted before this time. Returns how many.
pub(crate) fn purge_before(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    time: DateTime<Utc>,
) -> Result<u64, Failure> {
    let mut old = Vec::new();
    {
        let mut statement = transaction.connection().prepare_cached(listing::DELETED_OLDEST_FIRST)?;
        let mut rows = statement.query(params![organization.as_bytes(), i64::MIN])?;
        while let Some(row) = rows.next()? {
            let seq = Columns(row).integer(1)?;
            old.extend(deleted_before(transaction, organization, seq, time)?);
        }
    }
    for deleted in &old {
        remove(transaction, organization, *deleted)?;
    }
    Ok(old.len() as u64)
}

/// This dataset if it was deleted before this time. One whose state is damaged is left alone: nobody knows
/// when it was deleted.
fn deleted_before(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    seq: i64,
    time: DateTime<Utc>,
) -> Result<Option<Deleted>, Failure> {
    let mut statement = transaction.connection().prepare_cached(&SELECT_BY_SEQ)?;
    let mut rows = statement.query([seq])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (Ok(owner), Ok(id)) = (Columns(row).id(column::ORGANIZATION_ID), Columns(row).id(column::ID)) else {
        return Ok(None);
    };
    if organization != owner {
        return Ok(None);
    }
    match state(row, organization, id) {
        Ok(Some(State { deleted: Some((at, _)), changed })) if at < time => Ok(Some(Deleted { seq, id, changed })),
        Err(failure) if !failure.is_damage() => Err(failure),
        _ => Ok(None),
    }
}

fn remove(transaction: &Transaction<'_>, organization: OrganizationId, deleted: Deleted) -> Result<(), Failure> {
    let Deleted { seq, id, changed } = deleted;
    let connection = transaction.connection();
    let last: Option<i64> =
        connection.prepare_cached(LAST_PURGE)?.query_one([organization.as_bytes()], |row| row.get(0))?;
    let number = counter::take(transaction, organization, 1, last.unwrap_or_default().max(changed).max(seq))?;
    removal::remove_dataset(connection, seq)?;
    let digest = digest::purged(organization, number, id).cast_signed();
    let values = params![organization.as_bytes(), number, id.as_bytes(), digest];
    connection.prepare_cached(REMEMBER)?.execute(values)?;
    Ok(())
}

const IS_PURGED: &str = "SELECT 1 FROM purged_dataset WHERE organization_id = ?1 AND id = ?2";

/// Whether a dataset of this organization with this id was purged.
pub(super) fn is_purged(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> rusqlite::Result<bool> {
    let mut statement = transaction.connection().prepare_cached(IS_PURGED)?;
    statement.exists(params![organization.as_bytes(), id.as_bytes()])
}

const SELECT_PURGED: &str = "SELECT organization_id, change, id, digest FROM purged_dataset NOT INDEXED";

/// A row of `purged_dataset`.
type Purge = (OrganizationId, i64, DatasetId, i64);

/// Calls `damaged` with each row of `purged_dataset` that does not match its digest, and with the organization if that
/// can be read. Returns the largest number of a purge.
pub(in crate::sqlite) fn check_purged(
    snapshot: &Snapshot<'_>,
    mut damaged: impl FnMut(Option<OrganizationId>),
) -> Result<i64, Failure> {
    let mut statement = snapshot.connection().prepare(SELECT_PURGED)?;
    let mut rows = statement.query([])?;
    let (mut largest, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let columns = Columns(row);
        let organization: Option<OrganizationId> = columns.optional_id(0).unwrap_or_default();
        let read = || -> Result<Purge, UnexpectedValue> {
            Ok((columns.id(0)?, columns.integer(1)?, columns.id(2)?, columns.integer(3)?))
        };
        match read() {
            Ok((organization, change, id, stored))
                if digest::purged(organization, change, id).cast_signed() == stored =>
            {
                largest = largest.max(change);
                // On a damaged page the rows might go back and never end.
                if last.replace((organization, change)).is_some_and(|last| last >= (organization, change)) {
                    return Err(failure::damaged("the rows of the purged ids are out of order").into());
                }
            }
            _ => damaged(organization),
        }
    }
    Ok(largest)
}
