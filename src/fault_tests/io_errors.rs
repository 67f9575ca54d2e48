//! Every operation fails, one after the other: the first, the second, and so on, until the scenario runs without meeting
//! the fault. Each kind of operation for itself, with an error of the device and with a full disk, once and from then on.
//!
//! - Every error is one that fits: a full disk is `storage_full`, a failing device never `corrupt`; it has a source.
//! - What an error says was not written is nowhere; what was acknowledged is there; an unknown outcome is all or nothing.
//! - After one fault the next operation on the same handle works; after a lasting one it does once it is over. If opening
//!   failed, opening works.
//! - If the process is killed instead, with an outcome unknown, the next one finds all of it or nothing.
//! - No lock stays, no draft, no backup that was not acknowledged, and a file between two versions is one of them.
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

use super::check::{Expected, Harm};
use super::scenarios::{self, Scenario};
use super::scene::{BACKUP_OF_UPGRADE, Event, Fate, Noted, Scene};
use super::{images, io_scenarios, is_long};
use crate::sqlite::schema::SCHEMA;
use crate::{Dataset, Durability, Error, Result, Store};

/// How many faults there were, and what became of them.
#[derive(Debug, Default)]
struct Counts {
    faults: usize,
    /// Nobody needed to know: what failed was done another way, or is done later.
    unnoticed: usize,
    errors: BTreeMap<&'static str, usize>,
    /// Of unknown outcomes, looked at by the same handle later, and by another process as if this one had been killed.
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
fn every_operation_may_fail_and_nothing_is_lost_or_untrue_and_the_store_goes_on() {
    let mut total = BTreeMap::<String, Counts>::new();
    for fault in faults() {
        let counts = total.entry(format!("{:?} {:?}", fault.kinds, fault.cause)).or_default();
        for (turn, scenario) in (0..).zip(scenarios::SCENARIOS.iter().chain(&io_scenarios::SCENARIOS)) {
            at_every(&fault, turn, |fault| fail(scenario, fault, counts));
        }
    }
    for (what, counts) in &total {
        println!("{what}: {counts}");
        assert!(counts.faults > 0, "{what} was never met");
    }
    let faults: usize = total.values().map(|counts| counts.faults).sum();
    let held: usize = total.values().map(|counts| counts.unknown_and_there).sum();
    let did_not: usize = total.values().map(|counts| counts.unknown_and_gone).sum();
    println!(
        "I/O errors: {faults} faults, 0 panics, 0 corrupt, 0 lost, 0 untrue; unknown outcomes: {held} held, {did_not} did not"
    );
    assert!(held > 0 && did_not > 0, "unknown outcomes go both ways: {held} held, {did_not} did not");
}

/// SQLite's check writes down what it could not read among what it finds damaged, in one text.
#[test]
fn a_page_that_cannot_be_read_is_no_damage_whatever_else_the_check_says() {
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
fn an_acceptance_that_failed_holds_or_does_not_and_can_be_repeated() {
    let (mut failed, mut held) = (0, 0);
    for (turn, fault) in (0..).zip(faults()) {
        at_every(&fault, turn, |fault| {
            let met = fail_to_accept(fault);
            failed += usize::from(met.is_some());
            held += usize::from(met == Some(true));
            met.is_some()
        });
    }
    println!("acceptances that failed: {failed}, of which {held} held");
    assert!(failed > held);
}

/// No room is only where something is written or made.
fn faults() -> impl Iterator<Item = Fault> {
    let one_by_one = Kind::ALL.map(|kind| (vec![kind], Cause::Io));
    let full = [Kind::Write, Kind::TornWrite, Kind::Open, Kind::Rename].map(|kind| (vec![kind], Cause::Full));
    let all_together = [(Kind::ALL.to_vec(), Cause::Io)];
    let kinds_and_causes = one_by_one.into_iter().chain(full).chain(all_together);
    kinds_and_causes
        .flat_map(|(kinds, cause)| [false, true].map(|lasting| Fault { kinds: kinds.clone(), at: 1, cause, lasting }))
}

/// Gives `meet` the fault at the first operation, the second and so on, until it was not met. The steps of the short form
/// grow, from a `turn` to the next by another one, so that it comes to late operations, too.
fn at_every(fault: &Fault, turn: u64, mut meet: impl FnMut(&Fault) -> bool) {
    let (mut at, mut step) = (1, 1 + turn % 7);
    while meet(&Fault { at, ..fault.clone() }) {
        at += if is_long() { 1 } else { step };
        step *= 5;
    }
}

/// Plays the scenario with this fault, and looks at everything. False if the fault was not met.
fn fail(scenario: &Scenario, fault: &Fault, counts: &mut Counts) -> bool {
    let mut scene = Scene::new(Durability::Full);
    (scenario.prepare)(&mut scene).unwrap();
    let prepared = scene.events.len();
    scene.disk.fail(fault.clone());
    let played = (scenario.run)(&mut scene);
    if !scene.disk.has_failed() {
        played.unwrap();
        return false;
    }
    let what = format!("{}, {fault:?}: {played:?}", scenario.name);
    counts.faults += 1;
    match &played {
        Ok(()) => counts.unnoticed += 1,
        Err(error) => {
            *counts.errors.entry(error.code()).or_default() += 1;
            assert!(is_fitting(error, fault), "{what}");
        }
    }
    if fault.lasting {
        insist(&mut scene, fault, &what);
        scene.disk.calm();
    }
    leaves_no_trace(&scene, fault, &what);
    if let Err(Error::OutcomeUnknown { .. }) = played {
        count_unknown(&scene.events[prepared..], &found_after_a_kill(&scene, &what), counts);
    }
    go_on(&mut scene, fault.at, &what);
    let found = judge(&mut scene, &what);
    count_unknown(&scene.events[prepared..], &found, counts);
    true
}

/// Whether this is what a program should be told of this fault.
fn is_fitting(error: &Error, fault: &Fault) -> bool {
    let allowed: &[&str] = match (fault.cause, &fault.kinds[..]) {
        (Cause::Full, [Kind::Write | Kind::TornWrite]) => &["storage_full"],
        // Of a file that cannot be opened SQLite does not say why; one that only reads takes its log for forbidden.
        (_, kinds) if kinds.contains(&Kind::Open) && error.code() == "read_only" => &["read_only"],
        (Cause::Full, _) => &["storage_full", "storage", "invalid_path"],
        (Cause::Io, [Kind::Open]) => &["storage", "invalid_path"],
        (Cause::Io, [_]) => &["storage", "outcome_unknown"],
        (Cause::Io, _) => &["storage", "outcome_unknown", "invalid_path"],
    };
    allowed.contains(&error.code()) && error.source().is_some()
}

/// Tries again while the fault lasts: what is answered must be true all the same.
fn insist(scene: &mut Scene, fault: &Fault, what: &str) {
    if !scene.is_open() {
        let _ = scene.open().inspect_err(|error| assert!(is_fitting(error, fault), "{what}; again: {error:?}"));
    }
    // What is written between two attempts to upgrade is in the copy of the second alone.
    if scene.is_open() && std::ptr::eq(scene.schema, &raw const SCHEMA) {
        for tried in [scene.create(1), scene.read().map(drop), scene.create(0)] {
            let Err(error) = tried else { continue };
            let is_asked_for = scene.is_read_only && matches!(error, Error::ReadOnly { .. });
            let is_damage = scene.is_damaged() && matches!(error, Error::Corrupt { .. });
            assert!(is_asked_for || is_damage || is_fitting(&error, fault), "{what}; meanwhile: {error:?}");
        }
    }
}

/// What failed leaves nothing in the folder. What cannot be removed is left.
fn leaves_no_trace(scene: &Scene, fault: &Fault, what: &str) {
    if fault.kinds.contains(&Kind::Delete) {
        return;
    }
    let copies = scene.events.iter().filter_map(|noted| match &noted.event {
        Event::Backup { name, is_acknowledged: false, .. } => Some(name.as_str()),
        _ => None,
    });
    // An upgrade whose commit failed may hold, unless the disk was full; its copy stays.
    let must_not_be: Vec<_> = copies.filter(|name| *name != BACKUP_OF_UPGRADE || fault.cause == Cause::Full).collect();
    for entry in fs::read_dir(scene.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains(".draft") && !must_not_be.contains(&name.as_str()), "{what}: {name} is left");
    }
}

/// The next operation works, whichever it is, and then all others.
fn go_on(scene: &mut Scene, turn: u64, what: &str) {
    let works = |done: Result<()>, next: &str| {
        done.unwrap_or_else(|error| panic!("{what}; then {next}: {error:?}"));
    };
    // A handle of the version before may not write any more if the upgrade holds.
    if !scene.is_open() || !std::ptr::eq(scene.schema, &raw const SCHEMA) {
        works(scene.open(), "open");
    }
    if scene.is_read_only {
        works(scene.read().map(drop), "read");
        assert!(scene.sees_what_others_write().unwrap(), "{what}: it sees nothing of what others write");
        return;
    }
    works(scene.accept_the_rest(), "accept");
    for next in 0..6 {
        match (turn + next) % 6 {
            0 => works(scene.create(2), "create"),
            1 => works(scene.read().map(drop), "read"),
            2 => works(scene.store().verify().map(|found| assert!(found.is_whole(), "{what}: {found:?}")), "verify"),
            3 => works(scene.back_up_and_forget(), "backup"),
            4 => assert!(scene.is_unlocked(), "{what}: a lock is left"),
            _ => {
                works(scene.close(), "close");
                works(scene.open(), "open again");
            }
        }
    }
}

/// Holds what the same handle finds, what a fresh one does and what lies in the folder against what was answered.
fn judge(scene: &mut Scene, what: &str) -> Vec<Dataset> {
    let (found, elsewhere) = (scene.read().unwrap(), scene.found_in(&scene.file).unwrap());
    assert_eq!(found, elsewhere, "{what}: another handle finds something else");
    scene.leave();
    for judged in [expected(scene).judge(&found, usize::MAX), left(scene)] {
        judged.unwrap_or_else(|harm| panic!("{what}: {harm:?}"));
    }
    found
}

/// What the next process finds if this one is killed now. A failed sync leaves in the system's memory what was written.
fn found_after_a_kill(scene: &Scene, what: &str) -> Vec<Dataset> {
    let mut next = Scene::on(&images::read(scene.path()), Durability::Full);
    (next.organization, next.schema) = (scene.organization, scene.schema);
    next.events.clone_from(&scene.events);
    next.open().and_then(|()| next.accept_the_rest()).unwrap_or_else(|error| panic!("{what}, then a kill: {error:?}"));
    let found = next.read().unwrap();
    let judged = expected(scene).judge(&found, usize::MAX);
    judged.unwrap_or_else(|harm| panic!("{what}, then a kill: {harm:?}"));
    found
}

fn expected(scene: &Scene) -> Expected<'_> {
    let Scene { events, organization, schema, .. } = scene;
    Expected { events, organization: *organization, schema, promise: Durability::Full }
}

/// Whether what lies in the folder is what was answered.
fn left(scene: &Scene) -> Result<(), Harm> {
    expected(scene).check(&images::read(scene.path()), usize::MAX)
}

fn count_unknown(events: &[Noted], found: &[Dataset], counts: &mut Counts) {
    for noted in events {
        let Event::Creation { asked, fate: Fate::Unknown } = &noted.event else { continue };
        let is_there = found.iter().any(|dataset| dataset.id == asked[0].0);
        *(if is_there { &mut counts.unknown_and_there } else { &mut counts.unknown_and_gone }) += 1;
    }
}

/// Lets the acceptance of a changed name fail, and looks whether it holds; none if the fault was not met.
fn fail_to_accept(fault: &Fault) -> Option<bool> {
    let mut scene = Scene::new(Durability::Full);
    scenarios::two_datasets(&mut scene).unwrap();
    let id = scene.acknowledged()[0].id;
    by_plain_sqlite(&scene, "UPDATE dataset SET name = 'Waste'");
    scene.open().unwrap();
    let organization = scene.store().organization(scene.organization);
    let what = format!("accept, {fault:?}");
    scene.disk.fail(fault.clone());
    let accepted = organization.accept_dataset(id);
    if !scene.disk.has_failed() {
        accepted.unwrap();
        return None;
    }
    scene.disk.calm();
    let holds = match (organization.dataset(id), &accepted) {
        (Ok(Some(dataset)), Ok(_) | Err(Error::OutcomeUnknown { .. })) => dataset.name == "Waste",
        (Err(Error::Corrupt { .. }), Err(error)) if is_fitting(error, fault) => false,
        (found, _) => panic!("{what}: {accepted:?}, but {found:?}"),
    };
    let accepted = organization.accept_dataset(id).unwrap_or_else(|error| panic!("{what}; again: {error:?}"));
    assert_eq!(organization.dataset(id).unwrap(), accepted, "{what}");
    let elsewhere = Store::open(&scene.file).unwrap().organization(scene.organization).dataset(id).unwrap();
    assert_eq!(elsewhere, accepted, "{what}");
    Some(holds)
}

/// The control: answers that are not true are seen, and so are errors that say something else.
#[test]
fn an_untrue_answer_is_noticed() {
    let harm = |lie: fn(&mut Scene)| {
        let mut scene = Scene::new(Durability::Full);
        scenarios::two_datasets(&mut scene).unwrap();
        assert!(left(&scene).is_ok());
        lie(&mut scene);
        left(&scene).unwrap_err()
    };
    let lost = harm(|scene| by_plain_sqlite(scene, "DELETE FROM dataset WHERE seq = 1"));
    assert!(matches!(lost, Harm::Lost(_)), "{lost:?}");
    let altered = harm(|scene| by_plain_sqlite(scene, "DELETE FROM kpi WHERE position = 2"));
    assert!(matches!(altered, Harm::Corrupt(_)), "{altered:?}");
    let untrue = harm(|scene| {
        let Event::Creation { fate, .. } = &mut scene.events[0].event else { panic!("it began with a creation") };
        *fate = Fate::Refused;
    });
    assert!(matches!(untrue, Harm::Corrupt(_)), "{untrue:?}");

    let full = Fault { kinds: vec![Kind::Write], at: 1, cause: Cause::Full, lasting: false };
    assert!(!is_fitting(&Error::damaged("it is cut"), &full));
    assert!(!is_fitting(&Error::StorageFull { source: None }, &full), "what was the reason?");
}

fn by_plain_sqlite(scene: &Scene, sql: &str) {
    let plain = rusqlite::Connection::open(&scene.file).unwrap();
    plain.execute_batch(&format!("PRAGMA foreign_keys = ON; {sql}")).unwrap();
}
