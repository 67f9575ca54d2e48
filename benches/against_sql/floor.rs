//! The floor: what a careful hand would write with rusqlite for the same schema, and nothing more.

use std::path::Path;

use kpi_store::NewDataset;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql, params, params_from_iter};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3Default;

/// A row of `kpi` as the floor returns it: the columns that a read needs, owned.
pub(crate) struct Kpi {
    pub(crate) id: Uuid,
    pub(crate) position: i64,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) value_type: u8,
    pub(crate) required: bool,
    pub(crate) sort_order: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: Option<i64>,
}

/// A row of `dataset` with its KPIs.
pub(crate) struct Dataset {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) created_by: Option<Uuid>,
    pub(crate) updated_by: Option<Uuid>,
    pub(crate) updated_at: Option<i64>,
    pub(crate) kpis: Vec<Kpi>,
}

/// Opens an up-to-date file with the settings of the store, taking each for granted.
pub(crate) fn open(file: &Path, synchronous: &str) -> Connection {
    let connection = Connection::open(file).unwrap();
    for (feature, on) in FEATURES {
        connection.set_db_config(feature, on).unwrap();
    }
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value).unwrap();
    }
    connection
        .execute_batch(&format!(
            "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON;
             PRAGMA synchronous = {synchronous}; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
             PRAGMA journal_mode = WAL"
        ))
        .unwrap();
    connection
}

const FEATURES: [(DbConfig, bool); 9] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
];

const LIMITS: [(Limit, i32); 11] = [
    (Limit::SQLITE_LIMIT_LENGTH, 1_000_000),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 3),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
];

/// Creates datasets in one transaction, the KPIs of each by one statement.
pub(crate) fn create(connection: &Connection, organization: Uuid, new: &[NewDataset]) -> Vec<Dataset> {
    let run = |sql| connection.prepare_cached(sql).unwrap().execute([]).unwrap();
    run("BEGIN IMMEDIATE");
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_micros();
    let created = new.iter().map(|new| create_one(connection, organization, new, now)).collect();
    run("COMMIT");
    created
}

fn create_one(connection: &Connection, organization: Uuid, new: &NewDataset, now: i64) -> Dataset {
    let dataset = Dataset {
        id: Uuid::now_v7(),
        name: new.name.clone(),
        description: new.description.clone(),
        created_at: now,
        created_by: None,
        updated_by: None,
        updated_at: None,
        kpis: (0..)
            .zip(&new.kpis)
            .map(|(position, kpi)| Kpi {
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
            })
            .collect(),
    };
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO dataset (id, organization_id, name, description, created_at, revision, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)",
        )
        .unwrap();
    let digest = digest(organization, &dataset).cast_signed();
    let (id, organization) = (dataset.id.as_bytes(), organization.as_bytes());
    insert.execute(params![id, organization, dataset.name, dataset.description, now, digest]).unwrap();
    insert_kpis(connection, connection.last_insert_rowid(), &dataset.kpis);
    dataset
}

/// As many rows to a statement as pay off: more than 32 are no faster.
fn insert_kpis(connection: &Connection, seq: i64, kpis: &[Kpi]) {
    for kpis in kpis.chunks(32) {
        let mut insert = connection.prepare_cached(&insert_sql(kpis.len())).unwrap();
        let values = kpis.iter().flat_map(|kpi| -> [ToSqlOutput<'_>; 10] {
            [
                seq.into(),
                ToSqlOutput::Borrowed(kpi.id.as_bytes().as_slice().into()),
                kpi.position.into(),
                ToSqlOutput::Borrowed(kpi.name.as_str().into()),
                kpi.description.to_sql().unwrap(),
                kpi.unit.to_sql().unwrap(),
                kpi.value_type.into(),
                kpi.required.into(),
                kpi.sort_order.into(),
                kpi.created_at.into(),
            ]
        });
        insert.execute(params_from_iter(values)).unwrap();
    }
}

fn insert_sql(rows: usize) -> String {
    let columns = "dataset_seq, id, position, name, description, unit, value_type, required, sort_order, created_at";
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!("INSERT INTO kpi ({columns}) VALUES {}", vec![row; rows].join(", "))
}

/// Reads one dataset in one snapshot and checks its digest.
pub(crate) fn get(connection: &Connection, organization: Uuid, id: Uuid) -> Option<Dataset> {
    let mut datasets = connection
        .prepare_cached(
            "SELECT seq, name, description, created_at, created_by, updated_by, updated_at, digest
             FROM dataset WHERE organization_id = ?1 AND id = ?2",
        )
        .unwrap();
    let mut rows = datasets.query(params![organization.as_bytes(), id.as_bytes()]).unwrap();
    let row = rows.next().unwrap()?;
    let bytes = |bytes: Option<[u8; 16]>| bytes.map(Uuid::from_bytes);
    let dataset = Dataset {
        id,
        name: row.get(1).unwrap(),
        description: row.get(2).unwrap(),
        created_at: row.get(3).unwrap(),
        created_by: bytes(row.get(4).unwrap()),
        updated_by: bytes(row.get(5).unwrap()),
        updated_at: row.get(6).unwrap(),
        kpis: kpis(connection, row.get(0).unwrap()),
    };
    assert_eq!(digest(organization, &dataset).cast_signed(), row.get::<_, i64>(7).unwrap());
    Some(dataset)
}

fn kpis(connection: &Connection, seq: i64) -> Vec<Kpi> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at
             FROM kpi WHERE dataset_seq = ?1",
        )
        .unwrap();
    let mut rows = statement.query([seq]).unwrap();
    let mut kpis = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        kpis.push(Kpi {
            id: Uuid::from_bytes(row.get(0).unwrap()),
            position: row.get(1).unwrap(),
            name: row.get(2).unwrap(),
            description: row.get(3).unwrap(),
            unit: row.get(4).unwrap(),
            value_type: row.get(5).unwrap(),
            required: row.get(6).unwrap(),
            sort_order: row.get(7).unwrap(),
            created_at: row.get(8).unwrap(),
            updated_at: row.get(9).unwrap(),
        });
    }
    kpis.sort_unstable_by_key(|kpi| (kpi.sort_order, kpi.position));
    kpis
}

/// The digest of the file format, at revision 1.
fn digest(organization: Uuid, dataset: &Dataset) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(organization.as_bytes());
    hash.update(dataset.id.as_bytes());
    hash.update(&1_i64.to_le_bytes());
    text(&mut hash, &dataset.name);
    optional(&mut hash, dataset.description.as_deref(), text);
    hash.update(&dataset.created_at.to_le_bytes());
    optional(&mut hash, dataset.created_by, |hash, id| hash.update(id.as_bytes()));
    optional(&mut hash, dataset.updated_by, |hash, id| hash.update(id.as_bytes()));
    optional(&mut hash, dataset.updated_at, |hash, time| hash.update(&time.to_le_bytes()));
    hash.update(&(dataset.kpis.len() as u64).to_le_bytes());
    for kpi in &dataset.kpis {
        hash.update(kpi.id.as_bytes());
        text(&mut hash, &kpi.name);
        optional(&mut hash, kpi.description.as_deref(), text);
        optional(&mut hash, kpi.unit.as_deref(), text);
        hash.update(&[kpi.value_type, u8::from(kpi.required)]);
        hash.update(&kpi.sort_order.to_le_bytes());
        hash.update(&kpi.created_at.to_le_bytes());
        optional(&mut hash, kpi.updated_at, |hash, time| hash.update(&time.to_le_bytes()));
    }
    hash.digest()
}

fn text(hash: &mut Xxh3Default, text: &str) {
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn optional<T>(hash: &mut Xxh3Default, value: Option<T>, write: impl FnOnce(&mut Xxh3Default, T)) {
    hash.update(&[u8::from(value.is_some())]);
    if let Some(value) = value {
        write(hash, value);
    }
}
