//! A sector that the device cannot read any more: each page of the file in turn, and each frame of the log.
//!
//! SQLite reports such a page as it reports a damaged one. No call may: the data is not damaged, and all of it is there
//! again once the device can be read. Pages that are damaged are reported as damaged, whatever SQLite's check makes of
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

use kpi_store_fault_vfs::Kind;

use super::change_scenarios::rename;
use super::images::{self, Image};
use super::scenarios::two_datasets;
use super::session::Session;
use crate::sqlite::open::upgrade_tests::schemas::REBUILDS;
use crate::sqlite::schema::SCHEMA;
use crate::{Durability, Error, Result};

const PAGE: u64 = 4096;

type Call = (&'static str, fn(&mut Session) -> Result<()>);

/// The calls, each on a handle that is open, except where it opens one itself.
const CALLS: [Call; 13] = [
    ("open", Session::open),
    ("open for reading only", |session| {
        session.is_read_only = true;
        session.open()
    }),
    ("read", |session| session.read().map(drop)),
    ("create", |session| session.create(30)),
    ("load", |session| session.load(&[1, 40], None)),
    ("accept", |session| if session.is_damaged() { session.accept() } else { Ok(()) }),
    ("save and read the history", |session| {
        session.save(3, rename)?;
        session.revert(3, 1)
    }),
    ("create_kpi", |session| session.add_kpi(4)),
    ("delete and restore", |session| {
        session.delete(&[3, 5])?;
        session.restore(&[3])
    }),
    ("purge and prune", |session| {
        session.purge_trash()?;
        session.prune(None, 1)
    }),
    ("verify", |session| session.store().verify().map(|found| assert!(found.is_whole(), "{found:?}"))),
    ("backup", |session| session.back_up("copy")),
    ("close", Session::close),
];

/// A closed store of several pages in each table, and its ledger.
fn prepared() -> Session {
    let mut session = Session::new(Durability::Full);
    two_datasets(&mut session).unwrap();
    session.open().unwrap();
    session.create_together(&[100; 6]).unwrap();
    session.create_together(&[0; 60]).unwrap();
    session.save(7, rename).unwrap();
    session.delete(&[8]).unwrap();
    session.close().unwrap();
    session
}

/// The same files for another session.
fn copy_of(session: &Session, image: &Image) -> Session {
    let mut copy = Session::on(image, Durability::Full);
    copy.organization = session.organization;
    copy.events.clone_from(&session.events);
    copy.events.iter_mut().for_each(|noted| (noted.began, noted.ended) = (0, 0));
    copy
}

fn pages(session: &Session, suffix: &str) -> Range<u64> {
    let name = format!("{}{suffix}", session.file.display());
    0..fs::metadata(name).unwrap().len() / PAGE
}

#[test]
fn an_unreadable_page_is_never_answered_as_damage() {
    let prepared = prepared();
    let image = images::read(prepared.path());
    let mut answers = BTreeMap::<&str, usize>::new();
    for (page, (name, call), is_open) in cases(pages(&prepared, "")) {
        let mut session = copy_of(&prepared, &image);
        if name == "accept" {
            session.alter(1);
        }
        let wear_out = |session: &Session| session.disk.wear_out("kpis.db", page * PAGE..(page + 1) * PAGE);
        if is_open {
            session.open().unwrap();
            wear_out(&session);
        } else {
            wear_out(&session);
            if session.open().map_err(|error| assert_not_damage(&error, page, name)).is_err() {
                continue;
            }
        }
        let called = call(&mut session).inspect_err(|error| assert_not_damage(error, page, name));
        *answers.entry(called.map_or_else(|error| error.code(), |()| "ok")).or_default() += 1;
        session.disk.heal();
        works_again(&mut session, &format!("page {page}, {name}"));
    }
    println!("unreadable pages of the file: {answers:?}");
    assert!(answers["storage"] > 20, "{answers:?}");
}

#[test]
fn an_unreadable_frame_of_the_log_is_never_answered_as_damage() {
    let prepared = prepared();
    let image = images::read(prepared.path());
    let mut failed = 0;
    let mut frame = 0;
    loop {
        let mut was_there = false;
        for (name, call) in CALLS {
            let mut session = copy_of(&prepared, &image);
            if name == "accept" {
                session.alter(1);
            }
            session.open().unwrap();
            // It keeps the log while the first handle is closed.
            session.open_another().unwrap();
            session.create_together(&[100, 1]).unwrap();
            was_there = frame < pages(&session, "-wal").end;
            let begin = 32 + frame * (PAGE + 24);
            session.disk.wear_out("kpis.db-wal", begin..begin + PAGE + 24);
            let called = call(&mut session).inspect_err(|error| assert_not_damage(error, frame, name));
            failed += usize::from(called.is_err());
            session.disk.heal();
            works_again(&mut session, &format!("frame {frame}, {name}"));
        }
        if !was_there {
            break;
        }
        frame += 1;
    }
    println!("unreadable frames of the log: {frame}, {failed} calls failed");
    assert!(frame > 5 && failed > 10, "{frame}, {failed}");
}

#[test]
fn an_upgrade_that_meets_an_unreadable_page_is_not_answered_as_damage() {
    let prepared = prepared();
    let image = images::read(prepared.path());
    let mut failed = 0;
    for page in pages(&prepared, "") {
        let mut session = copy_of(&prepared, &image);
        session.disk.wear_out("kpis.db", page * PAGE..(page + 1) * PAGE);
        let upgraded = session.upgrade(&REBUILDS).inspect_err(|error| assert_not_damage(error, page, "upgrade"));
        failed += usize::from(upgraded.is_err());
        session.disk.heal();
        session.schema = &REBUILDS;
        session.open().unwrap();
        session.read_and_judge(&format!("page {page}"));
    }
    assert!(failed > 10, "{failed}");
}

/// The control, and the other half: pages that were overwritten are damage, at every call that meets one.
#[test]
fn an_overwritten_page_is_answered_as_damage_by_every_call_that_meets_it() {
    let prepared = prepared();
    let image = images::read(prepared.path());
    let mut answers = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
    for (page, (name, call), is_open) in cases(pages(&prepared, "")) {
        if matches!(name, "accept" | "verify") {
            continue;
        }
        let mut session = copy_of(&prepared, &image);
        if is_open {
            session.open().unwrap();
            overwrite(&session, page);
        } else {
            overwrite(&session, page);
            if session.open().map_err(|error| assert_eq!(error.code(), "corrupt", "page {page}: {error:?}")).is_err() {
                continue;
            }
        }
        let called = call(&mut session);
        if let Err(error) = &called {
            assert_eq!(error.code(), "corrupt", "page {page}, {name}: {error:?}");
        }
        let answer = called.map_or_else(|error| error.code(), |()| "ok");
        *answers.entry(name).or_default().entry(answer).or_default() += 1;
    }
    println!("overwritten pages: {answers:?}");
    let changes = ["save and read the history", "create_kpi", "delete and restore", "purge and prune"];
    for name in ["open", "read", "create", "load", "backup"].into_iter().chain(changes) {
        assert!(answers[name].contains_key("corrupt"), "{name}: {answers:?}");
    }
}

type Case = (u64, Call, bool);

/// Overwrites a page; of the first not the header of the file.
fn overwrite(session: &Session, page: u64) {
    let mut bytes = fs::read(&session.file).unwrap();
    let begin = usize::try_from(page * PAGE).unwrap();
    let header = if page == 0 { 100 } else { 0 };
    bytes[begin + header..begin + 4096].fill(0xA5);
    fs::write(&session.file, bytes).unwrap();
}

/// The check of every page opens a connection; once it has found damage, no call makes it again.
#[test]
fn a_damaged_file_is_checked_once_while_it_is_open() {
    let prepared = prepared();
    let mut session = copy_of(&prepared, &images::read(prepared.path()));
    session.open().unwrap();
    overwrite(&session, pages(&prepared, "").end - 1);
    let opened = |session: &Session, read: &dyn Fn() -> Result<()>| {
        let before = session.disk.count(Kind::Open);
        assert_eq!(read().unwrap_err().code(), "corrupt");
        session.disk.count(Kind::Open) - before
    };
    let read = || session.read().map(drop);
    assert!(opened(&session, &read) > 1, "the first read opens a connection, and so does the check");
    for _ in 0..3 {
        assert_eq!(opened(&session, &read), 0);
    }
}

/// Every call with every page, on a handle that was open before and on one that was not.
fn cases(pages: Range<u64>) -> impl Iterator<Item = Case> {
    pages.flat_map(|page| CALLS.into_iter().flat_map(move |call| [true, false].map(|is_open| (page, call, is_open))))
}

#[track_caller]
fn assert_not_damage(error: &Error, place: u64, call: &str) {
    assert!(matches!(error.code(), "storage" | "outcome_unknown"), "{place}, {call}: {error:?}");
}

fn works_again(session: &mut Session, what: &str) {
    session.schema = &SCHEMA;
    session.is_read_only = false;
    session.open().unwrap_or_else(|error| panic!("{what}, then open: {error:?}"));
    session.accept_the_rest().unwrap_or_else(|error| panic!("{what}, then accept: {error:?}"));
    session.create(1).unwrap_or_else(|error| panic!("{what}, then create: {error:?}"));
    session.read_and_judge(what);
    assert!(session.store().verify().unwrap().is_whole(), "{what}");
}
