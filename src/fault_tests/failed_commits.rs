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

use std::ops::Range;

use kpi_store_fault_vfs::{Cause, Fault, Kind};

use super::check::Tally;
use super::run::Run;
use super::scenarios::{SCENARIOS, Scenario, two_datasets};
use super::scene::Scene;
use super::{is_long, seed};
use crate::sqlite::schema::SCHEMA;
use crate::{Durability, Error};

/// SQLite writes the log before it syncs it, and a transaction holds only once its last page is there whole. What of it
/// is there must not be completed by the next one, which writes to the same places, and to some of them the same.
#[test]
fn a_commit_that_finds_the_disk_full_is_nowhere_after_any_cut() {
    let (step, by_chance) = if is_long() { (1, 6) } else { (20, 2) };
    let (mut refused, mut tally) = (0, Tally::default());
    for (kind, lasting, kpis) in [
        (Kind::Write, false, &[0][..]),
        (Kind::TornWrite, false, &[0]),
        (Kind::Write, true, &[1, 20]),
        (Kind::TornWrite, true, &[1, 20]),
    ] {
        for at in 1.. {
            let fault = Fault { kinds: vec![kind], at, cause: Cause::Full, lasting };
            let Some(run) = refused_for_want_of_room(fault, kpis) else { break };
            refused += 1;
            tally.add(&run.tally(Durability::Full, step, by_chance));
        }
    }
    println!("commits that found the disk full: {refused}; {tally}");
    assert!(refused > 20, "the control: there was something to fail");
    tally.is_clean();
}

/// A creation that meets the fault, and then the same on a disk that has room; none if it does not meet it.
fn refused_for_want_of_room(fault: Fault, kpis: &[usize]) -> Option<Run> {
    let mut scene = Scene::new(Durability::Full);
    two_datasets(&mut scene).unwrap();
    let what = format!("{fault:?}");
    let mut has_failed = false;
    let run = Run::recorded(&what, scene, |scene| {
        scene.open().unwrap();
        scene.create(1).unwrap();
        scene.disk.fail(fault);
        let created = scene.create_together(kpis);
        has_failed = scene.disk.has_failed();
        if has_failed {
            assert!(matches!(created, Err(Error::StorageFull { .. })), "{what}: {created:?}");
            assert_eq!(scene.read().unwrap().len(), 4, "{what}");
        }
        scene.disk.calm();
        scene.create_together(kpis).unwrap();
        scene.create(0).unwrap();
    });
    has_failed.then_some(run)
}

/// The connection that is given up stays open meanwhile: were it the last one, the next would take what the log holds of the
/// failed commit for committed, and copy into the file what the disk does not hold.
#[test]
fn a_handle_that_goes_on_after_a_lasting_failure_takes_nothing_of_it_along() {
    let mut tally = Tally::default();
    for kpis in [1, 100] {
        let mut scene = Scene::new(Durability::Full);
        two_datasets(&mut scene).unwrap();
        let run = Run::recorded(&format!("{kpis} KPIs, syncs fail for a while"), scene, |scene| {
            scene.open().unwrap();
            scene.create(1).unwrap();
            scene.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: true });
            let created = scene.create(kpis);
            assert!(matches!(created, Err(Error::OutcomeUnknown { .. })), "{created:?}");
            scene.disk.calm();
            scene.create(2).unwrap();
            assert_eq!(scene.read().unwrap().len(), 5, "what nobody knew of is not there");
        });
        tally.add(&run.tally(Durability::Full, if is_long() { 1 } else { 3 }, 2));
    }
    println!("syncs failed for a while: {tally}");
    tally.is_clean();
}

/// What the log holds then is in the system's memory, perhaps for ever, and looks as if it were on the disk.
///
/// Nobody can tell the next process that a sync had failed: while it copies the log into the file and empties it, there is
/// nothing to go back to if the power fails. That time is counted apart. Once the file is open, nothing depends on that
/// log any more; if the disk is full then, once it is written.
#[test]
fn what_a_killed_process_could_not_sync_takes_nothing_with_it_once_the_next_one_has_opened_the_file() {
    let (step, by_chance) = if is_long() { (1, 6) } else { (3, 2) };
    let (mut tally, mut doubtful) = (Tally::default(), Tally::default());
    for (kpis, is_full) in [(0, false), (1, false), (100, false), (1, true)] {
        let (run, kill, settled) = failed_sync_then_kill_then_write(kpis, is_full);
        let expected = run.expected(Durability::Full);
        run.cut(step, by_chance, |image, cut, what| {
            let tally = if (kill + 1..settled).contains(&cut) { &mut doubtful } else { &mut tally };
            tally.count(expected.check(image, cut), || what.to_owned());
        });
    }
    println!("killed after a failed sync: {tally}; before the next process has opened the file: {doubtful}");
    assert!(doubtful.corrupt > 0, "the control: there is such a time");
    tally.is_clean();
}

/// Two processes, one after the other, with the places where the first was killed and the second had settled the log. It
/// may find the disk full when it opens the file.
fn failed_sync_then_kill_then_write(kpis: usize, is_full: bool) -> (Run, usize, usize) {
    let mut scene = Scene::new(Durability::Full);
    two_datasets(&mut scene).unwrap();
    let mut kill = 0;
    let (killed, found) = Run::killed(&format!("{kpis} KPIs, a failed sync, a kill"), scene, |scene| {
        scene.open().unwrap();
        scene.create(1).unwrap();
        scene.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: true });
        let created = scene.create(kpis);
        assert!(matches!(created, Err(Error::OutcomeUnknown { .. })), "{created:?}");
        kill = scene.disk.recorded();
    });
    let mut scene = Scene::on(&found, Durability::Full);
    scene.organization = killed.organization;
    let mut settled = kill;
    let next = Run::recorded("another process", scene, |scene| {
        if is_full {
            scene.disk.fail(Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: true });
        }
        scene.open().unwrap();
        if is_full {
            assert!(scene.disk.has_failed(), "the log is not copied into the file");
            scene.read().unwrap();
            scene.create(1).unwrap_err();
            scene.disk.calm();
            scene.create(1).unwrap();
        }
        settled += scene.disk.recorded();
        scene.read().unwrap();
        scene.create(1).unwrap();
        scene.create(2).unwrap();
    });
    (killed.then(next), kill, settled)
}

/// All kinds fail, the N-th operation for every N, until the scenario comes to its end before.
#[test]
fn after_any_fault_the_store_goes_on_and_no_cut_takes_what_it_acknowledges() {
    let (at_step, step, by_chance) = if is_long() { (1, 9, 1) } else { (23, 31, 0) };
    let (mut faults, mut tally, mut while_opening) = (0, Tally::default(), Tally::default());
    for scenario in &SCENARIOS {
        for lasting in [false, true] {
            let mut at = 1;
            while let Some((run, doubtful)) = failing(scenario, at, lasting) {
                let expected = run.expected(Durability::Full);
                run.cut(step, by_chance, |image, cut, what| {
                    let tally = if doubtful.contains(&cut) { &mut while_opening } else { &mut tally };
                    tally.count(expected.check(image, cut), || what.to_owned());
                });
                faults += 1;
                at += at_step;
            }
        }
    }
    println!("faults: {faults}, then power cuts: {tally}; during a new opening: {while_opening}");
    tally.is_clean();
}

/// Plays the scenario until it fails, mends the disk, and goes on; none if nothing failed. With it the places in an
/// opening that finds what could not be synced, as after a kill.
fn failing(scenario: &Scenario, at: u64, lasting: bool) -> Option<(Run, Range<usize>)> {
    let mut scene = Scene::new(Durability::Full);
    (scenario.prepare)(&mut scene).unwrap();
    let name = format!("{}, operation {at} fails, lasting: {lasting}", scenario.name);
    let (mut has_failed, mut doubtful) = (false, 0..0);
    let run = Run::recorded(&name, scene, |scene| {
        let kinds = [Kind::Write, Kind::Sync, Kind::Truncate, Kind::Delete, Kind::Open, Kind::Rename, Kind::SyncFolder];
        scene.disk.fail(Fault { kinds: kinds.to_vec(), at, cause: Cause::Io, lasting });
        let played = (scenario.run)(scene);
        has_failed = scene.disk.has_failed();
        if has_failed {
            let said = format!("seed {}, {name}, {played:?}", seed());
            doubtful = go_on(scene).unwrap_or_else(|error| panic!("{said}, then {error:?}"));
        }
    });
    has_failed.then_some((run, doubtful))
}

/// The disk is well again. The same handle goes on, if there is one; then the file is opened anew.
fn go_on(scene: &mut Scene) -> crate::Result<Range<usize>> {
    scene.disk.calm();
    let began = scene.disk.recorded();
    let goes_on = scene.is_open() && std::ptr::eq(scene.schema, &raw const SCHEMA);
    if goes_on {
        scene.accept_the_rest()?;
        scene.create(1)?;
        scene.read()?;
    }
    scene.open()?;
    let ended = scene.disk.recorded();
    scene.accept_the_rest()?;
    scene.create(3)?;
    let found = scene.read()?;
    assert!(scene.acknowledged().iter().all(|dataset| found.contains(dataset)), "something acknowledged is not there");
    Ok(if goes_on { 0..0 } else { began + 1..ended })
}
