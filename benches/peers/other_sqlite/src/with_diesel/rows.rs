//! The rows of the two tables, and how diesel reads and writes them.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Binary;
use diesel::sqlite::Sqlite;
use kpi_store_peers_harness::{Dataset, Kpi, NewDataset, ORGANIZATION, Summary, ValueType};
use uuid::Uuid;

use crate::time;

diesel::table! {
    dataset (id) {
        id -> Binary,
        organization_id -> Binary,
        name -> Text,
        description -> Nullable<Text>,
        created_at -> BigInt,
        created_by -> Nullable<Binary>,
        updated_by -> Nullable<Binary>,
        updated_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    kpi (id) {
        id -> Binary,
        dataset_id -> Binary,
        position -> Integer,
        name -> Text,
        description -> Nullable<Text>,
        unit -> Nullable<Text>,
        value_type -> Integer,
        required -> Bool,
        sort_order -> BigInt,
        created_at -> BigInt,
        updated_at -> Nullable<BigInt>,
    }
}

diesel::joinable!(kpi -> dataset (dataset_id));
diesel::allow_tables_to_appear_in_same_query!(dataset, kpi);

/// A UUID as its 16 bytes: diesel has a type for it on `PostgreSQL` only.
#[derive(AsExpression, FromSqlRow, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[diesel(sql_type = Binary)]
pub(crate) struct Id(pub(crate) Uuid);

impl ToSql<Binary, Sqlite> for Id {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        <[u8] as ToSql<Binary, Sqlite>>::to_sql(self.0.as_bytes(), out)
    }
}

impl FromSql<Binary, Sqlite> for Id {
    fn from_sql(mut value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Uuid::from_slice(value.read_blob())?))
    }
}

/// A row of `dataset`.
#[derive(Queryable, Selectable, Insertable, Identifiable, Clone, Debug)]
#[diesel(table_name = dataset, check_for_backend(Sqlite), treat_none_as_default_value = false)]
pub(crate) struct DatasetRow {
    pub(crate) id: Id,
    pub(crate) organization_id: Id,
    name: String,
    description: Option<String>,
    created_at: i64,
    created_by: Option<Id>,
    updated_by: Option<Id>,
    pub(crate) updated_at: Option<i64>,
}

/// A row of `kpi`.
#[derive(Queryable, Selectable, Insertable, Identifiable, Associations, Clone, Debug)]
#[diesel(table_name = kpi, check_for_backend(Sqlite), treat_none_as_default_value = false)]
#[diesel(belongs_to(DatasetRow, foreign_key = dataset_id))]
pub(crate) struct KpiRow {
    pub(crate) id: Id,
    dataset_id: Id,
    /// Its place in the request, which breaks ties of `sort_order`.
    pub(crate) position: i32,
    name: String,
    description: Option<String>,
    unit: Option<String>,
    value_type: i32,
    required: bool,
    pub(crate) sort_order: i64,
    created_at: i64,
    updated_at: Option<i64>,
}

/// The rows for a request, the KPIs in display order.
pub(crate) fn rows(new: &NewDataset, now: i64) -> (DatasetRow, Vec<KpiRow>) {
    let dataset = DatasetRow {
        id: Id(Uuid::now_v7()),
        organization_id: Id(ORGANIZATION),
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
            id: Id(Uuid::now_v7()),
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
        id: dataset.id.0,
        organization_id: dataset.organization_id.0,
        name: dataset.name,
        created_at: time(dataset.created_at),
        description: dataset.description,
        created_by: dataset.created_by.map(|id| id.0),
        updated_by: dataset.updated_by.map(|id| id.0),
        updated_at: dataset.updated_at.map(time),
        kpis: kpis.into_iter().map(KpiRow::plain).collect(),
    }
}

/// The summary of these.
pub(crate) fn plain_summary(dataset: DatasetRow, kpi_count: u32, required_count: u32) -> Summary {
    Summary { kpi_count, required_count, ..plain(dataset, Vec::new()).summary() }
}

impl KpiRow {
    fn plain(self) -> Kpi {
        Kpi {
            id: self.id.0,
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

/// The time now, as it is stored.
pub(crate) fn now() -> i64 {
    kpi_store_peers_harness::dataset::now().timestamp_micros()
}
