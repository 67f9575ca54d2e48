//! The records that redb and fjall store: a value for each dataset, with its KPIs, encoded by postcard.
//!
//! The key is the id of the organization followed by that of the dataset, a UUIDv7, so the order of keys is the order
//! of creation. The head comes first in a value and has the numbers of KPIs, so a summary is read without decoding
//! them.

use chrono::{DateTime, Utc};
use kpi_store_peers_harness::{Dataset, Kpi, NewDataset, ORGANIZATION, Summary, ValueType};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A stored dataset without its KPIs.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    /// Not in the value, as it is in the key.
    #[serde(skip)]
    pub(super) id: Uuid,
    kpi_count: u32,
    required_count: u32,
    name: String,
    description: Option<String>,
    created_at: i64,
    created_by: Option<Uuid>,
    updated_by: Option<Uuid>,
    updated_at: Option<i64>,
}

/// A stored KPI.
#[derive(Serialize, Deserialize)]
pub(crate) struct KpiRecord {
    #[serde(with = "uuid::serde::compact")]
    id: Uuid,
    name: String,
    description: Option<String>,
    unit: Option<String>,
    value_type: u8,
    required: bool,
    sort_order: i64,
    created_at: i64,
    updated_at: Option<i64>,
}

/// A stored dataset, its KPIs in display order.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) head: Head,
    kpis: Vec<KpiRecord>,
}

impl Record {
    /// For a request that was validated.
    pub(super) fn new(new: &NewDataset, now: i64) -> Self {
        let mut kpis: Vec<_> = new
            .kpis
            .iter()
            .map(|new| KpiRecord {
                id: Uuid::now_v7(),
                name: new.name.clone(),
                description: new.description.clone(),
                unit: new.unit.clone(),
                value_type: new.value_type as u8,
                required: new.required,
                sort_order: new.sort_order,
                created_at: now,
                updated_at: None,
            })
            .collect();
        // Stable: the order of the request breaks ties.
        kpis.sort_by_key(|kpi| kpi.sort_order);
        let count = |count| u32::try_from(count).unwrap();
        let head = Head {
            id: Uuid::now_v7(),
            kpi_count: count(kpis.len()),
            required_count: count(kpis.iter().filter(|kpi| kpi.required).count()),
            name: new.name.clone(),
            description: new.description.clone(),
            created_at: now,
            created_by: None,
            updated_by: None,
            updated_at: None,
        };
        Self { head, kpis }
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap()
    }

    pub(super) fn decoded(id: Uuid, value: &[u8]) -> Self {
        let mut record: Self = postcard::from_bytes(value).unwrap();
        record.head.id = id;
        record
    }

    pub(super) fn rename_kpi(&mut self, id: Uuid, name: &str, now: i64) {
        let kpi = self.kpis.iter_mut().find(|kpi| kpi.id == id).unwrap();
        name.clone_into(&mut kpi.name);
        kpi.updated_at = Some(now);
        self.head.updated_at = Some(now);
    }

    pub(super) fn plain(self) -> Dataset {
        let summary = self.head.plain();
        Dataset {
            id: summary.id,
            organization_id: summary.organization_id,
            name: summary.name,
            created_at: summary.created_at,
            description: summary.description,
            created_by: summary.created_by,
            updated_by: summary.updated_by,
            updated_at: summary.updated_at,
            kpis: self.kpis.into_iter().map(KpiRecord::plain).collect(),
        }
    }
}

impl Head {
    /// Of a value, without decoding the rest of it.
    pub(super) fn decoded(id: Uuid, value: &[u8]) -> Self {
        let (head, _): (Self, _) = postcard::take_from_bytes(value).unwrap();
        Self { id, ..head }
    }

    pub(super) fn plain(self) -> Summary {
        Summary {
            id: self.id,
            organization_id: ORGANIZATION,
            name: self.name,
            created_at: time(self.created_at),
            description: self.description,
            created_by: self.created_by,
            updated_by: self.updated_by,
            updated_at: self.updated_at.map(time),
            kpi_count: self.kpi_count,
            required_count: self.required_count,
        }
    }
}

impl KpiRecord {
    fn plain(self) -> Kpi {
        Kpi {
            id: self.id,
            name: self.name,
            sort_order: self.sort_order,
            created_at: time(self.created_at),
            description: self.description,
            unit: self.unit,
            value_type: ValueType::ALL[usize::from(self.value_type)],
            required: self.required,
            updated_at: self.updated_at.map(time),
        }
    }
}

/// The time now, as it is stored: in microseconds.
pub(super) fn now() -> i64 {
    kpi_store_peers_harness::dataset::now().timestamp_micros()
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}
