//! diesel: derived rows, slices inserted in a batch, children loaded by `belonging_to` and grouped.

mod rows;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use diesel::connection::SimpleConnection;
use diesel::dsl::{AsSelect, auto_type, case_when, count_star, sum};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use diesel::sqlite::Sqlite;
use kpi_store_peers_harness::{
    Dataset, Durability, NewDataset, ORGANIZATION, Peer, Summary, Violations, validate_name,
};
use uuid::Uuid;

use self::rows::{DatasetRow, Id, KpiRow, dataset, kpi, now, plain, plain_summary, rows};

/// One connection, which the threads take in turn.
pub(crate) struct Diesel(Mutex<SqliteConnection>);

impl Diesel {
    fn connection(&self) -> MutexGuard<'_, SqliteConnection> {
        self.0.lock().unwrap()
    }
}

impl Peer for Diesel {
    type Stored = (DatasetRow, Vec<KpiRow>);
    type Summary = (DatasetRow, u32, u32);
    type Cursor = Id;

    fn open(folder: &Path, durability: Durability) -> Self {
        let file = folder.join("diesel.db");
        let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
        let settings =
            format!("PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON");
        connection.batch_execute(&settings).unwrap();
        connection.batch_execute(crate::SCHEMA).unwrap();
        Self(Mutex::new(connection))
    }

    fn close(self) {}

    fn create(&self, new: &NewDataset) -> Result<Self::Stored, Violations> {
        new.validate()?;
        let (head, kpis) = rows(new, now());
        let stored = |connection: &mut SqliteConnection| {
            diesel::insert_into(dataset::table).values(&head).execute(connection)?;
            insert(connection, &kpis)
        };
        self.connection().immediate_transaction(stored).unwrap();
        Ok((head, kpis))
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Self::Stored>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        let now = now();
        let created: Vec<_> = new.iter().map(|new| rows(new, now)).collect();
        self.connection().immediate_transaction(|connection| insert_all(connection, &created)).unwrap();
        Ok(created)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        crate::in_batches(new, batch, |batch| {
            let stored = |connection: &mut SqliteConnection| -> QueryResult<u64> {
                let now = now();
                let mut count = 0;
                while let Some(chunk) = crate::chunk(batch) {
                    let created: Vec<_> = chunk.iter().map(|new| rows(new, now)).collect();
                    insert_all(connection, &created)?;
                    count += created.len() as u64;
                }
                Ok(count)
            };
            self.connection().immediate_transaction(stored).unwrap()
        })
    }

    fn get(&self, id: Uuid) -> Option<Self::Stored> {
        find(&mut self.connection(), id).unwrap()
    }

    fn list(&self) -> Vec<Self::Stored> {
        let connection = &mut *self.connection();
        let heads = of_organization().order(dataset::id).load(connection).unwrap();
        with_kpis(connection, heads).unwrap()
    }

    fn page(&self, after: Option<&Id>, limit: usize) -> (Vec<Self::Stored>, Option<Id>) {
        let connection = &mut *self.connection();
        let (heads, next) = heads(connection, after, limit).unwrap();
        (with_kpis(connection, heads).unwrap(), next)
    }

    fn summaries(&self, after: Option<&Id>, limit: usize) -> (Vec<Self::Summary>, Option<Id>) {
        let connection = &mut *self.connection();
        let (heads, next) = heads(connection, after, limit).unwrap();
        (with_counts(connection, heads).unwrap(), next)
    }

    fn count(&self) -> u64 {
        let count: i64 = of_organization().count().get_result(&mut *self.connection()).unwrap();
        count.cast_unsigned()
    }

    fn rename_kpi(&self, id: Uuid, kpi_id: Uuid, name: &str) -> Result<Self::Stored, Violations> {
        validate_name(name)?;
        let renamed = |connection: &mut SqliteConnection| {
            let now = now();
            let target = kpi::table.filter(kpi::id.eq(Id(kpi_id))).filter(kpi::dataset_id.eq(Id(id)));
            diesel::update(target).set((kpi::name.eq(name), kpi::updated_at.eq(now))).execute(connection)?;
            let target = dataset::table.find(Id(id)).filter(dataset::organization_id.eq(Id(ORGANIZATION)));
            diesel::update(target).set(dataset::updated_at.eq(now)).execute(connection)?;
            find(connection, id)
        };
        Ok(self.connection().immediate_transaction(renamed).unwrap().unwrap())
    }

    fn plain((head, kpis): Self::Stored) -> Dataset {
        plain(head, kpis)
    }

    fn plain_summary((head, kpis, required): Self::Summary) -> Summary {
        plain_summary(head, kpis, required)
    }
}

/// That SQLite was compiled with the flags of `.cargo/config.toml`.
pub(crate) fn assert_page_caches_are_separate() {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    let is_one = diesel::dsl::sql::<Bool>("SELECT sqlite_compileoption_used('ENABLE_MEMORY_MANAGEMENT')");
    assert!(!is_one.get_result::<bool>(&mut connection).unwrap(), "built outside of the folder of this package");
}

/// The datasets of the organization.
#[auto_type(no_type_alias)]
fn of_organization() -> _ {
    let organization: Id = Id(ORGANIZATION);
    let row: AsSelect<DatasetRow, Sqlite> = DatasetRow::as_select();
    dataset::table.filter(dataset::organization_id.eq(organization)).select(row)
}

fn insert(connection: &mut SqliteConnection, kpis: &[KpiRow]) -> QueryResult<()> {
    for kpis in kpis.chunks(crate::ROWS) {
        diesel::insert_into(kpi::table).values(kpis).execute(connection)?;
    }
    Ok(())
}

fn insert_all(connection: &mut SqliteConnection, created: &[(DatasetRow, Vec<KpiRow>)]) -> QueryResult<()> {
    let heads: Vec<&DatasetRow> = created.iter().map(|(head, _)| head).collect();
    for heads in heads.chunks(crate::ROWS) {
        diesel::insert_into(dataset::table).values(heads.to_vec()).execute(connection)?;
    }
    let kpis: Vec<&KpiRow> = created.iter().flat_map(|(_, kpis)| kpis).collect();
    for kpis in kpis.chunks(crate::ROWS) {
        diesel::insert_into(kpi::table).values(kpis.to_vec()).execute(connection)?;
    }
    Ok(())
}

fn find(connection: &mut SqliteConnection, id: Uuid) -> QueryResult<Option<(DatasetRow, Vec<KpiRow>)>> {
    let Some(head) = of_organization().filter(dataset::id.eq(Id(id))).first(connection).optional()? else {
        return Ok(None);
    };
    let in_display_order = (kpi::sort_order, kpi::position);
    let kpis = KpiRow::belonging_to(&head).order(in_display_order).select(KpiRow::as_select()).load(connection)?;
    Ok(Some((head, kpis)))
}

/// A page of datasets, and the id after which the next one starts.
fn heads(
    connection: &mut SqliteConnection,
    after: Option<&Id>,
    limit: usize,
) -> QueryResult<(Vec<DatasetRow>, Option<Id>)> {
    let after = *after.unwrap_or(&Id(Uuid::nil()));
    let one_more = i64::try_from(limit).unwrap() + 1;
    let page = of_organization().filter(dataset::id.gt(after)).order(dataset::id).limit(one_more);
    let mut heads = page.load(connection)?;
    let next = (heads.len() > limit).then(|| heads[limit - 1].id);
    heads.truncate(limit);
    Ok((heads, next))
}

fn with_kpis(connection: &mut SqliteConnection, heads: Vec<DatasetRow>) -> QueryResult<Vec<(DatasetRow, Vec<KpiRow>)>> {
    let in_display_order = (kpi::sort_order, kpi::position);
    let kpis = KpiRow::belonging_to(&heads).order(in_display_order).select(KpiRow::as_select()).load(connection)?;
    let kpis = kpis.grouped_by(&heads);
    Ok(heads.into_iter().zip(kpis).collect())
}

fn with_counts(connection: &mut SqliteConnection, heads: Vec<DatasetRow>) -> QueryResult<Vec<(DatasetRow, u32, u32)>> {
    let required = sum(case_when(kpi::required, 1.into_sql::<Integer>()).otherwise(0.into_sql::<Integer>()));
    let counts: Vec<(Id, i64, Option<i64>)> = KpiRow::belonging_to(&heads)
        .group_by(kpi::dataset_id)
        .select((kpi::dataset_id, count_star(), required))
        .load(connection)?;
    let counts: HashMap<Id, (i64, Option<i64>)> =
        counts.into_iter().map(|(id, kpis, required)| (id, (kpis, required))).collect();
    let number = |number: i64| u32::try_from(number).unwrap();
    let with_counts = |head: DatasetRow| {
        let (kpis, required) = counts.get(&head.id).copied().unwrap_or_default();
        (head, number(kpis), number(required.unwrap_or(0)))
    };
    Ok(heads.into_iter().map(with_counts).collect())
}
