//! The floor: carefully hand-written rusqlite for the same schema, and nothing more.
//!
//! It does the work of the crate, ids and digests included, without its validation. Where two ways were measured, this
//! is the faster one: KPIs are inserted 32 to a statement across the datasets of a batch, columns are borrowed before
//! they are copied, a listing is read by two statements that are stepped in parallel.

pub(crate) mod change;
pub(crate) mod changes;
mod digest;
pub(crate) mod history;
pub(crate) mod keep;
pub(crate) mod property;
pub(crate) mod read;
pub(crate) mod write;

use std::cell::Cell;
use std::ops::Deref;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use uuid::Uuid;

/// A row of `kpi` as the floor returns it: the columns that a read needs, owned.
#[derive(Clone)]
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
#[derive(Clone)]
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

/// The numbers of KPIs of a dataset, and of those that are required.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) kpis: i64,
    pub(crate) required: i64,
}

impl Counts {
    fn of(kpis: &[Kpi]) -> Self {
        kpis.iter().fold(Self { kpis: 0, required: 0 }, Self::with)
    }

    fn with(self, kpi: &Kpi) -> Self {
        Self { kpis: self.kpis + 1, required: self.required + i64::from(kpi.required) }
    }
}

/// A connection, with the numbers of datasets and changes that it has reserved.
pub(crate) struct Floor {
    connection: Connection,
    numbers: Cell<Numbers>,
}

#[derive(Clone, Copy, Default)]
struct Numbers {
    /// The `data_version` at which they were reserved.
    data_version: i64,
    next: i64,
    left: i64,
}

impl Deref for Floor {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// The number of numbers that are reserved at once.
const BLOCK: i64 = 64;

/// The table may have orphaned rows, and the counter may have been set back by another tool.
const RESERVE: &str = "
    UPDATE counter
    SET last = ?1 + max(last, ifnull((SELECT max(seq) FROM dataset), 0), ifnull((SELECT max(dataset_seq) FROM kpi), 0))
    WHERE id = 1 RETURNING last";

impl Floor {
    fn new(connection: Connection) -> Self {
        Self { connection, numbers: Cell::default() }
    }

    /// Runs `work` in a write transaction. Numbers that were reserved before another connection wrote are not used:
    /// numbers must rise in the order of commits.
    fn transaction<T>(&self, work: impl FnOnce() -> T) -> T {
        self.run("BEGIN IMMEDIATE");
        let data_version = self.prepare_cached("PRAGMA data_version").unwrap().query_one([], |row| row.get(0)).unwrap();
        if self.numbers.get().data_version != data_version {
            self.numbers.set(Numbers { data_version, next: 0, left: 0 });
        }
        let done = work();
        self.run("COMMIT");
        done
    }

    fn run(&self, sql: &str) {
        self.prepare_cached(sql).unwrap().execute([]).unwrap();
    }

    /// Takes consecutive unused numbers within a transaction and returns the first.
    fn take(&self, count: i64) -> i64 {
        let mut numbers = self.numbers.get();
        if numbers.left < count {
            let block = count.max(BLOCK);
            let last: i64 = self.prepare_cached(RESERVE).unwrap().query_one([block], |row| row.get(0)).unwrap();
            (numbers.next, numbers.left) = (last - block + 1, block);
        }
        let first = numbers.next;
        (numbers.next, numbers.left) = (first + count, numbers.left - count);
        self.numbers.set(numbers);
        first
    }
}

/// The time now, in microseconds since 1970.
fn now() -> i64 {
    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_micros()
}

/// Opens an up-to-date file with the settings of the store, without checking any of them.
pub(crate) fn open(file: &Path, synchronous: &str) -> Floor {
    let connection = Connection::open(file).unwrap();
    set(&connection);
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {synchronous};
             PRAGMA journal_mode = WAL"
        ))
        .unwrap();
    Floor::new(connection)
}

/// Opens a database in memory with the same tables.
pub(crate) fn open_in_memory() -> Floor {
    let connection = Connection::open_in_memory().unwrap();
    set(&connection);
    connection.execute_batch(SCHEMA).unwrap();
    Floor::new(connection)
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
    connection
        .execute_batch(
            "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON",
        )
        .unwrap();
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
