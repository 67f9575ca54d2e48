//! A reader that follows the changes misses none: four threads on two handles write at random, a fifth follows from the
//! start. A call returns every change that was acknowledged to a writer before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use kpi_store::{
    ChangeCursor, ChangeState, Changes, Dataset, DatasetId, DatasetPatch, DatasetQuery, Durability, Error, KpiPatch,
    LoadOptions, NewKpi, Organization, OrganizationId, Store,
};

use crate::support::{Random, TestFile, is_long, listed, request_with_kpis, seed};

/// The state of a dataset, as it was acknowledged to its writer or returned to the reader.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    Present(Box<Dataset>),
    Deleted,
    Purged,
}

/// What the writers were answered.
#[derive(Clone, Default)]
struct Answered {
    /// Each dataset with the number of answers about it.
    datasets: BTreeMap<DatasetId, (usize, Known)>,
    /// The datasets of calls that are not answered yet.
    asked: BTreeSet<DatasetId>,
}

/// A writer, with the datasets that only it changes.
struct Writer<'a> {
    ours: Organization,
    answered: &'a Mutex<Answered>,
    random: Random,
    known: BTreeMap<DatasetId, Known>,
}

impl Writer<'_> {
    /// Runs a call about these datasets, and notes the answer.
    fn call(&mut self, ids: &[DatasetId], call: impl FnOnce(&Organization) -> Vec<Known>) {
        self.answered.lock().unwrap().asked.extend(ids);
        let answers = call(&self.ours);
        assert_eq!(answers.len(), ids.len());
        let mut answered = self.answered.lock().unwrap();
        for (id, known) in ids.iter().zip(answers) {
            answered.asked.remove(id);
            let count = answered.datasets.get(id).map_or(0, |(count, _)| *count);
            answered.datasets.insert(*id, (count + 1, known.clone()));
            self.known.insert(*id, known);
        }
    }

    fn step(&mut self) {
        let count = self.random.below(4) + 1;
        let new: Vec<_> = (0..count).map(|_| DatasetId::new()).collect();
        let requests = || new.iter().map(|id| request_with_kpis(2).id(*id));
        let present = |dataset: Dataset| Known::Present(Box::new(dataset));
        let is_deleted = self.random.percent(40);
        let fitting = |known: &Known| match known {
            Known::Present(_) => !is_deleted,
            Known::Deleted => is_deleted,
            Known::Purged => false,
        };
        let old: Vec<_> = self.known.iter().filter(|(_, known)| fitting(known)).map(|(id, _)| *id).collect();
        let old = (!old.is_empty()).then(|| old[self.random.below(old.len())]);
        match (self.random.below(10), old) {
            (0, _) => {
                self.call(&new[..1], |ours| vec![present(ours.create_dataset(requests().next().unwrap()).unwrap())]);
            }
            (1, _) => {
                self.call(&new, |ours| ours.create_datasets(requests()).unwrap().into_iter().map(present).collect());
            }
            (2, _) => self.call(&new, |ours| {
                ours.load_datasets(requests(), LoadOptions::new().in_batches_of(2)).unwrap();
                new.iter().map(|id| present(ours.dataset(*id).unwrap().unwrap())).collect()
            }),
            (3, Some(id)) => {
                let taken = requests().chain([request_with_kpis(1).id(id)]);
                assert!(matches!(self.ours.create_datasets(taken), Err(Error::AlreadyExists { .. })));
            }
            (4, Some(id)) if is_deleted => self.call(&[id], |ours| {
                ours.purge_dataset(id).unwrap();
                vec![Known::Purged]
            }),
            (_, Some(id)) if is_deleted => {
                self.call(&[id], |ours| vec![present(ours.restore_dataset(id).unwrap())]);
            }
            (4 | 5, Some(id)) => self.call(&[id], |ours| {
                ours.delete_dataset(id).unwrap();
                vec![Known::Deleted]
            }),
            (6, Some(id)) => self.call(&[id], |ours| {
                ours.create_kpi(id, NewKpi::new("Rain")).unwrap();
                vec![present(ours.dataset(id).unwrap().unwrap())]
            }),
            (7, Some(id)) => self.call(&[id], |ours| vec![present(ours.accept_dataset(id).unwrap())]),
            (_, Some(id)) => {
                let Some(Known::Present(dataset)) = self.known.get(&id) else { unreachable!() };
                let patch = DatasetPatch::new().name(format!("{}", self.random.next()));
                let patch = patch.update_kpi(dataset.kpis[0].id, KpiPatch::new().unit("t"));
                self.call(&[id], |ours| vec![present(ours.update_dataset(id, patch).unwrap())]);
            }
            (_, None) => {}
        }
    }
}

/// The reader.
struct Follower {
    ours: Organization,
    /// How it continues after an answer.
    next: fn(&Organization, Changes) -> (ChangeCursor, Changes),
    cursor: ChangeCursor,
    known: BTreeMap<DatasetId, Known>,
}

impl Follower {
    /// Reads all changes that there are now.
    fn read_all(&mut self) {
        loop {
            let changes = self.ours.changes_since(&self.cursor).unwrap();
            assert!(changes.damaged.is_empty());
            let has_more = changes.has_more;
            let (cursor, changes) = (self.next)(&self.ours, changes);
            self.cursor = cursor;
            for change in changes.items {
                let known = match change.state {
                    // If it was deleted meanwhile, a later change says so.
                    ChangeState::Present => match self.ours.dataset(change.dataset).unwrap() {
                        Some(dataset) => Known::Present(Box::new(dataset)),
                        None => continue,
                    },
                    ChangeState::Deleted => Known::Deleted,
                    ChangeState::Purged => Known::Purged,
                    state => panic!("{state}"),
                };
                self.known.insert(change.dataset, known);
            }
            if !has_more {
                return;
            }
        }
    }

    /// The dataset about which it knows something else than was acknowledged before it read.
    fn missed(&self, before: &Answered, after: &Answered) -> Option<DatasetId> {
        let is_settled = |id: &DatasetId, count: usize| {
            !before.asked.contains(id)
                && !after.asked.contains(id)
                && after.datasets.get(id).is_some_and(|(now, _)| *now == count)
        };
        let missed = before
            .datasets
            .iter()
            .find(|(id, (count, answered))| is_settled(id, *count) && self.known.get(id) != Some(answered));
        missed.map(|(id, _)| *id)
    }

    /// What a listing of everything shows.
    fn is_complete(&self) -> bool {
        let mut listed: BTreeMap<_, _> =
            listed(&self.ours).into_iter().map(|dataset| (dataset.id, Known::Present(Box::new(dataset)))).collect();
        let trash = self.ours.deleted_datasets(&DatasetQuery::new().limit(1_000)).unwrap();
        assert!(trash.next.is_none());
        listed.extend(trash.items.into_iter().map(|deleted| (deleted.dataset.id, Known::Deleted)));
        let mut known = self.known.clone();
        known.retain(|_, known| *known != Known::Purged);
        known == listed
    }
}

/// Runs the writers, and the reader beside them; returns what it missed.
fn follow(seed: u64, next: fn(&Organization, Changes) -> (ChangeCursor, Changes)) -> Result<usize, String> {
    let file = TestFile::new();
    let open = || Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let (stores, id) = ([open(), open()], OrganizationId::new());
    let answered = Mutex::new(Answered::default());
    let writing = AtomicUsize::new(4);
    let steps = if is_long() { 2_000 } else { 150 };
    let mut follower =
        Follower { ours: stores[1].organization(id), next, cursor: ChangeCursor::start(), known: BTreeMap::new() };
    thread::scope(|scope| {
        for number in 0..4 {
            let ours = stores[number % 2].organization(id);
            let random = Random::new(seed.wrapping_add(number as u64));
            let mut writer = Writer { ours, answered: &answered, random, known: BTreeMap::new() };
            let writing = &writing;
            scope.spawn(move || {
                (0..steps).for_each(|_| writer.step());
                writing.fetch_sub(1, SeqCst);
            });
        }
        loop {
            let is_last = writing.load(SeqCst) == 0;
            let before = answered.lock().unwrap().clone();
            follower.read_all();
            let after = answered.lock().unwrap().clone();
            if let Some(id) = follower.missed(&before, &after) {
                return Err(format!("seed {seed}: the last change of {id} was not returned"));
            }
            if is_last {
                break;
            }
        }
        if follower.is_complete() { Ok(()) } else { Err(format!("seed {seed}: a listing shows something else")) }
    })?;
    assert!(stores[0].verify().unwrap().is_whole(), "seed {seed}");
    Ok(follower.known.len())
}

#[test]
fn a_reader_misses_no_change_of_four_threads_on_two_handles() {
    let seed = seed();
    let known = follow(seed, |_, changes| (changes.next.clone(), changes)).unwrap();
    assert!(known > 100, "seed {seed}: only {known} datasets");
}

/// The control.
#[test]
fn the_harness_detects_a_reader_that_misses_changes() {
    let seed = seed();
    let forgetful = follow(seed, |_, mut changes| {
        changes.items.pop();
        (changes.next.clone(), changes)
    });
    assert!(forgetful.unwrap_err().starts_with(&format!("seed {seed}")));
    // One that takes the place of now instead of that of its answer.
    let hasty = follow(seed, |ours, changes| {
        let id = ours.create_dataset(request_with_kpis(0)).unwrap().id;
        ours.delete_dataset(id).unwrap();
        (ours.change_cursor().unwrap(), changes)
    });
    assert!(hasty.unwrap_err().starts_with(&format!("seed {seed}")));
}
