//! SQL of the `dataset_version` table: what each change replaced.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Row, params};

use super::parameters;
use super::row::Columns;
use crate::error::Error;
use crate::model::digest::Digest;
use crate::model::ids::{DatasetId, OrganizationId, UserId};
use crate::model::replaced::Replaced;
use crate::model::version::{ChangeEntry, Origin};
use crate::sqlite::failure::{Failure, UnexpectedValue, cause, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

mod column {
    super::super::columns! {
        DATASET_SEQ "dataset_seq",
        CHANGE "change",
        PART "part",
        ORIGIN "origin",
        CHANGED_AT "changed_at",
        CHANGED_BY "changed_by",
        REVISION "revision",
        HEAD_DIGEST "head_digest",
        KPI_DIGEST "kpi_digest",
        REPLACED "replaced",
        DIGEST "digest",
    }
}

/// The dataset of a history.
#[derive(Clone, Copy, Debug)]
pub(in crate::sqlite) struct Owner {
    pub(in crate::sqlite) organization: OrganizationId,
    pub(in crate::sqlite) id: DatasetId,
    pub(in crate::sqlite) seq: i64,
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, values) = (column::NAMES.join(", "), parameters(column::NAMES.len()));
    format!("INSERT INTO dataset_version ({names}) VALUES {values}")
});

/// Inserts a change with what it replaced, if that is known and anything.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    owner: Owner,
    entry: &ChangeEntry,
    replaced: Option<Replaced>,
) -> Result<(), Failure> {
    let Some(replaced) = replaced else { return insert_part(transaction, owner, entry, 0, None) };
    let parts = replaced.into_json().map_err(|error| Error::Storage { source: cause(error) })?;
    (0..).zip(parts).try_for_each(|(part, json)| insert_part(transaction, owner, entry, part, Some(&json)))
}

fn insert_part(
    transaction: &Transaction<'_>,
    owner: Owner,
    entry: &ChangeEntry,
    part: i64,
    replaced: Option<&str>,
) -> Result<(), Failure> {
    let digest = entry.row_digest(owner.organization, owner.id, part, replaced);
    let mut statement = transaction.connection().prepare_cached(&INSERT)?;
    statement.raw_bind_parameter(column::DATASET_SEQ + 1, owner.seq)?;
    statement.raw_bind_parameter(column::CHANGE + 1, entry.change)?;
    statement.raw_bind_parameter(column::PART + 1, part)?;
    statement.raw_bind_parameter(column::ORIGIN + 1, entry.origin.number())?;
    statement.raw_bind_parameter(column::CHANGED_AT + 1, entry.changed_at.timestamp_micros())?;
    statement.raw_bind_parameter(column::CHANGED_BY + 1, entry.changed_by.as_ref().map(UserId::as_bytes))?;
    statement.raw_bind_parameter(column::REVISION + 1, entry.revision)?;
    statement.raw_bind_parameter(column::HEAD_DIGEST + 1, entry.digest.head.cast_signed())?;
    statement.raw_bind_parameter(column::KPI_DIGEST + 1, entry.digest.kpis.cast_signed())?;
    statement.raw_bind_parameter(column::REPLACED + 1, replaced)?;
    statement.raw_bind_parameter(column::DIGEST + 1, digest.cast_signed())?;
    statement.raw_execute()?;
    Ok(())
}

/// A change that was read.
#[derive(Debug)]
pub(super) struct StoredChange {
    /// Its number, also if the rest is damaged.
    pub(super) number: i64,
    /// `None` if a row of it is damaged.
    pub(super) known: Option<(ChangeEntry, Vec<Replaced>)>,
}

/// The newest first. Of one change the last part comes first.
static SELECT: LazyLock<String> = LazyLock::new(|| {
    let names = column::NAMES.join(", ");
    format!("SELECT {names} FROM dataset_version WHERE dataset_seq = ?1 ORDER BY change DESC, part DESC")
});

/// Whether a dataset has any change.
pub(in crate::sqlite) const EXISTS: &str = "SELECT 1 FROM dataset_version WHERE dataset_seq = ?1";

/// Calls `visit` with each change of the dataset, the newest first, until it returns false.
pub(super) fn for_each(
    snapshot: &Snapshot<'_>,
    owner: Owner,
    mut visit: impl FnMut(StoredChange) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut statement = snapshot.connection().prepare_cached(&SELECT)?;
    let mut rows = statement.query([owner.seq])?;
    let mut last: Option<StoredChange> = None;
    while let Some(row) = rows.next()? {
        let number = Columns(row).integer(column::CHANGE)?;
        let part = part_of(row, owner, number);
        match &mut last {
            // On a damaged page the rows might go back and never end.
            Some(change) if change.number < number => return Err(damaged("its history is out of order").into()),
            Some(change) if change.number == number => change.add(part),
            _ => {
                let known = part.map(|(entry, replaced)| (entry, Vec::from_iter(replaced)));
                if let Some(complete) = last.replace(StoredChange { number, known })
                    && !visit(complete)?
                {
                    return Ok(());
                }
            }
        }
    }
    last.map_or(Ok(()), |change| visit(change).map(drop))
}

impl StoredChange {
    /// Adds another part, which must be of the same change.
    fn add(&mut self, part: Option<(ChangeEntry, Option<Replaced>)>) {
        self.known = match (self.known.take(), part) {
            (Some((entry, mut parts)), Some((other, replaced))) if entry == other => {
                parts.extend(replaced);
                Some((entry, parts))
            }
            _ => None,
        };
    }
}

/// The content of a row; `None` if it does not match its digest.
fn part_of(row: &Row<'_>, owner: Owner, change: i64) -> Option<(ChangeEntry, Option<Replaced>)> {
    let columns = Columns(row);
    let read = || {
        let entry = ChangeEntry {
            change,
            origin: Origin::from_number(columns.integer(column::ORIGIN)?).ok_or(UnexpectedValue)?,
            changed_at: columns.time(column::CHANGED_AT)?.time,
            changed_by: columns.optional_id(column::CHANGED_BY)?,
            revision: columns.integer(column::REVISION)?,
            digest: Digest {
                head: columns.integer(column::HEAD_DIGEST)?.cast_unsigned(),
                kpis: columns.integer(column::KPI_DIGEST)?.cast_unsigned(),
            },
        };
        let replaced = columns.optional_json(column::REPLACED)?;
        let part = columns.integer(column::PART)?;
        let digest = entry.row_digest(owner.organization, owner.id, part, replaced);
        if digest != columns.integer(column::DIGEST)?.cast_unsigned() {
            return Err(UnexpectedValue);
        }
        let replaced = replaced.map(Replaced::from_json).transpose().map_err(|_| UnexpectedValue)?;
        Ok((entry, replaced))
    };
    read().ok()
}

/// The last token and the last revision that the intact changes of a dataset gave to it.
pub(super) fn last(snapshot: &Snapshot<'_>, owner: Owner) -> Result<(Option<DateTime<Utc>>, i64), Failure> {
    let (mut token, mut revision) = (None, 0);
    for_each(snapshot, owner, |change| {
        if let Some((entry, _)) = change.known {
            let gave_revision = entry.origin.is_of_content();
            token = token.max(gave_revision.then_some(entry.changed_at));
            revision = revision.max(entry.revision.saturating_add(i64::from(gave_revision)));
        }
        Ok(true)
    })?;
    Ok((token, revision))
}

const DELETE_BEFORE: &str = "DELETE FROM dataset_version WHERE dataset_seq = ?1 AND change < ?2";
const DELETE_PARTS: &str = "DELETE FROM dataset_version WHERE dataset_seq = ?1 AND change = ?2 AND part > 0";
const CLEAR: &str =
    "UPDATE dataset_version SET replaced = NULL, digest = ifnull(?3, digest) WHERE dataset_seq = ?1 AND change = ?2";

/// Removes what this change replaced and everything before it. The change itself stays, and ends the history. One that
/// is damaged, of which no `entry` is known, stays damaged.
pub(super) fn cut(
    transaction: &Transaction<'_>,
    owner: Owner,
    number: i64,
    entry: Option<&ChangeEntry>,
) -> Result<(), Failure> {
    let connection = transaction.connection();
    connection.prepare_cached(DELETE_BEFORE)?.execute(params![owner.seq, number])?;
    connection.prepare_cached(DELETE_PARTS)?.execute(params![owner.seq, number])?;
    let digest = entry.map(|entry| entry.row_digest(owner.organization, owner.id, 0, None).cast_signed());
    connection.prepare_cached(CLEAR)?.execute(params![owner.seq, number, digest])?;
    Ok(())
}
