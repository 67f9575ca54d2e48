//! Listing datasets with their KPIs: two statements, however many datasets.
//!
//! One statement gives the datasets, the other their KPIs, joined to the same index in the same order, and the two are
//! stepped along with each other. Where they do not go together, whatever the reason, that one dataset is read by
//! itself, so that damage is told of the dataset that has it and of no other, and both statements begin anew behind it.

use std::sync::LazyLock;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Rows, params};

use super::dataset::{self, column, intact, record, select};
use super::kpi::{self, KpiRows, Parent};
use super::row::Columns;
use crate::error::Error;
use crate::model::cursor::Order;
use crate::model::dataset::Dataset;
use crate::model::ids::{DatasetId, OrganizationId};
use crate::model::page::Damage;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::transaction::Snapshot;

/// The statements of a listing in one direction. Each names its index: by statistics that a file has, SQLite might walk
/// through the datasets of all organizations.
struct Statements {
    datasets: String,
    kpis: String,
    /// The number of the next dataset, by the index alone.
    next: String,
    /// Where a listing begins.
    start: i64,
}

impl Statements {
    fn new(operator: &str, direction: &str, extreme: &str, start: i64) -> Self {
        let by_index = "INDEXED BY dataset_by_organization WHERE organization_id = ?1 AND seq";
        let kpis = kpi::column::NAMES.iter().map(|name| format!("k.{name}")).collect::<Vec<_>>().join(", ");
        Self {
            datasets: select(&format!("{by_index} {operator} ?2 ORDER BY seq{direction} LIMIT ?3")),
            kpis: format!(
                "SELECT {kpis} FROM dataset AS d INDEXED BY dataset_by_organization \
                 CROSS JOIN kpi AS k ON k.dataset_seq = d.seq \
                 WHERE d.organization_id = ?1 AND d.seq {operator} ?2 ORDER BY d.seq{direction}"
            ),
            next: format!("SELECT {extreme}(seq) FROM dataset WHERE organization_id = ?1 AND seq {operator} ?2"),
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
    /// The damaged datasets among them.
    pub(crate) damaged: Vec<Damage>,
    /// The number of the dataset behind which the listing goes on, if it does.
    pub(crate) next: Option<i64>,
}

/// At most `limit` datasets of this organization behind the number `after`.
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
        page: RawPage { items: Vec::new(), damaged: Vec::new(), next: None },
    };
    while let Walked::Interrupted = walk.go_on()? {}
    Ok(walk.page)
}

/// A listing on its way.
struct Walk<'a> {
    snapshot: &'a Snapshot<'a>,
    organization: OrganizationId,
    order: Order,
    statements: &'static Statements,
    /// The number of the dataset that was read last.
    last: i64,
    limit: usize,
    page: RawPage,
}

enum Walked {
    ToTheEnd,
    /// The statements must begin anew behind the dataset that was read last.
    Interrupted,
}

impl Walk<'_> {
    fn go_on(&mut self) -> Result<Walked, Failure> {
        let connection = self.snapshot.connection();
        let room = self.limit.saturating_sub(self.page.items.len() + self.page.damaged.len());
        let mut statement = connection.prepare_cached(&self.statements.kpis)?;
        let asked = params![self.organization.as_bytes(), self.last];
        let mut kpis = KpiCursor { rows: statement.query(asked)?, has_started: false, likely: 0 };
        let mut statement = connection.prepare_cached(&self.statements.datasets)?;
        // One more than there is room for shows whether there are more.
        let limit = i64::try_from(room).unwrap_or(i64::MAX).saturating_add(1);
        let mut rows = statement.query(params![self.organization.as_bytes(), self.last, limit])?;
        for count in 0.. {
            let row = match rows.next().map_err(Failure::from) {
                Ok(None) => return Ok(Walked::ToTheEnd),
                Ok(Some(_)) if count == room => {
                    self.page.next = Some(self.last);
                    return Ok(Walked::ToTheEnd);
                }
                Ok(Some(row)) => row,
                // A row that SQLite cannot read: its number by the index alone.
                Err(failure) if failure.is_damage() => {
                    let next = connection.query_one(
                        &self.statements.next,
                        params![self.organization.as_bytes(), self.last],
                        |row| row.get(0),
                    );
                    return match next.map_err(Failure::from) {
                        Ok(Some(seq)) => Ok(self.step_over(seq, failure)),
                        Ok(None) => Ok(self.end(failure)),
                        Err(also) if also.is_damage() => Ok(self.end(failure)),
                        Err(also) => Err(also),
                    };
                }
                Err(failure) => return Err(failure),
            };
            let seq = Columns(row).integer(column::SEQ)?;
            // A listing that went back would never end.
            if !self.order.is_after(self.last, seq) {
                return Ok(self.end(damaged("an index is out of order").into()));
            }
            let read = Columns(row)
                .id(column::ID)
                .map_err(Failure::from)
                .and_then(|id| intact(record(row, self.organization, id, |parent| kpis.of_next(parent))?));
            match read {
                Ok(dataset) => self.page.items.push(dataset),
                Err(failure) if failure.is_damage() => {
                    let alone = Columns(row).id(column::ID).map_err(Failure::from);
                    match alone.and_then(|id| dataset::read(self.snapshot, row, self.organization, id)) {
                        Ok(dataset) => self.page.items.push(dataset),
                        Err(failure) if failure.is_damage() => return Ok(self.step_over(seq, failure)),
                        Err(failure) => return Err(failure),
                    }
                    self.last = seq;
                    return Ok(Walked::Interrupted);
                }
                Err(failure) => return Err(failure),
            }
            self.last = seq;
        }
        Ok(Walked::ToTheEnd)
    }

    /// Notes that the dataset of this number is damaged; the listing goes on behind it.
    fn step_over(&mut self, seq: i64, failure: Failure) -> Walked {
        let id = self.named(seq);
        self.note(id, failure);
        self.last = seq;
        Walked::Interrupted
    }

    /// Notes damage behind which nothing can be read.
    fn end(&mut self, failure: Failure) -> Walked {
        self.note(None, failure);
        Walked::ToTheEnd
    }

    fn note(&mut self, dataset: Option<DatasetId>, Failure(error): Failure) {
        if let Error::Corrupt { detail, .. } = error {
            self.page.damaged.push(Damage { index: self.page.items.len(), dataset, detail });
        }
    }

    /// The id of the damaged dataset of this number, if the row says that it is this organization's: an index that is
    /// damaged can lead to another's, of which nothing is told.
    fn named(&self, seq: i64) -> Option<DatasetId> {
        let mut statement = self.snapshot.connection().prepare_cached(SELECT_IDS).ok()?;
        let ids = statement.query_one([seq], |row| Ok((Columns(row).id(0).ok(), Columns(row).id(1).ok())));
        match ids {
            Ok((Some(id), Some(owner))) if self.organization == owner => Some(id),
            _ => None,
        }
    }
}

const SELECT_IDS: &str = "SELECT id, organization_id FROM dataset NOT INDEXED WHERE seq = ?1";

/// The KPIs of a listing, dataset after dataset.
struct KpiCursor<'a> {
    rows: Rows<'a>,
    has_started: bool,
    /// How many KPIs the dataset before had: the next one mostly has as many.
    likely: usize,
}

impl KpiCursor<'_> {
    /// The KPIs of the next dataset.
    fn of_next(&mut self, dataset: Parent) -> Result<KpiRows, Failure> {
        if !self.has_started {
            self.has_started = true;
            self.rows.advance()?;
        }
        let mut found = KpiRows::with_room(self.likely);
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
