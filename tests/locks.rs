//! Waiting for locks: eight threads in each of four processes create in one file while another process holds the write
//! lock for longer than they wait, again and again. Nobody waits past the timeout and a tenth, `Busy` tells the time
//! waited, everything else succeeds, nobody waits for ever.
//!
//! Three holds in the short form, fifty in the long one:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test locks -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

#[path = "crashes/child.rs"]
mod child;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kpi_store::{DatasetQuery, Durability, Error, NewDataset, NewKpi, Organization, OrganizationId, Store};

use child::{Child, Order, is_long};

const PROCESSES: u64 = 4;
const THREADS: u64 = 8;

const TIMEOUT: Duration = Duration::from_millis(400);

/// What a call may take: the timeout and a tenth of it, the lateness of the machine, which is no waiting for a lock, and
/// what 33 threads on two processors need for their own work.
fn latest(lateness: Duration) -> Duration {
    // Twice the timeout, as two deadlines would, it never takes.
    (TIMEOUT + TIMEOUT / 10 + Duration::from_millis(50) + lateness * 3).min(TIMEOUT * 19 / 10)
}

/// How much later than it asked for the machine wakes a thread up, at the worst, until this is stopped.
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

#[test]
fn nobody_waits_past_the_timeout_and_a_tenth_while_a_lock_is_held_for_longer() {
    const TEST: &str = "nobody_waits_past_the_timeout_and_a_tenth_while_a_lock_is_held_for_longer";
    if let Some(order) = child::order() {
        return play(&order);
    }
    let holds = if is_long() { 50 } else { 3 };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    Store::open(&file).unwrap().close().unwrap();
    let mut report = Report::default();
    let lateness = Lateness::start();
    let rest = crowd(TEST, "create", &file, |said| {
        for _ in 0..holds {
            // Nobody gets in until all have waited in vain, and all get in after that.
            hold(&file, || report.listen_until_all(said, Outcome::is_busy));
            report.listen_until_all(said, |outcome| !outcome.is_busy());
        }
    });
    report.note_all(&rest);

    report.check(lateness.stop()).unwrap();
    assert_eq!(found(&file), report.created, "all that was acknowledged, and nothing that was busy");
    println!(
        "locks: {holds} holds, {PROCESSES} processes of {THREADS} threads: {} creates, {} busy, the longest call {:?} at a \
         timeout of {TIMEOUT:?}",
        report.created.len(),
        report.busy.len(),
        report.longest
    );
}

/// The control: who waits for two deadlines one after the other, or does not tell how long, is noticed.
#[test]
fn the_harness_sees_who_waits_too_long_or_tells_another_time() {
    const TEST: &str = "the_harness_sees_who_waits_too_long_or_tells_another_time";
    if let Some(order) = child::order() {
        return play(&order);
    }
    for (part, complaint) in [("wait twice", "took"), ("tell nothing", "told")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        Store::open(&file).unwrap().close().unwrap();
        let mut report = Report::default();
        let rest = crowd(TEST, part, &file, |said| hold(&file, || report.listen_until_all(said, Outcome::is_busy)));
        report.note_all(&rest);
        let wrong = report.check(Duration::ZERO).unwrap_err();
        assert!(wrong.contains(complaint), "{part}: {wrong}");
    }
}

/// What a thread of a child met: who it is, how long the call took, and the dataset or how long it says that it waited.
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
            _ => panic!("a child said {line:?}"),
        }
    }
}

#[derive(Default)]
struct Report {
    created: BTreeSet<String>,
    /// How long each busy call took, and how long it said that it had waited.
    busy: Vec<(Duration, Duration)>,
    longest: Duration,
}

impl Report {
    /// Listens until each of the threads has met such an outcome.
    fn listen_until_all(&mut self, said: &Receiver<Outcome>, is_awaited: impl Fn(&Outcome) -> bool) {
        let mut threads = BTreeSet::new();
        while threads.len() < usize::try_from(PROCESSES * THREADS).unwrap() {
            // Far beyond anything but a deadlock.
            let outcome = said.recv_timeout(Duration::from_mins(1)).expect("some thread is not heard of any more");
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
        // SQLite counts the time that it means to sleep, which may be a little less than the timeout.
        let tells_the_time = |(took, waited): &&(Duration, Duration)| {
            took.checked_sub(*waited).is_some_and(|untold| untold < TIMEOUT / 10) && *waited > TIMEOUT * 9 / 10
        };
        match self.busy.iter().find(|times| !tells_the_time(times)) {
            Some((took, waited)) => Err(format!("a call of {took:?} told {waited:?}")),
            None => Ok(()),
        }
    }
}

/// Lets all threads of all processes play the part until `director` is done with what they say; gives what they said after.
fn crowd(test: &str, part: &str, file: &Path, director: impl FnOnce(&Receiver<Outcome>)) -> Vec<Outcome> {
    let (says, said) = mpsc::channel();
    let listeners: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let (says, mut child) = (says.clone(), Child::start(test, part, file, process));
            let (ask, asked) = mpsc::channel::<()>();
            let listener = std::thread::spawn(move || {
                let mut is_asked = false;
                while let Some(line) = child.line() {
                    says.send(Outcome::read(&line)).unwrap();
                    if !is_asked && asked.try_recv().is_ok() {
                        child.tell("end");
                        is_asked = true;
                    }
                }
                child.end().unwrap();
            });
            (ask, listener)
        })
        .collect();
    drop(says);
    director(&said);
    for (ask, _) in &listeners {
        ask.send(()).unwrap();
    }
    let rest = said.iter().collect();
    for (_, listener) in listeners {
        listener.join().unwrap();
    }
    rest
}

/// Holds the write lock of the file during `meanwhile`, as another application would.
fn hold(file: &Path, meanwhile: impl FnOnce()) {
    let plain = rusqlite::Connection::open(file).unwrap();
    plain.busy_timeout(Duration::ZERO).unwrap();
    while plain.execute_batch("BEGIN IMMEDIATE").is_err() {
        std::thread::yield_now();
    }
    meanwhile();
    plain.execute_batch("ROLLBACK").unwrap();
}

/// Several threads call again and again until the parent says that it is over.
fn play(order: &Order) {
    let timeout = if order.part == "wait twice" { TIMEOUT * 2 } else { TIMEOUT };
    // Without a wait for the disk in each write, which is no wait for a lock.
    let options = Store::options().durability(Durability::Normal).busy_timeout(timeout);
    let store = options.open(&order.file).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ours, is_over) = (store.organization(OrganizationId::new()), &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    let outcome = call(&ours, order.part == "tell nothing");
                    child::say([format!("{}.{thread} {outcome}", order.seed)]);
                }
            });
        }
        child::hear();
        is_over.store(true, Relaxed);
    });
}

fn call(ours: &Organization, tell_nothing: bool) -> String {
    let request = NewDataset::new("Water").kpis(["Withdrawal", "Discharge"].map(NewKpi::new));
    let started = Instant::now();
    let created = ours.create_dataset(request);
    let took = started.elapsed().as_micros();
    match created {
        Ok(dataset) => format!("{took} created {}", dataset.id),
        Err(Error::Busy { .. }) if tell_nothing => format!("{took} busy 0"),
        Err(Error::Busy { waited, .. }) => format!("{took} busy {}", waited.as_micros()),
        Err(error) => panic!("{error:?}"),
    }
}

/// The ids of everything in the file, which is sound.
fn found(file: &Path) -> BTreeSet<String> {
    let store = Store::open(file).unwrap();
    assert!(store.verify().unwrap().is_whole());
    let organizations = store.organizations().unwrap().into_iter().map(|id| store.organization(id));
    let datasets = organizations.flat_map(|ours| ours.iter_datasets(&DatasetQuery::new().limit(1_000)));
    datasets.map(|dataset| dataset.unwrap().id.to_string()).collect()
}
