//! SQL of the `dataset` table: a constant and a function for each statement.
//!
//! A read steps the dataset's row, and while that statement stands, reads the KPIs by another: both see one snapshot
//! without a transaction having to be begun and ended. A listing too takes two statements, whose rows come in one order.
//! Every dataset is checked against its digest before it leaves.

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::kpi::{self, Along, Parent};
use super::progress;
use super::row::Columns;
use crate::error::{Error, Failure};
use crate::model::admission::Admitted;
use crate::model::cursor::Order;
use crate::model::dataset::{Dataset, Kpi};
use crate::model::digest::digest;
use crate::model::ids::{DatasetId, OrganizationId, UserId};

const INSERT: &str = "
    INSERT INTO dataset (id, organization_id, name, description, created_at, created_by, revision, digest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// The revision of a dataset that was never changed.
const FIRST_REVISION: i64 = 1;

/// Inserts new datasets with their KPIs, inside a transaction that the caller has begun.
pub(crate) fn insert(connection: &Connection, new: &[Admitted]) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(INSERT)?;
    let mut seqs = Vec::with_capacity(new.len());
    for (place, one) in new.iter().enumerate() {
        let dataset = &one.dataset;
        let inserted = statement.insert(params![
            dataset.id.as_bytes(),
            dataset.organization_id.as_bytes(),
            dataset.name,
            dataset.description,
            dataset.created_at.timestamp_micros(),
            dataset.created_by.as_ref().map(UserId::as_bytes),
            FIRST_REVISION,
            digest(FIRST_REVISION, dataset).cast_signed(),
        ]);
        seqs.push(inserted.map_err(|error| failed(error, new.iter().take(place), Some(dataset.id)))?);
    }
    kpi::insert(connection, &seqs, new).map_err(|error| failed(error, new.iter(), None))
}

/// What a failed insert means: an id that is taken, or something else. A KPI's id can be so only within its dataset, which
/// is new, so that the datasets tell; what is wrong with those `before` comes first.
fn failed<'a>(
    error: rusqlite::Error,
    mut before: impl Iterator<Item = &'a Admitted>,
    taken: Option<DatasetId>,
) -> Failure {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if !matches!(code, Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)) {
        return error.into();
    }
    let repeated = before.find_map(|new| Some((new.dataset.id, Some(new.repeated_kpi()?))));
    match repeated.or(taken.map(|dataset| (dataset, None))) {
        Some((dataset, kpi)) => Error::AlreadyExists { dataset, kpi }.into(),
        None => error.into(),
    }
}

/// The columns that [`read`] reads, in its order, and behind them whose they are.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, name, description, created_at, created_by, updated_by, updated_at, revision, digest, ",
            "id, organization_id FROM dataset ",
            $rest
        )
    };
}

/// The columns in which a row says whose it is.
pub(super) const ID: usize = 9;
pub(super) const ORGANIZATION_ID: usize = 10;

const SELECT_ONE: &str = select!("WHERE organization_id = ?1 AND id = ?2");

// Whatever statistics a file has: by them SQLite might walk through the datasets of all organizations.
const SELECT_OLDEST_FIRST: &str =
    select!("INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3");
const SELECT_NEWEST_FIRST: &str =
    select!("INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3");

/// The dataset of this organization with this id.
pub(crate) fn get(
    connection: &Connection,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Option<Dataset>, Failure> {
    let mut statement = connection.prepare_cached(SELECT_ONE)?;
    let mut rows = statement.query(params![organization.as_bytes(), id.as_bytes()])?;
    match rows.next().map_err(Failure::from).map_err(|Failure(error)| error.about(id))? {
        Some(row) => read(connection, row, organization, id).map(Some),
        None => Ok(None),
    }
}

/// A stretch of a listing.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The datasets, each with its place.
    pub(crate) items: Vec<(i64, Dataset)>,
    /// Where the stretch ends early: the damage, and the place behind which the listing can go on, if it can.
    pub(crate) damage: Option<(Option<i64>, Error)>,
    /// Whether there are datasets behind the stretch.
    pub(crate) has_more: bool,
}

/// At most `limit` datasets of this organization behind the place `after`.
pub(crate) fn list(
    connection: &mut Connection,
    organization: OrganizationId,
    order: Order,
    after: Option<i64>,
    limit: u32,
) -> Result<Stretch, Failure> {
    progress::bounded(connection, |connection| walk(connection, organization, order, after, limit))
}

fn walk(
    connection: &Connection,
    organization: OrganizationId,
    order: Order,
    after: Option<i64>,
    limit: u32,
) -> Result<Stretch, Failure> {
    let (sql, next, start) = match order {
        Order::OldestFirst => (SELECT_OLDEST_FIRST, NEXT_OLDEST_FIRST, i64::MIN),
        Order::NewestFirst => (SELECT_NEWEST_FIRST, NEXT_NEWEST_FIRST, i64::MAX),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut place = after.unwrap_or(start);
    // One more than asked for shows whether there are more.
    let mut rows = statement.query(params![organization.as_bytes(), place, i64::from(limit) + 1])?;
    let mut stretch = Stretch { items: Vec::new(), damage: None, has_more: false };
    let mut statement = connection.prepare_cached(kpi::along(order))?;
    let mut kpis = Some(Along::new(statement.query(params![organization.as_bytes(), place])?));
    loop {
        let (seq, read) = match rows.next().map_err(Failure::from) {
            Ok(None) => break,
            Ok(Some(_)) if stretch.items.len() as u64 == u64::from(limit) => {
                stretch.has_more = true;
                break;
            }
            Ok(Some(row)) => (Columns(row).integer(0)?, read_along(connection, row, organization, &mut kpis)),
            // A row that SQLite cannot read: its place by the index alone.
            Err(failure @ Failure(Error::Corrupt { .. })) => {
                let asked = params![organization.as_bytes(), place];
                (connection.query_one(next, asked, |row| row.get(0))?, Err(failure))
            }
            Err(failure) => return Err(failure),
        };
        // A listing that went back would never end.
        if !order.is_behind(place, seq) {
            stretch.damage = Some((None, Error::damaged("an index is out of order")));
            break;
        }
        place = seq;
        match read {
            Ok(dataset) => stretch.items.push((place, dataset)),
            Err(Failure(error @ Error::Corrupt { .. })) => {
                stretch.damage = Some((Some(place), named(connection, error, organization, place)));
                break;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(stretch)
}

const NEXT_OLDEST_FIRST: &str = "SELECT min(seq) FROM dataset WHERE organization_id = ?1 AND seq > ?2";
const NEXT_NEWEST_FIRST: &str = "SELECT max(seq) FROM dataset WHERE organization_id = ?1 AND seq < ?2";

/// The error of damage at a place that a listing came to. It names the dataset there if the row says that it is this
/// organization's: an index that is damaged can lead to another's, of which nothing is told.
fn named(connection: &Connection, error: Error, organization: OrganizationId, place: i64) -> Error {
    let found = connection.prepare_cached(SELECT_IDS).and_then(|mut statement| {
        statement.query_one([place], |row| Ok((Columns(row).id(0).ok(), Columns(row).id::<OrganizationId>(1).ok())))
    });
    match found {
        Ok((Some(id), Some(owner))) if owner == organization => error.about(id),
        _ => error,
    }
}

const SELECT_IDS: &str = "SELECT id, organization_id FROM dataset NOT INDEXED WHERE seq = ?1";

/// Reads the next dataset of a listing. Where the KPIs that go along do not fit, whatever the reason, those of this dataset
/// and of all behind it are looked for by themselves, so that damage is told of the one that has it.
fn read_along(
    connection: &Connection,
    row: &Row<'_>,
    organization: OrganizationId,
    kpis: &mut Option<Along<'_>>,
) -> Result<Dataset, Failure> {
    let id = Columns(row).id(ID)?;
    if let Some(along) = kpis {
        match read_checked(row, organization, id, |parent| along.of_next(parent)) {
            Err(Failure(Error::Corrupt { .. })) => *kpis = None,
            read => return read,
        }
    }
    read_checked(row, organization, id, |parent| kpi::of_dataset(connection, parent))
}

/// Reads a dataset and its KPIs, asked for by this id, and checks them against the digest.
pub(super) fn read(
    connection: &Connection,
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Dataset, Failure> {
    let read = read_checked(row, organization, id, |parent| kpi::of_dataset(connection, parent));
    read.map_err(|Failure(error)| error.about(id).into())
}

/// Reads a dataset, with the KPIs that `kpis` gives for it, and checks them against the digest: also that the row is the one
/// of this organization with this id, both of which the digest covers.
fn read_checked(
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
    kpis: impl FnOnce(Parent) -> Result<Vec<Kpi>, Failure>,
) -> Result<Dataset, Failure> {
    let stored = read_unchecked(row, organization, id, kpis)?;
    if stored.digest == digest(stored.revision, &stored.dataset) {
        Ok(stored.dataset)
    } else {
        Err(Error::damaged("it does not match its digest").into())
    }
}

/// What the rows of a dataset hold.
struct Stored {
    dataset: Dataset,
    revision: i64,
    digest: u64,
}

fn read_unchecked(
    row: &Row<'_>,
    organization: OrganizationId,
    id: DatasetId,
    kpis: impl FnOnce(Parent) -> Result<Vec<Kpi>, Failure>,
) -> Result<Stored, Failure> {
    let columns = Columns(row);
    let created_at = columns.time(3)?;
    let dataset = Dataset {
        id,
        organization_id: organization,
        name: columns.text(1)?,
        description: columns.optional_text(2)?,
        created_at: created_at.time,
        created_by: columns.optional_id(4)?,
        updated_by: columns.optional_id(5)?,
        updated_at: columns.optional_time(6)?,
        kpis: kpis(Parent { seq: columns.integer(0)?, id, created_at })?,
    };
    Ok(Stored { dataset, revision: columns.integer(7)?, digest: columns.integer(8)?.cast_unsigned() })
}

const SELECT_BY_PLACE: &str = select!("NOT INDEXED WHERE seq = ?1");
const ACCEPT: &str = "UPDATE dataset SET revision = ?2, digest = ?3 WHERE seq = ?1";

/// Gives a dataset the digest of what its rows hold now, as a change of its own.
pub(crate) fn accept(
    connection: &Connection,
    organization: OrganizationId,
    id: DatasetId,
) -> Result<Option<Dataset>, Failure> {
    let mut statement = connection.prepare_cached(SELECT_ONE)?;
    let place = statement.query_one(params![organization.as_bytes(), id.as_bytes()], |row| row.get::<_, i64>(0));
    let Some(place) = place.optional()? else { return Ok(None) };
    let mut statement = connection.prepare_cached(SELECT_BY_PLACE)?;
    // No digest says yet whose it is, and the index may be damaged: the row itself must say so.
    let stored = statement.query_one([place], |row| {
        let whose = (Columns(row).id(ID), Columns(row).id(ORGANIZATION_ID));
        Ok(match whose {
            (Ok(found), Ok(owner)) if (found, owner) == (id, organization) => {
                read_unchecked(row, organization, id, |parent| kpi::of_dataset(connection, parent))
            }
            _ => Err(Error::damaged("an index leads to another dataset").into()),
        })
    })?;
    let stored = stored.map_err(|Failure(error)| Failure(error.about(id)))?;
    let revision = stored.revision.saturating_add(1);
    let digest = digest(revision, &stored.dataset).cast_signed();
    connection.prepare_cached(ACCEPT)?.execute(params![place, revision, digest])?;
    Ok(Some(stored.dataset))
}

/// Every dataset, by the table itself and no index.
pub(super) const SELECT_ALL: &str = select!("NOT INDEXED ORDER BY seq");

/// Looks for a dataset as a read does.
pub(super) const FIND_BY_ID: &str = "
    SELECT seq FROM dataset INDEXED BY sqlite_autoindex_dataset_1
    WHERE organization_id = ?1 AND id = ?2 AND seq = ?3";

/// Looks for a dataset as a listing does.
pub(super) const FIND_BY_PLACE: &str = "
    SELECT seq FROM dataset INDEXED BY dataset_by_organization
    WHERE organization_id = ?1 AND id = ?2 AND seq = ?3";

/// How many datasets each index leads to.
pub(super) const COUNTS: [(&str, &str); 2] = [
    (
        "the index of ids",
        "SELECT count(*) FROM dataset INDEXED BY sqlite_autoindex_dataset_1 WHERE organization_id >= x''",
    ),
    (
        "the index of listings",
        "SELECT count(*) FROM dataset INDEXED BY dataset_by_organization WHERE organization_id >= x''",
    ),
];

/// Row by row: counting a table as a whole, SQLite could not be ended.
const COUNT_ALL: &str = "SELECT count(*) FROM dataset NOT INDEXED WHERE seq IS NOT NULL";

/// How many datasets the table has.
pub(super) fn count_all(connection: &Connection) -> Result<u64, Failure> {
    let count: i64 = connection.query_one(COUNT_ALL, [], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

const COUNT: &str = "SELECT count(*) FROM dataset WHERE organization_id = ?1";

/// How many datasets this organization has.
pub(crate) fn count(connection: &mut Connection, organization: OrganizationId) -> Result<u64, Failure> {
    progress::bounded(connection, |connection| {
        let mut statement = connection.prepare_cached(COUNT)?;
        let count: i64 = statement.query_one([organization.as_bytes()], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    })
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
pub(crate) fn organizations(connection: &mut Connection) -> Result<Vec<OrganizationId>, Failure> {
    progress::bounded(connection, step_through_organizations)
}

fn step_through_organizations(connection: &Connection) -> Result<Vec<OrganizationId>, Failure> {
    let mut statement = connection.prepare_cached(ORGANIZATIONS)?;
    let mut rows = statement.query([])?;
    let mut organizations = Vec::new();
    while let Some(row) = rows.next()? {
        let id = Columns(row).id(0)?;
        // Steps that went back would never end.
        if organizations.last().is_some_and(|last| *last >= id) {
            return Err(Error::damaged("an index is out of order").into());
        }
        organizations.push(id);
    }
    Ok(organizations)
}
