//! The floor: carefully hand-written rusqlite for the same schema, and nothing more.
//!
//! It does the work of the crate, ids and digests included, without its validation. Where two ways were measured, this
//! is the faster one: KPIs are inserted 32 to a statement across the datasets of a batch, columns are borrowed before
//! they are copied, a listing is read by two statements that are stepped in parallel.

pub(crate) mod keep;
pub(crate) mod read;
pub(crate) mod write;

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

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

/// Opens an up-to-date file with the settings of the store, without checking any of them.
pub(crate) fn open(file: &Path, synchronous: &str) -> Connection {
    let connection = Connection::open(file).unwrap();
    set(&connection);
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {synchronous};
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
    // Collected and hashed once: a call of the hash for each piece costs more.
    let mut bytes = Vec::with_capacity(4_096);
    bytes.extend_from_slice(organization.as_bytes());
    bytes.extend_from_slice(dataset.id.as_bytes());
    bytes.extend_from_slice(&1_i64.to_le_bytes());
    text(&mut bytes, &dataset.name);
    optional(&mut bytes, dataset.description.as_deref(), text);
    bytes.extend_from_slice(&dataset.created_at.to_le_bytes());
    optional(&mut bytes, dataset.created_by, |bytes, id| bytes.extend_from_slice(id.as_bytes()));
    optional(&mut bytes, dataset.updated_by, |bytes, id| bytes.extend_from_slice(id.as_bytes()));
    optional(&mut bytes, dataset.updated_at, |bytes, time| bytes.extend_from_slice(&time.to_le_bytes()));
    bytes.extend_from_slice(&(dataset.kpis.len() as u64).to_le_bytes());
    for kpi in &dataset.kpis {
        bytes.extend_from_slice(kpi.id.as_bytes());
        text(&mut bytes, &kpi.name);
        optional(&mut bytes, kpi.description.as_deref(), text);
        optional(&mut bytes, kpi.unit.as_deref(), text);
        bytes.extend_from_slice(&[kpi.value_type, u8::from(kpi.required)]);
        bytes.extend_from_slice(&kpi.sort_order.to_le_bytes());
        bytes.extend_from_slice(&kpi.created_at.to_le_bytes());
        optional(&mut bytes, kpi.updated_at, |bytes, time| bytes.extend_from_slice(&time.to_le_bytes()));
    }
    xxh3_64(&bytes)
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn optional<T>(bytes: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    bytes.extend_from_slice(&[u8::from(value.is_some())]);
    if let Some(value) = value {
        write(bytes, value);
    }
}
