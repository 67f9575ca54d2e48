//! Waiting for locks: eight threads in each of four processes create datasets in one file while another process
//! repeatedly holds the write lock for longer than their timeout. No call waits past its timeout, `Busy` reports the time
//! waited, and every other call succeeds. Processes that only compete with each other get about the same share.
//!
//! Three holds in the short form, fifty in the long one:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test locks -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kpi_store::{Durability, Error, Organization, Store};

use support::child::{self, Child, Task};
use support::{TestFile, ids_in_a_sound_file, is_long, organization, plain_sqlite, request_with_kpis};

const PROCESSES: u64 = 4;
const THREADS: u64 = 8;

const TIMEOUT: Duration = Duration::from_millis(400);

/// The longest that a call may take: the timeout, the lateness of the machine, which is not time spent waiting for a
/// lock, and what 33 threads on two processors need for their own work.
fn latest(lateness: Duration) -> Duration {
    // Less than two timeouts, so that waiting for two of them in a row is detected.
    (TIMEOUT + Duration::from_millis(50) + lateness * 3).min(TIMEOUT * 19 / 10)
}

/// How late the machine wakes up a sleeping thread, at worst, until this is stopped.
struct Lateness {
    is_over: Arc<AtomicBool>,
    clock: JoinHandle<Duration>,
}

impl Lateness {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let clock = std::thread::spawn(move || {
            let (pause, mut worst) = (Duration::from_millis(2), Duration::ZERO);
            while !until.load(Relaxed) {
                let started = Instant::now();
                std::thread::sleep(pause);
                worst = worst.max(started.elapsed().saturating_sub(pause));
            }
            worst
        });
        Self { is_over, clock }
    }

    fn stop(self) -> Duration {
        self.is_over.store(true, Relaxed);
        self.clock.join().unwrap()
    }
}

/// Four processes of two threads create as fast as they can, with every commit on the disk, and get about as much done.
/// The long form prints how long a create takes.
#[test]
fn processes_that_write_at_the_same_time_get_about_the_same_share() {
    const TEST: &str = "processes_that_write_at_the_same_time_get_about_the_same_share";
    if let Some(task) = child::task() {
        return create_until_told(&task);
    }
    let file = TestFile::new();
    Store::open(&file.path).unwrap().close().unwrap();
    let mut children: Vec<_> = (0..PROCESSES).map(|seed| Child::start(TEST, "share", &file.path, seed)).collect();
    for child in &mut children {
        assert_eq!(child.receive().as_deref(), Some("ready"));
    }
    for child in &mut children {
        child.send("begin");
    }
    std::thread::sleep(Duration::from_secs(if is_long() { 20 } else { 2 }));
    for child in &mut children {
        child.send("end");
    }
    let times: Vec<Vec<u64>> = children
        .into_iter()
        .map(|child| child.wait().unwrap().iter().map(|line| line.parse().unwrap()).collect())
        .collect();

    let shares: Vec<_> = times.iter().map(Vec::len).collect();
    let (least, most) = (*shares.iter().min().unwrap(), *shares.iter().max().unwrap());
    let mut all = times.concat();
    all.sort_unstable();
    let at = |permille: usize| Duration::from_micros(all[(all.len() - 1) * permille / 1_000]);
    println!(
        "locks: {PROCESSES} processes of 2 threads: {} creates, shares {shares:?}, p50 {:?}, p99 {:?}, p99.9 \
         {:?}, longest {:?}",
        all.len(),
        at(500),
        at(990),
        at(999),
        at(1_000),
    );
    assert!(most < 2 * least, "{shares:?}");
}

fn create_until_told(task: &Task) {
    let store = Store::open(&task.file).unwrap();
    let is_over = AtomicBool::new(false);
    child::send(["ready".to_owned()]);
    child::receive();
    let create = || {
        let (ours, mut times) = (organization(&store), Vec::new());
        while !is_over.load(Relaxed) {
            let started = Instant::now();
            ours.create_dataset(request_with_kpis(10)).unwrap();
            times.push(started.elapsed().as_micros().to_string());
        }
        times
    };
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(create)).collect();
        child::receive();
        is_over.store(true, Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    child::send(times);
}

#[test]
fn no_call_waits_past_the_timeout_while_a_lock_is_held_for_longer() {
    const TEST: &str = "no_call_waits_past_the_timeout_while_a_lock_is_held_for_longer";
    if let Some(task) = child::task() {
        return run(&task);
    }
    let holds = if is_long() { 50 } else { 3 };
    let file = TestFile::new();
    Store::open(&file.path).unwrap().close().unwrap();
    let mut report = Report::default();
    let lateness = Lateness::start();
    let rest = run_processes(TEST, "create", &file.path, |outcomes| {
        for _ in 0..holds {
            // While it is held every thread times out, and after that every thread succeeds.
            hold(&file.path, || report.read_until_all(outcomes, Outcome::is_busy));
            report.read_until_all(outcomes, |outcome| !outcome.is_busy());
        }
    });
    report.note_all(&rest);

    report.check(lateness.stop()).unwrap();
    assert_eq!(ids_in_a_sound_file(&file.path), report.created, "all that was acknowledged, and nothing that was busy");
    println!(
        "locks: {holds} holds, {PROCESSES} processes of {THREADS} threads: {} creates, {} busy, the longest call {:?} at a \
         timeout of {TIMEOUT:?}",
        report.created.len(),
        report.busy.len(),
        report.longest
    );
}

/// The control: a thread that waits for two timeouts in a row, or does not report how long it waited, is detected.
#[test]
fn the_harness_detects_calls_that_wait_too_long_or_report_a_wrong_time() {
    const TEST: &str = "the_harness_detects_calls_that_wait_too_long_or_report_a_wrong_time";
    if let Some(task) = child::task() {
        return run(&task);
    }
    for (role, complaint) in [("wait twice", "took"), ("report nothing", "reported")] {
        let file = TestFile::new();
        Store::open(&file.path).unwrap().close().unwrap();
        let mut report = Report::default();
        let rest = run_processes(TEST, role, &file.path, |outcomes| {
            hold(&file.path, || report.read_until_all(outcomes, Outcome::is_busy));
        });
        report.note_all(&rest);
        let wrong = report.check(Duration::ZERO).unwrap_err();
        assert!(wrong.contains(complaint), "{role}: {wrong}");
    }
}

/// A call in a child: its thread, how long it took, and the dataset or the time that `Busy` reported.
struct Outcome {
    thread: String,
    took: Duration,
    met: Result<String, Duration>,
}

impl Outcome {
    fn is_busy(&self) -> bool {
        self.met.is_err()
    }

    fn read(line: &str) -> Self {
        let micros = |text: &str| Duration::from_micros(text.parse().unwrap());
        match line.split(' ').collect::<Vec<_>>()[..] {
            [thread, took, "created", id] => Self { thread: thread.into(), took: micros(took), met: Ok(id.into()) },
            [thread, took, "busy", waited] => {
                Self { thread: thread.into(), took: micros(took), met: Err(micros(waited)) }
            }
            _ => panic!("a child sent {line:?}"),
        }
    }
}

#[derive(Default)]
struct Report {
    created: BTreeSet<String>,
    /// How long each busy call took, and how long it reported that it had waited.
    busy: Vec<(Duration, Duration)>,
    longest: Duration,
}

impl Report {
    /// Reads until each of the threads has reported such an outcome.
    fn read_until_all(&mut self, outcomes: &Receiver<Outcome>, is_awaited: impl Fn(&Outcome) -> bool) {
        let mut threads = BTreeSet::new();
        while threads.len() < usize::try_from(PROCESSES * THREADS).unwrap() {
            // Far beyond anything but a deadlock.
            let outcome = outcomes.recv_timeout(Duration::from_mins(1)).expect("a thread no longer reports");
            self.note(&outcome);
            if is_awaited(&outcome) {
                threads.insert(outcome.thread);
            }
        }
    }

    fn note_all(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            self.note(outcome);
        }
    }

    fn note(&mut self, outcome: &Outcome) {
        self.longest = self.longest.max(outcome.took);
        match &outcome.met {
            Ok(id) => assert!(self.created.insert(id.clone())),
            Err(waited) => self.busy.push((outcome.took, *waited)),
        }
    }

    fn check(&self, lateness: Duration) -> Result<(), String> {
        if self.longest > latest(lateness) {
            return Err(format!("a call took {:?}, the machine was late by {lateness:?}", self.longest));
        }
        let reports_the_time = |(took, waited): &&(Duration, Duration)| {
            took.checked_sub(*waited).is_some_and(|untold| untold < TIMEOUT / 10) && *waited >= TIMEOUT
        };
        match self.busy.iter().find(|times| !reports_the_time(times)) {
            Some((took, waited)) => Err(format!("a call of {took:?} reported {waited:?}")),
            None => Ok(()),
        }
    }
}

/// Runs the task in all threads of all processes until `director` has read enough; returns what they reported after
/// that.
fn run_processes(test: &str, role: &str, file: &Path, director: impl FnOnce(&Receiver<Outcome>)) -> Vec<Outcome> {
    let (sender, outcomes) = mpsc::channel();
    let listeners: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let (sender, mut child) = (sender.clone(), Child::start(test, role, file, process));
            let (ask, asked) = mpsc::channel::<()>();
            let listener = std::thread::spawn(move || {
                let mut is_ended = false;
                while let Some(line) = child.receive() {
                    sender.send(Outcome::read(&line)).unwrap();
                    if !is_ended && asked.try_recv().is_ok() {
                        child.send("end");
                        is_ended = true;
                    }
                }
                child.wait().unwrap();
            });
            (ask, listener)
        })
        .collect();
    drop(sender);
    director(&outcomes);
    for (ask, _) in &listeners {
        ask.send(()).unwrap();
    }
    let rest = outcomes.iter().collect();
    for (_, listener) in listeners {
        listener.join().unwrap();
    }
    rest
}

/// Holds the write lock of the file during `meanwhile`, as another application would.
fn hold(file: &Path, meanwhile: impl FnOnce()) {
    let plain = plain_sqlite(file);
    plain.busy_timeout(Duration::ZERO).unwrap();
    while plain.execute_batch("BEGIN IMMEDIATE").is_err() {
        std::thread::yield_now();
    }
    meanwhile();
    plain.execute_batch("ROLLBACK").unwrap();
}

/// Several threads call repeatedly until the parent ends them.
fn run(task: &Task) {
    let timeout = if task.role == "wait twice" { TIMEOUT * 2 } else { TIMEOUT };
    // Without a wait for the disk in each write, which is no wait for a lock.
    let options = Store::options().durability(Durability::Normal).busy_timeout(timeout);
    let store = options.open(&task.file).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ours, is_over) = (organization(&store), &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    let outcome = call(&ours, task.role == "report nothing");
                    child::send([format!("{}.{thread} {outcome}", task.seed)]);
                }
            });
        }
        child::receive();
        is_over.store(true, Relaxed);
    });
}

fn call(ours: &Organization, reports_nothing: bool) -> String {
    let request = request_with_kpis(2);
    let started = Instant::now();
    let created = ours.create_dataset(request);
    let took = started.elapsed().as_micros();
    match created {
        Ok(dataset) => format!("{took} created {}", dataset.id),
        Err(Error::Busy { .. }) if reports_nothing => format!("{took} busy 0"),
        Err(Error::Busy { waited, .. }) => format!("{took} busy {}", waited.as_micros()),
        Err(error) => panic!("{error:?}"),
    }
}
