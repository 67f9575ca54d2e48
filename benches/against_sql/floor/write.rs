//! Writing by hand.

use std::sync::LazyLock;

use kpi_store::NewDataset;
use rusqlite::{Connection, Statement, params};
use uuid::Uuid;

use super::{Dataset, Kpi, digest};

/// The number of rows of an INSERT; more are no faster.
const ROWS: usize = 32;

const INSERT: &str = "INSERT INTO dataset (id, organization_id, name, description, created_at, revision, digest)
                      VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)";

/// The INSERT statements with one row, with two rows, and so on.
static INSERTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let columns = "dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at";
    let sql = |rows| format!("INSERT INTO kpi ({columns}) VALUES {}", vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(","));
    (1..=ROWS).map(sql).collect()
});

/// Creates datasets in one transaction.
pub(crate) fn create(connection: &Connection, organization: Uuid, new: &[NewDataset]) -> Vec<Dataset> {
    let datasets = datasets(new);
    run(connection, "BEGIN IMMEDIATE");
    insert(connection, organization, &datasets);
    run(connection, "COMMIT");
    datasets
}

/// The number of datasets that are in memory at a time.
const CHUNK: usize = 64;

/// Stores datasets in transactions of `batch`, with few in memory at a time. Returns the number of stored datasets.
pub(crate) fn load(connection: &Connection, organization: Uuid, new: &[NewDataset], batch: usize) -> usize {
    let mut stored = 0;
    for batch in new.chunks(batch) {
        run(connection, "BEGIN IMMEDIATE");
        for chunk in batch.chunks(CHUNK) {
            insert(connection, organization, &datasets(chunk));
            stored += chunk.len();
        }
        run(connection, "COMMIT");
    }
    stored
}

fn run(connection: &Connection, sql: &str) {
    connection.prepare_cached(sql).unwrap().execute([]).unwrap();
}

fn datasets(new: &[NewDataset]) -> Vec<Dataset> {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_micros();
    new.iter().map(|new| dataset(new, now)).collect()
}

fn insert(connection: &Connection, organization: Uuid, datasets: &[Dataset]) {
    let mut insert = connection.prepare_cached(INSERT).unwrap();
    let seqs: Vec<i64> = datasets
        .iter()
        .map(|dataset| {
            let digest = digest(organization, dataset).cast_signed();
            let (id, organization) = (dataset.id.as_bytes(), organization.as_bytes());
            let values = params![id, organization, dataset.name, dataset.description, dataset.created_at, digest];
            insert.insert(values).unwrap()
        })
        .collect();
    insert_kpis(connection, &seqs, datasets);
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
    Dataset {
        id: Uuid::now_v7(),
        name: new.name.clone(),
        description: new.description.clone(),
        created_at: now,
        created_by: None,
        updated_by: None,
        updated_at: None,
        kpis: (0..).zip(&new.kpis).map(kpi).collect(),
    }
}

fn insert_kpis(connection: &Connection, seqs: &[i64], datasets: &[Dataset]) {
    let total: usize = datasets.iter().map(|dataset| dataset.kpis.len()).sum();
    let mut rows = seqs.iter().zip(datasets).flat_map(|(seq, dataset)| dataset.kpis.iter().map(|kpi| (*seq, kpi)));
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
