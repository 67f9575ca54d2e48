//! SQL of the `dataset` table: a constant and a function for each statement.
//!
//! Every dataset is checked against its digest before it is returned.

use std::sync::LazyLock;

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{OptionalExtension, Row, Statement, params};

use super::kpi::{self, KpiRows, Parent};
use super::row::Columns;
use super::{counter, parameters};
use crate::error::Error;
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId, UserId};
use crate::model::record::Record;
use crate::sqlite::failure::{Failure, UnexpectedValue, damaged};
use crate::sqlite::sequence::SEQS;
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

pub(in crate::sqlite) mod column {
    super::super::columns! {
        SEQ "seq",
        NAME "name",
        DESCRIPTION "description",
        CREATED_AT "created_at",
        CREATED_BY "created_by",
        UPDATED_BY "updated_by",
        UPDATED_AT "updated_at",
        REVISION "revision",
        DIGEST "digest",
        ID "id",
        ORGANIZATION_ID "organization_id",
    }
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, values) = (column::NAMES.join(", "), parameters(column::NAMES.len()));
    format!("INSERT INTO dataset ({names}) VALUES {values}")
});

/// Inserts new datasets with their KPIs.
pub(crate) fn insert(transaction: &Transaction<'_>, new: &[Record]) -> Result<(), Failure> {
    let connection = transaction.connection();
    let first = counter::take(transaction, new.len())?;
    let mut statement = connection.prepare_cached(&INSERT)?;
    for ((seq, record), index) in (first..=i64::MAX).zip(new).zip(0..) {
        let inserted = bind(&mut statement, seq, record).and_then(|()| statement.raw_execute());
        inserted.map_err(|error| failed(error, new.iter().take(index), Some(record.dataset.id)))?;
    }
    kpi::insert(connection, first, new).map_err(|error| failed(error, new.iter(), None))
}

fn bind(statement: &mut Statement<'_>, seq: i64, record: &Record) -> rusqlite::Result<()> {
    let dataset = &record.dataset;
    statement.raw_bind_parameter(column::SEQ + 1, seq)?;
    statement.raw_bind_parameter(column::NAME + 1, &dataset.name)?;
    statement.raw_bind_parameter(column::DESCRIPTION + 1, &dataset.description)?;
    statement.raw_bind_parameter(column::CREATED_AT + 1, dataset.created_at.timestamp_micros())?;
    statement.raw_bind_parameter(column::CREATED_BY + 1, dataset.created_by.as_ref().map(UserId::as_bytes))?;
    statement.raw_bind_parameter(column::UPDATED_BY + 1, dataset.updated_by.as_ref().map(UserId::as_bytes))?;
    statement.raw_bind_parameter(column::UPDATED_AT + 1, dataset.updated_at.map(|time| time.timestamp_micros()))?;
    statement.raw_bind_parameter(column::REVISION + 1, record.revision)?;
    statement.raw_bind_parameter(column::DIGEST + 1, record.digest.cast_signed())?;
    statement.raw_bind_parameter(column::ID + 1, dataset.id.as_bytes())?;
    statement.raw_bind_parameter(column::ORGANIZATION_ID + 1, dataset.organization_id.as_bytes())
}

/// The error of a failed insert: [`AlreadyExists`](Error::AlreadyExists) if an id is taken.
///
/// The id of a KPI can be taken only within its new dataset, so the records show which one is repeated. The KPIs are
/// inserted last, but an earlier record is reported first: those `before` the failed one are searched for a repeated
/// KPI.
fn failed<'a>(
    error: rusqlite::Error,
    mut before: impl Iterator<Item = &'a Record>,
    taken: Option<DatasetId>,
) -> Failure {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if !matches!(code, Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)) {
        return error.into();
    }
    let repeated = before.find_map(|record| Some((record.dataset.id, Some(record.repeated_kpi()?))));
    match repeated.or(taken.map(|dataset| (dataset, None))) {
        Some((dataset, kpi)) => Error::already_exists(dataset, kpi).into(),
        None => error.into(),
    }
}

/// A SELECT of all columns; `rest` follows the table name.
pub(super) fn select(rest: &str) -> String {
    format!("SELECT {} FROM dataset {rest}", column::NAMES.join(", "))
}

static SELECT_ONE: LazyLock<String> = LazyLock::new(|| select("WHERE organization_id = ?1 AND id = ?2"));

/// Reads the dataset with this id of this organization.
pub(crate) fn get(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Option<Dataset>, Failure> {
    let mut statement = snapshot.connection().prepare_cached(&SELECT_ONE)?;
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()])?;
    let read = match rows.next() {
        Ok(Some(row)) => read(snapshot, row, organization, id).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(error.into()),
    };
    read.map_err(|Failure(error)| error.with_dataset(id).into())
}

/// Reads a dataset and its KPIs and checks them against the digest.
pub(in crate::sqlite) fn read(
    snapshot: &Snapshot<'_>,
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Dataset, Failure> {
    intact(record(row, organization, id, |parent| kpi::of_dataset(snapshot, parent))?)
}

/// The same for a verification, which also reports values that this crate never writes but can read.
pub(in crate::sqlite) fn read_strictly(
    snapshot: &Snapshot<'_>,
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Dataset, Failure> {
    let record = record(row, organization, id, |parent| kpi::of_dataset(snapshot, parent))?;
    let (seq, is_within_limits) = (Columns(row).integer(column::SEQ)?, record.is_within_limits());
    let dataset = intact(record)?;
    if is_within_limits && SEQS.contains(&seq) { Ok(dataset) } else { Err(UnexpectedValue.into()) }
}

/// The dataset of a record that matches its digest. The digest covers the requested organization and id, so it also
/// proves that the row is theirs.
pub(super) fn intact(record: Record) -> Result<Dataset, Failure> {
    if record.is_intact() { Ok(record.dataset) } else { Err(damaged("it does not match its digest").into()) }
}

/// Reads the row of a dataset and those of its KPIs, without checking the digest.
pub(super) fn record(
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
    kpis: impl FnOnce(Parent) -> Result<KpiRows, Failure>,
) -> Result<Record, Failure> {
    let columns = Columns(row);
    let created_at = columns.time(column::CREATED_AT)?;
    let (positions, kpis) = kpis(Parent { seq: columns.integer(column::SEQ)?, id, created_at })?.in_display_order();
    let dataset = Dataset {
        id,
        organization_id: organization,
        name: columns.text(column::NAME)?,
        created_at: created_at.time,
        description: columns.optional_text(column::DESCRIPTION)?,
        created_by: columns.optional_id(column::CREATED_BY)?,
        updated_by: columns.optional_id(column::UPDATED_BY)?,
        updated_at: columns.optional_time(column::UPDATED_AT)?,
        kpis,
    };
    let digest = columns.integer(column::DIGEST)?.cast_unsigned();
    Ok(Record { dataset, positions, revision: columns.integer(column::REVISION)?, digest })
}

static SELECT_BY_SEQ: LazyLock<String> = LazyLock::new(|| select("NOT INDEXED WHERE seq = ?1"));
const FIND: &str = "SELECT seq FROM dataset WHERE organization_id = ?1 AND id = ?2";
const ACCEPT: &str = "UPDATE dataset SET revision = ?2, digest = ?3 WHERE seq = ?1";

/// Recomputes the digest of a dataset from its current rows, and increments its revision.
pub(crate) fn accept(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Dataset, Failure> {
    let connection = transaction.connection();
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_one(params![organization.as_bytes(), id.as_bytes()], |row| row.get::<_, i64>(0));
    let Some(seq) = found.optional()? else { return Err(Error::not_found(id).into()) };
    let mut statement = connection.prepare_cached(&SELECT_BY_SEQ)?;
    // The index may be damaged and the digest does not match yet, so the ids in the row itself are compared.
    let stored = statement.query_one([seq], |row| {
        let owner = (Columns(row).id(column::ID), Columns(row).id(column::ORGANIZATION_ID));
        Ok(match owner {
            (Ok(found), Ok(owner)) if (found, owner) == (id, organization) => {
                record(row, organization, id, |parent| kpi::of_dataset(transaction, parent))
            }
            _ => Err(damaged("an index refers to another dataset").into()),
        })
    })?;
    let stored =
        stored.and_then(|stored| if stored.is_within_limits() { Ok(stored) } else { Err(UnexpectedValue.into()) });
    let accepted = stored.map_err(|Failure(error)| Failure(error.with_dataset(id)))?.revised();
    connection.prepare_cached(ACCEPT)?.execute(params![seq, accepted.revision, accepted.digest.cast_signed()])?;
    Ok(accepted.dataset)
}

const COUNT: &str = "SELECT count(*) FROM dataset WHERE organization_id = ?1";

/// The number of datasets of this organization.
pub(crate) fn count(snapshot: &Snapshot<'_>, organization: OrganizationId) -> Result<u64, Failure> {
    let mut statement = snapshot.connection().prepare_cached(COUNT)?;
    let count: i64 = statement.query_one([organization.as_bytes()], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// Steps from one organization to the next through the index, however many datasets each has.
const ORGANIZATIONS: &str = "
    WITH RECURSIVE owner (id) AS (
        SELECT min(organization_id) FROM dataset
        UNION ALL
        SELECT (SELECT min(organization_id) FROM dataset WHERE organization_id > owner.id)
        FROM owner WHERE owner.id IS NOT NULL
    )
    SELECT id FROM owner WHERE id IS NOT NULL";

/// The organizations that own a dataset, by id.
pub(crate) fn organizations(snapshot: &Snapshot<'_>) -> Result<Vec<OrganizationId>, Failure> {
    let mut statement = snapshot.connection().prepare_cached(ORGANIZATIONS)?;
    let mut rows = statement.query([])?;
    let mut organizations = Vec::new();
    while let Some(row) = rows.next()? {
        let id = Columns(row).id(0)?;
        // On a damaged index the steps might go back and never end.
        if organizations.last().is_some_and(|last| *last >= id) {
            return Err(damaged("an index is out of order").into());
        }
        organizations.push(id);
    }
    Ok(organizations)
}
