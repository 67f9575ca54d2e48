//! Random sequences of every operation, compared with a plain list in memory: every answer exactly, errors by their
//! code. Eight threads that edit one dataset are in `together.rs`.
//!
//! - Every operation: creating, loading and listing; saving drafts, some of them made earlier or read from JSON,
//!   merging after a conflict; patches, single KPIs, the trash, purges, histories, reverts, prunings, compacting.
//! - Listings of datasets, summaries and the trash in every order, with filters and searches; counts of them.
//! - Changes since cursors that were kept, and watches of each handle; properties; statistics.
//! - Handles: up to three on one file, `Full`, `Normal` and read-only, which are closed and opened again; or a store in
//!   memory. Two organizations that use the same ids, and users. The clock steps back now and then.
//! - The disk fails in some operations, or is full. Then the answer is the expected one or a fitting error, and what
//!   was reported as not written is absent. After an unknown outcome the store is asked, and the model follows; or the
//!   process is killed, and another one finds the commit complete in the log, or not.
//! - Loads, all or nothing and in batches, of inputs that are invalid somewhere, or cancelled: how much is stored.
//! - Another tool changes a dataset: it counts as damage until it is accepted, and its history has a gap there.
//! - At the end every dataset, every entry of the trash, every history and every property is the model's, in the file
//!   opened anew.
//!
//! The model follows from the rules alone and shares no code with the store; only the differences between two versions
//! are the crate's own.
//!
//! A failure names its seed, and `KPI_STORE_TEST_SEED` repeats it alone. The long form:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test model -- --nocapture
//! ```

mod calls;
mod changes;
mod drafts;
mod editing;
mod following;
mod handles;
mod history;
mod killed;
mod listing;
mod loading;
mod model;
mod patches;
mod properties;
mod queries;
mod requests;
mod rules;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod trash;
mod world;

use self::rules::Rules;
use self::support::{given_seed, is_long};
use self::world::{Counts, World};

#[test]
fn every_answer_matches_a_plain_list() {
    let mut counts = Counts::default();
    for seed in seeds() {
        let played = World::new(seed, Rules::default()).play(&mut counts);
        played.unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        counts.sequences += 1;
    }
    println!("{counts}, 0 differences");
    if given_seed().is_none() {
        assert!(counts.acknowledged > 0 && counts.failed > 0 && counts.accepted > 0, "{counts}");
        assert!(counts.loaded > 0 && counts.stopped > 0, "{counts}");
        assert!(counts.unknown_and_there > 0 && counts.unknown_and_gone > 0, "{counts}");
        assert!(counts.purges_told > 0, "{counts}");
        assert_eq!(counts.done.len(), 23, "{counts}");
        assert!(counts.done.values().all(|(succeeded, _)| *succeeded > 0), "{counts}");
    }
}

fn seeds() -> std::ops::Range<u64> {
    let count = if is_long() { 1_000 } else { 40 };
    given_seed().map_or(0..count, |seed: u64| seed..seed + 1)
}

/// The control: a model with one wrong rule soon differs.
#[test]
fn a_wrong_rule_is_detected() {
    let mut missed = Vec::new();
    for (name, wrong) in Rules::each_wrong() {
        let differs = |seed| World::new(seed, wrong).play(&mut Counts::default()).is_err();
        let noticed = (0..40).find(|seed| differs(*seed));
        println!("{name} is noticed by seed {noticed:?}");
        if noticed.is_none() {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "{missed:?} are never noticed");
}
