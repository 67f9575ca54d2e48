//! The rows of the two tables, and how sqlx reads and writes them.

use kpi_store_peers_harness::{Dataset, Kpi, NewDataset, ORGANIZATION, ValueType};
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Result, Row, Sqlite};
use uuid::Uuid;

use crate::time;

/// A row of `dataset`.
pub(crate) struct DatasetRow {
    pub(crate) id: Uuid,
    organization_id: Uuid,
    name: String,
    description: Option<String>,
    created_at: i64,
    created_by: Option<Uuid>,
    updated_by: Option<Uuid>,
    updated_at: Option<i64>,
}

/// A row of `kpi`.
pub(crate) struct KpiRow {
    id: Uuid,
    pub(crate) dataset_id: Uuid,
    /// Its place in the request, which breaks ties of `sort_order`.
    position: i32,
    name: String,
    description: Option<String>,
    unit: Option<String>,
    value_type: i32,
    required: bool,
    sort_order: i64,
    created_at: i64,
    updated_at: Option<i64>,
}

// As `#[derive(FromRow)]` does it. The macros of sqlx would double the time to build it.
impl<'r> FromRow<'r, SqliteRow> for DatasetRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            organization_id: row.try_get("organization_id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            created_at: row.try_get("created_at")?,
            created_by: row.try_get("created_by")?,
            updated_by: row.try_get("updated_by")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl<'r> FromRow<'r, SqliteRow> for KpiRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            dataset_id: row.try_get("dataset_id")?,
            position: row.try_get("position")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            unit: row.try_get("unit")?,
            value_type: row.try_get("value_type")?,
            required: row.try_get("required")?,
            sort_order: row.try_get("sort_order")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl DatasetRow {
    pub(crate) fn bind(&self, mut row: Separated<'_, Sqlite, &'static str>) {
        row.push_bind(self.id)
            .push_bind(self.organization_id)
            .push_bind(self.name.as_str())
            .push_bind(self.description.as_deref())
            .push_bind(self.created_at)
            .push_bind(self.created_by)
            .push_bind(self.updated_by)
            .push_bind(self.updated_at);
    }
}

impl KpiRow {
    pub(crate) fn bind(&self, mut row: Separated<'_, Sqlite, &'static str>) {
        row.push_bind(self.id)
            .push_bind(self.dataset_id)
            .push_bind(self.position)
            .push_bind(self.name.as_str())
            .push_bind(self.description.as_deref())
            .push_bind(self.unit.as_deref())
            .push_bind(self.value_type)
            .push_bind(self.required)
            .push_bind(self.sort_order)
            .push_bind(self.created_at)
            .push_bind(self.updated_at);
    }

    fn plain(self) -> Kpi {
        Kpi {
            id: self.id,
            name: self.name,
            sort_order: self.sort_order,
            created_at: time(self.created_at),
            description: self.description,
            unit: self.unit,
            value_type: ValueType::ALL[usize::try_from(self.value_type).unwrap()],
            required: self.required,
            updated_at: self.updated_at.map(time),
        }
    }
}

/// The rows for a request, the KPIs in display order.
pub(crate) fn rows(new: &NewDataset, now: i64) -> (DatasetRow, Vec<KpiRow>) {
    let dataset = DatasetRow {
        id: Uuid::now_v7(),
        organization_id: ORGANIZATION,
        name: new.name.clone(),
        description: new.description.clone(),
        created_at: now,
        created_by: None,
        updated_by: None,
        updated_at: None,
    };
    let mut kpis: Vec<KpiRow> = (0..)
        .zip(&new.kpis)
        .map(|(position, new)| KpiRow {
            id: Uuid::now_v7(),
            dataset_id: dataset.id,
            position,
            name: new.name.clone(),
            description: new.description.clone(),
            unit: new.unit.clone(),
            value_type: new.value_type as i32,
            required: new.required,
            sort_order: new.sort_order,
            created_at: now,
            updated_at: None,
        })
        .collect();
    kpis.sort_by_key(|kpi| kpi.sort_order);
    (dataset, kpis)
}

/// The dataset of these rows.
pub(crate) fn plain(dataset: DatasetRow, kpis: Vec<KpiRow>) -> Dataset {
    Dataset {
        id: dataset.id,
        organization_id: dataset.organization_id,
        name: dataset.name,
        created_at: time(dataset.created_at),
        description: dataset.description,
        created_by: dataset.created_by,
        updated_by: dataset.updated_by,
        updated_at: dataset.updated_at.map(time),
        kpis: kpis.into_iter().map(KpiRow::plain).collect(),
    }
}
