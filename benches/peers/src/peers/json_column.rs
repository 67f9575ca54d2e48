//! rusqlite with a row for each dataset, and its KPIs as JSON in a column of it.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use kpi_store_peers_harness::dataset::now;
use kpi_store_peers_harness::{
    Dataset, Durability, NewDataset, ORGANIZATION, Peer, Summary, Violations, validate_name,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::text_columns::{head, open, optional_text, page, split};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS dataset (
        id TEXT PRIMARY KEY NOT NULL,
        organization_id TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at TEXT NOT NULL,
        description TEXT,
        created_by TEXT,
        updated_by TEXT,
        updated_at TEXT,
        kpis TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS dataset_by_organization ON dataset (organization_id, id);";

const INSERT: &str = "
    INSERT INTO dataset (id, organization_id, name, created_at, description, created_by, updated_by, updated_at, kpis)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const GET: &str = "
    SELECT id, organization_id, name, created_at, description, created_by, updated_by, updated_at, kpis
    FROM dataset WHERE organization_id = ?1 AND id = ?2";

const PAGE: &str = "
    SELECT id, organization_id, name, created_at, description, created_by, updated_by, updated_at, kpis
    FROM dataset WHERE organization_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

const SUMMARIES: &str = "
    SELECT id, organization_id, name, created_at, description, created_by, updated_by, updated_at,
        json_array_length(kpis), (SELECT count(*) FROM json_each(kpis) WHERE value ->> 'required')
    FROM dataset WHERE organization_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

const COUNT: &str = "SELECT count(*) FROM dataset WHERE organization_id = ?1";

const UPDATE: &str = "UPDATE dataset SET updated_at = ?3, kpis = ?4 WHERE organization_id = ?1 AND id = ?2";

pub(crate) struct JsonColumn(Mutex<Connection>);

impl JsonColumn {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap()
    }
}

impl Peer for JsonColumn {
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
        // One statement is a transaction.
        insert(&self.connection(), &dataset).unwrap();
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
        let found = page(&self.connection(), PAGE, after, limit, dataset).unwrap();
        split(found, limit, |dataset| dataset.id)
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
        let mut connection = self.connection();
        let transaction = connection.transaction().unwrap();
        let mut changed = get(&transaction, dataset).unwrap().unwrap();
        changed.rename_kpi(kpi, name, now());
        let kpis = serde_json::to_string(&changed.kpis).unwrap();
        let values = params![ORGANIZATION.to_string(), dataset.to_string(), optional_text(changed.updated_at), kpis];
        assert_eq!(transaction.prepare_cached(UPDATE).unwrap().execute(values).unwrap(), 1);
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
    connection.prepare_cached(INSERT)?.execute(params![
        dataset.id.to_string(),
        dataset.organization_id.to_string(),
        dataset.name,
        dataset.created_at.to_rfc3339(),
        dataset.description,
        dataset.created_by.map(|id| id.to_string()),
        dataset.updated_by.map(|id| id.to_string()),
        optional_text(dataset.updated_at),
        serde_json::to_string(&dataset.kpis).unwrap(),
    ])?;
    Ok(())
}

fn get(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Dataset>> {
    let mut statement = connection.prepare_cached(GET)?;
    statement.query_one([ORGANIZATION.to_string(), id.to_string()], dataset).optional()
}

fn dataset(row: &Row<'_>) -> rusqlite::Result<Dataset> {
    Ok(Dataset { kpis: serde_json::from_str(row.get_ref(8)?.as_str()?).unwrap(), ..head(row)? })
}
