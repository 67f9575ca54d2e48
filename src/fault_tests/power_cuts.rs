//! The power is cut at every operation on the disk, and once more while the file recovers from that.
//!
//! - `Full`: nothing acknowledged is lost, nothing is there in part, the file opens, verifies and can be written.
//! - `Normal`: the last acknowledged writes may be missing, in their order; nothing is there in part, and what was there
//!   when a store was closed stays.
//! - A backup under its name is whole, an upgraded file of one version or the other with its copy beside it.
//!
//! The short form looks at a few images of each scenario. The long form, at least 20,000 images and 1,000 second cuts:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib power_cuts -- --nocapture
//! ```

use super::check::{Tally, found_in};
use super::is_long;
use super::run::Run;
use super::scenarios::SCENARIOS;
use super::scene::Scene;
use crate::Durability;

fn every_scenario(durability: Durability) {
    let (step, by_chance) = if is_long() { (1, 140) } else { (5, 1) };
    let mut tally = Tally::default();
    for scenario in &SCENARIOS {
        tally.add(&Run::of(scenario, durability).tally(durability, step, by_chance));
    }
    println!("power cuts, {durability:?}: {tally}");
    tally.is_clean();
}

#[test]
fn under_full_nothing_acknowledged_is_lost_and_nothing_is_there_in_part() {
    every_scenario(Durability::Full);
}

#[test]
fn under_normal_nothing_is_there_in_part_and_the_last_writes_are_missing_in_their_order() {
    every_scenario(Durability::Normal);
}

/// Before a file has a log, SQLite keeps the old pages in a journal that `Normal` syncs once: torn, it could pass for whole.
#[test]
fn the_first_opening_of_a_backup_is_as_safe_under_normal() {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name.starts_with("opening a backup")).unwrap();
    let tally =
        Run::of(scenario, Durability::Normal).tally(Durability::Normal, 100, if is_long() { 1_000 } else { 100 });
    println!("power cuts while a backup is opened, Normal: {tally}");
    tally.is_clean();
}

#[test]
fn a_second_cut_while_the_first_is_being_recovered_changes_nothing() {
    let (step, by_chance) = if is_long() { (8, 1) } else { (60, 0) };
    let (mut firsts, mut tally) = (0, Tally::default());
    for scenario in &SCENARIOS {
        let run = Run::of(scenario, Durability::Full);
        run.cut(step, by_chance, |image, _, what| {
            let mut scene = Scene::on(image, Durability::Full);
            (scene.organization, scene.schema) = (run.organization, run.schema);
            scene.events = found_in(image, &run.events, run.organization, run.schema);
            let second = Run::recorded(what, scene, |scene| {
                scene.open().unwrap();
                scene.accept_the_rest().unwrap();
                scene.read().unwrap();
                scene.create(1).unwrap();
                scene.close().unwrap();
            });
            firsts += 1;
            tally.add(&second.tally(Durability::Full, step, by_chance));
        });
    }
    println!("second power cuts, after {firsts} first ones: {tally}");
    tally.is_clean();
}
