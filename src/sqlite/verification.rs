//! A look at every row: what SQLite's own checks see, what only the digests see, and what an index hides.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::{Connection, OptionalExtension, ffi, params};

use super::row::Columns;
use super::{dataset, kpi, progress, transaction};
use crate::error::{Error, Failure};
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::verification::{Finding, Verification, Watch};

/// Looks at everything, in one snapshot, while `watch` is told how many datasets were looked at.
pub(crate) fn verify_watched(connection: &mut Connection, watch: Watch) -> Result<Verification, Failure> {
    let total = progress::bounded(connection, dataset::count_all).unwrap_or_default();
    let looked_at = Arc::new(AtomicU64::new(0));
    let done = Arc::clone(&looked_at);
    progress::watched(
        connection,
        watch,
        total,
        u64::MAX,
        move || done.load(Relaxed),
        |connection| verify(connection, &looked_at),
    )
}

/// Looks at everything, in one snapshot.
pub(super) fn verify(connection: &Connection, looked_at: &AtomicU64) -> Result<Verification, Failure> {
    transaction::begin_read(connection)?;
    let verification = verify_snapshot(connection, looked_at);
    let ended = transaction::end(connection);
    verification.and_then(|verification| ended.map(|()| verification).map_err(Failure::from))
}

fn verify_snapshot(connection: &Connection, looked_at: &AtomicU64) -> Result<Verification, Failure> {
    let mut verification = Verification { datasets: 0, kpis: 0, findings: integrity(connection)? };
    // Damage of the tables' structure ends a walk early; SQLite's check has named it, if not this does.
    if let Err(failure) =
        walk(connection, &mut verification, looked_at).and_then(|()| counts(connection, &mut verification))
    {
        verification.findings.push(unreadable(failure)?);
    }
    Ok(verification)
}

/// What SQLite finds by itself.
pub(super) fn integrity(connection: &Connection) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    match texts(connection, "PRAGMA integrity_check(1000000)") {
        Ok(texts) => {
            // One text may say several things.
            texts.iter().flat_map(|text| text.lines()).try_for_each(refuse_failure_of_the_disk)?;
            let found = texts.into_iter().filter(|text| text != "ok");
            findings.extend(found.map(|text| Finding::new("integrity", text)));
        }
        Err(failure) => findings.push(unreadable(failure)?),
    }
    match texts(connection, "SELECT \"table\" FROM pragma_foreign_key_check") {
        Ok(rows) if rows.is_empty() => {}
        Ok(rows) => findings.push(Finding::new("foreign_key", format!("{} KPIs belong to no dataset", rows.len()))),
        Err(failure) => findings.push(unreadable(failure)?),
    }
    Ok(findings)
}

/// SQLite's check writes down, as if it were damage, that the disk failed to give a page.
fn refuse_failure_of_the_disk(text: &str) -> Result<(), Failure> {
    let code = match text.rsplit_once("unable to get the page. error code=") {
        Some((_, code)) => code.trim().parse().ok(),
        None => text.contains("failed to get page").then_some(ffi::SQLITE_IOERR),
    };
    code.map_or(Ok(()), |code| {
        let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text.to_owned()));
        unreadable(failure.into()).map(drop)
    })
}

fn texts(connection: &Connection, sql: &str) -> Result<Vec<String>, Failure> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Damage as a finding; anything else is the error that it is.
fn unreadable(Failure(error): Failure) -> Result<Finding, Failure> {
    match error {
        Error::Corrupt { dataset, .. } => Ok(Finding::new("integrity", error.to_string()).about(None, dataset)),
        error => Err(error.into()),
    }
}

/// Reads every dataset by the table itself, and looks for it by each index.
fn walk(connection: &Connection, verification: &mut Verification, looked_at: &AtomicU64) -> Result<(), Failure> {
    let mut statement = connection.prepare(dataset::SELECT_ALL)?;
    let mut rows = statement.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        verification.datasets += 1;
        looked_at.store(verification.datasets, Relaxed);
        let columns = Columns(row);
        let seq = columns.integer(0)?;
        // Rows that went back might never end.
        if last.replace(seq).is_some_and(|last| last >= seq) {
            return Err(Error::damaged("the rows of the datasets are out of order").into());
        }
        let organization: Option<OrganizationId> = columns.optional_id(dataset::ORGANIZATION_ID).unwrap_or_default();
        let id: Option<DatasetId> = columns.optional_id(dataset::ID).unwrap_or_default();
        let mut note = |finding: Finding| verification.findings.push(finding.about(organization, id));
        let (Some(organization), Some(id)) = (organization, id) else {
            note(Finding::new("dataset", "its ids cannot be read"));
            continue;
        };
        match dataset::read(connection, row, organization, id) {
            Ok(dataset) => verification.kpis += dataset.kpis.len() as u64,
            Err(Failure(error @ Error::Corrupt { .. })) => note(Finding::new("dataset", error.to_string())),
            Err(failure) => return Err(failure),
        }
        let mut note = |finding: Finding| verification.findings.push(finding.about(Some(organization), Some(id)));
        for (sql, what) in [(dataset::FIND_BY_ID, "a read"), (dataset::FIND_BY_PLACE, "a listing")] {
            if !is_found(connection, sql, organization, id, seq)? {
                note(Finding::new("hidden", format!("an index is damaged: {what} does not find it")));
            }
        }
        if has_repeated_position(connection, seq)? {
            note(Finding::new("order", "two of its KPIs have one place in the order of addition"));
        }
    }
    Ok(())
}

/// Whether the index that `sql` names leads to the dataset. One that SQLite cannot read leads nowhere.
fn is_found(
    connection: &Connection,
    sql: &str,
    organization: OrganizationId,
    id: DatasetId,
    seq: i64,
) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let asked = params![organization.as_bytes(), id.as_bytes(), seq];
    match statement.query_one(asked, |row| row.get::<_, i64>(0)).optional().map_err(Failure::from) {
        Ok(found) => Ok(found == Some(seq)),
        Err(Failure(Error::Corrupt { .. })) => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn has_repeated_position(connection: &Connection, seq: i64) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(kpi::POSITIONS)?;
    let mut rows = statement.query([seq])?;
    let mut seen = HashSet::new();
    loop {
        match rows.next().map_err(Failure::from) {
            Ok(Some(row)) if !seen.insert(Columns(row).integer(0)?) => return Ok(true),
            Ok(Some(_)) => {}
            // Damage was noted when the dataset was read.
            Ok(None) | Err(Failure(Error::Corrupt { .. })) => return Ok(false),
            Err(failure) => return Err(failure),
        }
    }
}

/// Whether the tables and their indexes agree on how many rows there are.
fn counts(connection: &Connection, verification: &mut Verification) -> Result<(), Failure> {
    for (what, sql) in dataset::COUNTS {
        let count: i64 = connection.query_one(sql, [], |row| row.get(0))?;
        if count.cast_unsigned() != verification.datasets {
            let detail = format!("{what} has {count} datasets, the table {}", verification.datasets);
            verification.findings.push(Finding::new("count", detail));
        }
    }
    Ok(())
}
