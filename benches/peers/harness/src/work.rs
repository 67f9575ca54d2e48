//! The work of each job: prepared, done in rounds, and checked.

use std::hint::black_box;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kpi_store::{Durability, NewDataset};

use crate::check::Expected;
use crate::child::{Task, each_round};
use crate::filled::{Filled, bytes_of, fresh_folder, requests};
use crate::input::{self, KPIS};
use crate::{Job, Peer};

pub(crate) fn run<P: Peer>(task: &Task) {
    let durability = if task.job == Job::CreateNormal { Durability::Normal } else { Durability::Full };
    let filled = || Filled::<P>::new(task.job, task.amount, durability, &task.folder);
    match task.job {
        Job::CreateFull | Job::CreateNormal | Job::CreateLong => create(filled(), task.job),
        Job::Together => together(filled()),
        Job::Bulk | Job::BulkLong => bulk::<P>(&requests(task.job, task.amount), &task.folder),
        Job::Get | Job::GetLong => get(filled()),
        Job::List => list(filled()),
        Job::Page => page(filled()),
        Job::Summaries => summaries(filled()),
        Job::Count => count(filled()),
        Job::Rename => rename(filled()),
        Job::OpenGetClose => open_get_close(filled()),
        Job::Memory => memory::<P>(task),
        Job::Bytes | Job::BytesLong => bytes(filled()),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time of doing this a number of times.
fn timed(times: u64, mut work: impl FnMut()) -> u64 {
    let started = Instant::now();
    (0..times).for_each(|_| work());
    nanoseconds(started.elapsed())
}

fn create<P: Peer>(mut filled: Filled<P>, job: Job) {
    let requests: Vec<NewDataset> = input::datasets(job.texts()).take(64).collect();
    let mut next = requests.iter().cycle();
    each_round(filled.expected.content(), |times| {
        let round: Vec<_> = next.by_ref().take(usize::try_from(times).unwrap_or(0)).collect();
        let mut created = Vec::with_capacity(round.len());
        let started = Instant::now();
        for new in &round {
            created.push(filled.peer.create(new).expect("a valid request"));
        }
        let taken = nanoseconds(started.elapsed());
        for (stored, new) in created.into_iter().zip(round) {
            filled.expected.created(&P::plain(stored), new);
        }
        taken
    });
    filled.reopened();
}

fn together<P: Peer>(mut filled: Filled<P>) {
    const THREADS: u64 = 8;
    let requests: Vec<NewDataset> = input::datasets(Job::Together.texts()).take(64).collect();
    each_round(filled.expected.content(), |times| {
        let each = usize::try_from(times.div_ceil(THREADS)).unwrap_or(0);
        let all = Mutex::new(Vec::new());
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let create = |new| (filled.peer.create(new).expect("a valid request"), new);
                    let created: Vec<_> = requests.iter().cycle().take(each).map(create).collect();
                    all.lock().expect("no thread has failed").extend(created);
                });
            }
        });
        let taken = nanoseconds(started.elapsed());
        for (stored, new) in all.into_inner().expect("no thread has failed") {
            filled.expected.created(&P::plain(stored), new);
        }
        // Of one dataset, as in the jobs of one thread.
        taken * times / (each as u64 * THREADS)
    });
    filled.expected.order_as_listed(&filled.peer);
    filled.reopened();
}

/// Into a fresh folder each time. Opening, closing and removing it are not measured.
fn bulk<P: Peer>(requests: &[NewDataset], within: &Path) {
    let once = |is_checked: bool| {
        let folder = fresh_folder(within);
        let peer = P::open(folder.path(), Durability::Full);
        let started = Instant::now();
        let created = peer.create_all(requests).expect("valid requests");
        let taken = nanoseconds(started.elapsed());
        let mut expected = Expected::default();
        for (stored, new) in created.into_iter().zip(requests) {
            expected.created(&P::plain(stored), new);
        }
        assert_eq!(expected.datasets.len(), requests.len());
        peer.close();
        if is_checked {
            let peer = P::open(folder.path(), Durability::Full);
            expected.assert_stored(&peer);
            peer.close();
        }
        (taken, expected.content())
    };
    let (_, content) = once(true);
    each_round(content, |times| (0..times).map(|_| once(false).0).sum());
    once(true);
}

fn get<P: Peer>(filled: Filled<P>) {
    let mut ids = filled.random_ids();
    each_round(filled.expected.content(), |times| {
        timed(times, || {
            let id = ids.next().expect("endless");
            black_box(filled.peer.get(id).expect("a stored dataset"));
        })
    });
    filled.reopened();
}

fn list<P: Peer>(filled: Filled<P>) {
    let count = filled.expected.datasets.len();
    each_round(filled.expected.content(), |times| {
        timed(times, || assert_eq!(black_box(filled.peer.list()).len(), count))
    });
    filled.reopened();
}

fn page<P: Peer>(filled: Filled<P>) {
    let (mut cursor, mut found) = (None, 0);
    each_round(filled.expected.content(), |times| {
        timed(times, || {
            let (page, next) = black_box(filled.peer.page(cursor.as_ref(), 50));
            found += page.len();
            cursor = next;
        })
    });
    assert!(found > 0);
    filled.reopened();
}

fn summaries<P: Peer>(filled: Filled<P>) {
    let (mut cursor, mut found) = (None, 0);
    each_round(filled.expected.content(), |times| {
        timed(times, || {
            let (page, next) = black_box(filled.peer.summaries(cursor.as_ref(), 50));
            found += page.len();
            cursor = next;
        })
    });
    assert!(found > 0);
    filled.reopened();
}

fn count<P: Peer>(filled: Filled<P>) {
    let count = filled.expected.datasets.len() as u64;
    each_round(filled.expected.content(), |times| timed(times, || assert_eq!(filled.peer.count(), count)));
    filled.reopened();
}

fn rename<P: Peer>(mut filled: Filled<P>) {
    let mut ids = filled.random_ids();
    let kpis: Vec<_> = (0..64)
        .map(|_| P::plain(filled.peer.get(ids.next().expect("endless")).expect("a stored dataset")))
        .map(|dataset| (dataset.id, dataset.kpis[KPIS / 2].id))
        .collect();
    let mut next = kpis.iter().cycle();
    let mut number = 0;
    each_round(filled.expected.content(), |times| {
        let mut last = None;
        let taken = timed(times, || {
            number += 1;
            let (dataset, kpi) = next.next().expect("endless");
            let name = format!("Total water withdrawal, corrected {number}");
            let changed = filled.peer.rename_kpi(*dataset, *kpi, &name).expect("a valid name");
            last = Some((changed, *kpi, name));
        });
        let (changed, kpi, name) = last.expect("a round has at least one operation");
        let changed = P::plain(changed);
        let kpi = changed.kpis.iter().find(|stored| stored.id == kpi).expect("the KPI");
        assert!(kpi.name == name && kpi.updated_at.is_some() && kpi.updated_at == changed.updated_at, "{changed:?}");
        assert_eq!(filled.peer.get(changed.id).map(P::plain).as_ref(), Some(&changed));
        taken
    });
    for (id, _) in &kpis {
        let stored = P::plain(filled.peer.get(*id).expect("a stored dataset"));
        filled.expected.changed(&stored);
    }
    filled.reopened();
}

fn open_get_close<P: Peer>(filled: Filled<P>) {
    let Filled { peer, expected, folder, .. } = filled;
    peer.close();
    let mut ids = expected.datasets.iter().map(|(id, _)| *id).cycle().step_by(97);
    each_round(expected.content(), |times| {
        timed(times, || {
            let peer = P::open(folder.path(), Durability::Full);
            black_box(peer.get(ids.next().expect("endless")).expect("a stored dataset"));
            peer.close();
        })
    });
    expected.assert_stored(&P::open(folder.path(), Durability::Full));
}

/// In a store that is open and has been used a little.
fn memory<P: Peer>(task: &Task) {
    let folder = fresh_folder(&task.folder);
    let peer = P::open(folder.path(), Durability::Full);
    let count = task.amount.of(task.job.datasets());
    let mut before = peer.load(input::datasets(task.job.texts()).take(20), usize::MAX);
    each_round(before, |_| {
        let resident = most_resident();
        before += peer.load(input::datasets(task.job.texts()).take(count), usize::MAX);
        most_resident() - resident
    });
    let requests: Vec<_> = input::datasets(task.job.texts()).take(count).collect();
    let listed = peer.list().into_iter().map(P::plain);
    assert!(listed.skip(20).zip(&requests).all(|(stored, new)| stored.is_answer_to(new)));
    assert_eq!(peer.count(), before);
    peer.close();
}

/// The largest amount of memory that this process has had, in bytes. Only Linux tells.
///
/// # Panics
///
/// On other systems.
#[must_use]
pub fn most_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line with the peak");
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB")
}

fn bytes<P: Peer>(filled: Filled<P>) {
    let Filled { peer, expected, folder, .. } = filled;
    peer.close();
    each_round(expected.content(), |_| bytes_of(folder.path()));
}
