//! SQL of the `kpi` table: a constant and a function for each statement.

use std::sync::LazyLock;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::{Connection, Rows, Statement};

use super::row::{Columns, StoredTime, Unfit};
use crate::error::{Error, Failure};
use crate::model::admission::Admitted;
use crate::model::cursor::Order;
use crate::model::dataset::Kpi;
use crate::model::ids::DatasetId;
use crate::model::value_type::ValueType;

/// Rows to a statement: more are no faster.
const ROWS_MAX: usize = 32;

/// Values to a row.
const COLUMNS: usize = 10;

/// INSERT statements of one row, of two, and so on.
static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let columns = "dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at";
    let sql = |rows| format!("INSERT INTO kpi ({columns}) VALUES {}", vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(","));
    (1..=ROWS_MAX).map(sql).collect()
});

/// A KPI to insert: the place of its dataset, its own in the order of addition, and itself.
type Row<'a> = (i64, i64, &'a Kpi);

/// Inserts the KPIs of new datasets, whose places are `seqs`.
pub(super) fn insert(connection: &Connection, seqs: &[i64], new: &[Admitted]) -> rusqlite::Result<()> {
    let total: usize = new.iter().map(|new| new.dataset.kpis.len()).sum();
    let mut rows = seqs.iter().zip(new).flat_map(|(seq, new)| {
        let kpis = new.dataset.kpis.iter().zip(&new.positions);
        kpis.map(|(kpi, position)| (*seq, *position, kpi))
    });
    insert_rows(connection, &mut rows, ROWS_MAX, total / ROWS_MAX)?;
    insert_rows(connection, &mut rows, total % ROWS_MAX, 1)
}

/// So many rows to a statement, so many times.
fn insert_rows<'a>(
    connection: &Connection,
    rows: &mut impl Iterator<Item = Row<'a>>,
    count: usize,
    times: usize,
) -> rusqlite::Result<()> {
    let Some(sql) = count.checked_sub(1).and_then(|place| INSERTS.get(place)) else { return Ok(()) };
    if times == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for _ in 0..times {
        for (row, place) in rows.by_ref().take(count).zip((0..).step_by(COLUMNS)) {
            bind(&mut statement, place, row)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, place: usize, (seq, position, kpi): Row<'_>) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(place + 1, seq)?;
    statement.raw_bind_parameter(place + 2, kpi.id.as_bytes())?;
    statement.raw_bind_parameter(place + 3, position)?;
    statement.raw_bind_parameter(place + 4, &kpi.name)?;
    statement.raw_bind_parameter(place + 5, &kpi.description)?;
    statement.raw_bind_parameter(place + 6, &kpi.unit)?;
    statement.raw_bind_parameter(place + 7, kpi.value_type as u8)?;
    statement.raw_bind_parameter(place + 8, kpi.required)?;
    statement.raw_bind_parameter(place + 9, kpi.sort_order)?;
    statement.raw_bind_parameter(place + COLUMNS, kpi.created_at.timestamp_micros())
}

const SELECT: &str = "
    SELECT id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at
    FROM kpi WHERE dataset_seq = ?1";

/// What KPIs need to know of their dataset.
#[derive(Clone, Copy)]
pub(super) struct Parent {
    pub(super) seq: i64,
    pub(super) id: DatasetId,
    pub(super) created_at: StoredTime,
}

/// The KPIs of a dataset, in display order.
pub(super) fn of_dataset(connection: &Connection, dataset: Parent) -> Result<Vec<Kpi>, Failure> {
    let mut statement = connection.prepare_cached(SELECT)?;
    let mut rows = statement.query([dataset.seq])?;
    let mut positions = Vec::new();
    let mut found = Found::new(&mut positions);
    while let Some(row) = rows.next()? {
        found.push(&Columns(row), dataset)?;
    }
    Ok(found.in_display_order())
}

/// The KPIs of a dataset as they are read: by id, which mostly is the order to show them in too.
struct Found<'a> {
    kpis: Vec<Kpi>,
    /// Of each its place in the order of addition, in memory that one dataset after the other uses.
    positions: &'a mut Vec<i64>,
    is_out_of_order: bool,
}

impl<'a> Found<'a> {
    fn new(positions: &'a mut Vec<i64>) -> Self {
        positions.clear();
        Self { kpis: Vec::new(), positions, is_out_of_order: false }
    }

    fn push(&mut self, columns: &Columns<'_>, dataset: Parent) -> Result<(), Failure> {
        let (id, position, sort_order) = (columns.id(0)?, columns.integer(1)?, columns.integer(7)?);
        if let (Some(before), Some(place)) = (self.kpis.last(), self.positions.last()) {
            // They lie in the order of their ids. Rows that went back might never end.
            if before.id >= id {
                return Err(Error::damaged("its KPIs are out of order").into());
            }
            self.is_out_of_order |= (sort_order, position) < (before.sort_order, *place);
        }
        self.positions.push(position);
        self.kpis.push(Kpi {
            id,
            dataset_id: dataset.id,
            name: columns.text(2)?,
            description: columns.optional_text(3)?,
            unit: columns.optional_text(4)?,
            value_type: value_type(columns.integer(5)?)?,
            required: required(columns.integer(6)?)?,
            sort_order,
            created_at: columns.time_likely(8, dataset.created_at)?,
            updated_at: columns.optional_time(9)?,
        });
        Ok(())
    }

    /// A few rows are sorted faster here than by SQLite, which would write them to a sorter first.
    fn in_display_order(self) -> Vec<Kpi> {
        if !self.is_out_of_order {
            return self.kpis;
        }
        let mut kpis: Vec<_> = self.positions.drain(..).zip(self.kpis).collect();
        kpis.sort_unstable_by_key(|(position, kpi)| (kpi.sort_order, *position));
        kpis.into_iter().map(|(_, kpi)| kpi).collect()
    }
}

/// The KPIs of a listing: the rows of one dataset after those of another, by the index that lists the datasets.
macro_rules! select_along {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, position, k.name, k.description, unit, value_type, required, sort_order, k.created_at, ",
            "k.updated_at, d.seq FROM dataset AS d INDEXED BY dataset_by_organization ",
            "CROSS JOIN kpi AS k ON k.dataset_seq = d.seq WHERE d.organization_id = ?1 AND ",
            $rest
        )
    };
}

const SELECT_OLDEST_FIRST: &str = select_along!("d.seq > ?2 ORDER BY d.seq");
const SELECT_NEWEST_FIRST: &str = select_along!("d.seq < ?2 ORDER BY d.seq DESC");

/// The statement that goes along with a listing of this order.
pub(super) fn along(order: Order) -> &'static str {
    match order {
        Order::OldestFirst => SELECT_OLDEST_FIRST,
        Order::NewestFirst => SELECT_NEWEST_FIRST,
    }
}

/// The KPIs of the datasets of a listing, read along with them by one statement.
pub(super) struct Along<'a> {
    rows: Rows<'a>,
    has_started: bool,
    positions: Vec<i64>,
}

impl<'a> Along<'a> {
    /// `rows` are those of [`along`], for the same organization and place as the datasets.
    pub(super) fn new(rows: Rows<'a>) -> Self {
        Self { rows, has_started: false, positions: Vec::new() }
    }

    /// The KPIs of the next dataset, in display order.
    pub(super) fn of_next(&mut self, dataset: Parent) -> Result<Vec<Kpi>, Failure> {
        if !self.has_started {
            self.has_started = true;
            self.rows.advance()?;
        }
        let mut found = Found::new(&mut self.positions);
        while let Some(row) = self.rows.get() {
            let columns = Columns(row);
            if columns.integer(COLUMNS)? != dataset.seq {
                break;
            }
            found.push(&columns, dataset)?;
            self.rows.advance()?;
        }
        Ok(found.in_display_order())
    }
}

/// The places in the order of addition that the KPIs of a dataset have.
pub(super) const POSITIONS: &str = "SELECT position FROM kpi WHERE dataset_seq = ?1";

fn value_type(stored: i64) -> Result<ValueType, Unfit> {
    usize::try_from(stored).ok().and_then(|place| ValueType::ALL.get(place)).copied().ok_or(Unfit)
}

fn required(stored: i64) -> Result<bool, Unfit> {
    match stored {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Unfit),
    }
}
