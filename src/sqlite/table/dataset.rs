//! SQL of the `dataset` table: a constant and a function for each statement.
//!
//! Every dataset is checked against its digests before it is returned.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Row, Statement, params};

use super::kpi::{self, KpiRows, Parent};
use super::row::{Columns, StoredTime};
use super::{counter, trash};
use crate::error::Error;
use crate::model::dataset::{Counts, Dataset};
use crate::model::digest::{Digest, Heads};
use crate::model::ids::{DatasetId, OrganizationId, UserId};
use crate::model::record::Record;
use crate::model::search::text_match::Match;
use crate::model::state::State;
use crate::model::summary::DatasetSummary;
use crate::sqlite::failure::{Failure, UnexpectedValue, damaged};
use crate::sqlite::sequence::SEQS;
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

pub(in crate::sqlite) mod column {
    super::super::columns! {
        SEQ "seq",
        // The state, which is null in a new dataset. Its digest is the last column of the row: SQLite finds its place
        // from the sizes of all columns before it, which are known after that.
        STATE_DIGEST "state_digest",
        CHANGED "changed",
        DELETED_AT "deleted_at",
        DELETED_BY "deleted_by",
        NAME "name",
        DESCRIPTION "description",
        CREATED_AT "created_at",
        CREATED_BY "created_by",
        UPDATED_BY "updated_by",
        UPDATED_AT "updated_at",
        REVISION "revision",
        HEAD_DIGEST "head_digest",
        KPI_DIGEST "kpi_digest",
        KPI_COUNT "kpi_count",
        REQUIRED_COUNT "required_count",
        // The digests cover the ids, so a read of one dataset leaves both out.
        ID "id",
        // A listing leaves it out.
        ORGANIZATION_ID "organization_id",
    }
}

/// The columns that are null until the first change.
const NULL_WHEN_NEW: [usize; 6] = [
    column::STATE_DIGEST,
    column::CHANGED,
    column::DELETED_AT,
    column::DELETED_BY,
    column::UPDATED_BY,
    column::UPDATED_AT,
];

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let value = |index| if NULL_WHEN_NEW.contains(&index) { "NULL".to_owned() } else { format!("?{}", index + 1) };
    let values: Vec<String> = (0..column::NAMES.len()).map(value).collect();
    format!("INSERT INTO dataset ({}) VALUES ({})", column::NAMES.join(", "), values.join(","))
});

/// Inserts new datasets with their KPIs.
pub(crate) fn insert(transaction: &Transaction<'_>, new: &[Record]) -> Result<(), Failure> {
    let connection = transaction.connection();
    let Some(organization) = new.first().map(|record| record.dataset.organization_id) else { return Ok(()) };
    let first = counter::take(transaction, organization, new.len(), 0)?;
    let mut statement = connection.prepare_cached(&INSERT)?;
    for ((seq, record), index) in (first..=i64::MAX).zip(new).zip(0..) {
        let id = record.dataset.id;
        if record.has_given_id && trash::is_purged(transaction, record.dataset.organization_id, id)? {
            let taken = first_taken(new.iter().take(index), Some(id));
            return Err(taken.unwrap_or_else(|| Error::already_exists(id, None)).into());
        }
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
    statement.raw_bind_parameter(column::REVISION + 1, record.revision)?;
    let counts = Counts::of(&dataset.kpis);
    statement.raw_bind_parameter(column::KPI_COUNT + 1, counts.kpis)?;
    statement.raw_bind_parameter(column::REQUIRED_COUNT + 1, counts.required)?;
    statement.raw_bind_parameter(column::HEAD_DIGEST + 1, record.digest.head.cast_signed())?;
    statement.raw_bind_parameter(column::KPI_DIGEST + 1, record.digest.kpis.cast_signed())?;
    statement.raw_bind_parameter(column::ID + 1, dataset.id.as_bytes())?;
    statement.raw_bind_parameter(column::ORGANIZATION_ID + 1, dataset.organization_id.as_bytes())
}

/// The error of a failed insert: [`AlreadyExists`](Error::AlreadyExists) if an id is taken.
///
/// The id of a KPI can be taken only within its new dataset, so the records show which one is repeated. The KPIs are
/// inserted last, but an earlier record is reported first: those `before` the failed one are searched for a repeated
/// KPI.
fn failed<'a>(error: rusqlite::Error, before: impl Iterator<Item = &'a Record>, taken: Option<DatasetId>) -> Failure {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if !matches!(code, Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)) {
        return error.into();
    }
    first_taken(before, taken).map_or_else(|| error.into(), Failure)
}

/// The error of the first record with an id that is taken.
fn first_taken<'a>(mut before: impl Iterator<Item = &'a Record>, taken: Option<DatasetId>) -> Option<Error> {
    let repeated = before.find_map(|record| Some((record.dataset.id, Some(record.repeated_kpi()?))));
    let (dataset, kpi) = repeated.or(taken.map(|dataset| (dataset, None)))?;
    Some(Error::already_exists(dataset, kpi))
}

/// A SELECT of all columns; `rest` follows the table name.
pub(super) fn select(rest: &str) -> String {
    select_before(column::NAMES.len(), rest)
}

/// A SELECT of the columns before this one: SQLite decodes each column that a statement names.
pub(super) fn select_before(end: usize, rest: &str) -> String {
    let names: Vec<&str> = column::NAMES.iter().take(end).copied().collect();
    format!("SELECT {} FROM dataset {rest}", names.join(", "))
}

/// The same with null for the digest of the KPIs, which is of no use without them.
pub(super) fn select_head_before(end: usize, rest: &str) -> String {
    select_before(end, rest).replacen("kpi_digest", "NULL", 1)
}

pub(super) static SELECT_ONE: LazyLock<String> = LazyLock::new(|| select("WHERE organization_id = ?1 AND id = ?2"));

/// The ids in the row itself: from an index that finds a row, SQLite also reads the columns that the index has, and an
/// index may be damaged.
pub(super) const SELECT_IDS: &str = "SELECT id, organization_id FROM dataset NOT INDEXED WHERE seq = ?1";

pub(super) static SELECT_BY_SEQ: LazyLock<String> = LazyLock::new(|| select("NOT INDEXED WHERE seq = ?1"));

/// The id of a damaged dataset, if its row belongs to this organization: a damaged index can refer to a dataset of
/// another organization, about which nothing may be disclosed.
pub(super) fn owned_id(snapshot: &Snapshot<'_>, organization: OrganizationId, seq: i64) -> Option<DatasetId> {
    let mut statement = snapshot.connection().prepare_cached(SELECT_IDS).ok()?;
    let ids = statement.query_one([seq], |row| Ok((Columns(row).id(0).ok(), Columns(row).id(1).ok())));
    match ids {
        Ok((Some(id), Some(owner))) if organization == owner => Some(id),
        _ => None,
    }
}

static SELECT_CONTENT: LazyLock<String> =
    LazyLock::new(|| select_before(column::ID, "WHERE organization_id = ?1 AND id = ?2"));

/// Reads the dataset with this id of this organization, unless it is in the trash.
pub(crate) fn get(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Option<Dataset>, Failure> {
    let mut statement = snapshot.connection().prepare_cached(&SELECT_CONTENT)?;
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()])?;
    let read = match rows.next() {
        Ok(Some(row)) => match state(row, organization, id) {
            Ok(Some(State { deleted: Some(_), .. })) => Ok(None),
            Ok(_) => read(snapshot, row, organization, id).map(|record| Some(record.dataset)),
            Err(failure) => Err(failure),
        },
        Ok(None) => Ok(None),
        Err(error) => Err(error.into()),
    };
    read.map_err(|Failure(error)| error.with_dataset(id).into())
}

/// Reads a dataset and its KPIs and checks them against the digests.
pub(super) fn read(
    snapshot: &Snapshot<'_>,
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Record, Failure> {
    intact(row, record(row, organization, id, |parent| kpi::of_dataset(snapshot, parent))?)
}

/// The same for a verification, which also reports values that this crate never writes but can read.
pub(in crate::sqlite) fn read_strictly(
    snapshot: &Snapshot<'_>,
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Record, Failure> {
    let record = read(snapshot, row, organization, id)?;
    if record.is_within_limits() && SEQS.contains(&Columns(row).integer(column::SEQ)?) {
        Ok(record)
    } else {
        Err(UnexpectedValue.into())
    }
}

/// The record of a row, if it matches its digests and has as many KPIs, and required ones, as the row says. The digests
/// cover the requested organization and id, so they also prove that the row is theirs.
pub(super) fn intact(row: &Row<'_>, record: Record) -> Result<Record, Failure> {
    if record.is_intact() && counts(row)? == Counts::of(&record.dataset.kpis) {
        Ok(record)
    } else {
        Err(damaged("it does not match its digest").into())
    }
}

/// The state of the dataset in a row; `None` if it was never changed. Fails if it does not match its digest: no single
/// damaged column makes a deleted dataset look present, or a present one deleted.
pub(in crate::sqlite) fn state(
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Option<State>, Failure> {
    let columns = Columns(row);
    let Some(digest) = columns.optional_integer(column::STATE_DIGEST)? else {
        let was_never_changed =
            [column::CHANGED, column::DELETED_AT, column::DELETED_BY].iter().all(|column| columns.is_null(*column));
        return if was_never_changed { Ok(None) } else { Err(damaged(STATE_DAMAGED).into()) };
    };
    let deleted_at = columns.optional_time(column::DELETED_AT)?;
    let deleted_by = columns.optional_id(column::DELETED_BY)?;
    let state = State { changed: columns.integer(column::CHANGED)?, deleted: deleted_at.map(|at| (at, deleted_by)) };
    // The digest covers the user of a deletion only if there is one.
    let has_deletion = state.deleted.is_some() || deleted_by.is_none();
    if has_deletion && state.digest(organization, id) == digest.cast_unsigned() {
        Ok(Some(state))
    } else {
        Err(damaged(STATE_DAMAGED).into())
    }
}

const STATE_DAMAGED: &str = "its state does not match its digest";

/// Reads the row of a dataset and those of its KPIs, without checking the digests.
pub(super) fn record(
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
    kpis: impl FnOnce(Parent) -> Result<KpiRows, Failure>,
) -> Result<Record, Failure> {
    let columns = Columns(row);
    let created_at = columns.time(column::CREATED_AT)?;
    let (positions, kpis) = kpis(Parent { seq: columns.integer(column::SEQ)?, id, created_at })?.in_display_order();
    let dataset = Dataset { kpis, ..head(row, organization, id, created_at.time)? };
    let revision = columns.integer(column::REVISION)?;
    Ok(Record { dataset, positions, revision, has_given_id: true, digest: digest(row)? })
}

/// The row of a dataset, without its KPIs.
pub(super) struct Head {
    pub(super) dataset: Dataset,
    /// How many KPIs it has, and how many of them are required.
    counts: (u32, u32),
}

impl Head {
    #[inline]
    pub(super) fn summary(self, matches: Vec<Match>) -> DatasetSummary {
        DatasetSummary::new(self.dataset, self.counts, matches)
    }
}

/// Reads the heads of many datasets.
pub(super) struct HeadReader {
    /// With one buffer for all of them.
    digests: Heads,
    /// When the first one was created: those that were created together have the same time.
    created_at: Option<StoredTime>,
}

impl HeadReader {
    pub(super) fn new() -> Self {
        Self { digests: Heads::new(), created_at: None }
    }

    /// Reads the row of a dataset, without its KPIs, and checks it against its digest. The digest covers the requested
    /// organization and id, so it also proves that the row is theirs.
    #[inline]
    pub(super) fn read(&mut self, row: &Row<'_>, organization: OrganizationId, id: DatasetId) -> Result<Head, Failure> {
        let columns = Columns(row);
        let created_at = match self.created_at {
            Some(likely) => columns.time_likely(column::CREATED_AT, likely)?,
            None => self.created_at.insert(columns.time(column::CREATED_AT)?).time,
        };
        let dataset = head(row, organization, id, created_at)?;
        let (revision, counts) = (columns.integer(column::REVISION)?, counts(row)?);
        let numbers = (u32::try_from(counts.kpis), u32::try_from(counts.required));
        let (Ok(kpis), Ok(required)) = numbers else { return Err(UnexpectedValue.into()) };
        if self.digests.head(revision, &dataset, counts) == columns.integer(column::HEAD_DIGEST)?.cast_unsigned() {
            Ok(Head { dataset, counts: (kpis, required) })
        } else {
            Err(damaged("it does not match its digest").into())
        }
    }
}

/// Reads the row of a dataset, without its KPIs and without checking the digest.
#[inline]
pub(super) fn head(
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
    created_at: DateTime<Utc>,
) -> Result<Dataset, Failure> {
    let columns = Columns(row);
    Ok(Dataset {
        id,
        organization_id: organization,
        name: columns.text(column::NAME)?,
        created_at,
        description: columns.optional_text(column::DESCRIPTION)?,
        created_by: columns.optional_id(column::CREATED_BY)?,
        updated_by: columns.optional_id(column::UPDATED_BY)?,
        updated_at: columns.optional_time(column::UPDATED_AT)?,
        kpis: Vec::new(),
    })
}

/// The stored numbers of KPIs.
#[inline]
pub(super) fn counts(row: &Row<'_>) -> Result<Counts, Failure> {
    let columns = Columns(row);
    Ok(Counts { kpis: columns.integer(column::KPI_COUNT)?, required: columns.integer(column::REQUIRED_COUNT)? })
}

/// The stored digests.
pub(super) fn digest(row: &Row<'_>) -> Result<Digest, Failure> {
    let columns = Columns(row);
    Ok(Digest {
        head: columns.integer(column::HEAD_DIGEST)?.cast_unsigned(),
        kpis: columns.integer(column::KPI_DIGEST)?.cast_unsigned(),
    })
}

const COUNT: &str = "
    SELECT count(*) FROM dataset INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND deleted_at IS NULL";

/// The number of datasets of this organization, without those in the trash.
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

/// The organizations that own a dataset, in the trash or not, by id.
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
