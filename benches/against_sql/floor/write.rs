//! Writing by hand.

use std::borrow::Borrow;
use std::sync::LazyLock;

use kpi_store::NewDataset;
use rusqlite::{Connection, Statement};
use uuid::Uuid;

use super::{Counts, Dataset, Floor, Kpi, digest, now};

/// The number of rows of an INSERT; more are no faster.
const ROWS: usize = 32;

/// The columns that are null in a new dataset are left out.
const INSERT: &str = "
    INSERT INTO dataset (seq, id, organization_id, name, description, created_at, revision, kpi_count,
        required_count, head_digest, kpi_digest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10)";

/// The INSERT statements with one row, with two rows, and so on.
static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let columns = "dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at";
    let sql = |rows| format!("INSERT INTO kpi ({columns}) VALUES {}", vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(","));
    (1..=ROWS).map(sql).collect()
});

/// Creates datasets in one transaction.
pub(crate) fn create(floor: &Floor, organization: Uuid, new: &[NewDataset]) -> Vec<Dataset> {
    let datasets = datasets(new);
    floor.transaction(|| insert(floor, organization, &datasets));
    datasets
}

/// The number of datasets that are in memory at a time.
const CHUNK: usize = 64;

/// Stores datasets in transactions of `batch`, with few in memory at a time. Returns the number of stored datasets.
pub(crate) fn load<T: Borrow<NewDataset>>(
    floor: &Floor,
    organization: Uuid,
    new: impl Iterator<Item = T>,
    batch: usize,
) -> usize {
    let mut new = new.peekable();
    let mut stored = 0;
    while new.peek().is_some() {
        let mut left = batch;
        floor.transaction(|| {
            while left > 0 && new.peek().is_some() {
                let chunk: Vec<T> = new.by_ref().take(left.min(CHUNK)).collect();
                insert(floor, organization, &datasets(&chunk));
                (left, stored) = (left - chunk.len(), stored + chunk.len());
            }
        });
    }
    stored
}

fn datasets<T: Borrow<NewDataset>>(new: &[T]) -> Vec<Dataset> {
    let now = now();
    new.iter().map(|new| dataset(new.borrow(), now)).collect()
}

fn insert(floor: &Floor, organization: Uuid, datasets: &[Dataset]) {
    let first = floor.take(i64::try_from(datasets.len()).unwrap());
    let mut insert = floor.prepare_cached(INSERT).unwrap();
    for (seq, dataset) in (first..).zip(datasets) {
        let (head, sum) = digest::of_dataset(organization, 1, dataset);
        insert.raw_bind_parameter(1, seq).unwrap();
        insert.raw_bind_parameter(2, dataset.id.as_bytes()).unwrap();
        insert.raw_bind_parameter(3, organization.as_bytes()).unwrap();
        insert.raw_bind_parameter(4, &dataset.name).unwrap();
        insert.raw_bind_parameter(5, &dataset.description).unwrap();
        insert.raw_bind_parameter(6, dataset.created_at).unwrap();
        let counts = Counts::of(&dataset.kpis);
        insert.raw_bind_parameter(7, counts.kpis).unwrap();
        insert.raw_bind_parameter(8, counts.required).unwrap();
        insert.raw_bind_parameter(9, head).unwrap();
        insert.raw_bind_parameter(10, sum).unwrap();
        insert.raw_execute().unwrap();
    }
    insert_kpis(floor, first, datasets);
}

fn dataset(new: &NewDataset, now: i64) -> Dataset {
    let kpi = |(position, kpi): (i64, &kpi_store::NewKpi)| Kpi {
        id: Uuid::now_v7(),
        position,
        name: kpi.name.clone(),
        description: kpi.description.clone(),
        unit: kpi.unit.clone(),
        value_type: kpi.value_type as u8,
        required: kpi.required,
        sort_order: kpi.sort_order,
        created_at: now,
        updated_at: None,
    };
    let mut kpis: Vec<Kpi> = (0..).zip(&new.kpis).map(kpi).collect();
    // In display order, as a read returns them. Stable: the position breaks ties.
    kpis.sort_by_key(|kpi| kpi.sort_order);
    Dataset {
        id: Uuid::now_v7(),
        name: new.name.clone(),
        description: new.description.clone(),
        created_at: now,
        created_by: None,
        updated_by: None,
        updated_at: None,
        kpis,
    }
}

fn insert_kpis(connection: &Connection, first: i64, datasets: &[Dataset]) {
    let total: usize = datasets.iter().map(|dataset| dataset.kpis.len()).sum();
    let mut rows = (first..).zip(datasets).flat_map(|(seq, dataset)| dataset.kpis.iter().map(move |kpi| (seq, kpi)));
    for (count, times) in [(ROWS, total / ROWS), (total % ROWS, 1)] {
        if count == 0 || times == 0 {
            continue;
        }
        let mut insert = connection.prepare_cached(&INSERTS[count - 1]).unwrap();
        for _ in 0..times {
            for (index, (seq, kpi)) in rows.by_ref().take(count).enumerate() {
                bind(&mut insert, index * 10, seq, kpi).unwrap();
            }
            insert.raw_execute().unwrap();
        }
    }
}

/// Inserts a KPI into a stored dataset.
pub(super) fn insert_kpi(connection: &Connection, seq: i64, kpi: &Kpi) {
    let mut insert = connection.prepare_cached(&INSERTS[0]).unwrap();
    bind(&mut insert, 0, seq, kpi).unwrap();
    insert.raw_execute().unwrap();
}

fn bind(insert: &mut Statement<'_>, offset: usize, seq: i64, kpi: &Kpi) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(offset + 1, seq)?;
    insert.raw_bind_parameter(offset + 2, kpi.id.as_bytes())?;
    insert.raw_bind_parameter(offset + 3, kpi.position)?;
    insert.raw_bind_parameter(offset + 4, &kpi.name)?;
    insert.raw_bind_parameter(offset + 5, &kpi.description)?;
    insert.raw_bind_parameter(offset + 6, &kpi.unit)?;
    insert.raw_bind_parameter(offset + 7, kpi.value_type)?;
    insert.raw_bind_parameter(offset + 8, kpi.required)?;
    insert.raw_bind_parameter(offset + 9, kpi.sort_order)?;
    insert.raw_bind_parameter(offset + 10, kpi.created_at)
}
