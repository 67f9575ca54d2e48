//! rusqlite as most write it: ids and times as text, a row for each KPI, a prepared INSERT for each row.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use kpi_store_peers_harness::dataset::now;
use kpi_store_peers_harness::{
    Dataset, Durability, Kpi, NewDataset, ORGANIZATION, Peer, Summary, Violations, validate_name,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::text_columns::{head, open, optional, optional_text, page, parsed, split};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS dataset (
        id TEXT PRIMARY KEY NOT NULL,
        organization_id TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at TEXT NOT NULL,
        description TEXT,
        created_by TEXT,
        updated_by TEXT,
        updated_at TEXT
    );
    CREATE INDEX IF NOT EXISTS dataset_by_organization ON dataset (organization_id, id);
    CREATE TABLE IF NOT EXISTS kpi (
        id TEXT PRIMARY KEY NOT NULL,
        dataset_id TEXT NOT NULL REFERENCES dataset (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        sort_order INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        description TEXT,
        unit TEXT,
        value_type TEXT NOT NULL,
        required INTEGER NOT NULL,
        updated_at TEXT
    );
    CREATE INDEX IF NOT EXISTS kpi_by_dataset ON kpi (dataset_id, position);";

const INSERT_DATASET: &str = "
    INSERT INTO dataset (id, organization_id, name, created_at, description, created_by, updated_by, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const INSERT_KPI: &str = "
    INSERT INTO kpi (id, dataset_id, position, name, sort_order, created_at, description, unit, value_type, required,
        updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const GET: &str = "
    SELECT id, organization_id, name, created_at, description, created_by, updated_by, updated_at
    FROM dataset WHERE organization_id = ?1 AND id = ?2";

const PAGE: &str = "
    SELECT id, organization_id, name, created_at, description, created_by, updated_by, updated_at
    FROM dataset WHERE organization_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

/// The position is the place in display order.
const KPIS: &str = "
    SELECT id, name, sort_order, created_at, description, unit, value_type, required, updated_at
    FROM kpi WHERE dataset_id = ?1 ORDER BY position";

const SUMMARIES: &str = "
    SELECT id, organization_id, name, created_at, description, created_by, updated_by, updated_at,
        (SELECT count(*) FROM kpi WHERE dataset_id = dataset.id),
        (SELECT count(*) FROM kpi WHERE dataset_id = dataset.id AND required)
    FROM dataset WHERE organization_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

const COUNT: &str = "SELECT count(*) FROM dataset WHERE organization_id = ?1";

const RENAME_KPI: &str = "UPDATE kpi SET name = ?3, updated_at = ?4 WHERE dataset_id = ?1 AND id = ?2";

const TOUCH: &str = "UPDATE dataset SET updated_at = ?3 WHERE organization_id = ?1 AND id = ?2";

pub(crate) struct PlainRusqlite(Mutex<Connection>);

impl PlainRusqlite {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap()
    }
}

impl Peer for PlainRusqlite {
    type Stored = Dataset;
    type Summary = Summary;
    /// The id of the last dataset.
    type Cursor = Uuid;

    fn open(folder: &Path, durability: Durability) -> Self {
        Self(Mutex::new(open(folder, durability, SCHEMA)))
    }

    fn close(self) {
        self.0.into_inner().unwrap().close().unwrap();
    }

    fn create(&self, new: &NewDataset) -> Result<Dataset, Violations> {
        new.validate()?;
        let dataset = Dataset::new(new, now());
        let mut connection = self.connection();
        let transaction = connection.transaction().unwrap();
        insert(&transaction, &dataset).unwrap();
        transaction.commit().unwrap();
        Ok(dataset)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Dataset>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        let now = now();
        let datasets: Vec<_> = new.iter().map(|new| Dataset::new(new, now)).collect();
        let mut connection = self.connection();
        let transaction = connection.transaction().unwrap();
        for dataset in &datasets {
            insert(&transaction, dataset).unwrap();
        }
        transaction.commit().unwrap();
        Ok(datasets)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        let mut connection = self.connection();
        let mut new = new.peekable();
        let mut loaded = 0;
        while new.peek().is_some() {
            let transaction = connection.transaction().unwrap();
            for new in new.by_ref().take(batch) {
                new.validate().unwrap();
                insert(&transaction, &Dataset::new(&new, now())).unwrap();
                loaded += 1;
            }
            transaction.commit().unwrap();
        }
        loaded
    }

    fn get(&self, id: Uuid) -> Option<Dataset> {
        get(&self.connection(), id).unwrap()
    }

    fn list(&self) -> Vec<Dataset> {
        self.page(None, usize::MAX).0
    }

    fn page(&self, after: Option<&Uuid>, limit: usize) -> (Vec<Dataset>, Option<Uuid>) {
        let mut connection = self.connection();
        // Both statements read the same state.
        let transaction = connection.transaction().unwrap();
        let found = page(&transaction, PAGE, after, limit, head).unwrap();
        let (mut datasets, next) = split(found, limit, |dataset| dataset.id);
        for dataset in &mut datasets {
            dataset.kpis = kpis(&transaction, dataset.id).unwrap();
        }
        (datasets, next)
    }

    fn summaries(&self, after: Option<&Uuid>, limit: usize) -> (Vec<Summary>, Option<Uuid>) {
        let summary =
            |row: &Row<'_>| Ok(Summary { kpi_count: row.get(8)?, required_count: row.get(9)?, ..head(row)?.summary() });
        let found = page(&self.connection(), SUMMARIES, after, limit, summary).unwrap();
        split(found, limit, |summary| summary.id)
    }

    fn count(&self) -> u64 {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(COUNT).unwrap();
        let count: i64 = statement.query_one([ORGANIZATION.to_string()], |row| row.get(0)).unwrap();
        count.unsigned_abs()
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Dataset, Violations> {
        validate_name(name)?;
        let now = now().to_rfc3339();
        let mut connection = self.connection();
        let transaction = connection.transaction().unwrap();
        let id = dataset.to_string();
        let touched =
            transaction.prepare_cached(TOUCH).unwrap().execute(params![ORGANIZATION.to_string(), id, now]).unwrap();
        let renamed =
            transaction.prepare_cached(RENAME_KPI).unwrap().execute(params![id, kpi.to_string(), name, now]).unwrap();
        assert_eq!((touched, renamed), (1, 1));
        let changed = get(&transaction, dataset).unwrap().unwrap();
        transaction.commit().unwrap();
        Ok(changed)
    }

    fn plain(stored: Dataset) -> Dataset {
        stored
    }

    fn plain_summary(summary: Summary) -> Summary {
        summary
    }
}

fn insert(connection: &Connection, dataset: &Dataset) -> rusqlite::Result<()> {
    let id = dataset.id.to_string();
    connection.prepare_cached(INSERT_DATASET)?.execute(params![
        id,
        dataset.organization_id.to_string(),
        dataset.name,
        dataset.created_at.to_rfc3339(),
        dataset.description,
        dataset.created_by.map(|id| id.to_string()),
        dataset.updated_by.map(|id| id.to_string()),
        optional_text(dataset.updated_at),
    ])?;
    let mut insert = connection.prepare_cached(INSERT_KPI)?;
    for (position, kpi) in (0_i64..).zip(&dataset.kpis) {
        insert.execute(params![
            kpi.id.to_string(),
            id,
            position,
            kpi.name,
            kpi.sort_order,
            kpi.created_at.to_rfc3339(),
            kpi.description,
            kpi.unit,
            kpi.value_type.as_str(),
            kpi.required,
            optional_text(kpi.updated_at),
        ])?;
    }
    Ok(())
}

fn get(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Dataset>> {
    let mut statement = connection.prepare_cached(GET)?;
    let found = statement.query_one([ORGANIZATION.to_string(), id.to_string()], head).optional()?;
    found.map(|dataset| Ok(Dataset { kpis: kpis(connection, id)?, ..dataset })).transpose()
}

fn kpis(connection: &Connection, dataset: Uuid) -> rusqlite::Result<Vec<Kpi>> {
    let kpi = |row: &Row<'_>| {
        Ok(Kpi {
            id: parsed(row, 0)?,
            name: row.get(1)?,
            sort_order: row.get(2)?,
            created_at: parsed(row, 3)?,
            description: row.get(4)?,
            unit: row.get(5)?,
            value_type: parsed(row, 6)?,
            required: row.get(7)?,
            updated_at: optional(row, 8)?,
        })
    };
    connection.prepare_cached(KPIS)?.query_map([dataset.to_string()], kpi)?.collect()
}
