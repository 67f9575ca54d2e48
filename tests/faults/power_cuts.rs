//! The power is cut at every operation on the disk, and a second time during recovery.
//!
//! - `Full`: no acknowledged commit is lost and none is partial; the file opens, verifies and can be written.
//! - `Normal`: the most recent commits may be lost, never an earlier one while a later one survives; none is partial,
//!   and closing a store makes all of them durable.
//! - A backup under its name is complete. An interrupted upgrade leaves one version or the other, with the copy beside
//!   it.
//!
//! The short form checks a few images of each scenario. The long form, at least 20,000 images and 1,000 second cuts:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib power_cuts -- --nocapture
//! ```

use super::is_long;
use super::run::Run;
use super::scenarios::{SCENARIOS, large_scenarios, scenarios};
use super::second::found_in;
use super::session::Session;
use super::tally::Tally;
use crate::Durability;

fn every_scenario(durability: Durability) {
    let mut tally = Tally::default();
    for scenario in scenarios().chain(large_scenarios()) {
        let run = Run::of(scenario, durability);
        // The images of large scenarios are expensive to check.
        let is_large = large_scenarios().any(|large| std::ptr::eq(large, scenario));
        let (step, by_chance) = match (is_long(), is_large) {
            (true, false) => (1, 140),
            (true, true) => (1, 2),
            (false, false) if scenario.is_of_changes() => (10 + run.bytes() / 20_000, 1),
            (false, false) => (5 + run.bytes() / 50_000, 1),
            (false, true) => (100, 0),
        };
        tally.add(&run.tally(durability, step, by_chance));
    }
    println!("power cuts, {durability:?}: {tally}");
    tally.assert_clean();
}

#[test]
fn with_full_no_acknowledged_commit_is_lost_and_none_is_partial() {
    every_scenario(Durability::Full);
}

#[test]
fn with_normal_only_the_last_commits_are_lost_and_none_is_partial() {
    every_scenario(Durability::Normal);
}

/// While a file is not in WAL mode, SQLite keeps the old pages in a journal that `Normal` syncs only once: a torn one
/// could pass for complete.
#[test]
fn the_first_opening_of_a_backup_is_as_safe_with_normal() {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name.starts_with("opening a backup")).unwrap();
    let tally =
        Run::of(scenario, Durability::Normal).tally(Durability::Normal, 100, if is_long() { 1_000 } else { 100 });
    println!("power cuts while a backup is opened, Normal: {tally}");
    tally.assert_clean();
}

#[test]
fn a_second_power_cut_during_recovery_changes_nothing() {
    let (step, by_chance) = if is_long() { (8, 1) } else { (60, 0) };
    let (mut firsts, mut tally) = (0, Tally::default());
    for scenario in scenarios() {
        let run = Run::of(scenario, Durability::Full);
        run.cut(step, by_chance, |image, cut, what| {
            let mut session = Session::on(image, Durability::Full);
            (session.organization, session.schema) = (run.organization, run.schema);
            session.events = found_in(image, &run.expected(Durability::Full), cut);
            let second = Run::recorded(what, session, |session| {
                session.open().unwrap();
                session.accept_the_rest().unwrap();
                session.read().unwrap();
                session.create(1).unwrap();
                session.close().unwrap();
            });
            firsts += 1;
            tally.add(&second.tally(Durability::Full, step, by_chance));
        });
    }
    println!("second power cuts, after {firsts} first ones: {tally}");
    tally.assert_clean();
}
