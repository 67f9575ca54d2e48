//! What is JSON and what a string says agrees with a second reader, `serde_json`, over bodies that are altered at
//! random.
//!
//! Each run takes other bodies. A failure names its seed; `KPI_STORE_TEST_SEED` repeats it.

use std::cell::Cell;

use kpi_store::{NewDataset, Violations};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::IgnoredAny;

use super::codes;
use kpi_store_test_support::seed;

use crate::property::runner;

/// Bodies with all that JSON has.
const BODIES: [&str; 3] = [
    r#"{"name":"Water \"\\\/\b\f\n\r\t\u00e9\ud83c\udf0a","description":null,"kpis":[{"name":"k","required":true,"sort_order":10},{}]}"#,
    "[ 0, -0.5, 1e3, -12E-7 ,\t{\"a\" : false,\r\n\"é\":[ ] , \"\":{ }}, [[[{}]]] ]",
    r#"{"x":[1.25e+10,{"y":"水🌊"},[],"",null,true,false],"kpis":null,"name":"x"}"#,
];

/// What is written into a body: what JSON is made of, and what only looks so.
const PIECES: [&str; 34] = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "/", "0", "1", "-", "+", ".", "e", "E", "u", "n", "t", " ", "\n", "\t",
    "\0", "\u{7f}", "\u{a0}", "\u{feff}", "é", "null", "tru", "NaN", "\\u", "\\ud83d", "\\udf0a", "0000",
];

#[test]
fn a_second_reader_agrees_on_what_is_json() {
    let (whole, broken) = (Cell::new(0), Cell::new(0));
    let seed = seed();
    let edits = vec((any::<Index>(), 0..3_usize, select(&PIECES[..])), 0..4);
    let agrees = |(body, edits): (&str, Vec<(Index, usize, &str)>)| {
        let mut chars: Vec<char> = body.chars().collect();
        for (at, removed, piece) in edits {
            let start = at.index(chars.len() + 1);
            let end = (start + removed).min(chars.len());
            chars.splice(start..end, piece.chars());
        }
        let body: String = chars.into_iter().collect();
        let is_json = serde_json::from_str::<IgnoredAny>(&body).is_ok();
        match NewDataset::from_json(&body) {
            Err(violations) if codes(&violations) == ["json_invalid"] => {
                let is_lone = violations.to_string().contains("lone surrogate");
                prop_assert!(!is_json || is_lone, "{}: {}", body, violations);
                broken.set(broken.get() + 1);
            }
            answer => {
                prop_assert!(is_json, "{}: {:?}", body, answer);
                whole.set(whole.get() + 1);
            }
        }
        Ok(())
    };
    runner(seed, 20_000)
        .run(&(select(&BODIES[..]), edits), agrees)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(whole.get() > 1_000 && broken.get() > 1_000, "seed {seed}: {whole:?} to {broken:?}");
}

#[test]
fn a_second_reader_agrees_on_the_content_of_strings() {
    const PARTS: [&str; 20] = [
        "a",
        "é",
        "水",
        "🌊",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\r",
        "\\t",
        "\\u0041",
        "\\u00E9",
        "\\u6c34",
        "\\ud83c",
        "\\udf0a",
        "\\uD83C\\uDF0A",
        "u0041",
        "\\uffff",
    ];
    let seed = seed();
    let agrees = |parts: Vec<&str>| {
        let raw = format!("\"a{}\"", parts.concat());
        let read: Result<NewDataset, Violations> = NewDataset::from_json(format!("{{\"name\":{raw}}}"));
        match serde_json::from_str::<String>(&raw) {
            Ok(name) => prop_assert_eq!(read, Ok(NewDataset::new(name))),
            Err(error) => {
                prop_assert_eq!(read.map_err(|error| codes(&error)), Err(vec!["string_unicode"]), "{}", error);
            }
        }
        Ok(())
    };
    runner(seed, 5_000)
        .run(&vec(select(&PARTS[..]), 0..8), agrees)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}
