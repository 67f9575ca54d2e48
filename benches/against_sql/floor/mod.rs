//! The floor: what a careful hand would write with rusqlite for the same schema, and nothing more.
//!
//! It does the work of the crate, ids and digests included, without its validation. Where two ways were measured, the faster
//! one stands here: KPIs go in by rows of 32 across the datasets of a batch, columns are borrowed until they are owned, a
//! listing is read by two statements that go along with each other.

pub(crate) mod keep;
pub(crate) mod read;
pub(crate) mod write;

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
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
    set(&connection);
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
             PRAGMA journal_mode = WAL"
        ))
        .unwrap();
    connection
}

/// Opens a database in memory with the same tables.
pub(crate) fn open_in_memory() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    set(&connection);
    connection.execute_batch(SCHEMA).unwrap();
    connection
}

const SCHEMA: &str = include_str!("../../../migrations/V1__create_dataset_and_kpi.sql");

fn set(connection: &Connection) {
    connection.set_prepared_statement_cache_capacity(64);
    for (feature, on) in FEATURES {
        connection.set_db_config(feature, on).unwrap();
    }
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value).unwrap();
    }
    connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON").unwrap();
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
