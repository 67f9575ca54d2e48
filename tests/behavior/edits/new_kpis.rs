//! One KPI from JSON: the body of *Create Kpi* is read as the same KPI in the request of a dataset.

use kpi_store::{NewDataset, NewKpi, Segment, Violations};
use serde_json::Value;

use super::{expected, found};

/// Bodies of one KPI, good and bad.
const BODIES: [&str; 20] = [
    r#"{"name":"k"}"#,
    r#" {"name":"k","description":"d","unit":"m³","value_type":"date","required":false,"sort_order":3} "#,
    r#"{"name":"k","description":null,"unit":null}"#,
    r#"{"sort_order":9223372036854775807,"name":"k","unit":""}"#,
    "{}",
    "[]",
    "7",
    r#""\ud800""#,
    r#"{"name":"","unit":1,"value_type":"x","required":null,"sort_order":"1"}"#,
    r#"{"name":"\u0000","description":false,"sort_order":-1}"#,
    r#"{"name":"k","sort_order":1.0}"#,
    r#"{"name":"k","sort_order":9223372036854775808}"#,
    r#"{"name":"k","required":1}"#,
    r#"{"name":"k","id":"x","y":{"z":[]},"y":0}"#,
    r#"{"name":"k","name":1,"unit":"u","unit":"u"}"#,
    r#"{"name":"\ud800","unit":"\ud800"}"#,
    r#"{"name":"k",}"#,
    r#"{"name":"k"}{"#,
    r#"{"name":"k"#,
    r#"{name:"k"}"#,
];

#[test]
fn the_fields_have_the_limits_codes_and_defaults_of_the_request_of_a_dataset() {
    let with_items = include_str!("../../fixtures/contract/cases.jsonl").lines().filter_map(item);
    let bodies: Vec<String> = BODIES.map(str::to_owned).into_iter().chain(with_items).collect();
    assert!(bodies.len() > 100, "the cases were not read: {}", bodies.len());
    for body in bodies {
        let alone = NewKpi::from_json(&body);
        let in_dataset = NewDataset::from_json(format!(r#"{{"name":"w","kpis":[{body}]}}"#));
        let violations = |violations: Violations| {
            let each = violations.into_iter().map(|violation| (violation.loc().to_vec(), violation.code()));
            each.collect::<Vec<_>>()
        };
        match (alone, in_dataset) {
            (Ok(kpi), Ok(dataset)) => assert_eq!(vec![kpi], dataset.kpis, "{body}"),
            (Err(alone), Err(in_dataset)) => {
                let mut expected = violations(in_dataset);
                for (loc, code) in &mut expected {
                    if *code == "json_invalid" {
                        loc.truncate(1);
                    } else {
                        assert_eq!(loc.drain(1..3).collect::<Vec<_>>(), [key("kpis"), Segment::Index(0)]);
                    }
                }
                let mut alone = violations(alone);
                // Only the offset differs.
                alone.iter_mut().filter(|(_, code)| *code == "json_invalid").for_each(|(loc, _)| loc.truncate(1));
                assert_eq!(alone, expected, "{body}");
            }
            (alone, in_dataset) => panic!("{body}: {alone:?}, {in_dataset:?}"),
        }
    }
}

/// The first KPI of a case of the contract.
fn item(case: &str) -> Option<String> {
    let case: Value = serde_json::from_str(case).unwrap();
    let body: Value = serde_json::from_str(case["request"].as_str()?).ok()?;
    Some(body["kpis"].as_array()?.first()?.to_string())
}

fn key(name: &'static str) -> Segment {
    Segment::Key(name.into())
}

#[test]
fn violations_begin_at_the_kpi() {
    let violations = NewKpi::from_json(r#"{"name":"","unit":1,"x":0}"#).unwrap_err();
    let json = r#"{"detail":[{"type":"string_too_short","loc":["body","name"],"msg":"String should have at least 1 character","ctx":{"min_length":1}},{"type":"string_type","loc":["body","unit"],"msg":"Input should be a valid string"},{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted"}]}"#;
    assert_eq!(serde_json::to_string(&violations).unwrap(), json);
    assert_eq!(found(NewKpi::from_json("")), expected(&[("", "missing")]));
}

#[test]
fn one_made_in_code_is_checked_alike_and_written_as_it_is_read() {
    let kpi = NewKpi::new("").description("\0").unit("é".repeat(51)).sort_order(-1);
    let violations = expected(&[
        ("name", "string_too_short"),
        ("description", "string_nul"),
        ("unit", "string_too_long"),
        ("sort_order", "greater_than_equal"),
    ]);
    assert_eq!(found(kpi.validate()), violations);
    assert_eq!(found(NewKpi::from_json(serde_json::to_string(&kpi).unwrap())), violations);
    let kpi = NewKpi::new("k").unit("m³").sort_order(3);
    assert_eq!(kpi.validate(), Ok(()));
    assert_eq!(NewKpi::from_json(serde_json::to_string(&kpi).unwrap()), Ok(kpi));
}
