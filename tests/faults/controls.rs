//! The controls: losses and damage are detected where they must occur.
//!
//! Writing without syncs, `Normal` checked against the promise of `Full`, and a disk that ignores each kind of sync in
//! turn.

use kpi_store_fault_vfs::Operation;
use kpi_store_test_support::ledger::Breach;
use kpi_store_test_support::plain_sqlite;

use super::run::Run;
use super::scenarios::{SCENARIOS, two_datasets};
use super::session::{Event, Session};
use super::tally::Tally;
use crate::Durability;

/// Acknowledged commits that were not synced are lost.
#[test]
fn the_harness_detects_commits_that_normal_loses() {
    let mut tally = Tally::default();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.starts_with("create")) {
        tally.add(&Run::of(scenario, Durability::Normal).tally(Durability::Full, 2, 2));
    }
    println!("control, Normal held against Full: {tally}");
    assert!(tally.lost > 0 && tally.corrupt == 0 && tally.partial == 0, "{tally}\n{}", tally.complaints);
}

/// The file from before an acknowledged acceptance.
#[test]
fn the_harness_detects_a_lost_acceptance() {
    let mut session = Session::new(Durability::Full);
    two_datasets(&mut session).unwrap();
    session.alter(1);
    let run = Run::recorded("accept", session, |session| session.open().and_then(|()| session.accept()).unwrap());
    let expected = run.expected(Durability::Full);
    let mut lost = 0;
    run.cut(usize::MAX, 0, |image, _, _| {
        let breach = expected.check(image, usize::MAX);
        assert!(matches!(&breach, Err(Breach::Lost(what)) if what.starts_with("the acceptance")), "{breach:?}");
        lost += 1;
    });
    assert!(lost > 0);
}

/// A plain connection without syncs loses and damages data; with syncs it does not.
#[test]
fn the_harness_detects_losses_without_syncs() {
    for (synchronous, is_safe) in [("OFF", false), ("FULL", true)] {
        let mut session = Session::new(Durability::Full);
        session.open().unwrap();
        let run = Run::recorded(synchronous, session, |session| copy_by_plain_sqlite(session, synchronous));
        let tally = run.tally(Durability::Full, 1, 4);
        println!("control, synchronous={synchronous}: {tally}");
        assert_eq!(tally.lost == 0 && tally.corrupt == 0, is_safe, "{tally}\n{}", tally.complaints);
    }
}

/// Copies the datasets of another store by a connection that has nothing of this crate.
fn copy_by_plain_sqlite(session: &mut Session, synchronous: &str) {
    let mut twin = Session::new(Durability::Full);
    twin.organization = session.organization;
    twin.open().unwrap();
    (0..6).for_each(|kpis| twin.create(kpis).unwrap());
    twin.close().unwrap();
    let plain = plain_sqlite(&session.file);
    plain.execute("ATTACH ?1 AS twin", [twin.file.to_str().unwrap()]).unwrap();
    plain.pragma_update(None, "synchronous", synchronous).unwrap();
    plain.pragma_update(None, "wal_autocheckpoint", 12).unwrap();
    let creations = twin.events.into_iter().filter(|noted| matches!(noted.event, Event::Creation(_)));
    for (seq, noted) in (1..).zip(creations) {
        let began = session.disk.recorded();
        plain
            .execute_batch(&format!(
                "BEGIN IMMEDIATE;
                INSERT INTO dataset SELECT * FROM twin.dataset WHERE seq = {seq};
                INSERT INTO kpi SELECT * FROM twin.kpi WHERE dataset_seq = {seq};
                UPDATE main.counter SET last = {seq};
                COMMIT"
            ))
            .unwrap();
        session.note(began, noted.event);
    }
}

/// A sync that the disk reports without doing it, and the scenario in which that must be detected.
type IgnoredSync = (&'static str, &'static str, fn(&Operation) -> bool);

const IGNORED_SYNCS: [IgnoredSync; 6] = [
    ("everything", "create with a KPI", |operation| is_sync_of("", operation) || *operation == Operation::SyncFolder),
    ("the log", "create with a KPI", |operation| is_sync_of("-wal", operation)),
    ("the file", "checkpoint by a second handle, and the log from its start again", |operation| {
        is_sync_of("kpis.db", operation)
    }),
    ("the draft", "backup between creates", |operation| is_sync_of(".draft", operation)),
    ("the folder", "backup between creates", |operation| *operation == Operation::SyncFolder),
    ("the folder", "first opening, create, close, the same again", |operation| *operation == Operation::SyncFolder),
];

fn is_sync_of(suffix: &str, operation: &Operation) -> bool {
    matches!(operation, Operation::Sync { file } if file.ends_with(suffix))
}

#[test]
fn the_harness_detects_each_sync_that_the_disk_ignores() {
    for (what, name, is_ignored) in IGNORED_SYNCS {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let tally = Run::of(scenario, Durability::Full).without(is_ignored).tally(Durability::Full, 2, 0);
        println!("control, no sync of {what} ({name}): {tally}");
        assert!(tally.breaches() > 0, "{what}, {name}: {tally}");
    }
}
