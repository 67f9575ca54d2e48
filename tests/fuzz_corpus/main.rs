//! Replays the stored inputs of the fuzzer, each with the body of its target. They were found by:
//!
//! ```text
//! cargo +nightly fuzz run database -- -max_total_time=600
//! ```

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// The body of a target.
type Body = fn(&[u8]);

/// The targets, each with the minimum number of its stored inputs.
const TARGETS: [(&str, Body, usize); 4] = [
    ("request_json", bodies::request_json, 20),
    ("cursor", bodies::cursor, 5),
    ("database", bodies::database, 20),
    ("wal", bodies::wal, 10),
];

#[test]
fn every_kept_input_keeps_the_promises() {
    for (target, body, least) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut count = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().path();
            let input = fs::read(&file).unwrap();
            catch_unwind(|| body(&input)).unwrap_or_else(|_| panic!("{}", file.display()));
            count += 1;
        }
        assert!(count >= least, "{count} of {target}");
    }
}

/// The controls: a body that compares with other datasets than the stored ones fails.
#[test]
fn the_bodies_detect_wrong_answers() {
    let made = bodies::whole();
    bodies::answers_nothing_wrong(&made.file, None, false, &made.stored);
    bodies::answers_nothing_wrong(&made.file, Some(&made.log), false, &made.with_log);

    let mut other = made.stored.clone();
    other.values_mut().next().unwrap()[0].name.push('!');
    assert!(catch_unwind(|| bodies::answers_nothing_wrong(&made.file, None, true, &other)).is_err(), "another name");
    let with_a_log = || bodies::answers_nothing_wrong(&made.file, Some(&made.log), true, &made.stored);
    assert!(catch_unwind(with_a_log).is_err(), "datasets that were never stored");
}
