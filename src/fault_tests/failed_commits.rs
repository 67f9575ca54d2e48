//! Operations fail, the store goes on, and then the power is cut.
//!
//! - A commit that finds the disk full is in no image, whatever of it was written.
//! - After any operation failed once, or all of them for a while, the same handle goes on; what it acknowledged before
//!   and afterwards is there after any cut, even where a failed sync never brings to the disk what it was asked to.
//!
//! The short form takes a sample. The long form:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib failed_commits -- --nocapture
//! ```

use kpi_store_fault_vfs::{Cause, Fault, Kind};

use super::check::Tally;
use super::run::Run;
use super::scenarios::{SCENARIOS, Scenario, two_datasets};
use super::scene::Scene;
use super::{is_long, seed};
use crate::sqlite::schema::SCHEMA;
use crate::{Durability, Error};

/// SQLite writes the log before it syncs it, and a transaction holds only once its last page is there whole.
#[test]
fn a_commit_that_finds_the_disk_full_is_nowhere_after_any_cut() {
    let (step, others) = if is_long() { (1, 4) } else { (9, 0) };
    let (mut refused, mut tally) = (0, Tally::default());
    for (kind, lasting) in
        [(Kind::Write, false), (Kind::Write, true), (Kind::TornWrite, false), (Kind::TornWrite, true)]
    {
        for at in 1.. {
            let mut scene = Scene::new(Durability::Full);
            two_datasets(&mut scene).unwrap();
            let mut has_failed = false;
            let run = Run::recorded(&format!("{kind:?} {at} finds no room, lasting: {lasting}"), scene, |scene| {
                scene.open().unwrap();
                scene.create(1).unwrap();
                scene.disk.fail(Fault { kinds: vec![kind], at, cause: Cause::Full, lasting });
                let created = scene.create_together(&[1, 20]);
                has_failed = scene.disk.has_failed();
                if has_failed {
                    assert!(matches!(created, Err(Error::StorageFull { .. })), "{kind:?} {at}: {created:?}");
                    assert_eq!(scene.read().unwrap().len(), 4, "{kind:?} {at}");
                }
                scene.disk.calm();
                scene.create(2).unwrap();
                scene.create(0).unwrap();
            });
            if !has_failed {
                break;
            }
            refused += 1;
            tally.add(&run.tally(Durability::Full, step, others));
        }
    }
    println!("commits that found the disk full: {refused}; {tally}");
    assert!(refused > 20, "the control: there was something to fail");
    tally.is_clean();
}

/// All kinds fail, the N-th operation for every N, until the scenario comes to its end before.
#[test]
fn after_any_fault_the_store_goes_on_and_no_cut_takes_what_it_acknowledges() {
    let (at_step, step, others) = if is_long() { (1, 7, 1) } else { (23, 31, 0) };
    let (mut faults, mut tally) = (0, Tally::default());
    for scenario in &SCENARIOS {
        for lasting in [false, true] {
            let mut at = 1;
            while let Some(run) = failing(scenario, at, lasting) {
                faults += 1;
                tally.add(&run.tally(Durability::Full, step, others));
                at += at_step;
            }
        }
    }
    println!("faults: {faults}, then power cuts: {tally}");
    tally.is_clean();
}

/// Plays the scenario until it fails, mends the disk, and goes on; none if nothing failed.
fn failing(scenario: &Scenario, at: u64, lasting: bool) -> Option<Run> {
    let mut scene = Scene::new(Durability::Full);
    (scenario.prepare)(&mut scene).unwrap();
    let name = format!("{}, operation {at} fails, lasting: {lasting}", scenario.name);
    let mut has_failed = false;
    let run = Run::recorded(&name, scene, |scene| {
        let kinds =
            vec![Kind::Write, Kind::Sync, Kind::Truncate, Kind::Delete, Kind::Open, Kind::Rename, Kind::SyncFolder];
        scene.disk.fail(Fault { kinds, at, cause: Cause::Io, lasting });
        let played = (scenario.run)(scene);
        has_failed = scene.disk.has_failed();
        if has_failed {
            let said = format!("seed {}, {name}, {played:?}", seed());
            go_on(scene).unwrap_or_else(|error| panic!("{said}, then {error:?}"));
        }
    });
    has_failed.then_some(run)
}

/// The disk is well again. The same handle goes on, if there is one; then the file is opened anew.
fn go_on(scene: &mut Scene) -> crate::Result<()> {
    scene.disk.calm();
    if scene.is_open() && std::ptr::eq(scene.schema, &raw const SCHEMA) {
        scene.create(1)?;
        scene.read()?;
    }
    scene.open()?;
    scene.create(3)?;
    let found = scene.read()?;
    assert!(scene.acknowledged().iter().all(|dataset| found.contains(dataset)), "something acknowledged is not there");
    Ok(())
}
