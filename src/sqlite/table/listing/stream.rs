//! Listing all datasets in the order of creation by one statement, however many there are.
//!
//! Each row is a dataset with its KPIs. A dataset that does not match its digest is damaged. If SQLite cannot read a row,
//! the statement restarts after it. So damage is reported for the damaged dataset and for no other.

use std::sync::LazyLock;

use rusqlite::{Row, Rows, params};

use super::Selection;
use super::page::RawPage;
use crate::model::cursor::Order;
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::state::State;
use crate::model::summary::DatasetSummary;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::dataset::{
    HeadReader, column, intact, owned_id, record, select_from, select_head_before, state,
};
use crate::sqlite::table::gather::{self, KpiRows};
use crate::sqlite::table::row::Columns;

/// The statements of a listing in one direction. They name their index: misled by the statistics in a file, SQLite
/// might scan the datasets of all organizations.
struct Statements {
    datasets: String,
    /// The same without what only a read of the KPIs needs.
    heads: String,
    /// The `seq` of the next dataset, read from the index alone.
    next: String,
    /// The `seq` before the first dataset.
    start: i64,
}

impl Statements {
    fn new(operator: &str, direction: &str, extreme: &str, start: i64) -> Self {
        let by_index = "INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND deleted_at IS NULL AND seq";
        let rest = format!("{by_index} {operator} ?2 ORDER BY seq{direction} LIMIT ?3");
        // Not ordered themselves: where statistics say that the index has no order, SQLite sorts the rows, and would
        // gather the KPIs of all of them first. The columns are those of the rows, since an index may be damaged.
        let entries = format!("(SELECT seq AS listed FROM dataset {rest})");
        Self {
            datasets: select_from(
                column::ORGANIZATION_ID,
                &format!("({})", gather::kpis_of("listed")),
                &format!("{entries} AS entry LEFT JOIN dataset NOT INDEXED ON seq = listed"),
            ),
            heads: select_head_before(column::ORGANIZATION_ID, &rest),
            next: format!("SELECT {extreme}(seq) FROM dataset {by_index} {operator} ?2"),
            start,
        }
    }
}

static OLDEST_FIRST: LazyLock<Statements> = LazyLock::new(|| Statements::new(">", "", "min", i64::MIN));
static NEWEST_FIRST: LazyLock<Statements> = LazyLock::new(|| Statements::new("<", " DESC", "max", i64::MAX));

/// A page of datasets with their KPIs.
pub(super) fn datasets(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<Dataset>, Failure> {
    let organization = selection.organization;
    Walk::new(snapshot, selection, true).page(|row, kpis| {
        let id = Columns(row).id(column::ID)?;
        let record = intact(row, record(row, organization, id, kpis)?)?;
        check_present(row, organization, id)?;
        Ok((record.bytes(), record.dataset))
    })
}

/// A page of datasets without their KPIs.
pub(super) fn summaries(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<DatasetSummary>, Failure> {
    let organization = selection.organization;
    let mut heads = HeadReader::new();
    Walk::new(snapshot, selection, false).page(|row, _| {
        let id = Columns(row).id(column::ID)?;
        let head = heads.read(row, organization, id)?;
        check_present(row, organization, id)?;
        let summary = head.summary(Vec::new());
        Ok((summary.bytes(), summary))
    })
}

fn check_present(row: &Row<'_>, organization: OrganizationId, id: DatasetId) -> Result<(), Failure> {
    match state(row, organization, id)? {
        Some(State { deleted: Some(_), .. }) => Err(damaged("an index lists a deleted dataset").into()),
        _ => Ok(()),
    }
}

/// A listing in progress.
struct Walk<'a, T> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    order: Order,
    statements: &'static Statements,
    has_kpis: bool,
    /// The `seq` of the last dataset that was read.
    last: i64,
    page: RawPage<T>,
}

enum Step {
    Done,
    /// The statement must restart after the last dataset that was read.
    Restart,
}

impl<'a, T> Walk<'a, T> {
    fn new(snapshot: &'a Snapshot<'a>, selection: Selection<'_>, has_kpis: bool) -> Self {
        let Selection { organization, order, after, limit, .. } = selection;
        let statements = match order {
            Order::OldestFirst => &*OLDEST_FIRST,
            Order::NewestFirst | Order::RecentlyChanged => &*NEWEST_FIRST,
        };
        let last = after.unwrap_or(statements.start);
        Self { snapshot, organization, order, statements, has_kpis, last, page: RawPage::new(limit) }
    }

    /// Fills the page; `read` returns the item of a row and its size in memory.
    fn page(
        mut self,
        mut read: impl FnMut(&Row<'_>, KpiRows) -> Result<(usize, T), Failure>,
    ) -> Result<RawPage<T>, Failure> {
        while let Step::Restart = self.run(&mut read)? {}
        Ok(self.page)
    }

    /// Runs the statement for the rest of the page.
    fn run(&mut self, mut read: impl FnMut(&Row<'_>, KpiRows) -> Result<(usize, T), Failure>) -> Result<Step, Failure> {
        let snapshot = self.snapshot;
        let sql = if self.has_kpis { &self.statements.datasets } else { &self.statements.heads };
        let mut statement = snapshot.connection().prepare_cached(sql)?;
        // One row more than is returned shows whether there is a next page. With its KPIs, it would cost more than a
        // statement that looks for it.
        let limit = self.page.left() + usize::from(!self.has_kpis);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![self.organization.as_bytes(), self.last, limit])?;
        let (mut expected, mut has_read) = (0, false);
        loop {
            let is_full = self.page.left() == 0;
            if is_full && self.has_kpis {
                break;
            }
            let (row, kpis) = match self.step(&mut rows, expected) {
                Ok(None) => return Ok(Step::Done),
                Ok(Some(_)) if is_full => {
                    self.page.next = Some(self.last);
                    return Ok(Step::Done);
                }
                Ok(Some(next)) => next,
                Err(failure) if snapshot.is_damage(&failure) && is_full => break,
                Err(failure) if snapshot.is_damage(&failure) => return self.skip_unreadable(failure),
                Err(failure) => return Err(failure),
            };
            // Most datasets have as many as the one before.
            expected = kpis.len();
            let Ok(seq) = Columns(row).integer(column::SEQ) else {
                return self.skip_unreadable(damaged("an index refers to no dataset").into());
            };
            // On a damaged index the listing might go back and never end. The row before may have been read by an entry
            // that leads to a wrong one; a search after it continues, unless it goes back at once.
            if !self.order.is_after(self.last, seq) {
                let step = self.end_damaged(damaged("an index is out of order").into());
                return Ok(if has_read { Step::Restart } else { step });
            }
            has_read = true;
            match read(row, kpis) {
                Ok((bytes, item)) => {
                    if !self.page.push(bytes, item) {
                        self.page.next = Some(self.last);
                        return Ok(Step::Done);
                    }
                }
                Err(failure) if snapshot.is_damage(&failure) => self.push_damaged(seq, failure),
                Err(failure) => return Err(failure),
            }
            self.last = seq;
        }
        match self.next() {
            Ok(None) => {}
            Ok(Some(_)) => self.page.next = Some(self.last),
            // The next page reports it.
            Err(failure) if snapshot.is_damage(&failure) => self.page.next = Some(self.last),
            Err(failure) => return Err(failure),
        }
        Ok(Step::Done)
    }

    fn step<'r>(&self, rows: &'r mut Rows<'_>, expected: usize) -> Result<Option<(&'r Row<'r>, KpiRows)>, Failure> {
        if self.has_kpis {
            return gather::step(rows, expected);
        }
        Ok(rows.next()?.map(|row| (row, KpiRows::default())))
    }

    /// The `seq` of the next dataset, if there is one.
    fn next(&self) -> Result<Option<i64>, Failure> {
        let mut statement = self.snapshot.connection().prepare_cached(&self.statements.next)?;
        Ok(statement.query_one(params![self.organization.as_bytes(), self.last], |row| row.get(0))?)
    }

    /// Skips a row that SQLite cannot read and whose `seq` is read from the index alone.
    fn skip_unreadable(&mut self, failure: Failure) -> Result<Step, Failure> {
        match self.next() {
            Ok(Some(seq)) if self.order.is_after(self.last, seq) => {
                self.push_damaged(seq, failure);
                self.last = seq;
                Ok(Step::Restart)
            }
            Ok(_) => Ok(self.end_damaged(failure)),
            Err(second) if self.snapshot.is_damage(&second) => Ok(self.end_damaged(failure)),
            Err(second) => Err(second),
        }
    }

    /// Adds this dataset as damaged.
    fn push_damaged(&mut self, seq: i64, failure: Failure) {
        self.page.push_damage(owned_id(self.snapshot, self.organization, seq), failure);
    }

    /// Adds damage after which nothing can be read, or not in this order.
    fn end_damaged(&mut self, failure: Failure) -> Step {
        self.page.push_damage(None, failure);
        Step::Done
    }
}
