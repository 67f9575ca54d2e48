//! The controls of changes: a lost edit, a partial one, an untrue answer and a dataset that comes back are detected.

use kpi_store_test_support::ledger::Breach;
use kpi_store_test_support::plain_sqlite;

use super::change_scenarios::{rename, three_datasets};
use super::images::{self, Image};
use super::session::{Change, Event, Noted, Outcome, Session};
use crate::{ChangeCursor, Durability, Result};

/// A session in which something was changed, with the files of before the last call.
fn changed(change: impl FnOnce(&mut Session) -> Result<()>) -> (Session, Image) {
    let mut session = Session::new(Durability::Full);
    three_datasets(&mut session).unwrap();
    session.open().unwrap();
    session.save(2, |draft| draft.kpis[0].name.push('!')).unwrap();
    session.delete(&[1]).unwrap();
    let before = images::read(session.path());
    change(&mut session).unwrap();
    sound(&session);
    (session, before)
}

fn sound(session: &Session) {
    session.expected().check(&images::read(session.path()), usize::MAX).unwrap();
}

/// The breach after something was done to the file behind the session's back.
fn breach_after(session: &mut Session, sql: &str) -> Breach {
    session.leave();
    assert!(plain_sqlite(&session.file).execute(sql, ()).unwrap() > 0, "{sql}");
    session.expected().check(&images::read(session.path()), usize::MAX).unwrap_err()
}

#[test]
fn the_harness_detects_a_lost_change() {
    let changes: [fn(&mut Session) -> Result<()>; 9] = [
        |session| session.save(2, rename),
        |session| session.update(0, rename),
        |session| session.add_kpi(0),
        |session| session.delete(&[2]),
        |session| session.restore(&[1]),
        |session| session.purge(1),
        |session| session.revert(2, 1),
        |session| session.prune(Some(2), 1),
        |session| session.set_properties(&["cursor", "map"], Some(b"1")),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (session, before) = changed(change);
        let breach = session.expected().check(&before, usize::MAX);
        assert!(matches!(breach, Err(Breach::Lost(_))), "{number}: {breach:?}");
    }
}

#[test]
fn the_harness_detects_a_partial_edit() {
    for sql in [
        "UPDATE kpi SET name = 'Other' WHERE position = 0",
        "UPDATE dataset SET revision = revision + 1 WHERE revision = 3",
        "DELETE FROM dataset_version WHERE change = (SELECT max(change) FROM dataset_version)",
        "DELETE FROM dataset_version WHERE origin = 0 AND revision = 1",
    ] {
        let (mut session, _) = changed(|session| session.save(2, rename));
        let breach = breach_after(&mut session, sql);
        assert!(matches!(breach, Breach::Corrupt(_)), "{sql}: {breach:?}");
    }
}

#[test]
fn the_harness_detects_properties_that_are_there_in_part_and_one_that_comes_back() {
    let (mut session, _) = changed(|session| session.set_properties(&["cursor", "map"], Some(b"1")));
    let breach = breach_after(&mut session, "DELETE FROM organization_property WHERE key = 'map'");
    assert!(matches!(breach, Breach::Partial(_)), "{breach:?}");

    let (mut session, before) = changed(|session| {
        session.set_properties(&["cursor"], Some(b"1"))?;
        session.set_properties(&["cursor"], None)
    });
    session.organization().set_properties([("cursor", Some(b"1".as_slice()))]).unwrap();
    session.leave();
    let breach = session.expected().check(&images::read(session.path()), usize::MAX);
    assert!(matches!(breach, Err(Breach::Lost(_))), "its removal: {breach:?}");
    let breach = session.expected().check(&before, usize::MAX);
    assert!(breach.is_ok(), "never set is as removed: {breach:?}");
}

/// Two deletions, each whole, of which the ledger says that they were one.
#[test]
fn the_harness_detects_that_what_was_changed_together_is_there_in_part() {
    let mut before = Image::new();
    let (mut session, _) = changed(|session| {
        session.delete(&[0])?;
        before = images::read(session.path());
        session.delete(&[2])
    });
    let (Some(second), Some(first)) = (session.events.pop(), session.events.pop()) else { panic!("there are two") };
    let (Event::Change(mut first), Event::Change(second)) = (first.event, second.event) else { panic!("two changes") };
    first.effects.extend(second.effects);
    session.note(0, Event::Change(first));
    sound(&session);
    let breach = session.expected().check(&before, usize::MAX);
    assert!(matches!(breach, Err(Breach::Lost(_))), "of what must hold: {breach:?}");
    let Some(Noted { event: Event::Change(Change { outcome, .. }), .. }) = session.events.last_mut() else {
        panic!("it was noted")
    };
    *outcome = Outcome::Unknown;
    let breach = session.expected().check(&before, usize::MAX);
    assert!(matches!(breach, Err(Breach::Partial(_))), "of what may hold: {breach:?}");
}

#[test]
fn the_harness_detects_an_untrue_answer() {
    let (mut session, _) = changed(|session| session.save(2, rename));
    let Some(Noted { event: Event::Change(Change { outcome, .. }), .. }) = session.events.last_mut() else {
        panic!("it ended with a change")
    };
    *outcome = Outcome::Refused;
    let breach = session.expected().check(&images::read(session.path()), usize::MAX);
    assert!(matches!(breach, Err(Breach::Corrupt(_))), "{breach:?}");
}

/// A cursor that stands for another time than the harness keeps with it.
#[test]
fn the_harness_detects_a_change_that_is_not_told_and_one_that_was_not_made() {
    let (mut session, _) = changed(|session| session.save(2, rename));
    let breach_with = |session: &mut Session, cursor| {
        session.cursors.last_mut().unwrap().cursor = cursor;
        session.expected().check(&images::read(session.path()), usize::MAX).unwrap_err()
    };
    let now = session.organization().change_cursor().unwrap();
    let breach = breach_with(&mut session, now);
    assert!(matches!(breach, Breach::Lost(_)), "{breach:?}");
    let breach = breach_with(&mut session, ChangeCursor::start());
    assert!(matches!(breach, Breach::Corrupt(_)), "{breach:?}");

    let (mut session, _) = changed(|session| session.save(2, rename));
    session.file_was_restored();
    let breach = session.expected().check(&images::read(session.path()), usize::MAX);
    assert!(matches!(breach, Err(Breach::Corrupt(_))), "it is the same file: {breach:?}");
}

#[test]
fn the_harness_detects_a_dataset_that_comes_back() {
    let (session, _) = changed(|session| session.save(0, rename));
    session.organization().restore_dataset(session.id(1)).unwrap();
    let breach = session.expected().check(&images::read(session.path()), usize::MAX);
    assert!(matches!(breach, Err(Breach::Partial(_))), "{breach:?}");

    let (mut session, _) = changed(|session| session.purge(1));
    let breach = breach_after(&mut session, "DELETE FROM purged_dataset");
    assert!(matches!(breach, Breach::Lost(_)), "its id is given again: {breach:?}");
}

/// With `Normal`, too, no change holds without those before it.
#[test]
fn the_harness_detects_a_change_that_holds_without_an_earlier_one() {
    let mut first = Image::new();
    let (mut session, _) = changed(|session| {
        session.save(0, rename)?;
        first = images::read(session.path());
        session.save(2, rename)
    });
    let count = session.events.len();
    let judged = |session: &Session| {
        let mut expected = session.expected();
        expected.promise = Durability::Normal;
        expected.check(&first, usize::MAX)
    };
    judged(&session).unwrap();
    session.events.swap(count - 2, count - 1);
    let breach = judged(&session);
    assert!(matches!(breach, Err(Breach::Corrupt(_))), "{breach:?}");
}
