//! The statements of a verification: every row read from the table itself, and every entry of each index.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::dataset::select;
use super::row::Columns;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::sqlite::failure::{Failure, UnexpectedValue};
use crate::sqlite::snapshot::Snapshot;

/// Every dataset, read from the table without any index.
pub(in crate::sqlite) static SELECT_ALL: LazyLock<String> = LazyLock::new(|| select("NOT INDEXED ORDER BY seq"));

/// An index of the table `dataset`, with the statements that verify it.
pub(in crate::sqlite) struct Index {
    pub(in crate::sqlite) name: &'static str,
    /// The reads that use it.
    pub(in crate::sqlite) used_by: &'static str,
    /// Whether it has an entry for a dataset.
    pub(in crate::sqlite) has: fn(&Entry) -> bool,
    /// Every entry in the order of the index, of which these are the first two columns.
    entries: &'static str,
    find: &'static str,
}

/// A dataset as an index has it.
#[derive(Clone, Copy)]
pub(in crate::sqlite) struct Entry {
    pub(in crate::sqlite) organization: OrganizationId,
    pub(in crate::sqlite) id: DatasetId,
    pub(in crate::sqlite) seq: i64,
    pub(in crate::sqlite) changed: Option<i64>,
    pub(in crate::sqlite) is_deleted: bool,
}

pub(in crate::sqlite) const INDEXES: [Index; 4] = [
    Index {
        name: "the index of ids",
        used_by: "a read",
        has: |_| true,
        entries: "SELECT organization_id, id FROM dataset INDEXED BY sqlite_autoindex_dataset_1
                  WHERE organization_id >= x'' ORDER BY organization_id, id",
        find: "SELECT seq FROM dataset INDEXED BY sqlite_autoindex_dataset_1
               WHERE organization_id = ?1 AND id = ?2 AND seq = ?3",
    },
    Index {
        name: "the index of listings",
        used_by: "a listing",
        has: |entry| !entry.is_deleted,
        entries: "SELECT organization_id, seq FROM dataset INDEXED BY dataset_by_organization
                  WHERE organization_id >= x'' AND deleted_at IS NULL ORDER BY organization_id, seq",
        find: "SELECT seq FROM dataset INDEXED BY dataset_by_organization
               WHERE organization_id = ?1 AND id = ?2 AND seq = ?3 AND deleted_at IS NULL",
    },
    Index {
        name: "the index of changes",
        used_by: "a read of changes",
        has: |entry| entry.changed.is_some(),
        entries: "SELECT organization_id, changed FROM dataset INDEXED BY dataset_by_change
                  WHERE organization_id >= x'' AND changed IS NOT NULL ORDER BY organization_id, changed",
        find: "SELECT seq FROM dataset INDEXED BY dataset_by_change
               WHERE organization_id = ?1 AND id = ?2 AND seq = ?3 AND changed = ?4 AND (deleted_at IS NULL) = ?5",
    },
    Index {
        name: "the index of the trash",
        used_by: "a listing of the trash",
        has: |entry| entry.is_deleted,
        entries: "SELECT organization_id, changed FROM dataset INDEXED BY dataset_in_trash
                  WHERE organization_id >= x'' AND deleted_at IS NOT NULL ORDER BY organization_id, changed",
        find: "SELECT seq FROM dataset INDEXED BY dataset_in_trash
               WHERE organization_id = ?1 AND id = ?2 AND seq = ?3 AND changed = ?4 AND deleted_at IS NOT NULL",
    },
];

/// The place of an entry in its index.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Place {
    OfId(OrganizationId, DatasetId),
    OfNumber(OrganizationId, i64),
}

impl Index {
    /// The number of datasets in the index; `None` if its entries are out of order, so that a search may miss one.
    pub(in crate::sqlite) fn count_in_order(&self, snapshot: &Snapshot<'_>) -> Result<Option<u64>, Failure> {
        let mut statement = snapshot.connection().prepare(self.entries)?;
        let mut rows = statement.query([])?;
        let (mut count, mut last) = (0, None);
        while let Some(row) = rows.next()? {
            let Ok(place) = place(&Columns(row)) else { return Ok(None) };
            if last.replace(place).is_some_and(|last| last > place) {
                return Ok(None);
            }
            count += 1;
        }
        Ok(Some(count))
    }

    /// Whether the index finds the dataset. An index that SQLite cannot read finds none.
    pub(in crate::sqlite) fn finds(&self, snapshot: &Snapshot<'_>, entry: &Entry) -> Result<bool, Failure> {
        let mut statement = snapshot.connection().prepare_cached(self.find)?;
        statement.raw_bind_parameter(1, entry.organization.as_bytes())?;
        statement.raw_bind_parameter(2, entry.id.as_bytes())?;
        statement.raw_bind_parameter(3, entry.seq)?;
        if statement.parameter_count() > 3 {
            statement.raw_bind_parameter(4, entry.changed)?;
        }
        if statement.parameter_count() > 4 {
            statement.raw_bind_parameter(5, !entry.is_deleted)?;
        }
        let found = statement.raw_query().next().and_then(|row| row.map(|row| row.get::<_, i64>(0)).transpose());
        match found.map_err(Failure::from) {
            Ok(found) => Ok(found == Some(entry.seq)),
            Err(failure) if snapshot.is_damage(&failure) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

fn place(columns: &Columns<'_>) -> Result<Place, UnexpectedValue> {
    let organization = columns.id(0)?;
    match columns.integer(1) {
        Ok(number) => Ok(Place::OfNumber(organization, number)),
        Err(UnexpectedValue) => Ok(Place::OfId(organization, columns.id(1)?)),
    }
}

/// The condition makes SQLite count row by row: a count of the whole table could not be interrupted.
const COUNT_ALL: &str = "SELECT count(*) FROM dataset NOT INDEXED WHERE seq IS NOT NULL";

/// The number of datasets in the table.
pub(in crate::sqlite) fn count_datasets(snapshot: &Snapshot<'_>) -> Result<u64, Failure> {
    count(snapshot, COUNT_ALL)
}

/// The condition, which every row meets whatever its values are, makes SQLite count row by row.
const COUNT_KPIS: &str = "SELECT count(*) FROM kpi NOT INDEXED WHERE true";

/// The number of KPIs in the table.
pub(in crate::sqlite) fn count_kpis(snapshot: &Snapshot<'_>) -> Result<u64, Failure> {
    count(snapshot, COUNT_KPIS)
}

/// Numbers that are counted from the rows of the table `dataset` alone.
pub(in crate::sqlite) struct Counts {
    pub(in crate::sqlite) datasets: u64,
    pub(in crate::sqlite) kpis: u64,
    pub(in crate::sqlite) deleted: u64,
}

/// One walk through the table, since the numbers of KPIs are in no index. A number that is never written is left out: a
/// sum must not overflow.
const COUNTS: &str = "
    SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE deleted_at IS NOT NULL),
        ifnull(sum(kpi_count) FILTER (WHERE deleted_at IS NULL AND kpi_count BETWEEN 0 AND 10000), 0)
    FROM dataset NOT INDEXED";

pub(in crate::sqlite) fn counts(snapshot: &Snapshot<'_>) -> Result<Counts, Failure> {
    let mut statement = snapshot.connection().prepare_cached(COUNTS)?;
    statement
        .query_one([], |row| {
            let columns = Columns(row);
            let number = |column| columns.integer(column).map(i64::cast_unsigned);
            Ok(number(0).and_then(|datasets| Ok(Counts { datasets, deleted: number(1)?, kpis: number(2)? })))
        })?
        .map_err(Failure::from)
}

/// The first part of each change of which it is known what it replaced.
const COUNT_VERSIONS: &str = "
    SELECT count(*) FROM dataset_version WHERE part = 0 AND origin <= 2 AND replaced IS NOT NULL";

/// The number of earlier versions in all histories.
pub(in crate::sqlite) fn count_versions(snapshot: &Snapshot<'_>) -> Result<u64, Failure> {
    let mut statement = snapshot.connection().prepare_cached(COUNT_VERSIONS)?;
    let count: i64 = statement.query_one([], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

fn count(snapshot: &Snapshot<'_>, sql: &str) -> Result<u64, Failure> {
    let count: i64 = snapshot.connection().query_one(sql, [], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

const POSITIONS: &str = "SELECT position FROM kpi WHERE dataset_seq = ?1";

/// Whether two KPIs of a dataset have the same position in the order of addition.
pub(in crate::sqlite) fn has_repeated_position(snapshot: &Snapshot<'_>, seq: i64) -> Result<bool, Failure> {
    let mut statement = snapshot.connection().prepare_cached(POSITIONS)?;
    let mut rows = statement.query([seq])?;
    let mut seen = HashSet::new();
    loop {
        match rows.next().map_err(Failure::from) {
            Ok(Some(row)) if !seen.insert(Columns(row).integer(0)?) => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            // The read of the dataset has reported this damage.
            Err(failure) if snapshot.is_damage(&failure) => return Ok(false),
            Err(failure) => return Err(failure),
        }
    }
}
