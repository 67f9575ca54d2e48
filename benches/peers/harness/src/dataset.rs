//! Datasets as the checks compare them, and as peers without types of their own return them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use chrono::{DateTime, SubsecRound, Utc};
use kpi_store::{NewDataset, NewKpi, ValueType};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ORGANIZATION;

/// A stored dataset, with the fields of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dataset {
    /// A UUIDv7: ids rise in the order of creation.
    pub id: Uuid,
    /// [`ORGANIZATION`].
    pub organization_id: Uuid,
    /// 1 to 255 code points.
    pub name: String,
    /// UTC, whole microseconds.
    pub created_at: DateTime<Utc>,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// `None` in the benchmark.
    pub created_by: Option<Uuid>,
    /// `None` in the benchmark.
    pub updated_by: Option<Uuid>,
    /// `None` until the first change.
    pub updated_at: Option<DateTime<Utc>>,
    /// In display order: by `sort_order`, and in the order of the request where that is equal.
    pub kpis: Vec<Kpi>,
}

/// A stored KPI, with the fields of the contract other than the id of its dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kpi {
    /// A UUIDv7.
    pub id: Uuid,
    /// 1 to 255 code points.
    pub name: String,
    /// Not negative; need not be unique.
    pub sort_order: i64,
    /// UTC, whole microseconds.
    pub created_at: DateTime<Utc>,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// At most 50 code points.
    pub unit: Option<String>,
    /// The type of its values.
    pub value_type: ValueType,
    /// Whether a value is required.
    pub required: bool,
    /// `None` until the first change.
    pub updated_at: Option<DateTime<Utc>>,
}

/// A stored dataset without its KPIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// That of the dataset, as are all fields but the last two.
    pub id: Uuid,
    /// [`ORGANIZATION`].
    pub organization_id: Uuid,
    /// 1 to 255 code points.
    pub name: String,
    /// UTC, whole microseconds.
    pub created_at: DateTime<Utc>,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// `None` in the benchmark.
    pub created_by: Option<Uuid>,
    /// `None` in the benchmark.
    pub updated_by: Option<Uuid>,
    /// `None` until the first change.
    pub updated_at: Option<DateTime<Utc>>,
    /// How many KPIs it has.
    pub kpi_count: u32,
    /// How many of them are required.
    pub required_count: u32,
}

/// The time now, in whole microseconds.
#[must_use]
pub fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now()).trunc_subsecs(6)
}

impl Dataset {
    /// The dataset that is to be stored for this request, with fresh ids and its KPIs in display order.
    #[must_use]
    pub fn new(new: &NewDataset, now: DateTime<Utc>) -> Self {
        let mut kpis: Vec<Kpi> = new.kpis.iter().map(|kpi| Kpi::new(kpi, now)).collect();
        // Stable: the order of the request breaks ties.
        kpis.sort_by_key(|kpi| kpi.sort_order);
        Self {
            id: Uuid::now_v7(),
            organization_id: ORGANIZATION,
            name: new.name.clone(),
            created_at: now,
            description: new.description.clone(),
            created_by: None,
            updated_by: None,
            updated_at: None,
            kpis,
        }
    }

    /// The numbers of its KPIs: of all, and of those that are required.
    ///
    /// # Panics
    ///
    /// With more KPIs than a `u32` can count.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        let count = |count| u32::try_from(count).unwrap();
        (count(self.kpis.len()), count(self.kpis.iter().filter(|kpi| kpi.required).count()))
    }

    /// The same without its KPIs, as a list shows it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let (kpi_count, required_count) = self.counts();
        Summary {
            id: self.id,
            organization_id: self.organization_id,
            name: self.name.clone(),
            created_at: self.created_at,
            description: self.description.clone(),
            created_by: self.created_by,
            updated_by: self.updated_by,
            updated_at: self.updated_at,
            kpi_count,
            required_count,
        }
    }

    /// Gives a KPI another name at this time.
    ///
    /// # Panics
    ///
    /// If it has no such KPI.
    pub fn rename_kpi(&mut self, id: Uuid, name: &str, now: DateTime<Utc>) {
        let kpi = self.kpis.iter_mut().find(|kpi| kpi.id == id).expect("the KPI");
        name.clone_into(&mut kpi.name);
        kpi.updated_at = Some(now);
        self.updated_at = Some(now);
    }

    /// Whether it is what this request asks for, in display order.
    #[must_use]
    pub fn is_answer_to(&self, new: &NewDataset) -> bool {
        let mut asked: Vec<&NewKpi> = new.kpis.iter().collect();
        asked.sort_by_key(|kpi| kpi.sort_order);
        self.organization_id == ORGANIZATION
            && (&self.name, &self.description) == (&new.name, &new.description)
            && (self.created_by, self.updated_by, self.updated_at) == (None, None, None)
            && self.kpis.len() == asked.len()
            && self.kpis.iter().zip(asked).all(|(kpi, asked)| kpi.is_answer_to(asked, self.created_at))
    }

    /// A hash of what was asked for: of everything but ids and times, which differ from peer to peer.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.name, &self.description).hash(&mut hasher);
        for kpi in &self.kpis {
            (&kpi.name, &kpi.description, &kpi.unit).hash(&mut hasher);
            (kpi.value_type, kpi.required, kpi.sort_order).hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Kpi {
    fn new(new: &NewKpi, now: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::now_v7(),
            name: new.name.clone(),
            sort_order: new.sort_order,
            created_at: now,
            description: new.description.clone(),
            unit: new.unit.clone(),
            value_type: new.value_type,
            required: new.required,
            updated_at: None,
        }
    }

    fn is_answer_to(&self, new: &NewKpi, created_at: DateTime<Utc>) -> bool {
        (&self.name, &self.description, &self.unit) == (&new.name, &new.description, &new.unit)
            && (self.value_type, self.required, self.sort_order) == (new.value_type, new.required, new.sort_order)
            && (self.created_at, self.updated_at) == (created_at, None)
    }
}
