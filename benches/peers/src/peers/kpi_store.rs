//! The crate by its public API.

use std::path::Path;

use kpi_store::{
    Cursor, DatasetPatch, DatasetQuery, DatasetSummary, Durability, Error, KpiPatch, LoadOptions, NewDataset, NewKpi,
    Organization, Page, Store, Violations,
};
use kpi_store_peers_harness::{Dataset, Kpi, ORGANIZATION, Peer, Summary};
use uuid::Uuid;

pub(crate) struct KpiStore {
    store: Store,
    organization: Organization,
}

impl KpiStore {
    /// Adds a valid KPI to a dataset.
    pub(crate) fn add_kpi(&self, dataset: Uuid, new: &NewKpi) {
        self.organization.create_kpi(dataset.into(), new.clone()).unwrap();
    }
}

impl Peer for KpiStore {
    type Stored = kpi_store::Dataset;
    type Summary = DatasetSummary;
    type Cursor = Cursor;

    fn open(folder: &Path, durability: Durability) -> Self {
        let store = Store::options().durability(durability).open(folder.join("kpis.db")).unwrap();
        let organization = store.organization(ORGANIZATION.into());
        Self { store, organization }
    }

    fn close(self) {
        self.store.close().unwrap();
    }

    fn create(&self, new: &NewDataset) -> Result<Self::Stored, Violations> {
        self.organization.create_dataset(new.clone()).map_err(violations)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Self::Stored>, Violations> {
        self.organization.create_datasets(new.iter().cloned()).map_err(violations)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        let options = match u32::try_from(batch) {
            Ok(batch) => LoadOptions::new().in_batches_of(batch),
            Err(_) => LoadOptions::new(),
        };
        self.organization.load_datasets(new, options).unwrap().datasets
    }

    fn get(&self, id: Uuid) -> Option<Self::Stored> {
        self.organization.dataset(id.into()).unwrap()
    }

    fn list(&self) -> Vec<Self::Stored> {
        self.organization.iter_datasets(&DatasetQuery::new().limit(1_000)).map(Result::unwrap).collect()
    }

    fn page(&self, after: Option<&Cursor>, limit: usize) -> (Vec<Self::Stored>, Option<Cursor>) {
        let Page { items, next, .. } = self.organization.datasets(&query(after, limit)).unwrap();
        (items, next)
    }

    fn summaries(&self, after: Option<&Cursor>, limit: usize) -> (Vec<DatasetSummary>, Option<Cursor>) {
        let Page { items, next, .. } = self.organization.summaries(&query(after, limit)).unwrap();
        (items, next)
    }

    fn count(&self) -> u64 {
        self.organization.count_datasets(&DatasetQuery::new()).unwrap()
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Self::Stored, Violations> {
        let patch = DatasetPatch::new().update_kpi(kpi.into(), KpiPatch::new().name(name));
        self.organization.update_dataset(dataset.into(), patch).map_err(violations)
    }

    fn plain(stored: Self::Stored) -> Dataset {
        let kpi = |kpi: kpi_store::Kpi| {
            assert_eq!(kpi.dataset_id, stored.id);
            Kpi {
                id: kpi.id.into(),
                name: kpi.name,
                sort_order: kpi.sort_order,
                created_at: kpi.created_at,
                description: kpi.description,
                unit: kpi.unit,
                value_type: kpi.value_type,
                required: kpi.required,
                updated_at: kpi.updated_at,
            }
        };
        Dataset {
            id: stored.id.into(),
            organization_id: stored.organization_id.into(),
            name: stored.name,
            created_at: stored.created_at,
            description: stored.description,
            created_by: stored.created_by.map(Uuid::from),
            updated_by: stored.updated_by.map(Uuid::from),
            updated_at: stored.updated_at,
            kpis: stored.kpis.into_iter().map(kpi).collect(),
        }
    }

    fn plain_summary(summary: DatasetSummary) -> Summary {
        Summary {
            id: summary.id.into(),
            organization_id: summary.organization_id.into(),
            name: summary.name,
            created_at: summary.created_at,
            description: summary.description,
            created_by: summary.created_by.map(Uuid::from),
            updated_by: summary.updated_by.map(Uuid::from),
            updated_at: summary.updated_at,
            kpi_count: summary.kpi_count,
            required_count: summary.required_count,
        }
    }
}

fn query(after: Option<&Cursor>, limit: usize) -> DatasetQuery {
    let query = DatasetQuery::new().limit(u32::try_from(limit).unwrap());
    match after {
        Some(cursor) => query.after(cursor),
        None => query,
    }
}

fn violations(error: Error) -> Violations {
    match error {
        Error::Invalid(violations) => violations,
        error => panic!("{error}"),
    }
}
