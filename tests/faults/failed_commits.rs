//! Operations fail, the store is used further, and then the power is cut.
//!
//! - A commit that failed on a full disk is in no image, however much of it was written.
//! - After one failed operation, or a time in which all fail, the same handle works. What it acknowledged before and
//!   afterwards survives any cut, even if what a failed sync was to write never reaches the disk.
//!
//! The short form takes a sample. The long form:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib failed_commits -- --nocapture
//! ```

use std::cell::Cell;
use std::ops::Range;

use kpi_store_fault_vfs::{Cause, Fault, Kind, Operation};

use super::change_scenarios::rename;
use super::run::Run;
use super::scenarios::{Scenario, scenarios, two_datasets};
use super::session::Session;
use super::tally::Tally;
use super::{is_long, seed};
use crate::sqlite::schema::SCHEMA;
use crate::{Durability, Error, Result};
use kpi_store_test_support::plain_sqlite;

/// SQLite writes the log before it syncs it, and a transaction is committed only once its last page is complete. The
/// next transaction, which writes to the same offsets and partly the same bytes, must not complete the failed one.
#[test]
fn a_commit_that_failed_on_a_full_disk_is_absent_after_any_power_cut() {
    let (step, by_chance) = if is_long() { (1, 6) } else { (20, 2) };
    let (mut refused, mut tally) = (0, Tally::default());
    let cases: [(Kind, bool, Call, bool); 8] = [
        (Kind::Write, false, create_one, false),
        (Kind::TornWrite, false, create_one, true),
        (Kind::Write, true, create_two, true),
        (Kind::TornWrite, true, create_two, false),
        (Kind::TornWrite, true, create_one, true),
        (Kind::TornWrite, false, edit, true),
        (Kind::Write, true, edit, false),
        (Kind::TornWrite, true, delete, false),
    ];
    for (kind, lasting, call, beside_a_reader) in cases {
        for at in 1.. {
            let fault = Fault { kinds: vec![kind], at, cause: Cause::Full, lasting };
            let Some(run) = refused_for_want_of_room(fault, call, beside_a_reader) else { break };
            refused += 1;
            tally.add(&run.tally(Durability::Full, step, by_chance));
        }
    }
    println!("commits that found the disk full: {refused}; {tally}");
    assert!(refused > 20, "the control: there was something to fail");
    tally.assert_clean();
}

/// The last write of the next transaction is often the same as that of the failed one, since both reserve the same
/// numbers. On its own it must not be what the failed one lacked.
#[test]
fn the_next_transaction_never_completes_one_that_failed_on_a_full_disk() {
    let mut tally = Tally::default();
    let cases: [(Call, bool); 4] = [(create_one, false), (create_one, true), (edit, false), (edit, true)];
    for (call, beside_a_reader) in cases {
        for at in 1.. {
            let fault = Fault { kinds: vec![Kind::TornWrite], at, cause: Cause::Full, lasting: false };
            let Some(run) = refused_for_want_of_room(fault, call, beside_a_reader) else { break };
            let expected = run.expected(Durability::Full);
            run.cut_at_syncs(|image, cut, what| tally.count(expected.check(image, cut), || what.to_owned()));
        }
    }
    println!("the last write of a commit after one that found the disk full: {tally}");
    tally.assert_clean();
}

type Call = fn(&mut Session) -> Result<()>;

fn create_one(session: &mut Session) -> Result<()> {
    session.create(0)
}

fn create_two(session: &mut Session) -> Result<()> {
    session.create_together(&[1, 20])
}

fn edit(session: &mut Session) -> Result<()> {
    session.save(2, rename)
}

fn delete(session: &mut Session) -> Result<()> {
    session.delete(&[0, 2])
}

/// A call that fails, and then the same on a disk with room; none if the fault was not reached. A snapshot that is
/// older than all of it may be held, so that the log cannot be truncated.
fn refused_for_want_of_room(fault: Fault, call: Call, beside_a_reader: bool) -> Option<Run> {
    let mut session = Session::new(Durability::Full);
    two_datasets(&mut session).unwrap();
    let what = format!("{fault:?}");
    let mut has_failed = false;
    let run = Run::recorded(&what, session, |session| {
        session.open().unwrap();
        let reader = beside_a_reader.then(|| plain_sqlite(&session.file));
        if let Some(reader) = &reader {
            reader.execute_batch("BEGIN; SELECT count(*) FROM dataset").unwrap();
        }
        session.create(1).unwrap();
        // A commit of another connection, after which numbers are reserved anew.
        plain_sqlite(&session.file).execute_batch("UPDATE counter SET last = last + 1").unwrap();
        session.disk.fail(fault);
        let called = call(session);
        has_failed = session.disk.has_failed();
        if has_failed {
            assert!(matches!(called, Err(Error::StorageFull { .. })), "{what}: {called:?}");
            session.read_and_judge(&what);
        }
        session.disk.calm();
        if has_failed {
            call(session).unwrap();
        }
        session.create(0).unwrap();
    });
    has_failed.then_some(run)
}

/// The abandoned connection stays open meanwhile. If it were the last one, the next would treat the failed commit in
/// the log as committed, and copy pages into the file that the disk does not hold.
#[test]
fn a_handle_used_after_a_lasting_failure_keeps_nothing_of_the_failed_commit() {
    let mut tally = Tally::default();
    for kpis in [1, 100] {
        let mut session = Session::new(Durability::Full);
        two_datasets(&mut session).unwrap();
        let run = Run::recorded(&format!("{kpis} KPIs, syncs fail for a while"), session, |session| {
            session.open().unwrap();
            session.create(1).unwrap();
            session.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: true });
            let created = session.create(kpis);
            assert!(matches!(created, Err(Error::OutcomeUnknown { .. })), "{created:?}");
            session.disk.calm();
            session.create(2).unwrap();
            assert_eq!(session.read().unwrap().living.len(), 5, "the dataset with the unknown outcome is not there");
        });
        tally.add(&run.tally(Durability::Full, if is_long() { 1 } else { 3 }, 2));
    }
    println!("syncs failed for a while: {tally}");
    tally.assert_clean();
}

/// The end of the log is then in the page cache only, and reads as if it were on the disk.
///
/// The next process cannot know that a sync had failed: while it copies the log into the file and empties it, there is
/// nothing to go back to if the power fails. That time is counted separately. Once the file is open, nothing depends on
/// that log any more; on a full disk, once it has been written.
#[test]
fn an_unsynced_log_of_a_killed_process_loses_nothing_once_the_next_process_has_opened_the_file() {
    let (step, by_chance) = if is_long() { (1, 6) } else { (3, 2) };
    let (mut tally, mut doubtful) = (Tally::default(), Tally::default());
    for (kpis, room) in [
        (0, Room::Enough),
        (1, Room::Enough),
        (100, Room::Enough),
        (1, Room::FreedBeforeTheFirstWrite),
        (100, Room::FreedBeforeTheFirstWrite),
        (1, Room::FreedAfterTheFirstWrite),
    ] {
        let (run, kill, settled) = failed_sync_then_kill_then_write(kpis, room);
        let expected = run.expected(Durability::Full);
        run.cut(step, by_chance, |image, cut, what| {
            let tally = if (kill + 1..settled).contains(&cut) { &mut doubtful } else { &mut tally };
            tally.count(expected.check(image, cut), || what.to_owned());
        });
    }
    println!("killed after a failed sync: {tally}; before the next process has opened the file: {doubtful}");
    assert!(doubtful.corrupt > 0, "the control: there is such a time");
    tally.assert_clean();
}

/// The control: the opening must sync the log that it has cut. If the power could undo that, old frames would hide newer
/// pages of the file until the first write.
#[test]
fn the_harness_detects_that_the_disk_ignores_the_sync_of_a_truncated_log() {
    let (run, _, settled) = failed_sync_then_kill_then_write(100, Room::Enough);
    let is_truncated = Cell::new(false);
    let run = run.without(|operation| match operation {
        Operation::Truncate { file, length: 0 } if file.ends_with("-wal") => {
            is_truncated.set(true);
            false
        }
        Operation::Sync { file } if file.ends_with("-wal") => is_truncated.replace(false),
        _ => false,
    });
    let (expected, mut tally) = (run.expected(Durability::Full), Tally::default());
    run.cut(1, 4, |image, cut, what| {
        // The sync that is left out comes before the end of the opening.
        if cut + 1 >= settled {
            tally.count(expected.check(image, cut), || what.to_owned());
        }
    });
    println!("control, no sync of the truncated log: {tally}");
    assert!(tally.breaches() > 0, "{tally}");
}

/// What the second process finds on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    /// The opening finds the disk full; the first write does not.
    FreedBeforeTheFirstWrite,
    /// The first write finds it full too, and fails.
    FreedAfterTheFirstWrite,
}

/// Two processes, one after the other, with the positions at which the first was killed and the second had checkpointed
/// the log.
fn failed_sync_then_kill_then_write(kpis: usize, room: Room) -> (Run, usize, usize) {
    let mut session = Session::new(Durability::Full);
    two_datasets(&mut session).unwrap();
    let mut kill = 0;
    let (killed, found) = Run::killed(&format!("{kpis} KPIs, a failed sync, a kill"), session, |session| {
        session.open().unwrap();
        session.create(1).unwrap();
        session.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: true });
        let created = session.create(kpis);
        assert!(matches!(created, Err(Error::OutcomeUnknown { .. })), "{created:?}");
        kill = session.disk.recorded();
    });
    let mut session = Session::on(&found, Durability::Full);
    session.organization = killed.organization;
    let mut settled = kill;
    let next = Run::recorded("another process", session, |session| {
        if room != Room::Enough {
            session.disk.fail(Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: true });
        }
        session.open().unwrap();
        if room != Room::Enough {
            assert!(session.disk.has_failed(), "the log is not copied into the file");
            session.read().unwrap();
            if room == Room::FreedAfterTheFirstWrite {
                session.create(1).unwrap_err();
            }
            session.disk.calm();
            session.create(1).unwrap();
        }
        settled += session.disk.recorded();
        session.read().unwrap();
        session.create(1).unwrap();
        session.create(2).unwrap();
    });
    (killed.then(next), kill, settled)
}

/// The N-th operation of any kind fails, for every N until the scenario ends before the N-th.
#[test]
fn after_any_fault_the_store_works_and_no_power_cut_loses_what_it_then_acknowledges() {
    let (at_step, step, by_chance) = if is_long() { (1, 9, 1) } else { (23, 31, 0) };
    let (mut faults, mut tally, mut while_opening) = (0, Tally::default(), Tally::default());
    for scenario in scenarios() {
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
    tally.assert_clean();
}

/// Runs the scenario until it fails, repairs the disk, and continues; none if nothing failed. With it come the
/// positions in an opening that finds an unsynced log, as after a kill.
fn failing(scenario: &Scenario, at: u64, lasting: bool) -> Option<(Run, Range<usize>)> {
    let mut session = Session::new(Durability::Full);
    (scenario.prepare)(&mut session).unwrap();
    let name = format!("{}, operation {at} fails, lasting: {lasting}", scenario.name);
    let (mut has_failed, mut doubtful) = (false, 0..0);
    let run = Run::recorded(&name, session, |session| {
        let changes = [Kind::Write, Kind::Sync, Kind::Truncate, Kind::Delete, Kind::Open];
        let kinds = [&changes[..], &[Kind::Link, Kind::Rename, Kind::SyncFolder]].concat();
        session.disk.fail(Fault { kinds, at, cause: Cause::Io, lasting });
        let result = (scenario.run)(session);
        has_failed = session.disk.has_failed();
        if has_failed {
            let what = format!("seed {}, {name}, {result:?}", seed());
            doubtful = go_on(session).unwrap_or_else(|error| panic!("{what}, then {error:?}"));
        }
    });
    has_failed.then_some((run, doubtful))
}

/// The disk works again. The same handle continues, if there is one; then the file is opened again.
fn go_on(session: &mut Session) -> Result<Range<usize>> {
    session.disk.calm();
    let began = session.disk.recorded();
    let goes_on = session.is_open() && std::ptr::eq(session.schema, &raw const SCHEMA);
    if goes_on {
        session.accept_the_rest()?;
        session.create(1)?;
        session.read()?;
    }
    session.open()?;
    let ended = session.disk.recorded();
    session.accept_the_rest()?;
    session.create(3)?;
    session.read_and_judge("afterwards");
    Ok(if goes_on { 0..0 } else { began + 1..ended })
}
