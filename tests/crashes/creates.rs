//! Kill -9 in the middle of creates, from the first opening on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kpi_store::{DatasetId, Durability, NewDataset, OrganizationId, Store};

use crate::child::{self, Child, Order, Random, is_long};
use crate::ledger::{Ledger, Verdict, acknowledgement, batch, create_and_say, judge, read};

const THREADS: u64 = 4;
const KILLS_PER_FILE: usize = 10;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_there_in_part() {
    const TEST: &str = "creates::nothing_acknowledged_is_lost_and_nothing_is_there_in_part";
    if let Some(order) = child::order() {
        return play(&order);
    }
    let (kills_wanted, creates_wanted) = if is_long() { (300, 20_000) } else { (10, 0) };
    let (mut kills, mut creates, mut opening, mut seed) = (0, 0, 0, 0x8C0D_E001);
    while kills < kills_wanted || creates < creates_wanted {
        let (_folder, file) = place();
        let mut ledger = Ledger::default();
        for round in 1..=KILLS_PER_FILE {
            seed += 1;
            let said = kill_at_a_random_moment(TEST, &file, seed, round == 1);
            opening += usize::from(said.is_empty());
            ledger.note(&said);
            let verdict = judge(TEST, "read", &file, &ledger);
            let verdict = verdict.unwrap_or_else(|why| panic!("seed {seed}, kill {round}: {why}"));
            // Of each thread one batch may have been stored and not said any more.
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

/// The control: what is said before it is acknowledged is lost.
#[test]
fn the_harness_sees_what_was_said_too_early() {
    const TEST: &str = "creates::the_harness_sees_what_was_said_too_early";
    if let Some(order) = child::order() {
        return play(&order);
    }
    for part in ["say before the call returned", "leave a transaction open"] {
        let (_folder, file) = place();
        Store::open(&file).unwrap().organization(OrganizationId::new()).create_dataset(named(1)).unwrap();
        let plain = rusqlite::Connection::open(&file).unwrap();
        if part == "say before the call returned" {
            // It waits for this lock when it is killed.
            plain.execute_batch("BEGIN IMMEDIATE").unwrap();
        }
        let mut ledger = Ledger::default();
        let mut child = Child::start(TEST, part, &file, 0);
        ledger.note(&[child.line().unwrap()]);
        ledger.note(&child.kill());
        drop(plain);
        let verdict = judge(TEST, "read", &file, &ledger).unwrap();
        assert_eq!(verdict, Verdict { lost: 1, partial: 0, unsaid: 1 }, "{part}");
    }
}

/// The control: a batch of which only the beginning is stored, and a dataset that lacks a KPI, are seen.
#[test]
fn the_harness_sees_what_is_there_in_part() {
    const TEST: &str = "creates::the_harness_sees_what_is_there_in_part";
    if let Some(order) = child::order() {
        return play(&order);
    }
    let cases = [(named(1), 0), (named(3), 1), (NewDataset::new(format!("{} 0 1 5", DatasetId::new())), 1)];
    for (request, partial) in cases {
        let (_folder, file) = place();
        let store = Store::open(&file).unwrap();
        let name = request.name.clone();
        let dataset = store.organization(OrganizationId::new()).create_dataset(request).unwrap();
        store.close().unwrap();
        let mut ledger = Ledger::default();
        ledger.note(&[acknowledgement(&dataset)]);
        let verdict = judge(TEST, "read", &file, &ledger).unwrap();
        assert_eq!(verdict, Verdict { partial, ..Verdict::default() }, "{name}");
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kpis.db");
    (folder, file)
}

/// The first of a batch of this size, without KPIs.
fn named(size: u64) -> NewDataset {
    NewDataset::new(format!("{} 0 {size} 0", DatasetId::new()))
}

/// Starts a writer and kills it: while it opens the file, or some acknowledgements later and a moment on.
fn kill_at_a_random_moment(test: &str, file: &Path, seed: u64, is_first: bool) -> Vec<String> {
    let mut random = Random::new(seed);
    let is_early = is_first || random.below(8) == 0;
    let (acknowledged, moment) = if is_early { (0, 8_000) } else { (1 + random.below(200), 2_000) };
    let mut child = Child::start(test, "write", file, seed);
    let mut said: Vec<String> = (0..acknowledged).map_while(|_| child.line()).collect();
    // Nothing announces the moments inside a call; only time leads there.
    std::thread::sleep(Duration::from_micros(random.below(moment)));
    said.extend(child.kill());
    said
}

fn play(order: &Order) {
    match order.part.as_str() {
        "read" => read(order, false),
        "write" => write(order),
        "say before the call returned" => {
            let organization = Store::open(&order.file).unwrap().organization(OrganizationId::new());
            let id = DatasetId::new();
            child::say([format!("created {id} 0")]);
            let _ = organization.create_dataset(named(1).id(id));
        }
        "leave a transaction open" => leave_a_transaction_open(&order.file),
        part => panic!("no such part: {part}"),
    }
}

/// Several threads create one batch after the other until this process is killed.
fn write(order: &Order) {
    let durability = if order.seed.is_multiple_of(4) { Durability::Normal } else { Durability::Full };
    let store = Store::options().durability(durability).open(&order.file).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let organization = store.organization(OrganizationId::new());
            let mut random = Random::new(order.seed.wrapping_mul(THREADS) + thread);
            scope.spawn(move || {
                loop {
                    create_and_say(&organization, batch(&mut random));
                }
            });
        }
    });
}

fn leave_a_transaction_open(file: &Path) {
    let id = DatasetId::new();
    let plain = rusqlite::Connection::open(file).unwrap();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let copy = "INSERT INTO dataset SELECT seq + 1, ?1, organization_id, name, description, created_at, created_by,
        updated_by, updated_at, revision, digest FROM dataset";
    assert_eq!(plain.execute(copy, [uuid::Uuid::from(id).as_bytes()]), Ok(1));
    child::say([format!("created {id} 0")]);
    child::hear();
}
