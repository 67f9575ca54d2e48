//! The acknowledgements of a child, checked against what a new process finds in the file.
//!
//! This is not the ledger of `tests/support`. The parent learns of a write by its acknowledgement alone, so that the
//! size of a batch that was not acknowledged is known only from the names of the datasets that are found.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use kpi_store::{Dataset, DatasetId, DatasetQuery, NewDataset, NewKpi, Organization, Store, ValueType};

use crate::support::child::{self, Child, Task};
use crate::support::{Random, counts_if_sound};

/// A batch of requests whose names say what a complete one looks like: batch, index, size, KPIs.
pub(crate) fn batch(random: &mut Random) -> Vec<NewDataset> {
    let size = if random.below(2) == 0 { 1 } else { 2 + random.below(11) };
    let batch = DatasetId::new();
    (0..size).map(|place| request(random, batch, place, size)).collect()
}

pub(crate) fn request(random: &mut Random, batch: DatasetId, place: usize, size: usize) -> NewDataset {
    // Mostly few, sometimes up to the limit.
    let count = match random.below(10) {
        0 => random.below(101),
        1 => 0,
        _ => random.below(9),
    };
    let kpi = |index| {
        let value_type = ValueType::ALL[random.below(5)];
        let sort_order = i64::try_from(random.below(4)).unwrap();
        NewKpi::new(format!("KPI {index}")).unit("m³").value_type(value_type).sort_order(sort_order)
    };
    NewDataset::new(format!("{batch} {place} {size} {count}")).kpis((0..count).map(kpi))
}

/// Creates a batch, by the call for one dataset or the call for many, and reports it once it is acknowledged.
pub(crate) fn create_and_report(organization: &Organization, mut batch: Vec<NewDataset>) {
    let created = match batch.len() {
        1 => vec![organization.create_dataset(batch.remove(0)).unwrap()],
        _ => organization.create_datasets(batch).unwrap(),
    };
    child::send(created.iter().map(acknowledgement));
}

pub(crate) fn acknowledgement(dataset: &Dataset) -> String {
    format!("created {} {:016x}", dataset.id, fingerprint(dataset))
}

/// A fingerprint of all fields: two datasets with the same one are equal.
fn fingerprint(dataset: &Dataset) -> u64 {
    twox_hash::XxHash3_64::oneshot(&serde_json::to_vec(dataset).unwrap())
}

/// The task of the new process: it reports everything in the file, in which `verify` must find nothing.
pub(crate) fn read(task: &Task, read_only: bool) {
    let store = Store::options().read_only(read_only).open(&task.file).unwrap();
    for organization in store.organizations().unwrap() {
        let organization = store.organization(organization);
        for dataset in organization.iter_datasets(&DatasetQuery::new()) {
            let dataset = dataset.unwrap();
            assert_eq!(organization.dataset(dataset.id).unwrap().as_ref(), Some(&dataset), "a read is as the listing");
            let (id, kpis) = (dataset.id, dataset.kpis.len());
            child::send([format!("holds {id} {:016x} {kpis} {}", fingerprint(&dataset), dataset.name)]);
        }
    }
    let verification = store.verify().unwrap();
    assert!(verification.is_whole(), "{:?}", verification.findings);
    store.close().unwrap();
    child::send([format!("whole {} {}", verification.datasets, verification.kpis)]);
}

/// The acknowledged datasets: id and fingerprint.
#[derive(Clone, Default)]
pub(crate) struct Ledger(pub(crate) HashMap<String, String>);

impl Ledger {
    /// Notes the acknowledgements among the lines of a child.
    pub(crate) fn note(&mut self, lines: &[String]) {
        let words = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        self.0.extend(words.filter_map(|words| match words[..] {
            ["created", id, fingerprint] => Some((id.to_owned(), fingerprint.to_owned())),
            _ => None,
        }));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How the file differs from the ledger.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Acknowledged, but missing or different.
    pub(crate) lost: usize,
    /// Incomplete batches and datasets.
    pub(crate) partial: usize,
    /// Complete batches that were not acknowledged.
    pub(crate) unsaid: usize,
}

/// Lets a new process read the file in this role; an error if it cannot be opened, read or verified.
pub(crate) fn judge(test: &str, role: &str, file: &Path, ledger: &Ledger) -> Result<Verdict, String> {
    let sent = Child::start(test, role, file, 0).wait()?;
    let mut verdict = Verdict::default();
    let mut found = HashMap::new();
    // For each batch: its size, how many of its datasets were found, and how many acknowledged.
    let mut batches: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut totals = None;
    for line in &sent {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["holds", id, fingerprint, kpis, batch, _place, size, asked] => {
                verdict.partial += usize::from(kpis != asked);
                found.insert(id, fingerprint);
                let (wanted, there, acknowledged) = batches.entry(batch).or_default();
                *wanted = size.parse().unwrap();
                *there += 1;
                *acknowledged += usize::from(ledger.0.contains_key(id));
            }
            ["whole", datasets, kpis] => totals = Some((datasets.parse().unwrap(), kpis.parse().unwrap())),
            _ => panic!("the reader sent {line:?}"),
        }
    }
    verdict.lost = ledger.0.iter().filter(|(id, hash)| found.get(id.as_str()) != Some(&hash.as_str())).count();
    verdict.partial += batches.values().filter(|(wanted, there, _)| wanted != there).count();
    verdict.unsaid = batches.values().filter(|(_, _, acknowledged)| *acknowledged == 0).count();
    let counts = counts_if_sound(file);
    if counts == totals { Ok(verdict) } else { Err(format!("plain SQLite counts {counts:?}, the reader {totals:?}")) }
}
