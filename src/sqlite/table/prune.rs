//! Removing earlier versions from the histories of an organization.

use rusqlite::params;

use super::change;
use super::row::Columns;
use super::version::{self, Owner};
use crate::model::history_keep::HistoryKeep;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::Transaction;

const CHANGED: &str = "
    SELECT seq, id FROM dataset INDEXED BY dataset_by_change WHERE organization_id = ?1 AND changed IS NOT NULL";

/// Removes every version that is not kept. Returns how many there were.
pub(crate) fn prune(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    keep: &HistoryKeep,
) -> Result<u64, Failure> {
    if let Some(id) = keep.of {
        return prune_one(transaction, change::owner(transaction, organization, id)?, keep);
    }
    let mut owners = Vec::new();
    {
        let mut statement = transaction.connection().prepare_cached(CHANGED)?;
        let mut rows = statement.query(params![organization.as_bytes()])?;
        while let Some(row) = rows.next()? {
            let (seq, id): (i64, Result<DatasetId, _>) = (Columns(row).integer(0)?, Columns(row).id(1));
            let Ok(id) = id else { continue };
            let owner = Owner { organization, id, seq };
            match change::confirm(transaction, owner) {
                Ok(()) => owners.push(owner),
                // A damaged index can refer to a dataset of another organization.
                Err(failure) if failure.is_damage() => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    owners.into_iter().try_fold(0, |removed, owner| Ok(removed + prune_one(transaction, owner, keep)?))
}

fn prune_one(transaction: &Transaction<'_>, owner: Owner, keep: &HistoryKeep) -> Result<u64, Failure> {
    let (mut index, mut removed, mut end) = (0, 0, None);
    version::for_each(transaction, owner, |change| {
        let entry = change.known.as_ref().map(|(entry, _)| *entry);
        if entry.is_some_and(|entry| !entry.origin.is_of_content()) {
            return Ok(true);
        }
        index += 1;
        if end.is_none() && !keep.keeps(index, entry.map(|entry| entry.changed_at)) {
            end = Some((change.number, entry));
        }
        let holds_a_version = change.known.is_none_or(|(_, replaced)| !replaced.is_empty());
        removed += u64::from(end.is_some() && holds_a_version);
        Ok(true)
    })?;
    match end {
        Some((number, entry)) if removed > 0 => version::cut(transaction, owner, number, entry.as_ref())?,
        _ => {}
    }
    Ok(removed)
}
