//! The side of the child process: one peer, one load, and what can be done with the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kpi_store_peers_harness::input::{self, KPIS, Numbers, Texts};
use kpi_store_peers_harness::{Durability, Peer, bytes_of, most_resident};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Mode, keep, large};
use crate::peers::fjall::Fjall;
use crate::peers::floor::Floor;
use crate::peers::kpi_store::KpiStore;
use crate::peers::redb::Redb;

/// The first argument of a child process.
pub(super) const CHILD: &str = "scale-child";

/// The costs of a load and of the reads after it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Nanoseconds of the load for each KPI.
    pub(super) load: f64,
    /// The same of the processor's time, which a busy machine does not stretch.
    pub(super) processor: f64,
    /// The growth of the peak memory during the load, in bytes.
    pub(super) memory: u64,
    /// The largest length of SQLite's log, in bytes.
    pub(super) log: Option<u64>,
    /// The size on the disk after closing, in bytes.
    pub(super) file: u64,
    /// Missing in the rounds that only load.
    pub(super) reads: Option<Reads>,
    /// Missing there, and of peers that have neither.
    pub(super) keep: Option<keep::Speeds>,
}

/// In nanoseconds, of a store that was closed and opened again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reads {
    /// Of a dataset with a random id.
    pub(super) get: f64,
    /// Of 50 datasets near the middle.
    pub(super) page: f64,
    pub(super) count: f64,
}

/// Does the work of a child process, if this is one.
pub(crate) fn run_if_child() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [CHILD, peer, mode, kpis, thoroughness, data] => {
            let mode = Mode::ALL.into_iter().find(|known| known.name() == mode).expect("the name of a mode");
            let datasets = kpis.parse::<usize>().expect("a number of KPIs") / KPIS;
            let load = Load { mode, datasets, is_thorough: thoroughness == "all", data: Path::new(data) };
            let figures = match peer {
                "floor" => load.measure::<Floor>(Some(keep::floor)),
                "kpi-store" => load.measure::<KpiStore>(Some(keep::kpi_store)),
                "redb" => load.measure::<Redb>(None),
                "fjall" => load.measure::<Fjall>(None),
                unknown => panic!("no peer is named {unknown}"),
            };
            print(&figures);
        }
        [large::CHILD, amount, data] => print(&large::measure(amount == "short", Path::new(data))),
        _ => return false,
    }
    true
}

fn print(figures: &impl Serialize) {
    println!("{}", serde_json::to_string(figures).expect("plain numbers"));
}

struct Load<'a> {
    mode: Mode,
    datasets: usize,
    is_thorough: bool,
    data: &'a Path,
}

impl Load<'_> {
    fn measure<P: Peer>(&self, keep: Option<fn(&Path, usize) -> keep::Speeds>) -> Figures {
        let folder = tempfile::tempdir_in(self.data).expect("a folder for the peer's data");
        let folder = folder.path();
        let peer = P::open(folder, Durability::Full);
        let (resident, processor) = (most_resident(), processor_time());
        let ((loaded, taken), log) = with_largest_log(folder, || {
            timed(|| peer.load(input::datasets(Texts::Short).take(self.datasets), self.mode.batch()))
        });
        let (memory, processor) = (most_resident() - resident, processor_time() - processor);
        assert_eq!(loaded, self.datasets as u64);
        peer.close();
        let file = bytes_of(folder);
        let peer = P::open(folder, Durability::Full);
        assert_eq!(peer.count(), loaded);
        let reads = self.is_thorough.then(|| reads(&peer, self.datasets));
        peer.close();
        let keep = keep.filter(|_| self.is_thorough).map(|keep| keep(folder, self.datasets));
        let kpis = (self.datasets * KPIS) as f64;
        Figures { load: taken / kpis, processor: processor as f64 / kpis, memory, log, file, reads, keep }
    }
}

/// Reads and compares everything, then measures reads.
fn reads<P: Peer>(peer: &P, datasets: usize) -> Reads {
    let (mut ids, mut cursors): (Vec<Uuid>, Vec<P::Cursor>) = Default::default();
    let mut expected = input::datasets(Texts::Short).take(datasets);
    // Small enough that there are cursors near the middle.
    let limit = (datasets / 20).clamp(10, 1_000);
    loop {
        let (page, next) = peer.page(cursors.last(), limit);
        for stored in page.into_iter().map(P::plain) {
            let new = expected.next().expect("more is stored than was loaded");
            assert!(stored.is_answer_to(&new), "{stored:?}\n{new:?}");
            ids.push(stored.id);
        }
        let Some(next) = next else { break };
        cursors.push(next);
    }
    assert!(expected.next().is_none(), "less is stored than was loaded");

    let mut numbers = Numbers::new(19);
    let get = median(20, || {
        let ((), taken) = timed(|| {
            (0..100).for_each(|_| drop(peer.get(ids[numbers.below(ids.len())]).expect("a stored dataset")));
        });
        taken / 100.0
    });
    let (third, mut place) = (cursors.len() / 3, 0);
    let page = median(41, || {
        let cursor = &cursors[third + place % (third / 2 + 1)];
        place += 1;
        let ((page, _), taken) = timed(|| peer.page(Some(cursor), 50));
        assert_eq!(page.len(), 50);
        taken
    });
    let count = median(11, || {
        let (count, taken) = timed(|| peer.count());
        assert_eq!(count, datasets as u64);
        taken
    });
    Reads { get, page, count }
}

/// The median of some measurements.
pub(super) fn median(rounds: usize, mut measured: impl FnMut() -> f64) -> f64 {
    let mut measured: Vec<f64> = (0..rounds).map(|_| measured()).collect();
    measured.sort_by(f64::total_cmp);
    measured[rounds / 2]
}

/// The result of the work, and the nanoseconds that it took.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed().as_nanos() as f64)
}

/// The nanoseconds that the threads of this process have run.
fn processor_time() -> u64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux").map(|thread| thread.expect("a thread").path());
    let times = threads.map(|thread| fs::read_to_string(thread.join("schedstat")).expect("Linux"));
    times.map(|times| times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).expect("a number")).sum()
}

/// Does the work while another thread watches the length of SQLite's log, if there is one.
fn with_largest_log<T>(folder: &Path, work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let log: PathBuf = folder.join("kpis.db-wal");
    let length = || fs::metadata(&log).ok().map(|metadata| metadata.len());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut largest = None;
            while !is_done.load(Ordering::Relaxed) {
                largest = largest.max(length());
                std::thread::park_timeout(Duration::from_millis(5));
            }
            largest
        });
        let done = work();
        is_done.store(true, Ordering::Relaxed);
        watching.thread().unpark();
        let largest = watching.join().expect("the log is watched");
        (done, largest.max(length()))
    })
}
