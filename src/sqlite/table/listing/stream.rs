//! Listing all datasets in the order of creation by one statement, or by two with their KPIs, however many there are.
//!
//! One statement returns the datasets, the other their KPIs, joined to the same index in the same order; both are
//! stepped in parallel. If a dataset and its KPIs do not match, that dataset is read alone, so that damage is reported
//! for the damaged dataset and for no other, and both statements restart after it.

use std::sync::LazyLock;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Row, Rows, Statement, params};

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
    HeadReader, column, intact, owned_id, record, select_before, select_head_before, state,
};
use crate::sqlite::table::kpi::{self, KpiRows, Parent};
use crate::sqlite::table::row::Columns;

/// The statements of a listing in one direction. They name their index: misled by the statistics in a file, SQLite
/// might scan the datasets of all organizations.
struct Statements {
    datasets: String,
    /// The same without what only a read of the KPIs needs.
    heads: String,
    kpis: String,
    /// The `seq` of the next dataset, read from the index alone.
    next: String,
    /// The `seq` before the first dataset.
    start: i64,
}

impl Statements {
    fn new(operator: &str, direction: &str, extreme: &str, start: i64) -> Self {
        let by_index = "INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND deleted_at IS NULL AND seq";
        let kpis = kpi::column::NAMES.iter().map(|name| format!("k.{name}")).collect::<Vec<_>>().join(", ");
        Self {
            datasets: select_before(
                column::ORGANIZATION_ID,
                &format!("{by_index} {operator} ?2 ORDER BY seq{direction} LIMIT ?3"),
            ),
            heads: select_head_before(
                column::ORGANIZATION_ID,
                &format!("{by_index} {operator} ?2 ORDER BY seq{direction} LIMIT ?3"),
            ),
            // Bounded, or it would walk over all datasets without KPIs.
            kpis: format!(
                "SELECT {kpis} FROM \
                 (SELECT seq FROM dataset {by_index} {operator} ?2 ORDER BY seq{direction} LIMIT ?3) AS d \
                 CROSS JOIN kpi AS k ON k.dataset_seq = d.seq"
            ),
            next: format!("SELECT {extreme}(seq) FROM dataset {by_index} {operator} ?2"),
            start,
        }
    }
}

static OLDEST_FIRST: LazyLock<Statements> = LazyLock::new(|| Statements::new(">", "", "min", i64::MIN));
static NEWEST_FIRST: LazyLock<Statements> = LazyLock::new(|| Statements::new("<", " DESC", "max", i64::MAX));

/// A page of datasets with their KPIs.
pub(super) fn datasets(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<Dataset>, Failure> {
    let mut walk = Walk::new(snapshot, selection);
    let organization = selection.organization;
    loop {
        let mut statement = snapshot.connection().prepare_cached(&walk.statements.kpis)?;
        let mut kpis = KpiCursor { rows: walk.query(&mut statement)?, has_started: false, likely: 0 };
        let next = |row: &Row<'_>| with_kpis(row, organization, |parent| kpis.of_next(parent));
        let alone = |row: &Row<'_>| with_kpis(row, organization, |parent| kpi::of_dataset(snapshot, parent));
        if let Step::Done = walk.run(&walk.statements.datasets, next, alone)? {
            return Ok(walk.page);
        }
    }
}

/// A page of datasets without their KPIs.
pub(super) fn summaries(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<DatasetSummary>, Failure> {
    let mut walk = Walk::new(snapshot, selection);
    let mut heads = HeadReader::new();
    loop {
        let read = |row: &Row<'_>| summary(row, selection.organization, &mut heads);
        let again = |row: &Row<'_>| summary(row, selection.organization, &mut HeadReader::new());
        if let Step::Done = walk.run(&walk.statements.heads, read, again)? {
            return Ok(walk.page);
        }
    }
}

/// Reads the dataset of a row with these KPIs, and its size in memory.
fn with_kpis(
    row: &Row<'_>,
    organization: OrganizationId,
    kpis: impl FnOnce(Parent) -> Result<KpiRows, Failure>,
) -> Result<(usize, Dataset), Failure> {
    let id = Columns(row).id(column::ID)?;
    let record = intact(row, record(row, organization, id, kpis)?)?;
    check_present(row, organization, id)?;
    Ok((record.bytes(), record.dataset))
}

fn summary(
    row: &Row<'_>,
    organization: OrganizationId,
    heads: &mut HeadReader,
) -> Result<(usize, DatasetSummary), Failure> {
    let id = Columns(row).id(column::ID)?;
    let head = heads.read(row, organization, id)?;
    check_present(row, organization, id)?;
    let summary = head.summary(Vec::new());
    Ok((summary.bytes(), summary))
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
    /// The `seq` of the last dataset that was read.
    last: i64,
    page: RawPage<T>,
}

enum Step {
    Done,
    /// The statements must restart after the last dataset that was read.
    Restart,
}

impl<'a, T> Walk<'a, T> {
    fn new(snapshot: &'a Snapshot<'a>, selection: Selection<'_>) -> Self {
        let Selection { organization, order, after, limit, .. } = selection;
        let statements = match order {
            Order::OldestFirst => &*OLDEST_FIRST,
            Order::NewestFirst | Order::RecentlyChanged => &*NEWEST_FIRST,
        };
        let last = after.unwrap_or(statements.start);
        Self { snapshot, organization, order, statements, last, page: RawPage::new(limit) }
    }

    /// Runs a statement for the rest of the page. One row more than is returned shows whether there is a next page.
    fn query<'s>(&self, statement: &'s mut Statement<'_>) -> Result<Rows<'s>, Failure> {
        let limit = i64::try_from(self.page.left()).unwrap_or(i64::MAX).saturating_add(1);
        Ok(statement.query(params![self.organization.as_bytes(), self.last, limit])?)
    }

    /// Fills the page by this statement. Where `read` fails, `read_alone` reads the same row without the KPIs of the
    /// rows before it.
    fn run(
        &mut self,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<(usize, T), Failure>,
        read_alone: impl Fn(&Row<'_>) -> Result<(usize, T), Failure>,
    ) -> Result<Step, Failure> {
        let snapshot = self.snapshot;
        let left = self.page.left();
        let mut statement = snapshot.connection().prepare_cached(sql)?;
        let mut rows = self.query(&mut statement)?;
        for count in 0.. {
            let row = match rows.next().map_err(Failure::from) {
                Ok(None) => return Ok(Step::Done),
                Ok(Some(_)) if count == left => {
                    self.page.next = Some(self.last);
                    return Ok(Step::Done);
                }
                Ok(Some(row)) => row,
                Err(failure) if snapshot.is_damage(&failure) => {
                    return self.skip_unreadable(failure, count == left);
                }
                Err(failure) => return Err(failure),
            };
            let seq = Columns(row).integer(column::SEQ)?;
            // On a damaged index the listing might go back and never end.
            if !self.order.is_after(self.last, seq) {
                return Ok(self.end_damaged(damaged("an index is out of order").into()));
            }
            let (mut sized, mut step) = (read(row), None);
            if sized.as_ref().is_err_and(|failure| snapshot.is_damage(failure)) {
                (sized, step) = (read_alone(row), Some(Step::Restart));
            }
            match sized {
                Ok((bytes, item)) => {
                    if !self.page.push(bytes, item) {
                        self.page.next = Some(self.last);
                        return Ok(Step::Done);
                    }
                }
                Err(failure) if snapshot.is_damage(&failure) => return Ok(self.skip_damaged(seq, failure)),
                Err(failure) => return Err(failure),
            }
            self.last = seq;
            if let Some(step) = step {
                return Ok(step);
            }
        }
        Ok(Step::Done)
    }

    /// Skips a row that SQLite cannot read and whose `seq` is read from the index alone, unless the page is full.
    fn skip_unreadable(&mut self, failure: Failure, is_full: bool) -> Result<Step, Failure> {
        let after = params![self.organization.as_bytes(), self.last];
        let next = self.snapshot.connection().query_one(&self.statements.next, after, |row| row.get(0));
        match next.map_err(Failure::from) {
            Ok(Some(_)) if is_full => {
                self.page.next = Some(self.last);
                Ok(Step::Done)
            }
            Ok(Some(seq)) if self.order.is_after(self.last, seq) => Ok(self.skip_damaged(seq, failure)),
            Ok(_) => Ok(self.end_damaged(failure)),
            Err(second) if self.snapshot.is_damage(&second) => Ok(self.end_damaged(failure)),
            Err(second) => Err(second),
        }
    }

    /// Adds this dataset as damaged; the listing continues after it.
    fn skip_damaged(&mut self, seq: i64, failure: Failure) -> Step {
        self.page.push_damage(owned_id(self.snapshot, self.organization, seq), failure);
        self.last = seq;
        Step::Restart
    }

    /// Adds damage after which nothing can be read.
    fn end_damaged(&mut self, failure: Failure) -> Step {
        self.page.push_damage(None, failure);
        Step::Done
    }
}

/// A cursor over the KPIs of a listing, grouped by dataset.
struct KpiCursor<'a> {
    rows: Rows<'a>,
    has_started: bool,
    /// The number of KPIs of the previous dataset: the next one usually has the same number.
    likely: usize,
}

impl KpiCursor<'_> {
    /// The KPIs of the next dataset.
    fn of_next(&mut self, dataset: Parent) -> Result<KpiRows, Failure> {
        if !self.has_started {
            self.has_started = true;
            self.rows.advance()?;
        }
        let mut found = KpiRows::with_capacity(self.likely);
        while let Some(row) = self.rows.get() {
            let columns = Columns(row);
            if columns.integer(kpi::column::DATASET_SEQ)? != dataset.seq {
                break;
            }
            found.push(&columns, dataset)?;
            self.rows.advance()?;
        }
        self.likely = found.len();
        Ok(found)
    }
}
