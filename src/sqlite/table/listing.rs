//! Listing datasets with their KPIs by two statements, however many datasets there are.
//!
//! One statement returns the datasets, the other their KPIs, joined to the same index in the same order; both are
//! stepped in parallel. If a dataset and its KPIs do not match, that dataset is read alone, so that damage is reported
//! for the damaged dataset and for no other, and both statements restart after it.

use std::sync::LazyLock;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Row, Rows, params};

use super::dataset::{column, intact, owned_id, record, select_before, state};
use super::kpi::{self, KpiRows, Parent};
use super::row::Columns;
use crate::error::Error;
use crate::model::cursor::Order;
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::limits::PAGE_BYTES_MAX;
use crate::model::page::Damage;
use crate::model::state::State;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;

/// The statements of a listing in one direction. They name their index: misled by the statistics in a file, SQLite
/// might scan the datasets of all organizations.
struct Statements {
    datasets: String,
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
            // Bounded, or it would walk over all datasets without KPIs.
            kpis: format!(
                "SELECT {kpis} FROM (SELECT seq FROM dataset {by_index} {operator} ?2 ORDER BY seq{direction} LIMIT ?3) AS d \
                 CROSS JOIN kpi AS k ON k.dataset_seq = d.seq"
            ),
            next: format!("SELECT {extreme}(seq) FROM dataset {by_index} {operator} ?2"),
            start,
        }
    }
}

static OLDEST_FIRST: LazyLock<Statements> = LazyLock::new(|| Statements::new(">", "", "min", i64::MIN));
static NEWEST_FIRST: LazyLock<Statements> = LazyLock::new(|| Statements::new("<", " DESC", "max", i64::MAX));

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct RawPage {
    pub(crate) items: Vec<Dataset>,
    pub(crate) damaged: Vec<Damage>,
    /// The `seq` after which the listing continues; `None` at the end.
    pub(crate) next: Option<i64>,
}

/// Reads at most `limit` datasets of this organization after the `seq` `after`, and at most 64 MiB of them, unless the
/// first one is larger.
pub(crate) fn page(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    order: Order,
    after: Option<i64>,
    limit: u32,
) -> Result<RawPage, Failure> {
    let statements = match order {
        Order::OldestFirst => &*OLDEST_FIRST,
        Order::NewestFirst => &*NEWEST_FIRST,
    };
    let mut walk = Walk {
        snapshot,
        organization,
        order,
        statements,
        last: after.unwrap_or(statements.start),
        limit: limit as usize,
        bytes: 0,
        page: RawPage { items: Vec::new(), damaged: Vec::new(), next: None },
    };
    while let Step::Restart = walk.run()? {}
    Ok(walk.page)
}

/// A listing in progress.
struct Walk<'a> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    order: Order,
    statements: &'static Statements,
    /// The `seq` of the last dataset that was read.
    last: i64,
    limit: usize,
    /// The size of the items of the page.
    bytes: usize,
    page: RawPage,
}

enum Step {
    Done,
    /// The statements must restart after the last dataset that was read.
    Restart,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<Step, Failure> {
        let connection = self.snapshot.connection();
        let left = self.limit.saturating_sub(self.page.items.len() + self.page.damaged.len());
        // One row more than is returned shows whether there is a next page.
        let limit = i64::try_from(left).unwrap_or(i64::MAX).saturating_add(1);
        let mut statement = connection.prepare_cached(&self.statements.kpis)?;
        let after = params![self.organization.as_bytes(), self.last, limit];
        let mut kpis = KpiCursor { rows: statement.query(after)?, has_started: false, likely: 0 };
        let mut statement = connection.prepare_cached(&self.statements.datasets)?;
        let mut rows = statement.query(params![self.organization.as_bytes(), self.last, limit])?;
        for count in 0.. {
            let row = match rows.next().map_err(Failure::from) {
                Ok(None) => return Ok(Step::Done),
                Ok(Some(_)) if count == left => {
                    self.page.next = Some(self.last);
                    return Ok(Step::Done);
                }
                Ok(Some(row)) => row,
                Err(failure) if self.snapshot.is_damage(&failure) => {
                    return self.skip_unreadable(failure, count == left);
                }
                Err(failure) => return Err(failure),
            };
            let seq = Columns(row).integer(column::SEQ)?;
            // On a damaged index the listing might go back and never end.
            if !self.order.is_after(self.last, seq) {
                return Ok(self.end_damaged(damaged("an index is out of order").into()));
            }
            let (sized, step) = match self.read(row, |parent| kpis.of_next(parent)) {
                Err(failure) if self.snapshot.is_damage(&failure) => {
                    let alone = self.read(row, |parent| kpi::of_dataset(self.snapshot, parent));
                    (alone, Some(Step::Restart))
                }
                read => (read, None),
            };
            match sized {
                Ok((bytes, dataset)) if self.page.items.is_empty() || self.bytes + bytes <= PAGE_BYTES_MAX => {
                    self.page.items.push(dataset);
                    self.bytes += bytes;
                }
                Ok(_) => {
                    self.page.next = Some(self.last);
                    return Ok(Step::Done);
                }
                Err(failure) if self.snapshot.is_damage(&failure) => return Ok(self.skip_damaged(seq, failure)),
                Err(failure) => return Err(failure),
            }
            self.last = seq;
            if let Some(step) = step {
                return Ok(step);
            }
        }
        Ok(Step::Done)
    }

    /// Reads the dataset of a row, with its size in memory.
    fn read(
        &self,
        row: &Row<'_>,
        kpis: impl FnOnce(Parent) -> Result<KpiRows, Failure>,
    ) -> Result<(usize, Dataset), Failure> {
        let id = Columns(row).id(column::ID)?;
        let record = intact(row, record(row, self.organization, id, kpis)?)?;
        match state(row, self.organization, id)? {
            Some(State { deleted: Some(_), .. }) => Err(damaged("an index lists a deleted dataset").into()),
            _ => Ok((record.bytes(), record.dataset)),
        }
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
        let id = owned_id(self.snapshot, self.organization, seq);
        self.add_damage(id, failure);
        self.last = seq;
        Step::Restart
    }

    /// Adds damage after which nothing can be read.
    fn end_damaged(&mut self, failure: Failure) -> Step {
        self.add_damage(None, failure);
        Step::Done
    }

    fn add_damage(&mut self, dataset: Option<DatasetId>, Failure(error): Failure) {
        if let Error::Corrupt { detail, .. } = error {
            self.page.damaged.push(Damage { index: self.page.items.len(), dataset, detail });
        }
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
