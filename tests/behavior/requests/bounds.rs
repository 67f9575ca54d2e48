//! Bodies with more violations than a list describes: the list ends, says how many there are, and takes no more memory
//! than a few times the body.

use kpi_store::limits::VIOLATIONS_MAX;
use kpi_store::{Error, NewDataset, NewKpi, Store, Violation, Violations};

use super::codes;
use crate::support;

#[test]
fn a_list_ends_after_a_thousand_violations_and_has_the_total() {
    for count in [999, 1_000, 1_001, 5_000] {
        let violations = refused(&body_with_unknown_keys(count));
        let omitted = count.saturating_sub(1_000);
        assert_eq!((violations.len(), violations.total()), (count - omitted, count));
        assert_eq!(violations.as_slice().len(), violations.iter().count());
        assert_eq!(violations.iter().last().unwrap().path(), format!("[\"key {}\"]", count - omitted - 1));

        let text = violations.to_string();
        let last = text.lines().last().unwrap();
        let answer = serde_json::to_value(&violations).unwrap();
        assert_eq!(answer["detail"].as_array().unwrap().len(), count - omitted);
        if omitted == 0 {
            assert_eq!(last, format!("[\"key {}\"]: Extra inputs are not permitted", count - 1));
            assert_eq!(answer.as_object().unwrap().len(), 1);
        } else {
            assert_eq!(last, format!("and {omitted} more"));
            assert_eq!(answer["total"], count);
        }
    }
    assert_eq!(VIOLATIONS_MAX, 1_000);
}

#[test]
fn the_first_violations_are_listed_in_their_order_and_those_of_later_objects_are_counted() {
    let unknown = |count: usize| (0..count).map(|key| format!(",\"key {key}\":[1]")).collect::<Vec<_>>().concat();
    let kpi = |count| format!("{{\"name\":\"\"{}}}", unknown(count));
    let body = format!("{{\"kpis\":[{},{},{}],\"name\":1{}}}", kpi(600), kpi(600), kpi(2_000), unknown(3_000));
    let violations = refused(&body);
    assert_eq!(violations.total(), 1 + 601 + 601 + 2_001 + 3_000);
    let paths: Vec<_> = violations.iter().map(Violation::path).collect();
    assert_eq!(paths.len(), 1_000);
    assert_eq!(["name", "kpis[0].name", "kpis[0][\"key 0\"]"], paths[..3]);
    assert_eq!(["kpis[0][\"key 599\"]", "kpis[1].name"], paths[601..603]);
    assert_eq!(paths[999], "kpis[1][\"key 396\"]");
}

#[test]
fn repeated_keys_are_distinguished_from_unknown_ones_up_to_the_end_of_the_list() {
    let body = format!("{{\"name\":\"w\"{}{}}}", ",\"a\":1,\"name\":\"w\"".repeat(3_000), ",\"b\":1".repeat(10));
    let violations = refused(&body);
    assert_eq!(violations.total(), 6_010);
    let found = codes(&violations);
    assert_eq!(found[0], "extra_forbidden");
    assert!(found[1..].iter().all(|code| *code == "duplicate_key"));
    // The value of a repeated key is validated however many there were before.
    let late = format!("{{\"name\":\"w\"{},\"name\":1}}", ",\"name\":\"w\"".repeat(3_000));
    assert_eq!(codes(&refused(&late))[..2], ["string_type", "duplicate_key"]);
}

#[test]
fn a_syntax_error_after_a_thousand_violations_is_json_invalid() {
    for end in ["", ",", ",}", "]", "}x"] {
        let body = body_with_unknown_keys(5_000);
        let body = format!("{}{end}", body.trim_end_matches('}'));
        assert_eq!(codes(&refused(&body)), ["json_invalid"], "{end}");
    }
}

#[test]
fn a_batch_lists_a_thousand_violations_too_and_counts_those_of_every_item() {
    let bad = || NewDataset::new("").kpis(vec![NewKpi::new("").sort_order(-1); 100]);
    let violations = bad().validate().unwrap_err();
    assert_eq!((violations.len(), violations.total()), (201, 201));

    let file = support::TestFile::new();
    let organization = support::organization(&Store::open(&file.path).unwrap());
    let error = organization.create_datasets((0..50).map(|_| bad())).unwrap_err();
    assert_eq!(support::rows_seen_by_plain_sqlite(&file.path), (0, 0));
    let Error::Invalid(violations) = error else { panic!("{error:?}") };
    assert_eq!((violations.len(), violations.total()), (1_000, 50 * 201));
    assert_eq!(violations.iter().last().unwrap().path(), "[4].kpis[97].name");
    assert!(violations.to_string().ends_with("\nand 9050 more"));
}

#[cfg(target_os = "linux")]
#[test]
fn megabytes_of_keys_that_do_not_belong_take_little_memory() {
    let test = "requests::bounds::megabytes_of_keys_that_do_not_belong_take_little_memory";
    support::unprivileged::in_a_child(test, |_| {
        check_memory(if support::is_long() { 49 } else { 10 }, ["{", "\"\":0,", "\"\":0}"], 10);
        check_memory(10, ["{", "\"name\":0,", "\"\":0}"], 10);
        check_memory(10, ["{\"kpis\":[{", "\"\":0,", "\"\":0}]}"], 10);
        check_memory(10, ["{", "\"kpis\":[{\"a\":1}],", "\"\":0}"], 10);
        check_memory(10, ["{\"kpis\":[", "{\"x\":1},", "1]}"], 10);
    });
}

/// It is kept once to be compared with the others and once to be listed.
#[cfg(target_os = "linux")]
#[test]
fn a_key_of_megabytes_takes_about_twice_its_length() {
    support::unprivileged::in_a_child("requests::bounds::a_key_of_megabytes_takes_about_twice_its_length", |_| {
        check_memory(20, ["{\"", "\\\\aaaaaa", "\":1}"], 45);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_text_of_megabytes_takes_about_its_length() {
    support::unprivileged::in_a_child("requests::bounds::a_text_of_megabytes_takes_about_its_length", |_| {
        check_memory(20, ["{\"name\":\"", "\\\\aaaaaa", "\"}"], 25);
    });
}

/// Reads a body of this number of MB: a start, a part that is repeated, and an end. The memory that it takes besides the
/// body must be less than `most` MB.
#[cfg(target_os = "linux")]
fn check_memory(megabytes: usize, [start, part, end]: [&str; 3], most: u64) {
    let mut body = String::with_capacity(megabytes * 1_000_000);
    body.push_str(start);
    while body.len() + part.len() + end.len() <= megabytes * 1_000_000 {
        body.push_str(part);
    }
    body.push_str(end);
    let before = reset_most_resident();
    let violations = refused(&body);
    let taken = most_resident() - before;
    assert_ne!(codes(&violations), ["json_invalid"], "{violations}");
    println!("{} violations in {megabytes} MB of {part} take {taken} KiB besides", violations.total());
    assert!(taken < most * 1_000, "{} violations in {megabytes} MB of {part} take {taken} KiB", violations.total());
}

/// What is resident now, in KiB; the most that ever was counts from here.
#[cfg(target_os = "linux")]
fn reset_most_resident() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    most_resident()
}

#[cfg(target_os = "linux")]
fn most_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn body_with_unknown_keys(count: usize) -> String {
    let keys = (0..count).map(|key| format!(",\"key {key}\":{{\"a\":[]}}")).collect::<Vec<_>>().concat();
    format!("{{\"name\":\"Water\"{keys}}}")
}

fn refused(body: &str) -> Violations {
    NewDataset::from_json(body).unwrap_err()
}
