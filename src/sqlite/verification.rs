//! Verifying every row: by SQLite's own checks, by the digests, and by the order and number of the entries of each
//! index.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;

use super::failure::{Failure, damaged};
use super::integrity;
use super::progress::{self, Callback};
use super::read_connection::OpenedReader;
use super::schema::SCHEMA;
use super::snapshot::{self, Snapshot};
use super::table::dataset::{self, column};
use super::table::row::Columns;
use super::table::version::{self, Owner};
use super::table::{audit, counter, history, property, trash};
use crate::error::Error;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::record::FIRST_REVISION;
use crate::model::state::State;
use crate::model::verification::{Finding, FindingKind, Verification};

/// Verifies everything in one snapshot, and calls `callback` with the number of datasets that were read.
pub(crate) fn verify_reported(
    mut reader: OpenedReader,
    callback: Callback,
    damage_is_known: bool,
) -> Result<Verification, Failure> {
    let (connection, file) = (&mut reader.connection, reader.file.as_deref());
    let count = |connection: &Connection| snapshot::read(connection, damage_is_known, audit::count_datasets);
    let total =
        progress::reported(connection, file, progress::ignored(), 0, || u64::MAX, || 0, count).unwrap_or_default();
    let read = Arc::new(AtomicU64::new(0));
    let done = Arc::clone(&read);
    let verified = progress::reported(
        connection,
        file,
        callback,
        total,
        || u64::MAX,
        move || done.load(Relaxed),
        |connection| verify(connection, damage_is_known, &read),
    );
    reader.check_current()?;
    verified
}

/// Verifies everything in one snapshot, and updates `read`, the number of datasets that were read.
pub(crate) fn verify(
    connection: &Connection,
    damage_is_known: bool,
    read: &AtomicU64,
) -> Result<Verification, Failure> {
    snapshot::read(connection, damage_is_known, |snapshot| {
        let mut verification = Verification::new();
        check(snapshot, &READ_ROW_BY_ROW, &mut verification.findings)?;
        // The walk meets the damage that the check has found.
        let snapshot = &Snapshot::new(snapshot.connection(), damage_is_known || !verification.is_whole());
        // Damage to the structure of a table ends the walk early. It becomes a finding, even if SQLite's check missed
        // it.
        let mut totals = Totals::default();
        let walked = walk(snapshot, &mut verification, &mut totals, read)
            .and_then(|()| counts(snapshot, &mut verification, &totals));
        if let Err(failure) = walked {
            push_once(&mut verification.findings, unreadable(snapshot, failure)?);
        }
        // Every KPI that belongs to a dataset was read, so an equal number proves that there is no other.
        let has_no_orphan = verification.is_whole()
            && match audit::count_kpis(snapshot) {
                Ok(count) => count == verification.kpis,
                Err(failure) => {
                    push_once(&mut verification.findings, unreadable(snapshot, failure)?);
                    false
                }
            };
        let without_orphans: &[&str] = if has_no_orphan { &["kpi"] } else { &[] };
        find_orphans(snapshot, without_orphans, &mut verification.findings)?;
        Ok(verification)
    })
}

/// The tables of which [`walk`] reads every row and compares every value with the limits itself, so that their CHECK
/// constraints need not be evaluated: that is more than half of SQLite's check.
const READ_ROW_BY_ROW: [&str; 2] = ["dataset", "kpi"];

/// The findings of SQLite's own checks.
pub(super) fn integrity(snapshot: &Snapshot<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    check(snapshot, &[], &mut findings)?;
    find_orphans(snapshot, &[], &mut findings)?;
    Ok(findings)
}

/// Adds the findings of SQLite's integrity check, without the CHECK constraints of the tables in `without_checks`.
fn check(snapshot: &Snapshot<'_>, without_checks: &[&str], findings: &mut Vec<Finding>) -> Result<(), Failure> {
    match integrity::texts(snapshot, &SCHEMA, without_checks) {
        Ok(texts) => findings.extend(texts.into_iter().map(|text| Finding::new(FindingKind::Integrity, text))),
        Err(failure) => findings.push(unreadable(snapshot, failure)?),
    }
    Ok(())
}

/// Adds the finding of SQLite's check of foreign keys, without the tables in `without_orphans`.
fn find_orphans(snapshot: &Snapshot<'_>, without_orphans: &[&str], findings: &mut Vec<Finding>) -> Result<(), Failure> {
    match integrity::orphans(snapshot.connection(), &SCHEMA, without_orphans) {
        Ok(0) => {}
        Ok(orphans) => {
            findings
                .push(Finding::new(FindingKind::ForeignKey, format!("{orphans} KPIs or changes belong to no dataset")));
        }
        Err(failure) => push_once(findings, unreadable(snapshot, failure)?),
    }
    Ok(())
}

/// Adds the finding of a check that ended early, unless another check has met the same damage.
fn push_once(findings: &mut Vec<Finding>, finding: Finding) {
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

/// Converts damage to a finding; any other error is returned.
fn unreadable(snapshot: &Snapshot<'_>, failure: Failure) -> Result<Finding, Failure> {
    match failure {
        Failure(Error::Corrupt { dataset, detail, .. }) if snapshot.is_damage(&failure) => {
            Ok(Finding::new(FindingKind::Integrity, detail).about(None, dataset))
        }
        failure => Err(failure),
    }
}

/// The error for a finding in a copy, which must be intact.
pub(super) fn damage(finding: Finding) -> Error {
    Error::corrupt(finding.dataset, finding.detail)
}

/// The contents of the indexes and the counter that follow from the rows of the table.
#[derive(Default)]
struct Totals {
    /// The number of datasets that each index must have.
    datasets: [u64; audit::INDEXES.len()],
    last_change: i64,
}

impl Totals {
    fn add(&mut self, entry: &audit::Entry) {
        for (index, count) in audit::INDEXES.iter().zip(&mut self.datasets) {
            *count += u64::from((index.has)(entry));
        }
        self.last_change = self.last_change.max(entry.changed.unwrap_or_default());
    }
}

/// Reads every dataset from the table itself.
///
/// SQLite's check looks each row up in each index. The walk does so only if that check found damage, which may have
/// ended it, and then names the datasets that an index does not find.
fn walk(
    snapshot: &Snapshot<'_>,
    verification: &mut Verification,
    totals: &mut Totals,
    read: &AtomicU64,
) -> Result<(), Failure> {
    let looks_up = !verification.is_whole();
    let mut has_changes = snapshot.connection().prepare(version::EXISTS)?;
    let mut statement = snapshot.connection().prepare(&audit::SELECT_ALL)?;
    let mut rows = statement.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        verification.datasets += 1;
        read.store(verification.datasets, Relaxed);
        let columns = Columns(row);
        let seq = columns.integer(column::SEQ)?;
        // On a damaged page the rows might go back and never end.
        if last.replace(seq).is_some_and(|last| last >= seq) {
            return Err(damaged("the rows of the datasets are out of order").into());
        }
        let organization: Option<OrganizationId> = columns.optional_id(column::ORGANIZATION_ID).unwrap_or_default();
        let id: Option<DatasetId> = columns.optional_id(column::ID).unwrap_or_default();
        let mut found = |kind, detail: String| {
            verification.findings.push(Finding::new(kind, detail).about(organization, id));
        };
        let (Some(organization), Some(id)) = (organization, id) else {
            found(FindingKind::Dataset, "the id of the dataset or of its organization cannot be read".to_owned());
            continue;
        };
        let record = readable(snapshot, dataset::read_strictly(snapshot, row, organization, id), &mut found)?;
        let changed = |state: Option<State>| state.map(|state| state.changed);
        let state = readable(snapshot, dataset::state(row, organization, id).map(changed), &mut found)?;
        verification.kpis += record.as_ref().map_or(0, |record| record.dataset.kpis.len() as u64);
        let mut found = |kind, detail: String| {
            verification.findings.push(Finding::new(kind, detail).about(Some(organization), Some(id)));
        };
        let entry = audit::Entry {
            organization,
            id,
            seq,
            changed: columns.optional_integer(column::CHANGED).unwrap_or_default(),
            is_deleted: !columns.is_null(column::DELETED_AT),
        };
        totals.add(&entry);
        if entry.changed.is_some_and(|changed| changed <= seq) {
            found(FindingKind::Dataset, "its last change has a number that is not after its own".to_owned());
        }
        for index in audit::INDEXES.iter().filter(|index| looks_up && (index.has)(&entry)) {
            if !index.finds(snapshot, &entry)? {
                found(FindingKind::Hidden, format!("an index is damaged: {} does not find the dataset", index.used_by));
            }
        }
        let has_repeated_position = match &record {
            Some(record) => record.has_repeated_position(),
            None => audit::has_repeated_position(snapshot, seq)?,
        };
        if has_repeated_position {
            let detail = "two of its KPIs have the same position in the order of addition";
            found(FindingKind::Order, detail.to_owned());
        }
        let is_new = state == Some(None) && record.as_ref().is_some_and(|record| record.revision == FIRST_REVISION);
        if is_new {
            match has_changes.exists([seq]).map_err(Failure::from) {
                // Without any change there is no history to put together.
                Ok(false) => continue,
                Err(failure) if !failure.is_damage() => return Err(failure),
                _ => {}
            }
        }
        let owner = Owner { organization, id, seq };
        if let Some(detail) = history::check(snapshot, owner, record, state)? {
            found(FindingKind::History, detail.to_owned());
        }
    }
    Ok(())
}

/// The value, or `None` with a finding if it is damaged.
fn readable<T>(
    snapshot: &Snapshot<'_>,
    read: Result<T, Failure>,
    found: &mut impl FnMut(FindingKind, String),
) -> Result<Option<T>, Failure> {
    match read {
        Err(failure) if failure.is_damage() => {
            found(FindingKind::Dataset, unreadable(snapshot, failure)?.detail);
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Compares the number of datasets in the table with that of each index, and checks the tables `purged_dataset`,
/// `counter` and `organization_property`.
fn counts(snapshot: &Snapshot<'_>, verification: &mut Verification, totals: &Totals) -> Result<(), Failure> {
    for (index, expected) in audit::INDEXES.iter().zip(totals.datasets) {
        let (kind, detail) = match index.count_in_order(snapshot)? {
            Some(count) if count == expected => continue,
            Some(count) => (
                FindingKind::Count,
                format!("{} has {count} datasets, but the table has {expected} for it", index.name),
            ),
            None => (FindingKind::Hidden, format!("{} is out of order", index.name)),
        };
        verification.findings.push(Finding::new(kind, detail));
    }
    let last_purge = trash::check_purged(snapshot, |organization| {
        let finding = Finding::new(FindingKind::History, "the record of a purge does not match its digest");
        verification.findings.push(finding.about(organization, None));
    })?;
    if let Some(detail) = counter::check(snapshot, totals.last_change.max(last_purge))? {
        verification.findings.push(Finding::new(FindingKind::Count, detail));
    }
    property::check(snapshot, |organization| {
        let finding = Finding::new(FindingKind::Property, "a property does not match its digest");
        verification.findings.push(finding.about(organization, None));
    })?;
    Ok(())
}
