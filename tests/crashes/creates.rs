//! Processes killed during creates, from the first opening on.

use std::path::Path;
use std::time::Duration;

use kpi_store::{DatasetId, Durability, NewDataset, Store};

use crate::ledger::{Ledger, Verdict, acknowledgement, batch, create_and_report, judge, read};
use crate::support::child::{self, Child, Task};
use crate::support::{Random, TestFile, is_long, organization, plain_sqlite};

const THREADS: u64 = 4;
const KILLS_PER_FILE: usize = 10;

#[test]
fn no_acknowledged_create_is_lost_and_none_is_partial() {
    const TEST: &str = "creates::no_acknowledged_create_is_lost_and_none_is_partial";
    if let Some(task) = child::task() {
        return run(&task);
    }
    let (kills_wanted, creates_wanted) = if is_long() { (300, 20_000) } else { (10, 0) };
    let (mut kills, mut creates, mut opening, mut seed) = (0, 0, 0, 0x8C0D_E001);
    while kills < kills_wanted || creates < creates_wanted {
        let file = TestFile::new();
        let mut ledger = Ledger::default();
        for round in 1..=KILLS_PER_FILE {
            seed += 1;
            let sent = kill_at_a_random_moment(TEST, &file.path, seed, round == 1);
            opening += usize::from(sent.is_empty());
            ledger.note(&sent);
            let verdict = judge(TEST, "read", &file.path, &ledger);
            let verdict = verdict.unwrap_or_else(|why| panic!("seed {seed}, kill {round}: {why}"));
            // Each thread may have stored one batch that it could no longer report.
            assert!(verdict.unsaid <= usize::try_from(THREADS).unwrap() * round, "seed {seed}: {verdict:?}");
            let expected = Verdict { unsaid: verdict.unsaid, ..Verdict::default() };
            assert_eq!(verdict, expected, "seed {seed}, kill {round} of its file");
            kills += 1;
        }
        creates += ledger.len();
    }
    println!(
        "crashes: {kills} kills, {opening} before a first create; {creates} creates acknowledged, 0 lost, 0 partial"
    );
}

/// The control: a dataset reported before it was acknowledged is lost.
#[test]
fn the_harness_detects_premature_acknowledgements() {
    const TEST: &str = "creates::the_harness_detects_premature_acknowledgements";
    if let Some(task) = child::task() {
        return run(&task);
    }
    for role in ["report before the call returned", "leave a transaction open"] {
        let file = TestFile::new();
        organization(&Store::open(&file.path).unwrap()).create_dataset(named(1)).unwrap();
        let plain = plain_sqlite(&file.path);
        if role == "report before the call returned" {
            // The child is killed while it waits for this lock.
            plain.execute_batch("BEGIN IMMEDIATE").unwrap();
        }
        let mut ledger = Ledger::default();
        let mut child = Child::start(TEST, role, &file.path, 0);
        ledger.note(&[child.receive().unwrap()]);
        ledger.note(&child.kill());
        drop(plain);
        let verdict = judge(TEST, "read", &file.path, &ledger).unwrap();
        assert_eq!(verdict, Verdict { lost: 1, partial: 0, unsaid: 1 }, "{role}");
    }
}

/// The control: a batch of which only the beginning is stored, and a dataset that lacks a KPI, are detected.
#[test]
fn the_harness_detects_partial_creates() {
    const TEST: &str = "creates::the_harness_detects_partial_creates";
    if let Some(task) = child::task() {
        return run(&task);
    }
    let cases = [(named(1), 0), (named(3), 1), (NewDataset::new(format!("{} 0 1 5", DatasetId::new())), 1)];
    for (request, partial) in cases {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let name = request.name.clone();
        let dataset = organization(&store).create_dataset(request).unwrap();
        store.close().unwrap();
        let mut ledger = Ledger::default();
        ledger.note(&[acknowledgement(&dataset)]);
        let verdict = judge(TEST, "read", &file.path, &ledger).unwrap();
        assert_eq!(verdict, Verdict { partial, ..Verdict::default() }, "{name}");
    }
}

/// The first of a batch of this size, without KPIs.
fn named(size: u64) -> NewDataset {
    NewDataset::new(format!("{} 0 {size} 0", DatasetId::new()))
}

/// Starts a writer and kills it: while it opens the file, or at a random moment after some acknowledgements.
fn kill_at_a_random_moment(test: &str, file: &Path, seed: u64, is_first: bool) -> Vec<String> {
    let mut random = Random::new(seed);
    let is_early = is_first || random.below(8) == 0;
    let (acknowledged, moment) = if is_early { (0, 8_000) } else { (1 + random.below(200), 2_000) };
    let mut child = Child::start(test, "write", file, seed);
    let mut sent: Vec<String> = (0..acknowledged).map_while(|_| child.receive()).collect();
    // No event marks the moments inside a call, so that only time leads there.
    std::thread::sleep(Duration::from_micros(random.below(moment) as u64));
    sent.extend(child.kill());
    sent
}

fn run(task: &Task) {
    match task.role.as_str() {
        "read" => read(task, false),
        "write" => write(task),
        "report before the call returned" => {
            let organization = organization(&Store::open(&task.file).unwrap());
            let id = DatasetId::new();
            child::send([format!("created {id} 0")]);
            let _ = organization.create_dataset(named(1).id(id));
        }
        "leave a transaction open" => leave_a_transaction_open(&task.file),
        role => panic!("no such role: {role}"),
    }
}

/// Several threads create one batch after another until this process is killed.
fn write(task: &Task) {
    let durability = if task.seed.is_multiple_of(4) { Durability::Normal } else { Durability::Full };
    let store = Store::options().durability(durability).open(&task.file).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let organization = organization(&store);
            let mut random = Random::new(task.seed.wrapping_mul(THREADS) + thread);
            scope.spawn(move || {
                loop {
                    create_and_report(&organization, batch(&mut random));
                }
            });
        }
    });
}

fn leave_a_transaction_open(file: &Path) {
    let id = DatasetId::new();
    let plain = plain_sqlite(file);
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let copy = "INSERT INTO dataset (seq, id, organization_id, name, created_at, revision, kpi_count, required_count,
            head_digest, kpi_digest)
        SELECT seq + 1, ?1, organization_id, name, created_at, revision, kpi_count, required_count, head_digest,
            kpi_digest FROM dataset";
    assert_eq!(plain.execute(copy, [uuid::Uuid::from(id).as_bytes()]), Ok(1));
    child::send([format!("created {id} 0")]);
    child::receive();
}
