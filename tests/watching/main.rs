//! Watching for changes: four threads in each of two processes create, save, delete and purge as fast as they can,
//! while both processes watch. Both report every change, none before its commit began, and what is reported can be
//! read.
//!
//! 1,200 changes in the short form, 40,000 in the long one, which also prints the longest delay:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test watching -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod judge;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kpi_store::{
    ChangeCursor, ChangeState, Changes, DatasetId, Durability, NewDataset, Organization, OrganizationId, Store, Watch,
};

use judge::{
    Change, Report, Time, Watched, judge, now, print_change, print_report, print_time, read_change, read_report,
    read_time,
};
use support::child::{self, Child, Task};
use support::{Random, TestFile, is_long, request_with_kpis, seed};

const THREADS: u64 = 4;

/// Far beyond any delay.
const LONG: Duration = Duration::from_mins(1);

/// The dataset that is created last.
const END: u128 = 1;

#[test]
fn every_change_of_eight_writers_in_two_processes_is_reported_and_none_before_its_commit() {
    const TEST: &str = "every_change_of_eight_writers_in_two_processes_is_reported_and_none_before_its_commit";
    if let Some(task) = child::task() {
        return run_in_child(&task);
    }
    let (changes, watched) = write_and_watch(TEST, Following::Watch);
    let mut longest = BTreeMap::new();
    for (process, watched) in ["this process", "the other process"].into_iter().zip(watched) {
        for (is_own, delay) in judge(&changes, &watched).unwrap_or_else(|wrong| panic!("{process}: {wrong}")) {
            let longest: &mut Vec<Duration> = longest.entry(is_own).or_default();
            longest.push(delay);
        }
    }
    for (is_own, mut delays) in longest {
        delays.sort_unstable();
        let at = |permille: usize| delays[(delays.len() - 1) * permille / 1_000];
        let whose = if is_own { "its own process" } else { "the other process" };
        println!(
            "watching: {} changes of {whose} reported, p50 {:?}, p99 {:?}, longest delay {:?}",
            delays.len(),
            at(500),
            at(990),
            at(1_000)
        );
        assert!(at(1_000) < LONG / 10, "{whose}: {:?}", at(1_000));
    }
}

/// The control: a watch that begins anew from the present cursor misses what was committed in between.
#[test]
fn the_harness_detects_a_change_that_is_not_reported() {
    const TEST: &str = "the_harness_detects_a_change_that_is_not_reported";
    if let Some(task) = child::task() {
        return run_in_child(&task);
    }
    let (changes, watched) = write_and_watch(TEST, Following::FromNowOn);
    for watched in watched {
        let wrong = judge(&changes, &watched).unwrap_err();
        assert!(wrong.ends_with("was not reported"), "{wrong}");
    }
}

/// The control: a change that is reported before its commit began, or that cannot be read.
#[test]
fn the_harness_detects_what_is_reported_early_or_cannot_be_read() {
    let dataset = DatasetId::new();
    let at = Duration::from_micros;
    let created = Change { process: 0, dataset, state: ChangeState::Present, began: at(5), answered: at(9) };
    let watched = |micros, is_read| {
        let read = (at(micros), is_read);
        Watched { process: 0, reports: vec![Report { dataset, state: ChangeState::Present, at: at(micros), read }] }
    };
    assert!(judge(std::slice::from_ref(&created), &watched(6, true)).is_ok());
    let early = judge(std::slice::from_ref(&created), &watched(4, true)).unwrap_err();
    assert!(early.ends_with("before it began"), "{early}");
    let unread = judge(std::slice::from_ref(&created), &watched(6, false)).unwrap_err();
    assert!(unread.ends_with("cannot be read"), "{unread}");
}

/// One change at a time on an idle machine: the delay is that of the poll.
#[test]
fn a_commit_of_another_process_is_reported_within_100_ms() {
    const TEST: &str = "a_commit_of_another_process_is_reported_within_100_ms";
    if let Some(task) = child::task() {
        let ours = open(&task.file);
        child::send(["ready".to_owned()]);
        while child::receive() == "create" {
            let created = ours.create_dataset(request_with_kpis(10)).unwrap().id;
            child::send([created.to_string(), print_time(now())]);
        }
        return;
    }
    let file = TestFile::new();
    let ours = open(&file.path);
    let read_only = Store::options().read_only(true).open(&file.path).unwrap().organization(ours.id());
    let mut child = Child::start(TEST, "create", &file.path, 0);
    assert_eq!(child.receive().as_deref(), Some("ready"));
    for watching in [&ours, &read_only] {
        let mut watch = watching.watch(watching.change_cursor().unwrap()).unwrap();
        let mut delays: Vec<Duration> = (0..20)
            .map(|_| {
                child.send("create");
                let changes = watch.wait(LONG).unwrap();
                let reported = now();
                assert_eq!(changes.items[0].dataset.to_string(), child.receive().unwrap());
                reported.saturating_sub(read_time(&child.receive().unwrap()))
            })
            .collect();
        delays.sort_unstable();
        println!("watching: another process, one change at a time: median {:?}, longest {:?}", delays[10], delays[19]);
        // One of them may be late with the machine.
        assert!(delays[18] < Duration::from_millis(100), "{delays:?}");
    }
    child.send("end");
    child.wait().unwrap();
}

/// SQLite does not notice changes of such a file, so the watch compares the file itself.
#[cfg(unix)]
#[test]
fn a_file_that_is_read_without_locks_is_watched_too() {
    use std::os::unix::fs::PermissionsExt;
    const TEST: &str = "a_file_that_is_read_without_locks_is_watched_too";
    if let Some(task) = child::task() {
        let ours = open(&task.file);
        return child::send([ours.create_dataset(request_with_kpis(3)).unwrap().id.to_string()]);
    }
    let file = TestFile::new();
    let create = || Child::start(TEST, "create", &file.path, 0).wait().unwrap().remove(0);
    let allow = |mode| std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(mode)).unwrap();
    let first = create();
    allow(0o400);
    let store = Store::options().read_only(true).open(&file.path).unwrap();
    let mut watch = store.organization(organization_id()).watch(ChangeCursor::start()).unwrap();
    assert_eq!(watch.wait(LONG).unwrap().items[0].dataset.to_string(), first);
    assert!(!file.with_suffix("-wal").exists(), "the control: it is read without a log");
    for _ in 0..3 {
        allow(0o600);
        let created = create();
        allow(0o400);
        let changes = watch.find_map(|changes| changes.ok().filter(|changes| !changes.items.is_empty())).unwrap();
        assert_eq!(changes.items[0].dataset.to_string(), created);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Following {
    Watch,
    /// Each wait begins where the changes end at that time.
    FromNowOn,
}

/// Writes and watches in this process and in another, and returns all changes and what the watch of each process
/// reported.
fn write_and_watch(test: &str, following: Following) -> (Vec<Change>, [Watched; 2]) {
    let seed = seed();
    println!("watching: seed {seed}");
    let file = TestFile::new();
    let ours = open(&file.path);
    let role = if following == Following::Watch { "watch" } else { "from now on" };
    let mut child = Child::start(test, role, &file.path, seed);
    assert_eq!(child.receive().as_deref(), Some("ready"));
    child.send("begin");
    let watch = ours.watch(ChangeCursor::start()).unwrap();
    let (changes, reports) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&ours, watch, following));
        let mut changes = write(&ours, 0, seed);
        while let Some(line) = child.receive().filter(|line| line != "written") {
            changes.push(read_change(&line));
        }
        changes.push(create(&ours, 0, NewDataset::new("the end").id(end())));
        (changes, follower.join().unwrap())
    });
    let reports_there = std::iter::from_fn(|| child.receive()).map(|line| read_report(&line)).collect();
    child.wait().unwrap();
    (changes, [Watched { process: 0, reports }, Watched { process: 1, reports: reports_there }])
}

fn run_in_child(task: &Task) {
    let ours = open(&task.file);
    let following = if task.role == "watch" { Following::Watch } else { Following::FromNowOn };
    let watch = ours.watch(ChangeCursor::start()).unwrap();
    child::send(["ready".to_owned()]);
    child::receive();
    let reports = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&ours, watch, following));
        child::send(write(&ours, 1, task.seed.wrapping_add(1)).iter().map(print_change));
        child::send(["written".to_owned()]);
        follower.join().unwrap()
    });
    child::send(reports.iter().map(print_report));
}

fn open(file: &Path) -> Organization {
    // Without a wait for the disk in each write there are more of them.
    let options = Store::options().durability(Durability::Normal).busy_timeout(LONG);
    options.open(file).unwrap().organization(organization_id())
}

fn organization_id() -> OrganizationId {
    OrganizationId::from(uuid::Uuid::from_u128(7))
}

/// Follows the changes until the last one. Another thread reads them meanwhile, so that this one always waits.
fn follow(ours: &Organization, mut watch: Watch, following: Following) -> Vec<Report> {
    let (sender, receiver) = mpsc::channel::<(Changes, Time)>();
    let read = move || {
        let mut all = Vec::new();
        for (changes, at) in receiver {
            all.extend(changes.items.iter().map(|change| {
                let is_there = ours.dataset(change.dataset).unwrap().is_some();
                Report { dataset: change.dataset, state: change.state, at, read: (now(), is_there) }
            }));
        }
        all
    };
    let has_end = |changes: &Changes| changes.items.iter().any(|change| change.dataset == end());
    thread::scope(|scope| {
        let reading = scope.spawn(read);
        loop {
            let changes = watch.wait(LONG).unwrap();
            assert!(!changes.items.is_empty(), "nothing was reported for a minute");
            let mut is_end = has_end(&changes);
            sender.send((changes, now())).unwrap();
            if following == Following::FromNowOn {
                // This control must not wait for the last change either if that is among those that it misses.
                let cursor = ours.change_cursor().unwrap();
                is_end |= has_end(&ours.changes_since(watch.cursor()).unwrap());
                watch = ours.watch(cursor).unwrap();
            }
            if is_end {
                drop(sender);
                return reading.join().unwrap();
            }
        }
    })
}

fn end() -> DatasetId {
    DatasetId::from(uuid::Uuid::from_u128(END))
}

/// The threads of this process make their changes, and report those that were acknowledged.
fn write(ours: &Organization, process: u64, seed: u64) -> Vec<Change> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || write_in_thread(ours, process, Random::new(seed.wrapping_mul(1_000) + thread)))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn write_in_thread(ours: &Organization, process: u64, mut random: Random) -> Vec<Change> {
    let (mut present, mut deleted, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..if is_long() { 5_000 } else { 150 } {
        let began = now();
        let (dataset, state) = match random.below(10) {
            5..=7 if !present.is_empty() => {
                let dataset = present[random.below(present.len())];
                let mut draft = ours.dataset(dataset).unwrap().unwrap().edit();
                draft.name = format!("Water {number}");
                ours.save_dataset(&draft).unwrap();
                (dataset, ChangeState::Present)
            }
            8 if !present.is_empty() => {
                let dataset = present.swap_remove(random.below(present.len()));
                ours.delete_dataset(dataset).unwrap();
                deleted.push(dataset);
                (dataset, ChangeState::Deleted)
            }
            9 if !deleted.is_empty() => {
                let dataset = deleted.swap_remove(random.below(deleted.len()));
                ours.purge_dataset(dataset).unwrap();
                (dataset, ChangeState::Purged)
            }
            _ => {
                let created = create(ours, process, NewDataset::new("Water"));
                present.push(created.dataset);
                changes.push(created);
                continue;
            }
        };
        changes.push(Change { process, dataset, state, began, answered: now() });
    }
    changes
}

fn create(ours: &Organization, process: u64, new: NewDataset) -> Change {
    let began = now();
    let dataset = ours.create_dataset(new).unwrap().id;
    Change { process, dataset, state: ChangeState::Present, began, answered: now() }
}
