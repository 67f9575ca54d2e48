//! The controls: a peer with one fault must be found out by the checks, and the same peer without it must pass.

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kpi_store::{Durability, NewDataset, Violations};
use uuid::Uuid;

use crate::dataset::now;
use crate::filled::Filled;
use crate::{Amount, Dataset, Job, Peer, Summary, validate_name};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    LosesAUnit,
    KeepsTheOrderOfTheRequest,
    ReturnsAnotherTimeThanItStores,
    ForgetsTheLastWhenClosed,
    ListsTheNewestFirst,
    EndsPagesEarly,
    CountsKpisWrong,
    CountsDatasetsWrong,
    FindsUnknownIds,
    GivesAnIdTwice,
    AcceptsInvalidRequests,
    StoresAPartOfARefusedBulk,
    AcceptsAnEmptyName,
}

thread_local! {
    /// That of the peers that this thread opens.
    static FAULT: Cell<Fault> = const { Cell::new(Fault::None) };
}

/// A list in memory, written to a file when it is closed.
struct List {
    fault: Fault,
    file: PathBuf,
    datasets: Mutex<Vec<Dataset>>,
}

impl List {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn stored(&self) -> Vec<Dataset> {
        self.datasets.lock().unwrap().clone()
    }

    fn slice(&self, after: Option<&usize>, limit: usize) -> (Vec<Dataset>, Option<usize>) {
        let (stored, start) = (self.stored(), after.copied().unwrap_or(0));
        let end = stored.len().min(start + limit);
        let is_last = end == stored.len() || self.has(Fault::EndsPagesEarly);
        (stored[start..end].to_vec(), (!is_last).then_some(end))
    }
}

impl Peer for List {
    type Stored = Dataset;
    type Summary = Summary;
    type Cursor = usize;

    fn open(folder: &Path, _durability: Durability) -> Self {
        let file = folder.join("list.json");
        let datasets = fs::read(&file).map(|json| serde_json::from_slice(&json).unwrap()).unwrap_or_default();
        Self { fault: FAULT.get(), file, datasets: Mutex::new(datasets) }
    }

    fn close(self) {
        let mut stored = self.stored();
        if self.has(Fault::ForgetsTheLastWhenClosed) {
            stored.pop();
        }
        fs::write(&self.file, serde_json::to_vec(&stored).unwrap()).unwrap();
    }

    fn create(&self, new: &NewDataset) -> Result<Dataset, Violations> {
        if !self.has(Fault::AcceptsInvalidRequests) {
            new.validate()?;
        }
        let mut created = Dataset::new(new, now());
        if self.has(Fault::KeepsTheOrderOfTheRequest) {
            created.kpis.sort_by_key(|kpi| kpi.id);
        }
        if self.has(Fault::LosesAUnit) {
            created.kpis[0].unit = None;
        }
        let mut stored = self.datasets.lock().unwrap();
        if self.has(Fault::GivesAnIdTwice) {
            created.id = Uuid::nil();
        }
        stored.push(created.clone());
        if self.has(Fault::ReturnsAnotherTimeThanItStores) {
            created.created_at -= chrono::TimeDelta::microseconds(1);
            created.kpis.iter_mut().for_each(|kpi| kpi.created_at = created.created_at);
        }
        Ok(created)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Dataset>, Violations> {
        if !self.has(Fault::StoresAPartOfARefusedBulk) {
            new.iter().try_for_each(NewDataset::validate)?;
        }
        new.iter().map(|new| self.create(new)).collect()
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, _batch: usize) -> u64 {
        let created: Vec<_> = new.map(|new| self.create(&new).unwrap()).collect();
        created.len() as u64
    }

    fn get(&self, id: Uuid) -> Option<Dataset> {
        let stored = self.stored();
        let place = stored.iter().position(|dataset| dataset.id == id);
        if self.has(Fault::FindsUnknownIds) {
            stored.into_iter().nth(place.unwrap_or(0))
        } else {
            Some(stored[place?].clone())
        }
    }

    fn list(&self) -> Vec<Dataset> {
        let mut stored = self.stored();
        if self.has(Fault::ListsTheNewestFirst) {
            stored.reverse();
        }
        stored
    }

    fn page(&self, after: Option<&usize>, limit: usize) -> (Vec<Dataset>, Option<usize>) {
        self.slice(after, limit)
    }

    fn summaries(&self, after: Option<&usize>, limit: usize) -> (Vec<Summary>, Option<usize>) {
        let (datasets, next) = self.slice(after, limit);
        let mut summaries: Vec<Summary> = datasets.iter().map(Dataset::summary).collect();
        if self.has(Fault::CountsKpisWrong) {
            summaries[0].required_count += 1;
        }
        (summaries, next)
    }

    fn count(&self) -> u64 {
        self.stored().len() as u64 + u64::from(self.has(Fault::CountsDatasetsWrong))
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Dataset, Violations> {
        if !self.has(Fault::AcceptsAnEmptyName) {
            validate_name(name)?;
        }
        let mut stored = self.datasets.lock().unwrap();
        let changed = stored.iter_mut().find(|stored| stored.id == dataset).expect("the dataset");
        changed.rename_kpi(kpi, name, now());
        Ok(changed.clone())
    }

    fn plain(stored: Dataset) -> Dataset {
        stored
    }

    fn plain_summary(summary: Summary) -> Summary {
        summary
    }
}

fn passes(fault: Fault) -> bool {
    FAULT.set(fault);
    let within = tempfile::tempdir().unwrap();
    catch_unwind(AssertUnwindSafe(|| {
        Filled::<List>::new(Job::Get, Amount::Little, Durability::Full, within.path()).reopened();
    }))
    .is_ok()
}

#[test]
fn a_peer_without_a_fault_passes() {
    assert!(passes(Fault::None));
}

#[test]
fn every_fault_is_found() {
    for fault in [
        Fault::LosesAUnit,
        Fault::KeepsTheOrderOfTheRequest,
        Fault::ReturnsAnotherTimeThanItStores,
        Fault::ForgetsTheLastWhenClosed,
        Fault::ListsTheNewestFirst,
        Fault::EndsPagesEarly,
        Fault::CountsKpisWrong,
        Fault::CountsDatasetsWrong,
        Fault::FindsUnknownIds,
        Fault::GivesAnIdTwice,
        Fault::AcceptsInvalidRequests,
        Fault::StoresAPartOfARefusedBulk,
        Fault::AcceptsAnEmptyName,
    ] {
        assert!(!passes(fault), "{fault:?} was not found");
    }
}
