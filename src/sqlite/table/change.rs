//! Changes of a stored dataset: its content, and its way into the trash and out of it.
//!
//! Every change takes a number from the counter and leaves an entry in the history with what it replaced.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::ffi::{SQLITE_CONSTRAINT_DATATYPE, SQLITE_CONSTRAINT_PRIMARYKEY};
use rusqlite::{Row, params};

use super::dataset::{self, SELECT_IDS, SELECT_ONE, column, counts, digest, head, read, record, state};
use super::row::Columns;
use super::version::{self, Owner};
use super::{counter, kpi, removal};
use crate::error::Error;
use crate::model::change::{self, Edit, next_token};
use crate::model::dataset::{Counts, Dataset, Kpi};
use crate::model::digest::{self as digests, Digest};
use crate::model::ids::{DatasetId, OrganizationId, UserId};
use crate::model::record::{Author, Record};
use crate::model::replaced::Replaced;
use crate::model::state::State;
use crate::model::version::{ChangeEntry, Origin};
use crate::sqlite::failure::{Failure, UnexpectedValue, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

/// A dataset that a change has read.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(in crate::sqlite) owner: Owner,
    pub(in crate::sqlite) state: Option<State>,
    pub(crate) record: Record,
}

/// The row of a dataset, with its state if that is intact.
type RowState = Result<Option<State>, Failure>;

/// Runs `work` on the row of the dataset, if there is one. Damage then names the dataset.
fn with_row<T>(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    id: DatasetId,
    work: impl FnOnce(&Row<'_>, Owner, RowState) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let mut statement = snapshot.connection().prepare_cached(&SELECT_ONE)?;
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()])?;
    let work = |row: &Row<'_>| {
        let owner = Owner { organization, id, seq: Columns(row).integer(column::SEQ)? };
        work(row, owner, state(row, organization, id))
    };
    let found = rows.next().map_err(Failure::from).and_then(|row| row.map(work).transpose());
    found.map_err(|Failure(error)| error.with_dataset(id).into())
}

/// Fails unless the row is that of this dataset. Changes that check neither the digests nor the state call it, since the
/// index that led to the row may be damaged.
pub(super) fn confirm(snapshot: &Snapshot<'_>, owner: Owner) -> Result<(), Failure> {
    let mut statement = snapshot.connection().prepare_cached(SELECT_IDS)?;
    let mut rows = statement.query([owner.seq])?;
    let ids = rows.next()?.map(|row| (Columns(row).id(0), Columns(row).id(1)));
    match ids {
        Some((Ok(id), Ok(organization))) if (id, organization) == (owner.id, owner.organization) => Ok(()),
        _ => Err(damaged("an index refers to another dataset").into()),
    }
}

/// The dataset, checked against its digests; fails if there is none outside the trash.
pub(in crate::sqlite) fn find(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Stored, Failure> {
    let found = dataset::find(snapshot, organization, id)?;
    let (seq, state, record) = found.ok_or_else(|| Error::not_found(id))?;
    Ok(Stored { owner: Owner { organization, id, seq }, state, record })
}

/// The place of a dataset that is not in the trash.
pub(super) fn owner(snapshot: &Snapshot<'_>, organization: OrganizationId, id: DatasetId) -> Result<Owner, Failure> {
    let found = with_row(snapshot, organization, id, |_, owner, state| match state? {
        Some(State { deleted: Some(_), .. }) => Ok(None),
        _ => confirm(snapshot, owner).map(|()| Some(owner)),
    })?;
    found.flatten().ok_or_else(|| Error::not_found(id).into())
}

/// Applies the change that `change` makes of a dataset, as a new revision. If it changes nothing, nothing is written.
pub(crate) fn update(
    transaction: &Transaction<'_>,
    author: Author,
    id: DatasetId,
    origin: Origin,
    change: impl FnOnce(&Stored) -> Result<Option<Edit>, Failure>,
) -> Result<Dataset, Failure> {
    let stored = find(transaction, author.organization, id)?;
    let change = change(&stored)?;
    let Stored { owner, state, record: before } = stored;
    let Some(change) = change else { return Ok(before.dataset) };
    let token = token(&before.dataset, author.now)?;
    let number = next_number(transaction, owner, state.as_ref(), 1 + change.numbers())?;
    let entry = entry(number, origin, (token, author.user), before.revision, before.digest);
    let has_texts = change.has_texts();
    let changed = change.apply(before, token, author.user, number + 1..);
    let connection = transaction.connection();
    kpi::delete(connection, owner.seq, &changed.deleted)?;
    kpi::update(connection, owner.seq, &changed.record, &changed.updated)?;
    kpi::insert_added(connection, owner.seq, &changed.record, &changed.added)?;
    version::insert(transaction, owner, &entry, Some(changed.replaced))?;
    write_head(transaction, owner, number, &changed.record, Counts::of(&changed.record.dataset.kpis), has_texts)?;
    Ok(changed.record.dataset)
}

/// Adds a KPI to a dataset. Neither reads nor writes the other KPIs.
pub(crate) fn add_kpi(
    transaction: &Transaction<'_>,
    author: Author,
    id: DatasetId,
    kpi: impl FnOnce(usize, DateTime<Utc>) -> Result<Kpi, Error>,
) -> Result<Kpi, Failure> {
    let organization = author.organization;
    let found = with_row(transaction, organization, id, |row, owner, state| match state? {
        Some(State { deleted: Some(_), .. }) => Ok(None),
        state => {
            let columns = Columns(row);
            let dataset = head(row, organization, id, columns.time(column::CREATED_AT)?.time)?;
            let (revision, digest) = (columns.integer(column::REVISION)?, digest(row)?);
            let counts = counts(row)?;
            if digests::head(revision, &dataset, counts) != digest.head {
                return Err(damaged("it does not match its digest").into());
            }
            let record = Record { dataset, positions: Vec::new(), revision, has_given_id: true, digest };
            Ok(Some((owner, state, record, counts)))
        }
    })?;
    let Some((owner, state, before, counts)) = found.flatten() else { return Err(Error::not_found(id).into()) };
    let token = token(&before.dataset, author.now)?;
    let kpi = kpi(usize::try_from(counts.kpis).map_err(|_| UnexpectedValue)?, token)?;
    let number = next_number(transaction, owner, state.as_ref(), 2)?;
    let position = change::position(number + 1);
    let connection = transaction.connection();
    kpi::insert_one(connection, owner.seq, position, &kpi).map_err(|error| match error.sqlite_error() {
        Some(sqlite) if sqlite.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY => {
            Failure(Error::already_exists(id, Some(kpi.id)))
        }
        _ => error.into(),
    })?;
    let mut replaced = Replaced::times(&before.dataset);
    replaced.add(kpi.id);
    let entry = entry(number, Origin::Edited, (token, author.user), before.revision, before.digest);
    version::insert(transaction, owner, &entry, Some(replaced))?;
    let dataset = Dataset { updated_by: author.user, updated_at: Some(token), ..before.dataset };
    let revision = before.revision.saturating_add(1);
    let counts = counts.with(&kpi);
    let kpis = before.digest.kpis.wrapping_add(digests::kpi(position, &kpi));
    let digest = Digest { head: digests::head(revision, &dataset, counts), kpis };
    let after = Record { dataset, revision, digest, ..before };
    write_head(transaction, owner, number, &after, counts, false)?;
    Ok(kpi)
}

/// Recomputes the digests of a dataset from its current rows, as a new revision.
pub(crate) fn accept(transaction: &Transaction<'_>, author: Author, id: DatasetId) -> Result<Dataset, Failure> {
    let organization = author.organization;
    let found = with_row(transaction, organization, id, |row, owner, state| {
        confirm(transaction, owner)?;
        let state = state?;
        if let Some(State { deleted: Some(_), .. }) = state {
            return Ok(None);
        }
        let record = record(row, organization, id, kpi::of_dataset(transaction, owner.seq)?)?;
        if !record.is_within_limits() {
            return Err(UnexpectedValue.into());
        }
        if record.has_repeated_position() {
            return Err(damaged("two of its KPIs have the same position in the order of addition").into());
        }
        Ok(Some((owner, state, record)))
    })?;
    let Some((owner, state, record)) = found.flatten() else { return Err(Error::not_found(id).into()) };
    // The other tool may have changed the time and the revision, too: those of the history must not come again.
    let (last_token, last_revision) = version::last(transaction, owner)?;
    let token = token(&record.dataset, last_token.map_or(author.now, |last| author.now.max(after(last))))?;
    let number = next_number(transaction, owner, state.as_ref(), 1)?;
    let revision = record.revision.max(last_revision);
    let entry = entry(number, Origin::Accepted, (token, author.user), revision, record.digest);
    let accepted = record.accepted(revision, token, author.user);
    version::insert(transaction, owner, &entry, None)?;
    write_head(transaction, owner, number, &accepted, Counts::of(&accepted.dataset.kpis), false)?;
    Ok(accepted.dataset)
}

const SET_STATE: &str = "
    UPDATE dataset SET changed = ?2, deleted_at = ?3, deleted_by = ?4, state_digest = ?5 WHERE seq = ?1";

/// The same for a row in which a damaged column has another type than its table allows: SQLite checks the types of a
/// whole row when it is updated. Such a value is lost already; what stands in its place is either what was written, or
/// does not match the digest.
const SET_STATE_OF_DAMAGED: &str = "
    UPDATE dataset SET changed = ?2, deleted_at = ?3, deleted_by = ?4, state_digest = ?5,
        name = iif(typeof(name) = 'text', name, '?'),
        description = iif(typeof(description) IN ('text', 'null'), description, NULL),
        created_at = iif(typeof(created_at) = 'integer', created_at, 0),
        created_by = iif(typeof(created_by) IN ('blob', 'null'), created_by, NULL),
        updated_by = iif(typeof(updated_by) IN ('blob', 'null'), updated_by, NULL),
        updated_at = iif(typeof(updated_at) IN ('integer', 'null'), updated_at, NULL),
        revision = iif(typeof(revision) = 'integer', revision, 1),
        kpi_count = iif(typeof(kpi_count) = 'integer', kpi_count, 0),
        required_count = iif(typeof(required_count) = 'integer', required_count, 0),
        head_digest = iif(typeof(head_digest) = 'integer', head_digest, 0),
        kpi_digest = iif(typeof(kpi_digest) = 'integer', kpi_digest, 0)
    WHERE seq = ?1";

/// Moves a dataset to the trash. It need not be intact, and deleting it does not make it look so.
pub(crate) fn delete(transaction: &Transaction<'_>, author: Author, id: DatasetId) -> Result<(), Failure> {
    let organization = author.organization;
    let found = with_row(transaction, organization, id, |row, owner, state| match state {
        Ok(Some(State { deleted: Some(_), .. })) => Ok(None),
        Err(failure) if !failure.is_damage() => Err(failure),
        state => {
            confirm(transaction, owner)?;
            // An unreadable value is not the one that was written; the entry then has one that no row can have.
            let revision = Columns(row).integer(column::REVISION).unwrap_or_default();
            Ok(Some((owner, state.unwrap_or_default(), revision, digest(row).unwrap_or(Digest { head: 0, kpis: 0 }))))
        }
    })?;
    let Some((owner, state, revision, digest)) = found.flatten() else { return Err(Error::not_found(id).into()) };
    let number = next_number(transaction, owner, state.as_ref(), 1)?;
    let deleted = (author.now, author.user);
    version::insert(transaction, owner, &entry(number, Origin::Deleted, deleted, revision, digest), None)?;
    set_state(transaction, owner, State { changed: number, deleted: Some(deleted) })
}

/// Restores a dataset from the trash.
pub(crate) fn restore(transaction: &Transaction<'_>, author: Author, id: DatasetId) -> Result<Dataset, Failure> {
    let organization = author.organization;
    let found = with_row(transaction, organization, id, |row, owner, state| match state? {
        Some(state @ State { deleted: Some(_), .. }) => {
            let record = read(transaction, row, organization, id)?;
            Ok(Some((owner, state, record)))
        }
        _ => Ok(None),
    })?;
    let Some((owner, state, record)) = found.flatten() else { return Err(Error::not_found(id).into()) };
    let number = next_number(transaction, owner, Some(&state), 1)?;
    let entry = entry(number, Origin::Restored, (author.now, author.user), record.revision, record.digest);
    version::insert(transaction, owner, &entry, None)?;
    set_state(transaction, owner, State { changed: number, deleted: None })?;
    Ok(record.dataset)
}

fn set_state(transaction: &Transaction<'_>, owner: Owner, state: State) -> Result<(), Failure> {
    let connection = transaction.connection();
    let (deleted_at, deleted_by) = state.deleted.unzip();
    let deleted_at = deleted_at.map(|time| time.timestamp_micros());
    let deleted_by = deleted_by.flatten();
    let deleted_by = deleted_by.as_ref().map(UserId::as_bytes);
    let digest = state.digest(owner.organization, owner.id).cast_signed();
    let values = params![owner.seq, state.changed, deleted_at, deleted_by, digest];
    match connection.prepare_cached(SET_STATE)?.execute(values) {
        Err(error) if error.sqlite_error().map(|error| error.extended_code) == Some(SQLITE_CONSTRAINT_DATATYPE) => {
            // Other damaged values may break a CHECK.
            connection.pragma_update(None, "ignore_check_constraints", 1)?;
            let updated = connection.execute(SET_STATE_OF_DAMAGED, values);
            connection.pragma_update(None, "ignore_check_constraints", 0)?;
            updated?;
        }
        // A row that an index lacks cannot be updated in it.
        Err(error) if removal::lacks_a_row(&error) => {
            removal::reindex(connection, "REINDEX dataset")?;
            connection.prepare_cached(SET_STATE)?.execute(values)?;
        }
        updated => drop(updated?),
    }
    Ok(())
}

const SET_HEAD: &str = "
    UPDATE dataset SET updated_by = ?2, updated_at = ?3, revision = ?4, kpi_count = ?5, required_count = ?6,
        head_digest = ?7, kpi_digest = ?8, changed = ?9, state_digest = ?10
    WHERE seq = ?1";
const SET_HEAD_AND_TEXTS: &str = "
    UPDATE dataset SET updated_by = ?2, updated_at = ?3, revision = ?4, kpi_count = ?5, required_count = ?6,
        head_digest = ?7, kpi_digest = ?8, changed = ?9, state_digest = ?10, name = ?11, description = ?12
    WHERE seq = ?1";

/// Writes the row of a changed dataset, with its texts if those were changed.
fn write_head(
    transaction: &Transaction<'_>,
    owner: Owner,
    number: i64,
    after: &Record,
    counts: Counts,
    has_texts: bool,
) -> Result<(), Failure> {
    let dataset = &after.dataset;
    let state = State { changed: number, deleted: None };
    let sql = if has_texts { SET_HEAD_AND_TEXTS } else { SET_HEAD };
    let mut statement = transaction.connection().prepare_cached(sql)?;
    statement.raw_bind_parameter(1, owner.seq)?;
    statement.raw_bind_parameter(2, dataset.updated_by.as_ref().map(UserId::as_bytes))?;
    statement.raw_bind_parameter(3, dataset.updated_at.map(|time| time.timestamp_micros()))?;
    statement.raw_bind_parameter(4, after.revision)?;
    statement.raw_bind_parameter(5, counts.kpis)?;
    statement.raw_bind_parameter(6, counts.required)?;
    statement.raw_bind_parameter(7, after.digest.head.cast_signed())?;
    statement.raw_bind_parameter(8, after.digest.kpis.cast_signed())?;
    statement.raw_bind_parameter(9, number)?;
    statement.raw_bind_parameter(10, state.digest(owner.organization, owner.id).cast_signed())?;
    if has_texts {
        statement.raw_bind_parameter(11, &dataset.name)?;
        statement.raw_bind_parameter(12, &dataset.description)?;
    }
    statement.raw_execute()?;
    Ok(())
}

fn entry(
    change: i64,
    origin: Origin,
    (changed_at, changed_by): (DateTime<Utc>, Option<UserId>),
    revision: i64,
    digest: Digest,
) -> ChangeEntry {
    ChangeEntry { change, origin, changed_at, changed_by, revision, digest }
}

/// The first time after a token.
fn after(token: DateTime<Utc>) -> DateTime<Utc> {
    token + TimeDelta::microseconds(1)
}

/// The `updated_at` of a change.
fn token(dataset: &Dataset, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    next_token(dataset, now).map_err(|now| Error::ClockOutOfRange { now })
}

/// The number of the next change of a dataset, the first of `count`. It is larger than that of the last change.
fn next_number(
    transaction: &Transaction<'_>,
    owner: Owner,
    state: Option<&State>,
    count: usize,
) -> Result<i64, Failure> {
    counter::take(transaction, owner.organization, count, state.map_or(owner.seq, |state| state.changed.max(owner.seq)))
}
