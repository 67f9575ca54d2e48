//! fjall: a keyspace of datasets, a batch for each write.
//!
//! `Full` commits a batch with `PersistMode::SyncAll`: the journal was synced when `commit` returns. `Normal` commits
//! it with `PersistMode::Buffer`, the default of its single inserts: a process that is killed loses nothing. All or
//! nothing is one batch, which it keeps in memory.

use std::path::Path;
use std::sync::Mutex;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use kpi_store_peers_harness::{
    Dataset, Durability, NewDataset, ORGANIZATION, Peer, Summary, Violations, validate_name,
};
use uuid::Uuid;

use super::record::{Head, Record, now};

pub(crate) struct Fjall {
    database: Database,
    datasets: Keyspace,
    mode: PersistMode,
    /// A read followed by a write is no transaction in fjall: a lock keeps two of them apart.
    change: Mutex<()>,
}

impl Fjall {
    fn insert<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        let mut batch = self.database.batch().durability(Some(self.mode));
        for record in records {
            batch.insert(&self.datasets, key(record.head.id), record.encoded());
        }
        batch.commit().unwrap();
    }

    /// The values after a key, each given to `decoded` with its id, and the id after which the next page starts.
    fn page<T>(
        &self,
        after: Option<&Uuid>,
        limit: usize,
        decoded: impl Fn(Uuid, &[u8]) -> T,
    ) -> (Vec<T>, Option<Uuid>) {
        let (mut found, mut last) = (Vec::new(), None);
        // No id is nil.
        let start = after.copied().unwrap_or(Uuid::nil());
        let range = (std::ops::Bound::Excluded(key(start)), std::ops::Bound::Included(key(Uuid::max())));
        for entry in self.datasets.range(range) {
            if found.len() == limit {
                return (found, last);
            }
            let (key, value) = entry.into_inner().unwrap();
            let id = Uuid::from_slice(&key[16..]).unwrap();
            found.push(decoded(id, &value));
            last = Some(id);
        }
        (found, None)
    }
}

impl Peer for Fjall {
    type Stored = Record;
    type Summary = Head;
    type Cursor = Uuid;

    fn open(folder: &Path, durability: Durability) -> Self {
        let database = Database::builder(folder.join("fjall")).open().unwrap();
        let datasets = database.keyspace("dataset", KeyspaceCreateOptions::default).unwrap();
        let mode = match durability {
            Durability::Full => PersistMode::SyncAll,
            Durability::Normal => PersistMode::Buffer,
        };
        Self { database, datasets, mode, change: Mutex::new(()) }
    }

    fn close(self) {
        self.database.persist(PersistMode::SyncAll).unwrap();
    }

    fn create(&self, new: &NewDataset) -> Result<Record, Violations> {
        new.validate()?;
        let record = Record::new(new, now());
        self.insert(std::iter::once(&record));
        Ok(record)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Record>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        let now = now();
        let records: Vec<_> = new.iter().map(|new| Record::new(new, now)).collect();
        self.insert(records.iter());
        Ok(records)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        let mut new = new.peekable();
        let mut loaded = 0;
        while new.peek().is_some() {
            let now = now();
            let mut records = self.database.batch().durability(Some(self.mode));
            for new in new.by_ref().take(batch) {
                new.validate().unwrap();
                let record = Record::new(&new, now);
                records.insert(&self.datasets, key(record.head.id), record.encoded());
            }
            loaded += records.len() as u64;
            records.commit().unwrap();
        }
        loaded
    }

    fn get(&self, id: Uuid) -> Option<Record> {
        let value = self.datasets.get(key(id)).unwrap()?;
        Some(Record::decoded(id, &value))
    }

    fn list(&self) -> Vec<Record> {
        self.page(None, usize::MAX, Record::decoded).0
    }

    fn page(&self, after: Option<&Uuid>, limit: usize) -> (Vec<Record>, Option<Uuid>) {
        self.page(after, limit, Record::decoded)
    }

    fn summaries(&self, after: Option<&Uuid>, limit: usize) -> (Vec<Head>, Option<Uuid>) {
        self.page(after, limit, Head::decoded)
    }

    /// The number of keys of the organization: it has no count of its own that is exact.
    fn count(&self) -> u64 {
        self.datasets
            .prefix(ORGANIZATION.as_bytes())
            .map(|entry| entry.key().map(|_| 1))
            .sum::<fjall::Result<u64>>()
            .unwrap()
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Record, Violations> {
        validate_name(name)?;
        let _change = self.change.lock().unwrap();
        let mut record = self.get(dataset).unwrap();
        record.rename_kpi(kpi, name, now());
        self.insert(std::iter::once(&record));
        Ok(record)
    }

    fn plain(record: Record) -> Dataset {
        record.plain()
    }

    fn plain_summary(head: Head) -> Summary {
        head.plain()
    }
}

fn key(id: Uuid) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(ORGANIZATION.as_bytes());
    key[16..].copy_from_slice(id.as_bytes());
    key
}
