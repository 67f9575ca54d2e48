//! All stored cases of the contract, with the verdict of an independent model of the server.
//!
//! A line of `tests/fixtures/contract/cases.jsonl` holds a body, the server's answer, and what a strict implementation
//! owes: `must_accept`, `may_refuse` (the server is lax, a careful store is not) or `must_refuse`.

use base64_of_cases::decode;
use kpi_store::{NewDataset, Violations};
use serde_json::Value;

use crate::support;

const CASES: &str = include_str!("../fixtures/contract/cases.jsonl");

/// A place and a code, as the server writes them.
type Finding = (Value, String);

#[test]
fn agrees_with_every_case_that_must_be_accepted() {
    let mut seen = 0;
    for case in cases().filter(|case| case["native"] == "must_accept") {
        let request = NewDataset::from_json(body(&case))
            .unwrap_or_else(|violations| panic!("{}: refused: {violations}", case["name"]));
        let store = kpi_store::Store::open_in_memory().unwrap();
        let dataset = support::organization(&store).create_dataset(request).unwrap();
        assert_eq!(normalized_answer(&dataset), expected_answer(&case), "{}", case["name"]);
        seen += 1;
    }
    assert!(seen > 100, "the cases were not read: {seen}");
}

#[test]
fn agrees_with_every_case_that_must_be_refused() {
    let mut seen = 0;
    for case in cases().filter(|case| case["native"] == "must_refuse") {
        let violations = NewDataset::from_json(body(&case)).expect_err(case["name"].as_str().unwrap());
        let disagreement = disagreement(&case, &violations);
        assert_eq!(disagreement, None, "{}: {violations}", case["name"]);
        seen += 1;
    }
    assert!(seen > 200, "the cases were not read: {seen}");
}

#[test]
fn answers_every_lax_case_with_the_codes_of_the_contract() {
    let mut seen = 0;
    for case in cases().filter(|case| case["native"] == "may_refuse") {
        let name = case["name"].as_str().unwrap();
        let answer = NewDataset::from_json(body(&case));
        let found = answer.as_ref().err().map(findings).unwrap_or_default();
        let codes: Vec<_> = found.iter().map(|(_, code)| code.as_str()).collect();
        let expected = expected_of_lax_case(&case);
        assert_eq!(codes, expected, "{name}: {found:?}");
        // Where pydantic itself refuses the body in strict mode or with unknown keys forbidden, the places agree too.
        for list in ["strict_detail", "forbid_detail"] {
            if case[list].is_array() && codes == codes_of(&case[list]) && codes != ["json_invalid"] {
                assert_eq!(found, expected_findings(&case[list]), "{name}");
            }
        }
        seen += 1;
    }
    assert!(seen > 80, "the cases were not read: {seen}");
}

#[test]
fn the_comparison_detects_a_wrong_path_code_and_order() {
    let case = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let violations = NewDataset::from_json(r#"{"name":"","kpis":[{"name":""}],"x":1}"#).unwrap_err();
    let name = r#"{"loc":["body","name"],"type":"string_too_short"}"#;
    let kpi = r#"{"loc":["body","kpis",0,"name"],"type":"string_too_short"}"#;
    let of = |details: &str| case(&format!(r#"{{"status":422,"request":"","detail":[{details}]}}"#));
    assert_eq!(disagreement(&of(&format!("{name},{kpi}")), &violations), None);
    assert!(disagreement(&of(&format!("{kpi},{name}")), &violations).is_some());
    assert!(disagreement(&of(name), &violations).is_some());
    assert!(disagreement(&of(&format!("{name},{}", kpi.replace("short", "long"))), &violations).is_some());
    assert!(disagreement(&of(&format!("{name},{}", kpi.replace('0', "1"))), &violations).is_some());
}

fn cases() -> impl Iterator<Item = Value> {
    CASES.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// The body of a case, in any of its three forms.
fn body(case: &Value) -> Vec<u8> {
    if let Some(text) = case["request"].as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(text) = case["request_base64"].as_str() {
        return decode(text);
    }
    let mut body = String::new();
    for part in case["request_spec"]["concat"].as_array().into_iter().flatten() {
        match part.as_str() {
            Some(text) => body.push_str(text),
            None => body.push_str(&part["repeat"].as_str().unwrap().repeat(times(part))),
        }
    }
    body.into_bytes()
}

fn times(repetition: &Value) -> usize {
    repetition["times"].as_u64().unwrap().try_into().unwrap()
}

/// Our answer with placeholders for what no model can know, as the cases have them.
fn normalized_answer(dataset: &kpi_store::Dataset) -> Value {
    let mut answer = serde_json::to_value(dataset).unwrap();
    for key in ["id", "organization_id", "created_at", "created_by", "updated_by", "updated_at"] {
        answer[key] = format!("<{key}>").into();
    }
    for kpi in answer["kpis"].as_array_mut().unwrap() {
        for key in ["id", "dataset_id", "created_at", "updated_at"] {
            kpi[key] = "<>".into();
        }
    }
    answer
}

/// The server's answer in the same form: repetitions written out, KPIs in display order.
fn expected_answer(case: &Value) -> Value {
    let mut answer = case["response"].clone();
    let mut kpis = Vec::new();
    for kpi in answer["kpis"].as_array().unwrap() {
        match &kpi["$repeat"] {
            Value::Null => kpis.push(kpi.clone()),
            repeated => kpis.extend(vec![repeated.clone(); times(kpi)]),
        }
    }
    for kpi in &mut kpis {
        for key in ["id", "dataset_id", "created_at", "updated_at"] {
            kpi[key] = "<>".into();
        }
    }
    kpis.sort_by_key(|kpi| kpi["sort_order"].as_i64().unwrap());
    answer["kpis"] = kpis.into();
    answer
}

fn findings(violations: &Violations) -> Vec<Finding> {
    expected_findings(&serde_json::to_value(violations).unwrap()["detail"])
}

/// A value that is no object is `model_type` to pydantic in strict mode, and `model_attributes_type` in the answers of
/// the server.
fn expected_findings(detail: &Value) -> Vec<Finding> {
    let finding = |entry: &Value| {
        let code = entry["type"].as_str().unwrap();
        (entry["loc"].clone(), if code == "model_type" { "model_attributes_type" } else { code }.to_owned())
    };
    detail.as_array().unwrap().iter().map(finding).collect()
}

fn codes_of(detail: &Value) -> Vec<String> {
    expected_findings(detail).into_iter().map(|(_, code)| code).collect()
}

/// How our findings differ from what the case allows, if they do.
fn disagreement(case: &Value, violations: &Violations) -> Option<String> {
    if case["status"] == 400 {
        return None;
    }
    let found = findings(violations);
    if found.iter().any(|(_, code)| code == "json_invalid") && holds_what_json_does_not(case) {
        return None;
    }
    let allowed = ["strict_detail", "detail"].map(|list| &case[list]);
    let agrees = |detail: &&&Value| {
        let expected = expected_findings(detail);
        let listed = |finding: &&Finding| {
            expected.contains(finding) || !["extra_forbidden", "duplicate_key"].contains(&finding.1.as_str())
        };
        comparable(found.iter().filter(listed)).eq(&comparable(expected.iter()))
    };
    match allowed.iter().filter(|detail| detail.is_array()).find(agrees) {
        Some(_) => None,
        None => Some(format!("found {found:?}, allowed {allowed:?}")),
    }
}

/// Of broken JSON only the first segment of the place is compared.
fn comparable<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Finding> {
    let shorten = |(loc, code): &Finding| match code.as_str() {
        "json_invalid" => (loc[0].clone(), code.clone()),
        _ => (loc.clone(), code.clone()),
    };
    findings.map(shorten).collect()
}

/// Whether the body holds NaN, Infinity or a lone surrogate, which Python's JSON reads and JSON does not have.
fn holds_what_json_does_not(case: &Value) -> bool {
    let body = String::from_utf8_lossy(&body(case)).to_lowercase();
    ["nan", "infinity", "\\ud8", "\\ude", "\\udf", "\\udc", "\\udb"].iter().any(|text| body.contains(text))
        || std::str::from_utf8(&self::body(case)).is_err()
}

/// The codes that the contract's table gives for what the server lets pass.
fn expected_of_lax_case(case: &Value) -> Vec<String> {
    let has = |tag: &str| case["tags"].as_array().unwrap().iter().any(|found| found == tag);
    let one = |code: &str| vec![code.to_owned()];
    if has("minus_zero") && !has("lax_coercion") || has("over_1MB") && !has("unknown_key") {
        return Vec::new();
    }
    if ["bom", "utf16_32", "depth_over_100", "nonfinite"].into_iter().any(has) {
        return one("json_invalid");
    }
    if has("nul") {
        return one("string_nul");
    }
    if has("int_over_i64") {
        return one("less_than_equal");
    }
    if has("duplicate_key") && has("unknown_key") {
        return vec!["extra_forbidden".to_owned(), "duplicate_key".to_owned()];
    }
    if has("duplicate_key") {
        let mut codes = one("duplicate_key");
        // The first of the two is validated too, which the server drops.
        if case["name"] == "duplicate_key/name.invalid_valid" {
            codes.insert(0, "string_type".to_owned());
        }
        return codes;
    }
    if has("surrogate_in_ignored") {
        return one("extra_forbidden");
    }
    if has("unknown_key") {
        return codes_of(&case["forbid_detail"]);
    }
    assert!(has("lax_coercion"), "{}: no row of the table speaks of {}", case["name"], case["tags"]);
    codes_of(&case["strict_detail"])
}

/// The few cases whose bodies are not UTF-8 are stored in Base64; decoding it needs no dependency.
mod base64_of_cases {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    pub(super) fn decode(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text
            .bytes()
            .filter(|byte| *byte != b'=')
            .map(|byte| ALPHABET.iter().position(|digit| *digit == byte).unwrap().try_into().unwrap())
            .collect();
        let whole = |digits: &[u32]| {
            let bits = digits.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - digits.len()));
            bits.to_be_bytes()[1..digits.len()].to_vec()
        };
        digits.chunks(4).flat_map(whole).collect()
    }
}
