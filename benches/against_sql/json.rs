//! Jobs with JSON. The floor parses and prints plain structs with `serde_json`.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use kpi_store::{Dataset, Durability, NewDataset, NewKpi, OrganizationId, Store, ValueType};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::floor::{self, write};
use crate::input::{self, Texts};
use crate::jobs::{File, Job, Sides, timed};

pub(crate) fn jobs() -> Vec<Job> {
    vec![
        Job::new("request JSON in to stored, Full", |_| stored(Durability::Full, "FULL", Texts::Short)),
        Job::new("request JSON in to stored, Normal", |_| stored(Durability::Normal, "NORMAL", Texts::Short)),
        Job::new("request JSON with long texts in to stored, Full", |_| stored(Durability::Full, "FULL", Texts::Long)),
        Job::new("request JSON in, parsed alone", |_| parsed()),
        Job::new("response JSON out", |_| printed(Texts::Short)),
        Job::new("response JSON out, long texts", |_| printed(Texts::Long)),
    ]
}

/// A request as a plain struct, which `serde_json` reads without validation.
#[derive(Deserialize)]
struct PlainRequest {
    name: String,
    description: Option<String>,
    #[serde(default)]
    kpis: Vec<PlainRequestKpi>,
}

#[derive(Deserialize)]
struct PlainRequestKpi {
    name: String,
    description: Option<String>,
    unit: Option<String>,
    value_type: String,
    required: bool,
    sort_order: i64,
}

impl PlainRequest {
    fn into_new(self) -> NewDataset {
        let kpi = |plain: PlainRequestKpi| {
            let mut kpi = NewKpi::new(plain.name)
                .value_type(plain.value_type.parse().unwrap())
                .required(plain.required)
                .sort_order(plain.sort_order);
            (kpi.description, kpi.unit) = (plain.description, plain.unit);
            kpi
        };
        let mut new = NewDataset::new(self.name).kpis(self.kpis.into_iter().map(kpi));
        new.description = self.description;
        new
    }
}

fn body(texts: Texts) -> Vec<u8> {
    serde_json::to_vec(&input::datasets(1, 10, texts)[0]).unwrap()
}

fn stored(durability: Durability, synchronous: &'static str, texts: Texts) -> Sides {
    let (body, organization) = (body(texts), Uuid::now_v7());
    let file = File::new();
    let (connection, same) = (floor::open(&file.path, synchronous), body.clone());
    let floor = move |times| {
        let _kept = &file;
        timed(times, || {
            let new = serde_json::from_slice::<PlainRequest>(&same).unwrap().into_new();
            assert_eq!(write::create(&connection, organization, &[new])[0].kpis.len(), 10);
        })
    };
    let file = File::new();
    let store = Store::options().durability(durability).open(&file.path).unwrap().organization(organization.into());
    let store = move |times| {
        let _kept = &file;
        timed(times, || {
            let new = NewDataset::from_json(&body).unwrap();
            assert_eq!(store.create_dataset(new).unwrap().kpis.len(), 10);
        })
    };
    Sides::new(floor, store)
}

fn parsed() -> Sides {
    let body = body(Texts::Short);
    let same = body.clone();
    let floor = move |times| {
        timed(times, || {
            assert_eq!(black_box(serde_json::from_slice::<PlainRequest>(&same)).unwrap().into_new().kpis.len(), 10);
        })
    };
    let store =
        move |times| timed(times, || assert_eq!(black_box(NewDataset::from_json(&body)).unwrap().kpis.len(), 10));
    Sides::new(floor, store)
}

/// A response as a plain struct, with ids and times printed by the serde of their crates.
#[derive(Serialize)]
struct PlainResponse {
    id: Uuid,
    organization_id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    description: Option<String>,
    created_by: Option<Uuid>,
    updated_by: Option<Uuid>,
    updated_at: Option<DateTime<Utc>>,
    kpis: Vec<PlainResponseKpi>,
}

#[derive(Serialize)]
struct PlainResponseKpi {
    id: Uuid,
    dataset_id: Uuid,
    name: String,
    sort_order: i64,
    created_at: DateTime<Utc>,
    description: Option<String>,
    unit: Option<String>,
    #[serde(rename = "value_type")]
    kind: PlainValueType,
    required: bool,
    updated_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum PlainValueType {
    Number,
    Text,
    Percentage,
    Date,
    Boolean,
}

impl From<&Dataset> for PlainResponse {
    fn from(dataset: &Dataset) -> Self {
        let kpi = |kpi: &kpi_store::Kpi| PlainResponseKpi {
            id: kpi.id.into(),
            dataset_id: kpi.dataset_id.into(),
            name: kpi.name.clone(),
            sort_order: kpi.sort_order,
            created_at: kpi.created_at,
            description: kpi.description.clone(),
            unit: kpi.unit.clone(),
            kind: match kpi.value_type {
                ValueType::Number => PlainValueType::Number,
                ValueType::Text => PlainValueType::Text,
                ValueType::Percentage => PlainValueType::Percentage,
                ValueType::Date => PlainValueType::Date,
                ValueType::Boolean => PlainValueType::Boolean,
            },
            required: kpi.required,
            updated_at: kpi.updated_at,
        };
        Self {
            id: dataset.id.into(),
            organization_id: dataset.organization_id.into(),
            name: dataset.name.clone(),
            created_at: dataset.created_at,
            description: dataset.description.clone(),
            created_by: dataset.created_by.map(Uuid::from),
            updated_by: dataset.updated_by.map(Uuid::from),
            updated_at: dataset.updated_at,
            kpis: dataset.kpis.iter().map(kpi).collect(),
        }
    }
}

fn printed(texts: Texts) -> Sides {
    // Six digits of fraction, which chrono prints as this crate does.
    let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
    let store = Store::options().clock(move || time).open_in_memory().unwrap();
    let organization = store.organization(OrganizationId::new());
    let dataset = organization.create_dataset(input::datasets(1, 10, texts).remove(0)).unwrap();
    let plain = PlainResponse::from(&dataset);
    let length = serde_json::to_vec(&dataset).unwrap().len();
    assert_eq!(serde_json::to_string(&dataset).unwrap(), serde_json::to_string(&plain).unwrap());

    let floor = move |times| timed(times, || assert_eq!(black_box(serde_json::to_vec(&plain)).unwrap().len(), length));
    let store =
        move |times| timed(times, || assert_eq!(black_box(serde_json::to_vec(&dataset)).unwrap().len(), length));
    Sides::new(floor, store)
}
