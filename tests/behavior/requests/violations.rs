//! How violations read: for a person as paths and lines, for a program as locations and codes, on the wire as the body of
//! the server's 422 answer.

use kpi_store::{Error, NewDataset, NewKpi, Segment, Store, Violation, Violations};
use serde_json::Value;

use crate::support;

/// A body, and the answer to the byte.
const ANSWERS: [(&str, &str); 18] = [
    ("", r#"{"type":"missing","loc":["body"],"msg":"Field required"}"#),
    ("{}", r#"{"type":"missing","loc":["body","name"],"msg":"Field required"}"#),
    (r#"{"name":1}"#, r#"{"type":"string_type","loc":["body","name"],"msg":"Input should be a valid string"}"#),
    (
        r#"{"name":"\ud800"}"#,
        r#"{"type":"string_unicode","loc":["body","name"],"msg":"Input should be a valid string, unable to parse raw data as a unicode string"}"#,
    ),
    (
        r#"{"name":""}"#,
        r#"{"type":"string_too_short","loc":["body","name"],"msg":"String should have at least 1 character","ctx":{"min_length":1}}"#,
    ),
    (
        r#"{"name":"w","kpis":[{"name":"k","unit":"@51@"}]}"#,
        r#"{"type":"string_too_long","loc":["body","kpis",0,"unit"],"msg":"String should have at most 50 characters","ctx":{"max_length":50}}"#,
    ),
    (
        r#"{"name":"\u0000"}"#,
        r#"{"type":"string_nul","loc":["body","name"],"msg":"String should not contain the character U+0000"}"#,
    ),
    (
        r#"{"name":"w","kpis":[{"name":"k","value_type":1}]}"#,
        r#"{"type":"enum","loc":["body","kpis",0,"value_type"],"msg":"Input should be 'number', 'text', 'percentage', 'date' or 'boolean'","ctx":{"expected":"'number', 'text', 'percentage', 'date' or 'boolean'"}}"#,
    ),
    (
        r#"{"name":"w","kpis":[{"name":"k","sort_order":"1"}]}"#,
        r#"{"type":"int_type","loc":["body","kpis",0,"sort_order"],"msg":"Input should be a valid integer"}"#,
    ),
    (
        r#"{"name":"w","kpis":[{"name":"k","required":1}]}"#,
        r#"{"type":"bool_type","loc":["body","kpis",0,"required"],"msg":"Input should be a valid boolean"}"#,
    ),
    (
        r#"{"name":"w","kpis":[{"name":"k","sort_order":-1}]}"#,
        r#"{"type":"greater_than_equal","loc":["body","kpis",0,"sort_order"],"msg":"Input should be greater than or equal to 0","ctx":{"ge":0}}"#,
    ),
    (
        r#"{"name":"w","kpis":[{"name":"k","sort_order":9223372036854775808}]}"#,
        r#"{"type":"less_than_equal","loc":["body","kpis",0,"sort_order"],"msg":"Input should be less than or equal to 9223372036854775807","ctx":{"le":9223372036854775807}}"#,
    ),
    (r#"{"name":"w","kpis":{}}"#, r#"{"type":"list_type","loc":["body","kpis"],"msg":"Input should be a valid list"}"#),
    (
        r#"{"name":"w","kpis":[null]}"#,
        r#"{"type":"model_attributes_type","loc":["body","kpis",0],"msg":"Input should be a valid dictionary or object to extract fields from"}"#,
    ),
    (
        "[]",
        r#"{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from"}"#,
    ),
    (
        r#"{"name":"w","a\n\"é":1}"#,
        r#"{"type":"extra_forbidden","loc":["body","a\n\"é"],"msg":"Extra inputs are not permitted"}"#,
    ),
    (
        r#"{"name":"w","name":"w"}"#,
        r#"{"type":"duplicate_key","loc":["body","name"],"msg":"Key should appear only once"}"#,
    ),
    (
        r#"{"name":"水",}"#,
        r#"{"type":"json_invalid","loc":["body",12],"msg":"JSON decode error: trailing comma at line 1, column 13","ctx":{"error":"trailing comma"}}"#,
    ),
];

#[test]
fn serialize_as_the_body_of_the_servers_answer() {
    for (body, expected) in ANSWERS {
        let violations = refused(&body.replace("@51@", &"é".repeat(51)));
        let answer = serde_json::to_string(&violations).unwrap();
        assert_eq!(answer, format!("{{\"detail\":[{expected}]}}"), "{body}");
        // A single violation serializes as the element that it is.
        let single = serde_json::to_string(violations.iter().next().unwrap()).unwrap();
        assert_eq!(single, expected);
    }
    let kpis = vec![r#"{"name":"k"}"#; 101].join(",");
    let too_long = NewDataset::from_json(format!(r#"{{"name":"w","kpis":[{kpis}]}}"#)).unwrap_err();
    let expected = r#"{"detail":[{"type":"too_long","loc":["body","kpis"],"msg":"List should have at most 100 items after validation, not 101","ctx":{"field_type":"List","max_length":100,"actual_length":101}}]}"#;
    assert_eq!(serde_json::to_string(&too_long).unwrap(), expected);
}

#[test]
fn carry_the_parameters_of_the_rule_as_the_stored_answers_do() {
    let cases = include_str!("../../fixtures/contract/cases.jsonl");
    let mut compared = 0;
    for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let Some(violations) = case["request"].as_str().and_then(|body| NewDataset::from_json(body).err()) else {
            continue;
        };
        let ours = serde_json::to_value(&violations).unwrap();
        let stored = ["strict_detail", "detail", "forbid_detail"]
            .map(|list| case[list].as_array().unwrap_or(const { &Vec::new() }));
        for detail in ours["detail"].as_array().unwrap().iter().filter(|detail| detail["type"] != "json_invalid") {
            let alike = |found: &&Value| (&found["loc"], &found["type"]) == (&detail["loc"], &detail["type"]);
            let Some(found) = stored.into_iter().flatten().find(alike) else { continue };
            assert_eq!(detail["ctx"], found["ctx"], "{}", case["name"]);
            compared += 1;
        }
    }
    assert!(compared > 200, "the cases were not read: {compared}");
}

#[test]
fn have_a_path_a_message_a_loc_and_a_code() {
    let violations = refused(r#"{"name":"w","kpis":[{"name":"k"},{"name":"k"},{"name":"k"},{"name":""}]}"#);
    let violation: &Violation = violations.iter().next().unwrap();
    assert_eq!(violation.path(), "kpis[3].name");
    assert_eq!(violation.loc(), [key("body"), key("kpis"), Segment::Index(3), key("name")]);
    assert_eq!(violation.code(), "string_too_short");
    assert_eq!(violation.message(), "String should have at least 1 character");
    assert_eq!(violation.to_string(), "kpis[3].name: String should have at least 1 character");
    assert_eq!(
        (violations.len(), (&violations).into_iter().count(), violations.clone().into_iter().count()),
        (1, 1, 1)
    );
}

#[test]
fn print_on_one_line_each_for_any_key() {
    // A key, and how it is printed in a path.
    let table = [
        ("x_1", "x_1"),
        ("", r#"[""]"#),
        ("a b", r#"["a b"]"#),
        ("a.b", r#"["a.b"]"#),
        ("kpis[0].name", r#"["kpis[0].name"]"#),
        ("\"]", r#"["\"]"]"#),
        ("\\", r#"["\\"]"#),
        ("a\nb\r\u{85}\u{2028}\u{2029}\u{b}", r#"["a\nb\r\u{85}\u{2028}\u{2029}\u{b}"]"#),
        ("\0", r#"["\0"]"#),
        ("\u{202e}", r#"["\u{202e}"]"#),
        ("é", r#"["é"]"#),
    ];
    let entries =
        table.iter().map(|(key, _)| format!(",{}:1", serde_json::to_string(key).unwrap())).collect::<Vec<_>>().concat();
    let violations = refused(&format!(r#"{{"name":"w","kpis":[{{"name":"k"{entries}}}]{entries}}}"#));
    let paths: Vec<_> = violations.iter().map(Violation::path).collect();
    let at_root = table.iter().map(|(_, path)| (*path).to_owned());
    let in_kpi = table.iter().map(|(_, path)| format!("kpis[0]{}{path}", if path.starts_with('[') { "" } else { "." }));
    assert_eq!(paths, in_kpi.chain(at_root).collect::<Vec<_>>());

    let text = violations.to_string();
    let expected: Vec<_> = paths.iter().map(|path| format!("{path}: Extra inputs are not permitted")).collect();
    assert_eq!(text.split('\n').collect::<Vec<_>>(), expected);
    assert!(!text.chars().any(|char| char.is_control() && char != '\n'), "{text:?}");
}

#[test]
fn begin_with_the_item_in_a_batch_and_name_every_item() {
    let good = || NewDataset::new("w");
    let bad = good().kpis((0..4).map(|index| NewKpi::new(if index == 3 { "" } else { "k" })));
    let batch = (0..20).map(|index| match index {
        2 => NewDataset::new("").description("é".repeat(2_001)),
        17 => bad.clone(),
        _ => good(),
    });
    let file = support::TestFile::new();
    let organization = support::organization(&Store::open(&file.path).unwrap());
    let error = organization.create_datasets(batch).unwrap_err();
    assert_eq!(support::paths(&error), ["[2].name", "[2].description", "[17].kpis[3].name"]);
    assert_eq!(support::rows_seen_by_plain_sqlite(&file.path), (0, 0));

    let lines = "[2].name: String should have at least 1 character\n\
                 [2].description: String should have at most 2000 characters\n\
                 [17].kpis[3].name: String should have at least 1 character";
    assert_eq!(error.to_string(), lines);
    let Error::Invalid(violations) = error else { panic!("expected violations") };
    assert_eq!((violations.len(), violations.clone().into_iter().count()), (3, 3));
    let last = violations.iter().last().unwrap();
    assert_eq!(last.loc(), [key("body"), Segment::Index(17), key("kpis"), Segment::Index(3), key("name")]);
    assert_eq!(serde_json::to_value(last).unwrap()["loc"], serde_json::json!(["body", 17, "kpis", 3, "name"]));
}

fn refused(body: &str) -> Violations {
    NewDataset::from_json(body).expect_err(body)
}

fn key(name: &'static str) -> Segment {
    Segment::Key(name.into())
}
