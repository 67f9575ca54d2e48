//! Every operation fails, one after the other: the first, the second, and so on, until the scenario ends before the
//! fault. Each kind of operation separately, with an I/O error and with a full disk, once and from then on.
//!
//! - Every error fits the fault and has a source: a full disk is `storage_full`, an I/O error is never `corrupt`.
//! - What an error reports as not written is absent, what was acknowledged is there, an unknown outcome is all or
//!   nothing.
//! - After a single fault the next operation on the same handle works; after a lasting one it works once that has
//!   ended. If opening failed, the next opening works.
//! - If the process is killed instead, with an unknown outcome, the next process finds all of it or nothing.
//! - No lock, no draft and no unacknowledged backup is left, and an interrupted upgrade leaves one version or the
//!   other.
//!
//! The short form takes a sample. The long form:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib io_errors -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;

use kpi_store_fault_vfs::{Cause, Fault, Kind};
use kpi_store_test_support::ledger::Breach;
use kpi_store_test_support::{given_scenario, is_unlocked, plain_sqlite};

use super::scenarios::{self, Scenario, large_scenarios, scenarios};
use super::session::{BACKUP_OF_UPGRADE, Change, Creation, Event, Noted, Outcome, Session};
use super::world::{Effect, Found, Wanted};
use super::{images, io_scenarios, is_long};
use crate::sqlite::schema::SCHEMA;
use crate::{Durability, Error, Result, Store};

/// How many faults there were, and how they were answered.
#[derive(Debug, Default)]
struct Counts {
    faults: usize,
    /// The call succeeded: the failed work was done in another way, or is done later.
    unnoticed: usize,
    errors: BTreeMap<&'static str, usize>,
    /// Unknown outcomes, as the same handle finds them later, and as another process does if this one is killed.
    unknown_and_there: usize,
    unknown_and_gone: usize,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { faults, unnoticed, errors, unknown_and_there, unknown_and_gone } = self;
        write!(f, "{faults} faults, {unnoticed} without an error, {errors:?}; ")?;
        write!(f, "unknown outcomes: {unknown_and_there} held, {unknown_and_gone} did not")
    }
}

#[test]
fn after_a_failure_of_any_operation_no_answer_is_false_and_the_store_works() {
    let mut total = BTreeMap::<String, Counts>::new();
    for (number, fault) in (0..).zip(faults()) {
        let of_io = io_scenarios::SCENARIOS.iter().filter(|scenario| scenario.is_asked_for());
        let counts = total.entry(format!("{:?} {:?}", fault.kinds, fault.cause)).or_default();
        for (turn, scenario) in (0..).zip(scenarios().chain(of_io)) {
            if is_long() || !scenario.is_of_changes() || (number + turn) % 4 == 0 {
                at_every(&fault, turn, is_long(), |fault| fail(scenario, fault, counts));
            }
        }
        for scenario in large_scenarios().filter(|_| is_long()) {
            at_every(&fault, number, false, |fault| fail(scenario, fault, counts));
        }
    }
    for (what, counts) in &total {
        println!("{what}: {counts}");
        assert!(counts.faults > 0 || given_scenario().is_some(), "{what} was never met");
    }
    let faults: usize = total.values().map(|counts| counts.faults).sum();
    let held: usize = total.values().map(|counts| counts.unknown_and_there).sum();
    let did_not: usize = total.values().map(|counts| counts.unknown_and_gone).sum();
    println!(
        "I/O errors: {faults} faults, 0 panics, 0 corrupt, 0 lost, 0 untrue; unknown outcomes: {held} held, {did_not} did not"
    );
    assert!(
        held > 0 && did_not > 0 || given_scenario().is_some(),
        "unknown outcomes go both ways: {held} held, {did_not} did not"
    );
}

/// SQLite's integrity check reports unreadable pages in the same text as damaged ones.
#[test]
fn an_unreadable_page_is_not_reported_as_damage() {
    let scenario =
        io_scenarios::SCENARIOS.iter().find(|scenario| scenario.name.starts_with("verify of trees")).unwrap();
    let mut counts = Counts::default();
    for at in 1.. {
        let fault = Fault { kinds: vec![Kind::Read], at, cause: Cause::Io, lasting: false };
        if !fail(scenario, &fault, &mut counts) {
            break;
        }
    }
    assert!(counts.faults > 10, "{counts}");
}

#[test]
fn a_failed_acceptance_is_complete_or_absent_and_can_be_retried() {
    let (mut failed, mut held) = (0, 0);
    for (turn, fault) in (0..).zip(faults()) {
        at_every(&fault, turn, is_long(), |fault| {
            let met = fail_to_accept(fault);
            failed += usize::from(met.is_some());
            held += usize::from(met == Some(true));
            met.is_some()
        });
    }
    println!("acceptances that failed: {failed}, of which {held} held");
    assert!(failed > held);
}

/// Only writing and creating can run out of room. Where the platform has a second code for other reasons, that too.
fn faults() -> impl Iterator<Item = Fault> {
    let one_by_one = Kind::ALL.map(|kind| (vec![kind], Cause::Io));
    let full =
        [Kind::Write, Kind::TornWrite, Kind::Open, Kind::Link, Kind::Rename].map(|kind| (vec![kind], Cause::Full));
    let other = [Kind::Open, Kind::Read, Kind::Lock, Kind::Shm].map(|kind| (vec![kind], Cause::Other));
    let all_together = [(Kind::ALL.to_vec(), Cause::Io)];
    let lock = [(vec![Kind::ShmLock], Cause::Io)];
    let kinds_and_causes = one_by_one.into_iter().chain(full).chain(other).chain(lock).chain(all_together);
    kinds_and_causes
        .flat_map(|(kinds, cause)| [false, true].map(|lasting| Fault { kinds: kinds.clone(), at: 1, cause, lasting }))
        // SQLite would wait for the whole busy timeout, or longer, at every call.
        .filter(|fault| !(fault.lasting && is_answered_as_busy(fault)))
}

/// Calls `fails_at` with the fault at the first operation, the second and so on, until it is not reached. If not at all
/// of them, the steps grow, and differ from one `turn` to the next, so that late operations are reached too.
fn at_every(fault: &Fault, turn: u64, at_all: bool, mut fails_at: impl FnMut(&Fault) -> bool) {
    let (mut at, mut step) = (1, 1 + turn % 7);
    while fails_at(&Fault { at, ..fault.clone() }) {
        at += if at_all { 1 } else { step };
        step = step.saturating_mul(5);
    }
}

/// Runs the scenario with this fault, and checks everything. False if the fault was not reached.
fn fail(scenario: &Scenario, fault: &Fault, counts: &mut Counts) -> bool {
    let mut session = Session::new(Durability::Full);
    (scenario.prepare)(&mut session).unwrap();
    let prepared = session.events.len();
    session.disk.fail(fault.clone());
    let result = (scenario.run)(&mut session);
    if !session.disk.has_failed() {
        result.unwrap();
        return false;
    }
    let what = format!("{}, {fault:?}: {result:?}", scenario.name);
    counts.faults += 1;
    match &result {
        Ok(()) => counts.unnoticed += 1,
        Err(error) => {
            *counts.errors.entry(error.code()).or_default() += 1;
            assert!(is_fitting(error, fault), "{what}");
        }
    }
    if fault.lasting {
        retry(&mut session, fault, &what);
        session.disk.calm();
    }
    leaves_no_trace(&session, fault, &what);
    if let Err(Error::OutcomeUnknown { .. }) = result {
        count_unknown(&session.events[prepared..], &found_after_a_kill(&session, &what), counts);
    }
    go_on(&mut session, fault.at, &what);
    let found = judge(&mut session, &what);
    count_unknown(&session.events[prepared..], &found, counts);
    true
}

/// Whether the platform answers the failure like a lock that is held, so that SQLite waits for it.
fn is_answered_as_busy(fault: &Fault) -> bool {
    fault.kinds.contains(&Kind::ShmLock) || fault.kinds.contains(&Kind::Lock) && fault.cause == Cause::Other
}

/// Whether this error is right for this fault.
fn is_fitting(error: &Error, fault: &Fault) -> bool {
    if is_answered_as_busy(fault) && matches!(error, Error::Busy { .. }) {
        return true;
    }
    let allowed: &[&str] = match (fault.cause, &fault.kinds[..]) {
        (Cause::Full, [Kind::Write | Kind::TornWrite]) => &["storage_full"],
        // SQLite does not say why a file cannot be opened; a read-only connection reports that its log may not be
        // opened.
        (_, kinds) if kinds.contains(&Kind::Open) && error.code() == "read_only" => &["read_only"],
        (Cause::Full, _) => &["storage_full", "storage", "invalid_path"],
        (Cause::Io | Cause::Other, [Kind::Open]) => &["storage", "invalid_path"],
        (Cause::Io | Cause::Other, [_]) => &["storage", "outcome_unknown"],
        (Cause::Io | Cause::Other, _) => &["storage", "outcome_unknown", "invalid_path"],
    };
    allowed.contains(&error.code()) && error.source().is_some()
}

/// Tries again while the fault lasts: every answer must still be true.
fn retry(session: &mut Session, fault: &Fault, what: &str) {
    if !session.is_open() {
        let _ = session.open().inspect_err(|error| assert!(is_fitting(error, fault), "{what}; again: {error:?}"));
    }
    // Datasets written between two attempts to upgrade are only in the copy made by the second.
    if session.is_open() && std::ptr::eq(session.schema, &raw const SCHEMA) {
        let changed = session.change_something();
        for tried in [session.create(1), session.read().map(drop), changed, session.create(0)] {
            let Err(error) = tried else { continue };
            let is_asked_for = session.is_read_only && matches!(error, Error::ReadOnly { .. });
            let is_damage = session.is_damaged() && matches!(error, Error::Corrupt { .. });
            assert!(is_asked_for || is_damage || is_fitting(&error, fault), "{what}; meanwhile: {error:?}");
        }
    }
}

/// A failed call leaves nothing in the folder, unless removing is what fails.
fn leaves_no_trace(session: &Session, fault: &Fault, what: &str) {
    if fault.kinds.contains(&Kind::Delete) {
        return;
    }
    let copies = session.events.iter().filter_map(|noted| match &noted.event {
        Event::Backup { name, is_acknowledged: false, .. } => Some(name.as_str()),
        _ => None,
    });
    // An upgrade whose commit failed may be durable, unless the disk was full; its copy stays.
    let must_not_be: Vec<_> = copies.filter(|name| *name != BACKUP_OF_UPGRADE || fault.cause == Cause::Full).collect();
    for entry in fs::read_dir(session.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains(".draft") && !must_not_be.contains(&name.as_str()), "{what}: {name} is left");
    }
}

/// The next operation works, whichever it is, and then all the others.
fn go_on(session: &mut Session, turn: u64, what: &str) {
    let works = |done: Result<()>, next: &str| {
        done.unwrap_or_else(|error| panic!("{what}; then {next}: {error:?}"));
    };
    // A handle of the old version may no longer write if the upgrade is durable.
    if !session.is_open() || !std::ptr::eq(session.schema, &raw const SCHEMA) {
        works(session.open(), "open");
    }
    if session.is_read_only {
        works(session.read().map(drop), "read");
        assert!(session.sees_what_others_write().unwrap(), "{what}: it sees nothing of what others write");
        return;
    }
    works(session.accept_the_rest(), "accept");
    for next in 0..7 {
        match (turn + next) % 7 {
            0 => works(session.create(2), "create"),
            1 => works(session.read().map(drop), "read"),
            2 => works(session.store().verify().map(|found| assert!(found.is_whole(), "{what}: {found:?}")), "verify"),
            3 => works(session.back_up_and_forget(), "backup"),
            4 => works(session.change_something(), "edit, delete, restore"),
            5 => assert!(is_unlocked(&session.file), "{what}: a lock is left"),
            _ => {
                works(session.close(), "close");
                works(session.open(), "open again");
            }
        }
    }
}

/// Checks the same handle, a fresh one and the folder against the answers.
fn judge(session: &mut Session, what: &str) -> Found {
    let (found, elsewhere) = (session.read().unwrap(), session.found_in(&session.file).unwrap());
    assert_eq!(found, elsewhere, "{what}: another handle finds something else");
    finds_out(session, &found, what);
    session.leave();
    for judged in [session.expected().judge(&found, usize::MAX), left(session)] {
        judged.unwrap_or_else(|breach| panic!("{what}: {breach:?}"));
    }
    found
}

/// The time that an unknown outcome tells leads to the version, if the edit holds.
fn finds_out(session: &Session, found: &Found, what: &str) {
    for noted in &session.events {
        let Event::Change(Change { effects, outcome: Outcome::Unknown }) = &noted.event else { continue };
        for effect in effects {
            if let Effect::Revise(id, _, Wanted::Content { updated_at, .. }) = effect
                && found.living.iter().any(|life| life.dataset.id == *id)
            {
                let version = session.organization().version_at(*id, *updated_at).unwrap();
                assert_eq!(version.is_some(), effect.is_in(found), "{what}: {version:?}");
            }
        }
    }
}

/// What the next process finds if this one is killed now. Unsynced writes are still in the page cache.
fn found_after_a_kill(session: &Session, what: &str) -> Found {
    let mut next = Session::on(&images::read(session.path()), Durability::Full);
    (next.organization, next.schema) = (session.organization, session.schema);
    next.events.clone_from(&session.events);
    next.cursors.clone_from(&session.cursors);
    next.open().and_then(|()| next.accept_the_rest()).unwrap_or_else(|error| panic!("{what}, then a kill: {error:?}"));
    next.read_and_judge(&format!("{what}, then a kill"))
}

/// Checks the folder against the answers.
fn left(session: &Session) -> Result<(), Breach> {
    session.expected().check(&images::read(session.path()), usize::MAX)
}

fn count_unknown(events: &[Noted], found: &Found, counts: &mut Counts) {
    for noted in events {
        let is_there = match &noted.event {
            Event::Creation(Creation { asked, outcome: Outcome::Unknown }) => found.has(asked[0].0),
            Event::Change(Change { effects, outcome: Outcome::Unknown }) if !effects.is_empty() => {
                effects[0].is_in(found)
            }
            _ => continue,
        };
        *(if is_there { &mut counts.unknown_and_there } else { &mut counts.unknown_and_gone }) += 1;
    }
}

/// Makes the acceptance of a changed name fail, and returns whether it is durable; none if the fault was not reached.
fn fail_to_accept(fault: &Fault) -> Option<bool> {
    let mut session = Session::new(Durability::Full);
    scenarios::two_datasets(&mut session).unwrap();
    let id = session.acknowledged()[0].id;
    by_plain_sqlite(&session, "UPDATE dataset SET name = 'Waste'");
    session.open().unwrap();
    let organization = session.store().organization(session.organization);
    let what = format!("accept, {fault:?}");
    session.disk.fail(fault.clone());
    let accepted = organization.accept_dataset(id);
    if !session.disk.has_failed() {
        accepted.unwrap();
        return None;
    }
    session.disk.calm();
    let holds = match (organization.dataset(id), &accepted) {
        (Ok(Some(dataset)), Ok(_) | Err(Error::OutcomeUnknown { .. })) => dataset.name == "Waste",
        (Err(Error::Corrupt { .. }), Err(error)) if is_fitting(error, fault) => false,
        (found, _) => panic!("{what}: {accepted:?}, but {found:?}"),
    };
    let accepted = organization.accept_dataset(id).unwrap_or_else(|error| panic!("{what}; again: {error:?}"));
    assert_eq!(organization.dataset(id).unwrap().as_ref(), Some(&accepted), "{what}");
    let elsewhere = Store::open(&session.file).unwrap().organization(session.organization).dataset(id).unwrap();
    assert_eq!(elsewhere, Some(accepted), "{what}");
    Some(holds)
}

/// The control: false answers and unfitting errors are detected.
#[test]
fn the_harness_detects_a_false_answer() {
    let breach = |lie: fn(&mut Session)| {
        let mut session = Session::new(Durability::Full);
        scenarios::two_datasets(&mut session).unwrap();
        assert!(left(&session).is_ok());
        lie(&mut session);
        left(&session).unwrap_err()
    };
    let lost = breach(|session| by_plain_sqlite(session, "DELETE FROM dataset WHERE seq = 1"));
    assert!(matches!(lost, Breach::Lost(_)), "{lost:?}");
    let altered = breach(|session| by_plain_sqlite(session, "DELETE FROM kpi WHERE position = 2"));
    assert!(matches!(altered, Breach::Corrupt(_)), "{altered:?}");
    let untrue = breach(|session| {
        let Event::Creation(Creation { outcome, .. }) = &mut session.events[0].event else {
            panic!("it began with a creation")
        };
        *outcome = Outcome::Refused;
    });
    assert!(matches!(untrue, Breach::Corrupt(_)), "{untrue:?}");

    let full = Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: false };
    assert!(!is_fitting(&crate::sqlite::failure::damaged("it is cut"), &full));
    assert!(!is_fitting(&Error::StorageFull { source: None }, &full), "what was the reason?");
}

fn by_plain_sqlite(session: &Session, sql: &str) {
    plain_sqlite(&session.file).execute_batch(&format!("PRAGMA foreign_keys = ON; {sql}")).unwrap();
}
