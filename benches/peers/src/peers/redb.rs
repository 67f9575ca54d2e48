//! redb: a table of datasets, a transaction for each write.
//!
//! `Full` is its default, `Durability::Immediate`: `commit` returns after the sync. `Normal` is `Durability::None`,
//! which keeps commits in memory until one is immediate, here that of closing. It promises less than the other peers'
//! `Normal`: a process that is killed loses them too.

use std::ops::Bound;
use std::path::Path;

use kpi_store_peers_harness::{
    Dataset, Durability, NewDataset, ORGANIZATION, Peer, Summary, Violations, validate_name,
};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use uuid::Uuid;

use super::record::{Head, Record, now};

/// The ids of the organization and of the dataset, as big-endian integers.
type Key = (u128, u128);

const DATASETS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("dataset");

pub(crate) struct Redb {
    database: Database,
    durability: redb::Durability,
}

impl Redb {
    /// Runs `work` in a transaction.
    fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> T) -> T {
        let mut transaction = self.database.begin_write().unwrap();
        transaction.set_durability(self.durability).unwrap();
        let done = work(&transaction);
        transaction.commit().unwrap();
        done
    }

    fn insert(&self, records: &[Record]) {
        self.write(|transaction| {
            let mut table = transaction.open_table(DATASETS).unwrap();
            for record in records {
                table.insert(key(record.head.id), record.encoded().as_slice()).unwrap();
            }
        });
    }

    fn read(&self) -> ReadTransaction {
        self.database.begin_read().unwrap()
    }

    /// The values after a key, each given to `decoded` with its id, and the id after which the next page starts.
    fn page<T>(
        &self,
        after: Option<&Uuid>,
        limit: usize,
        decoded: impl Fn(Uuid, &[u8]) -> T,
    ) -> (Vec<T>, Option<Uuid>) {
        let table = self.read().open_table(DATASETS).unwrap();
        let (mut found, mut last) = (Vec::new(), None);
        let start = after.map_or(Bound::Included(key(Uuid::nil())), |after| Bound::Excluded(key(*after)));
        for entry in table.range((start, Bound::Included(key(Uuid::max())))).unwrap() {
            let (key, value) = entry.unwrap();
            if found.len() == limit {
                return (found, last);
            }
            let id = Uuid::from_u128(key.value().1);
            found.push(decoded(id, value.value()));
            last = Some(id);
        }
        (found, None)
    }
}

impl Peer for Redb {
    type Stored = Record;
    type Summary = Head;
    type Cursor = Uuid;

    fn open(folder: &Path, durability: Durability) -> Self {
        let database = Database::create(folder.join("datasets.redb")).unwrap();
        let durability = match durability {
            Durability::Full => redb::Durability::Immediate,
            Durability::Normal => redb::Durability::None,
        };
        let peer = Self { database, durability };
        // Reads of a table that was never opened for writing fail.
        if peer.read().open_table(DATASETS).is_err() {
            peer.write(|transaction| drop(transaction.open_table(DATASETS).unwrap()));
        }
        peer
    }

    fn close(mut self) {
        if matches!(self.durability, redb::Durability::None) {
            self.durability = redb::Durability::Immediate;
            self.write(|_| ());
        }
    }

    fn create(&self, new: &NewDataset) -> Result<Record, Violations> {
        new.validate()?;
        let [record] = {
            let records = [Record::new(new, now())];
            self.insert(&records);
            records
        };
        Ok(record)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Record>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        let now = now();
        let records: Vec<_> = new.iter().map(|new| Record::new(new, now)).collect();
        self.insert(&records);
        Ok(records)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        let mut new = new.peekable();
        let mut loaded = 0;
        while new.peek().is_some() {
            loaded += self.write(|transaction| {
                let mut table = transaction.open_table(DATASETS).unwrap();
                let now = now();
                let mut count = 0;
                for new in new.by_ref().take(batch) {
                    new.validate().unwrap();
                    let record = Record::new(&new, now);
                    table.insert(key(record.head.id), record.encoded().as_slice()).unwrap();
                    count += 1;
                }
                count
            });
        }
        loaded
    }

    fn get(&self, id: Uuid) -> Option<Record> {
        let table = self.read().open_table(DATASETS).unwrap();
        let value = table.get(key(id)).unwrap()?;
        Some(Record::decoded(id, value.value()))
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

    /// The number of keys of the organization: the length of the table counts those of all.
    fn count(&self) -> u64 {
        let table = self.read().open_table(DATASETS).unwrap();
        table.range(key(Uuid::nil())..=key(Uuid::max())).unwrap().count() as u64
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Record, Violations> {
        validate_name(name)?;
        Ok(self.write(|transaction| {
            let mut table = transaction.open_table(DATASETS).unwrap();
            let mut record = Record::decoded(dataset, table.get(key(dataset)).unwrap().unwrap().value());
            record.rename_kpi(kpi, name, now());
            table.insert(key(dataset), record.encoded().as_slice()).unwrap();
            record
        }))
    }

    fn plain(record: Record) -> Dataset {
        record.plain()
    }

    fn plain_summary(head: Head) -> Summary {
        head.plain()
    }
}

fn key(id: Uuid) -> Key {
    (ORGANIZATION.as_u128(), id.as_u128())
}
