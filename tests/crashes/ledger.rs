//! What a child acknowledged, and what a new process finds in the file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use kpi_store::{Dataset, DatasetId, DatasetQuery, NewDataset, NewKpi, Organization, Store, ValueType};

use crate::child::{self, Child, Order, Random};

/// A batch of requests that carry in their names what a whole one looks like: batch, place, size, KPIs.
pub(crate) fn batch(random: &mut Random) -> Vec<NewDataset> {
    let size = if random.below(2) == 0 { 1 } else { 2 + random.below(11) };
    let batch = DatasetId::new();
    (0..size).map(|place| request(random, batch, place, size)).collect()
}

pub(crate) fn request(random: &mut Random, batch: DatasetId, place: u64, size: u64) -> NewDataset {
    // Mostly few, sometimes as many as are allowed.
    let count = match random.below(10) {
        0 => random.below(101),
        1 => 0,
        _ => random.below(9),
    };
    let kpi = |index| {
        let value_type = ValueType::ALL[usize::try_from(random.below(5)).unwrap()];
        let sort_order = i64::try_from(random.below(4)).unwrap();
        NewKpi::new(format!("KPI {index}")).unit("m³").value_type(value_type).sort_order(sort_order)
    };
    NewDataset::new(format!("{batch} {place} {size} {count}")).kpis((0..count).map(kpi))
}

/// Creates a batch, by the call for one or the call for many, and says so once it is acknowledged.
pub(crate) fn create_and_say(organization: &Organization, mut batch: Vec<NewDataset>) {
    let created = match batch.len() {
        1 => vec![organization.create_dataset(batch.remove(0)).unwrap()],
        _ => organization.create_datasets(batch).unwrap(),
    };
    child::say(created.iter().map(acknowledgement));
}

pub(crate) fn acknowledgement(dataset: &Dataset) -> String {
    format!("created {} {:016x}", dataset.id, fingerprint(dataset))
}

/// Of everything in it: two datasets of one fingerprint are equal.
fn fingerprint(dataset: &Dataset) -> u64 {
    twox_hash::XxHash3_64::oneshot(&serde_json::to_vec(dataset).unwrap())
}

/// The part of the new process: it says everything that is in the file, and what `verify` finds.
pub(crate) fn read(order: &Order, read_only: bool) {
    let store = Store::options().read_only(read_only).open(&order.file).unwrap();
    for organization in store.organizations().unwrap() {
        let organization = store.organization(organization);
        for dataset in organization.iter_datasets(&DatasetQuery::new()) {
            let dataset = dataset.unwrap();
            assert_eq!(organization.dataset(dataset.id).unwrap().as_ref(), Some(&dataset), "a read is as the listing");
            let (id, kpis) = (dataset.id, dataset.kpis.len());
            child::say([format!("holds {id} {:016x} {kpis} {}", fingerprint(&dataset), dataset.name)]);
        }
    }
    let verification = store.verify().unwrap();
    assert!(verification.is_whole(), "{:?}", verification.findings);
    store.close().unwrap();
    child::say([format!("whole {} {}", verification.datasets, verification.kpis)]);
}

/// What was acknowledged: id and fingerprint.
#[derive(Clone, Default)]
pub(crate) struct Ledger(pub(crate) HashMap<String, String>);

impl Ledger {
    /// Notes the acknowledgements among the lines that a child said.
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
    /// Acknowledged, and not there or not equal.
    pub(crate) lost: usize,
    /// Batches and datasets that are there in part.
    pub(crate) partial: usize,
    /// Whole batches that are there without having been acknowledged.
    pub(crate) unsaid: usize,
}

/// Lets a new process read the file by `part`; an error if it cannot be opened, read or verified.
pub(crate) fn judge(test: &str, part: &str, file: &Path, ledger: &Ledger) -> Result<Verdict, String> {
    let said = Child::start(test, part, file, 0).end()?;
    let mut verdict = Verdict::default();
    let mut found = HashMap::new();
    // Of each batch: its size, how many of it are there, and how many were acknowledged.
    let mut batches: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut totals = None;
    for line in &said {
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
            _ => panic!("the reader said {line:?}"),
        }
    }
    verdict.lost = ledger.0.iter().filter(|(id, hash)| found.get(id.as_str()) != Some(&hash.as_str())).count();
    verdict.partial += batches.values().filter(|(wanted, there, _)| wanted != there).count();
    verdict.unsaid = batches.values().filter(|(_, _, acknowledged)| *acknowledged == 0).count();
    // The second eye finds the file sound and counts the same.
    let counts = second_eye(file);
    if counts == totals { Ok(verdict) } else { Err(format!("plain SQLite counts {counts:?}, the reader {totals:?}")) }
}

/// What plain SQLite counts, if it finds the file sound.
fn second_eye(file: &Path) -> Option<(i64, i64)> {
    let plain = rusqlite::Connection::open(file).unwrap();
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let counts = "SELECT (SELECT count(*) FROM dataset), (SELECT count(*) FROM kpi)";
    let counts = plain.query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    (check == "ok").then_some(counts)
}
