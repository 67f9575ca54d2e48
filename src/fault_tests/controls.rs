//! The controls: losses and damage are seen where they must come.
//!
//! Writing without syncs, `Normal` held against the promise of `Full`, and a disk that does not do what it says about each
//! kind of sync.

use kpi_store_fault_vfs::Operation;

use super::check::{Harm, Tally};
use super::run::Run;
use super::scenarios::{SCENARIOS, two_datasets};
use super::scene::{Event, Scene};
use crate::Durability;

/// Acknowledged commits that were not synced are lost, and the harness sees it.
#[test]
fn the_harness_sees_what_normal_loses() {
    let mut tally = Tally::default();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.starts_with("create")) {
        tally.add(&Run::of(scenario, Durability::Normal).tally(Durability::Full, 2, 2));
    }
    println!("control, Normal held against Full: {tally}");
    assert!(tally.lost > 0 && tally.corrupt == 0 && tally.partial == 0, "{tally}\n{}", tally.complaints);
}

/// A file as it was before an acceptance that was acknowledged.
#[test]
fn the_harness_sees_an_acceptance_that_is_lost() {
    let mut scene = Scene::new(Durability::Full);
    two_datasets(&mut scene).unwrap();
    scene.alter(1);
    let run = Run::recorded("accept", scene, |scene| scene.open().and_then(|()| scene.accept()).unwrap());
    let expected = run.expected(Durability::Full);
    let mut lost = 0;
    run.cut(usize::MAX, 0, |image, _, _| {
        let harm = expected.check(image, usize::MAX);
        assert!(matches!(&harm, Err(Harm::Lost(what)) if what.starts_with("the acceptance")), "{harm:?}");
        lost += 1;
    });
    assert!(lost > 0);
}

/// A plain connection that syncs nothing loses and damages; the same one that syncs does not.
#[test]
fn the_harness_sees_what_is_lost_without_syncs() {
    for (synchronous, is_safe) in [("OFF", false), ("FULL", true)] {
        let mut scene = Scene::new(Durability::Full);
        scene.open().unwrap();
        let run = Run::recorded(synchronous, scene, |scene| copy_by_plain_sqlite(scene, synchronous));
        let tally = run.tally(Durability::Full, 1, 4);
        println!("control, synchronous={synchronous}: {tally}");
        assert_eq!(tally.lost == 0 && tally.corrupt == 0, is_safe, "{tally}\n{}", tally.complaints);
    }
}

/// Datasets of another store, copied by a connection of which this crate knows nothing.
fn copy_by_plain_sqlite(scene: &mut Scene, synchronous: &str) {
    let mut twin = Scene::new(Durability::Full);
    twin.organization = scene.organization;
    twin.open().unwrap();
    (0..6).for_each(|kpis| twin.create(kpis).unwrap());
    twin.close().unwrap();
    let plain = rusqlite::Connection::open(&scene.file).unwrap();
    plain.execute("ATTACH ?1 AS twin", [twin.file.to_str().unwrap()]).unwrap();
    plain.pragma_update(None, "synchronous", synchronous).unwrap();
    plain.pragma_update(None, "wal_autocheckpoint", 12).unwrap();
    let creations = twin.events.into_iter().filter(|noted| matches!(noted.event, Event::Creation { .. }));
    for (seq, noted) in (1..).zip(creations) {
        let began = scene.disk.recorded();
        plain
            .execute_batch(&format!(
                "BEGIN IMMEDIATE;
                INSERT INTO dataset SELECT * FROM twin.dataset WHERE seq = {seq};
                INSERT INTO kpi SELECT * FROM twin.kpi WHERE dataset_seq = {seq};
                COMMIT"
            ))
            .unwrap();
        scene.note(began, noted.event);
    }
}

/// A sync that the disk only says it does, and the scenario in which that must show.
type Lie = (&'static str, &'static str, fn(&Operation) -> bool);

const LIES: [Lie; 6] = [
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
fn the_harness_sees_each_sync_that_is_a_lie() {
    for (what, name, is_lie) in LIES {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let tally = Run::of(scenario, Durability::Full).without(is_lie).tally(Durability::Full, 2, 0);
        println!("control, no sync of {what} ({name}): {tally}");
        assert!(tally.harms() > 0, "{what}, {name}: {tally}");
    }
}
