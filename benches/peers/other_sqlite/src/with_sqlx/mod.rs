//! sqlx: one connection and its own thread, called from synchronous code, rows inserted by `push_values`.

mod rows;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use kpi_store_peers_harness::{
    Dataset, Durability, NewDataset, ORGANIZATION, Peer, Summary, Violations, dataset, validate_name,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Result, SqliteConnection, raw_sql};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use self::rows::{DatasetRow, KpiRow, plain, rows};

/// One connection, which the threads take in turn, and the runtime that waits for it.
pub(crate) struct Sqlx {
    runtime: Runtime,
    connection: Mutex<SqliteConnection>,
}

impl Sqlx {
    fn connection(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().unwrap()
    }
}

impl Peer for Sqlx {
    type Stored = (DatasetRow, Vec<KpiRow>);
    type Summary = (DatasetRow, u32, u32);
    type Cursor = Uuid;

    fn open(folder: &Path, durability: Durability) -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.join("sqlx.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match durability {
                Durability::Full => SqliteSynchronous::Full,
                Durability::Normal => SqliteSynchronous::Normal,
            });
        let connected = async {
            let mut connection = options.connect().await?;
            raw_sql(crate::SCHEMA).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = runtime.block_on(connected).unwrap();
        Self { runtime, connection: Mutex::new(connection) }
    }

    fn close(self) {
        self.runtime.block_on(self.connection.into_inner().unwrap().close()).unwrap();
    }

    fn create(&self, new: &NewDataset) -> Result<Self::Stored, Violations> {
        new.validate()?;
        let created = [rows(new, now())];
        self.runtime.block_on(store(&mut self.connection(), &created)).unwrap();
        let [created] = created;
        Ok(created)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Self::Stored>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        let now = now();
        let created: Vec<_> = new.iter().map(|new| rows(new, now)).collect();
        self.runtime.block_on(store(&mut self.connection(), &created)).unwrap();
        Ok(created)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        crate::in_batches(new, batch, |batch| {
            let connection = &mut *self.connection();
            let stored = async {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                let now = now();
                let mut count = 0;
                while let Some(chunk) = crate::chunk(batch) {
                    let created: Vec<_> = chunk.iter().map(|new| rows(new, now)).collect();
                    insert(&mut transaction, &created).await?;
                    count += created.len() as u64;
                }
                transaction.commit().await?;
                Ok::<_, sqlx::Error>(count)
            };
            self.runtime.block_on(stored).unwrap()
        })
    }

    fn get(&self, id: Uuid) -> Option<Self::Stored> {
        self.runtime.block_on(find(&mut self.connection(), id)).unwrap()
    }

    fn list(&self) -> Vec<Self::Stored> {
        let connection = &mut *self.connection();
        let list = async {
            let heads = sqlx::query_as(ALL).bind(ORGANIZATION).fetch_all(&mut *connection).await?;
            let kpis = sqlx::query_as(KPIS_OF_ALL).bind(ORGANIZATION).fetch_all(connection).await?;
            Ok::<_, sqlx::Error>(grouped(heads, kpis))
        };
        self.runtime.block_on(list).unwrap()
    }

    fn page(&self, after: Option<&Uuid>, limit: usize) -> (Vec<Self::Stored>, Option<Uuid>) {
        let connection = &mut *self.connection();
        let page = async {
            let (heads, next) = heads(connection, after, limit).await?;
            let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return Ok((Vec::new(), None)) };
            let kpis = sqlx::query_as(KPIS_OF_PAGE).bind(ORGANIZATION).bind(first.id).bind(last.id);
            let kpis = kpis.fetch_all(connection).await?;
            Ok::<_, sqlx::Error>((grouped(heads, kpis), next))
        };
        self.runtime.block_on(page).unwrap()
    }

    fn summaries(&self, after: Option<&Uuid>, limit: usize) -> (Vec<Self::Summary>, Option<Uuid>) {
        let connection = &mut *self.connection();
        let page = async {
            let (heads, next) = heads(connection, after, limit).await?;
            let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return Ok((Vec::new(), None)) };
            let counts = sqlx::query_as(COUNTS_OF_PAGE).bind(ORGANIZATION).bind(first.id).bind(last.id);
            let counts: Vec<(Uuid, u32, u32)> = counts.fetch_all(connection).await?;
            let mut counts = counts.into_iter().peekable();
            let with_counts = |head: DatasetRow| {
                let (_, kpis, required) = counts.next_if(|(id, ..)| *id == head.id).unwrap_or_default();
                (head, kpis, required)
            };
            Ok::<_, sqlx::Error>((heads.into_iter().map(with_counts).collect(), next))
        };
        self.runtime.block_on(page).unwrap()
    }

    fn count(&self) -> u64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM dataset WHERE organization_id = ?").bind(ORGANIZATION);
        let count: i64 = self.runtime.block_on(count.fetch_one(&mut *self.connection())).unwrap();
        count.cast_unsigned()
    }

    fn rename_kpi(&self, id: Uuid, kpi: Uuid, name: &str) -> Result<Self::Stored, Violations> {
        validate_name(name)?;
        let connection = &mut *self.connection();
        let renamed = async {
            let now = now();
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let update = sqlx::query(UPDATE_KPI).bind(name).bind(now).bind(kpi).bind(id);
            update.execute(&mut *transaction).await?;
            let update = sqlx::query(UPDATE_DATASET).bind(now).bind(id).bind(ORGANIZATION);
            update.execute(&mut *transaction).await?;
            let found = find(&mut transaction, id).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(found.unwrap())
        };
        Ok(self.runtime.block_on(renamed).unwrap())
    }

    fn plain((head, kpis): Self::Stored) -> Dataset {
        plain(head, kpis)
    }

    fn plain_summary((head, kpi_count, required_count): Self::Summary) -> Summary {
        Summary { kpi_count, required_count, ..plain(head, Vec::new()).summary() }
    }
}

const INSERT: &str =
    "INSERT INTO dataset (id, organization_id, name, description, created_at, created_by, updated_by, updated_at) ";
const INSERT_KPI: &str = "
    INSERT INTO kpi (id, dataset_id, position, name, description, unit, value_type, required, sort_order, created_at,
        updated_at) ";

async fn store(connection: &mut SqliteConnection, created: &[(DatasetRow, Vec<KpiRow>)]) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    insert(&mut transaction, created).await?;
    transaction.commit().await
}

async fn insert(connection: &mut SqliteConnection, created: &[(DatasetRow, Vec<KpiRow>)]) -> Result<()> {
    for created in created.chunks(crate::ROWS) {
        let mut insert = QueryBuilder::new(INSERT);
        insert.push_values(created, |row, (head, _)| head.bind(row));
        insert.build().execute(&mut *connection).await?;
    }
    let kpis: Vec<&KpiRow> = created.iter().flat_map(|(_, kpis)| kpis).collect();
    for kpis in kpis.chunks(crate::ROWS) {
        let mut insert = QueryBuilder::new(INSERT_KPI);
        insert.push_values(kpis, |row, kpi| kpi.bind(row));
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

const ONE: &str = "SELECT * FROM dataset WHERE id = ? AND organization_id = ?";
const KPIS_OF_ONE: &str = "SELECT * FROM kpi WHERE dataset_id = ? ORDER BY sort_order, position";

async fn find(connection: &mut SqliteConnection, id: Uuid) -> Result<Option<(DatasetRow, Vec<KpiRow>)>> {
    let head = sqlx::query_as(ONE).bind(id).bind(ORGANIZATION).fetch_optional(&mut *connection).await?;
    let Some(head) = head else { return Ok(None) };
    let kpis = sqlx::query_as(KPIS_OF_ONE).bind(id).fetch_all(connection).await?;
    Ok(Some((head, kpis)))
}

const ALL: &str = "SELECT * FROM dataset WHERE organization_id = ? ORDER BY id";
const KPIS_OF_ALL: &str = "
    SELECT kpi.* FROM kpi JOIN dataset ON dataset.id = dataset_id WHERE organization_id = ?
    ORDER BY dataset_id, sort_order, position";

const PAGE: &str = "SELECT * FROM dataset WHERE organization_id = ? AND id > ? ORDER BY id LIMIT ?";
const KPIS_OF_PAGE: &str = "
    SELECT kpi.* FROM kpi JOIN dataset ON dataset.id = dataset_id
    WHERE organization_id = ? AND dataset.id BETWEEN ? AND ? ORDER BY dataset_id, sort_order, position";
const COUNTS_OF_PAGE: &str = "
    SELECT dataset_id, count(*), sum(required) FROM kpi JOIN dataset ON dataset.id = dataset_id
    WHERE organization_id = ? AND dataset.id BETWEEN ? AND ? GROUP BY dataset_id ORDER BY dataset_id";

/// A page of datasets, and the id after which the next one starts.
async fn heads(
    connection: &mut SqliteConnection,
    after: Option<&Uuid>,
    limit: usize,
) -> Result<(Vec<DatasetRow>, Option<Uuid>)> {
    let after = after.copied().unwrap_or_else(Uuid::nil);
    let one_more = i64::try_from(limit).unwrap() + 1;
    let heads = sqlx::query_as(PAGE).bind(ORGANIZATION).bind(after).bind(one_more);
    let mut heads: Vec<DatasetRow> = heads.fetch_all(connection).await?;
    let next = (heads.len() > limit).then(|| heads[limit - 1].id);
    heads.truncate(limit);
    Ok((heads, next))
}

/// The datasets with their KPIs; both are in the order of the datasets.
fn grouped(heads: Vec<DatasetRow>, kpis: Vec<KpiRow>) -> Vec<(DatasetRow, Vec<KpiRow>)> {
    let mut kpis = kpis.into_iter().peekable();
    let with_kpis = |head: DatasetRow| {
        let of_head = std::iter::from_fn(|| kpis.next_if(|kpi| kpi.dataset_id == head.id)).collect();
        (head, of_head)
    };
    heads.into_iter().map(with_kpis).collect()
}

const UPDATE_KPI: &str = "UPDATE kpi SET name = ?, updated_at = ? WHERE id = ? AND dataset_id = ?";
const UPDATE_DATASET: &str = "UPDATE dataset SET updated_at = ? WHERE id = ? AND organization_id = ?";

/// The time now, as it is stored.
fn now() -> i64 {
    dataset::now().timestamp_micros()
}
