//! The best hand-written rusqlite for the crate's own file format, with validation. All figures are ratios to it.
//!
//! It is the floor of `benches/against_sql`. It opens files that the crate has created.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use kpi_store::Store;
use kpi_store_peers_harness::{
    Dataset, Durability, Kpi, NewDataset, NewKpi, ORGANIZATION, Peer, Summary, ValueType, Violations, validate_name,
};
use uuid::Uuid;

use crate::floor::{self, change, read, write};

pub(crate) struct Floor(Mutex<floor::Floor>);

impl Floor {
    fn lock(&self) -> MutexGuard<'_, floor::Floor> {
        self.0.lock().unwrap()
    }

    /// Adds a valid KPI to a dataset.
    pub(crate) fn add_kpi(&self, dataset: Uuid, new: &NewKpi) {
        new.validate().unwrap();
        change::add_kpi(&self.lock(), ORGANIZATION, dataset, new);
    }
}

impl Peer for Floor {
    type Stored = floor::Dataset;
    type Summary = read::Summary;
    /// The number of the last dataset.
    type Cursor = i64;

    fn open(folder: &Path, durability: Durability) -> Self {
        let file = folder.join("kpis.db");
        if !file.exists() {
            Store::open(&file).unwrap().close().unwrap();
        }
        let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
        Self(Mutex::new(floor::open(&file, synchronous)))
    }

    fn close(self) {}

    fn create(&self, new: &NewDataset) -> Result<Self::Stored, Violations> {
        new.validate()?;
        let mut created = write::create(&self.lock(), ORGANIZATION, std::slice::from_ref(new));
        Ok(created.remove(0))
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Self::Stored>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        Ok(write::create(&self.lock(), ORGANIZATION, new))
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        let validated = new.inspect(|new| new.validate().unwrap());
        write::load(&self.lock(), ORGANIZATION, validated, batch) as u64
    }

    fn get(&self, id: Uuid) -> Option<Self::Stored> {
        read::get(&self.lock(), ORGANIZATION, id)
    }

    fn list(&self) -> Vec<Self::Stored> {
        read::page(&self.lock(), ORGANIZATION, 0, usize::try_from(u32::MAX).unwrap()).0
    }

    fn page(&self, after: Option<&i64>, limit: usize) -> (Vec<Self::Stored>, Option<i64>) {
        read::page(&self.lock(), ORGANIZATION, after.copied().unwrap_or(0), limit)
    }

    fn summaries(&self, after: Option<&i64>, limit: usize) -> (Vec<Self::Summary>, Option<i64>) {
        read::summaries(&self.lock(), ORGANIZATION, after.copied().unwrap_or(0), limit)
    }

    fn count(&self) -> u64 {
        read::count(&self.lock(), ORGANIZATION).unsigned_abs()
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Self::Stored, Violations> {
        validate_name(name)?;
        Ok(change::rename_kpi(&self.lock(), ORGANIZATION, dataset, kpi, name))
    }

    fn plain(stored: Self::Stored) -> Dataset {
        let kpi = |kpi: floor::Kpi| Kpi {
            id: kpi.id,
            name: kpi.name,
            sort_order: kpi.sort_order,
            created_at: time(kpi.created_at),
            description: kpi.description,
            unit: kpi.unit,
            value_type: ValueType::ALL[usize::from(kpi.value_type)],
            required: kpi.required,
            updated_at: kpi.updated_at.map(time),
        };
        Dataset {
            id: stored.id,
            organization_id: ORGANIZATION,
            name: stored.name,
            created_at: time(stored.created_at),
            description: stored.description,
            created_by: stored.created_by,
            updated_by: stored.updated_by,
            updated_at: stored.updated_at.map(time),
            kpis: stored.kpis.into_iter().map(kpi).collect(),
        }
    }

    fn plain_summary((stored, counts): Self::Summary) -> Summary {
        let count = |count| u32::try_from(count).unwrap();
        Summary {
            kpi_count: count(counts.kpis),
            required_count: count(counts.required),
            ..Self::plain(stored).summary()
        }
    }
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}
