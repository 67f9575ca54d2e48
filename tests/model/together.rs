//! Eight threads that edit one dataset: each loads it, changes a KPI of its own, saves, and after a conflict merges and
//! saves again. Every acknowledged edit is there at the end, the history has exactly these, and every conflict is with
//! an edit that was acknowledged meanwhile.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kpi_store::{
    Dataset, DatasetDraft, DatasetId, Error, HistoryQuery, KpiId, NewDataset, NewKpi, Organization, OrganizationId,
    Origin, Store,
};

use super::support::child::{self, Child, Task};
use super::support::{TestFile, is_long};

const THREADS: usize = 8;

/// Of edits that two processes make, the ids that both know.
const ORGANIZATION: &str = "6f2c1a52-9a53-4b0e-8a5e-0d7b3d6f8f10";
const DATASET: &str = "b1f0a3e6-58b8-4f0f-9a67-4a4f6a3c2d11";

/// What an editor does after a conflict.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Merges,
    /// Saves its draft over the edits of the others.
    Overwrites,
}

/// The token that a dataset had or has.
type Token = Option<DateTime<Utc>>;

/// What the editors were told.
#[derive(Debug, Default)]
struct Told {
    /// For each acknowledged edit the token that it was given, the thread and its number.
    edits: Vec<(Token, usize, usize)>,
    /// For each conflict the token that was expected and the one that was found.
    conflicts: Vec<(Token, Token)>,
}

#[test]
fn no_edit_of_eight_threads_is_lost() {
    let file = TestFile::in_memory();
    let store = open(&file);
    let conflicts = edit_together(&[&store], Manner::Merges).unwrap();
    println!("8 threads, one handle: 0 edits lost, {conflicts} conflicts, 0 false");
}

#[test]
fn no_edit_through_two_handles_on_one_file_is_lost() {
    let file = TestFile::in_memory();
    let (one, other) = (open(&file), open(&file));
    let conflicts = edit_together(&[&one, &other], Manner::Merges).unwrap();
    println!("8 threads, two handles: 0 edits lost, {conflicts} conflicts, 0 false");
}

/// The control: editors that do not merge lose edits.
#[test]
fn edits_that_overwrite_others_are_noticed() {
    let file = TestFile::in_memory();
    let store = open(&file);
    edit_together(&[&store], Manner::Overwrites).unwrap_err();
}

#[test]
fn no_edit_of_two_processes_is_lost() {
    const TEST: &str = "together::no_edit_of_two_processes_is_lost";
    if let Some(task) = child::task() {
        return edit_as_child(&task);
    }
    let file = TestFile::in_memory();
    let store = open(&file);
    let created = create(&store);
    let mut children = [0, 4].map(|first| Child::start(TEST, "edit", &file.path, first));
    for child in &mut children {
        assert_eq!(child.receive().as_deref(), Some("ready"));
    }
    for child in &mut children {
        child.send("go");
    }
    let told = children.map(|child| Told::from_lines(&child.wait().unwrap()));
    let conflicts = check(&store, &created, &Told::of_all(told)).unwrap();
    println!("8 threads, two processes: 0 edits lost, {conflicts} conflicts, 0 false");
}

fn edit_as_child(task: &Task) {
    let store = Store::options().busy_timeout(Duration::from_mins(1)).open(&task.file).unwrap();
    let organization = store.organization(ORGANIZATION.parse().unwrap());
    let id = DATASET.parse().unwrap();
    child::send(["ready".to_owned()]);
    child::receive();
    let first = usize::try_from(task.seed).unwrap();
    let start = Barrier::new(THREADS / 2);
    let told = thread::scope(|scope| {
        let editors: Vec<_> = (first..first + THREADS / 2)
            .map(|number| {
                let (organization, start) = (organization.clone(), &start);
                scope.spawn(move || edit(&organization, id, number, Manner::Merges, start))
            })
            .collect();
        Told::of_all(editors.into_iter().map(|editor| editor.join().unwrap()))
    });
    child::send(told.to_lines());
}

fn open(file: &TestFile) -> Store {
    Store::options().busy_timeout(Duration::from_mins(1)).open(&file.path).unwrap()
}

/// A dataset with a KPI for each thread.
fn create(store: &Store) -> Dataset {
    let organization = store.organization(ORGANIZATION.parse::<OrganizationId>().unwrap());
    let new = NewDataset::new("Water").id(DATASET.parse().unwrap());
    let kpis = (0..THREADS).map(|thread| NewKpi::new(format!("of thread {thread}")));
    organization.create_dataset(new.kpis(kpis)).unwrap()
}

/// Returns the number of conflicts; the error describes what was lost.
fn edit_together(stores: &[&Store], manner: Manner) -> Result<usize, String> {
    let created = create(stores[0]);
    let start = Barrier::new(THREADS);
    let told = thread::scope(|scope| {
        let (created, start) = (&created, &start);
        let editors: Vec<_> = (0..THREADS)
            .map(|number| {
                let organization = stores[number % stores.len()].organization(created.organization_id);
                scope.spawn(move || edit(&organization, created.id, number, manner, start))
            })
            .collect();
        Told::of_all(editors.into_iter().map(|editor| editor.join().unwrap()))
    });
    check(stores[0], &created, &told)
}

fn edits() -> usize {
    if is_long() { 100 } else { 12 }
}

/// Edits the KPI of this thread, adds others, and changes a field of the dataset that is this thread's.
fn edit(organization: &Organization, id: DatasetId, thread: usize, manner: Manner, start: &Barrier) -> Told {
    let mut told = Told::default();
    for number in 0..edits() {
        let loaded = organization.dataset(id).unwrap().unwrap();
        if number == 0 {
            // All have loaded the same, so that they meet.
            start.wait();
        }
        let mut draft = loaded.edit();
        let text = format!("{thread}-{number}");
        let own = draft.kpis.iter_mut().find(|kpi| kpi.name == format!("of thread {thread}")).unwrap();
        own.unit = Some(text.clone());
        match thread {
            0 => draft.name.clone_from(&text),
            1 => draft.description = Some(text.clone()),
            _ if number.is_multiple_of(3) => draft.kpis.push(NewKpi::new(&text).into()),
            _ => {}
        }
        let saved = loop {
            match organization.save_dataset(&draft) {
                Ok(saved) => break saved,
                Err(Error::Conflict { expected, found, .. }) => {
                    told.conflicts.push((expected, found));
                    draft = after_conflict(organization, &draft, manner);
                }
                Err(error) => panic!("{error:?}"),
            }
        };
        told.edits.push((saved.updated_at, thread, number));
    }
    told
}

fn after_conflict(organization: &Organization, draft: &DatasetDraft, manner: Manner) -> DatasetDraft {
    let current = organization.dataset(draft.id()).unwrap().unwrap();
    if manner == Manner::Overwrites {
        let mut over = current.edit();
        (over.name, over.description) = (draft.name.clone(), draft.description.clone());
        over.kpis.clone_from(&draft.kpis);
        return over;
    }
    let base = organization.version_at(draft.id(), draft.updated_at()).unwrap().unwrap().dataset;
    let merge = draft.merge(&base, &current);
    assert!(merge.is_clean(), "each edits its own: {:?}", merge.overlaps);
    merge.draft
}

/// Returns the number of conflicts.
fn check(store: &Store, created: &Dataset, told: &Told) -> Result<usize, String> {
    let organization = store.organization(created.organization_id);
    let stored = organization.dataset(created.id).unwrap().unwrap();
    let versions = history(&organization, created.id);
    let tokens: Vec<Token> = versions.iter().map(|version| version.updated_at).collect();
    let mut acknowledged: Vec<Token> = told.edits.iter().map(|(token, ..)| *token).collect();
    acknowledged.extend([None]);
    acknowledged.sort();
    if acknowledged != tokens || acknowledged.iter().collect::<BTreeSet<_>>().len() != tokens.len() {
        return Err(format!("acknowledged {acknowledged:?}, the history has {tokens:?}"));
    }
    // None before the first edit: it is less than every other.
    let is_true =
        |(expected, found): &&(Token, Token)| expected < found && tokens.contains(expected) && tokens.contains(found);
    if let Some(conflict) = told.conflicts.iter().find(|conflict| !is_true(conflict)) {
        return Err(format!("{conflict:?} is no conflict: {tokens:?}"));
    }
    for (token, thread, number) in &told.edits {
        let from = tokens.iter().position(|found| found == token).unwrap();
        let text = format!("{thread}-{number}");
        let own = created.kpis[*thread].id;
        if unit(&versions[from], own) != Some(&text) {
            return Err(format!("the version of edit {text} does not have it"));
        }
        let is_last = *number + 1 == edits();
        let is_kept = [&stored].into_iter().chain(&versions[from..]).all(|version| {
            version.kpis.iter().filter(|kpi| kpi.name == text).count()
                == usize::from(*thread > 1 && number.is_multiple_of(3))
        });
        let has_fields = match thread {
            0 => stored.name == text,
            1 => stored.description.as_ref() == Some(&text),
            _ => true,
        };
        if !is_kept || (is_last && !(has_fields && unit(&stored, own) == Some(&text))) {
            return Err(format!("edit {text} is lost"));
        }
    }
    assert!(!told.conflicts.is_empty(), "the threads never met");
    let verified = store.verify().unwrap();
    if verified.is_whole() { Ok(told.conflicts.len()) } else { Err(format!("{verified:?}")) }
}

fn unit(dataset: &Dataset, kpi: KpiId) -> Option<&String> {
    dataset.kpi(kpi).and_then(|kpi| kpi.unit.as_ref())
}

/// Every version, the oldest first. All but the first are edits.
fn history(organization: &Organization, id: DatasetId) -> Vec<Dataset> {
    let mut versions = organization.history(id, &HistoryQuery::new().limit(1_000)).unwrap();
    assert!(versions.next.is_none() && versions.damaged.is_empty());
    versions.items.reverse();
    assert!(versions.items[1..].iter().all(|version| version.origin == Origin::Edited));
    versions.items.into_iter().map(|version| version.dataset).collect()
}

impl Told {
    fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let mut told = Self::default();
        for of_one in all {
            told.edits.extend(of_one.edits);
            told.conflicts.extend(of_one.conflicts);
        }
        told
    }

    fn to_lines(&self) -> Vec<String> {
        let edits = self.edits.iter().map(|(token, thread, number)| format!("{} {thread} {number}", micros(*token)));
        let conflicts =
            self.conflicts.iter().map(|(expected, found)| format!("{} {}", micros(*expected), micros(*found)));
        edits.chain(conflicts).collect()
    }

    fn from_lines(lines: &[String]) -> Self {
        let mut told = Self::default();
        for line in lines {
            let words: Vec<i64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
            let token = |micros: i64| DateTime::from_timestamp_micros(micros).filter(|_| micros > 0);
            let index = |word: i64| usize::try_from(word).unwrap();
            match words[..] {
                [micros, thread, number] => told.edits.push((token(micros), index(thread), index(number))),
                [expected, found] => told.conflicts.push((token(expected), token(found))),
                _ => panic!("the child sent {line:?}"),
            }
        }
        told
    }
}

/// 0 of a dataset that was never changed.
fn micros(token: Token) -> i64 {
    token.map_or(0, |time| time.timestamp_micros())
}
