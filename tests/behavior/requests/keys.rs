//! Keys that do not belong: unknown ones, and known ones that come twice. A careful store refuses both, since neither
//! would be stored as it was written.

use kpi_store::NewDataset;

use super::{Found, found, refusals};

fn answer(body: &str) -> Found {
    refusals(&NewDataset::from_json(body))
}

#[test]
fn names_unknown_keys_after_the_known_fields_of_their_object_in_input_order() {
    let body = r#"{"z":1,"name":"","a":{"name":1},"kpis":[{"b":1,"name":"","a":null},{"name":"k","unit":1,"x":1}],"description":1}"#;
    let expected = [
        ("name", "string_too_short"),
        ("description", "string_type"),
        ("kpis[0].name", "string_too_short"),
        ("kpis[0].b", "extra_forbidden"),
        ("kpis[0].a", "extra_forbidden"),
        ("kpis[1].unit", "string_type"),
        ("kpis[1].x", "extra_forbidden"),
        ("z", "extra_forbidden"),
        ("a", "extra_forbidden"),
    ];
    assert_eq!(answer(body), found(&expected));
}

#[test]
fn knows_a_key_by_its_exact_text() {
    for key in ["", " name", "name ", "Name", "NAME", "n\u{e4}me", "name\\u0000", "id", "organization_id", "created_at"]
    {
        let codes: Vec<_> =
            answer(&format!(r#"{{"name":"Water","{key}":"x"}}"#)).into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, ["extra_forbidden"], "{key:?}");
        let in_kpi = format!(r#"{{"name":"Water","kpis":[{{"name":"k","{key}":"x"}}]}}"#);
        assert_eq!(answer(&in_kpi).len(), 1, "{key:?}");
    }
    // However it is written.
    assert_eq!(answer(r#"{"n\u0061me":"Water"}"#), Found::new());
    assert_eq!(answer(r#"{"name":"a","n\u0061me":"b"}"#), found(&[("name", "duplicate_key")]));
    // The fields of a KPI are none of the dataset.
    assert_eq!(answer(r#"{"name":"a","unit":"b"}"#), found(&[("unit", "extra_forbidden")]));
    assert_eq!(
        answer(r#"{"name":"a","kpis":[{"name":"k","kpis":[]}]}"#),
        found(&[("kpis[0].kpis", "extra_forbidden")])
    );
}

#[test]
fn names_every_repetition_of_a_key_among_the_unknown_ones() {
    let body = r#"{"x":1,"name":"a","name":"b","x":2,"y":1,"x":3,"name":"c","kpis":[{"name":"k","unit":"a","u":1,"unit":"b","u":1}],"kpis":[]}"#;
    let expected = [
        ("kpis[0].u", "extra_forbidden"),
        ("kpis[0].unit", "duplicate_key"),
        ("kpis[0].u", "duplicate_key"),
        ("x", "extra_forbidden"),
        ("name", "duplicate_key"),
        ("x", "duplicate_key"),
        ("y", "extra_forbidden"),
        ("x", "duplicate_key"),
        ("name", "duplicate_key"),
        ("kpis", "duplicate_key"),
    ];
    assert_eq!(answer(body), found(&expected));
}

#[test]
fn validates_all_values_of_a_repeated_key_and_names_the_first_violation() {
    // The values of a field, and the violation of the field, if there is one; then `duplicate_key` follows.
    let table: [(&str, &[&str], Option<&'static str>); 14] = [
        ("name", &[r#""a""#, r#""b""#], None),
        ("name", &["1", r#""b""#], Some("string_type")),
        ("name", &[r#""a""#, r#""""#], Some("string_too_short")),
        ("name", &[r#""""#, "1"], Some("string_too_short")),
        ("description", &["null", r#""a""#], None),
        ("description", &["null", r#""\u0000""#], Some("string_nul")),
        ("kpis", &["[]", "null"], None),
        ("kpis", &["[]", "{}"], Some("list_type")),
        ("kpis[0].unit", &["1", "null"], Some("string_type")),
        ("kpis[0].value_type", &[r#""text""#, r#""texts""#], Some("enum")),
        ("kpis[0].required", &["true", "0"], Some("bool_type")),
        ("kpis[0].sort_order", &["1", "-1"], Some("greater_than_equal")),
        ("kpis[0].sort_order", &["9223372036854775808", "-1"], Some("less_than_equal")),
        ("kpis[0].sort_order", &["1", "2", "1.0"], Some("int_type")),
    ];
    for (place, values, violation) in table {
        let (in_kpi, key) = place.strip_prefix("kpis[0].").map_or((false, place), |key| (true, key));
        let entries = values.iter().map(|value| format!(",\"{key}\":{value}")).collect::<Vec<_>>().concat();
        // `name` is there anyway unless it is the one that is repeated.
        let name = if place == "name" { "" } else { ",\"name\":\"Water\"" };
        let body = if in_kpi {
            format!(r#"{{"name":"Water","kpis":[{{"name":"k"{entries}}}]}}"#)
        } else {
            format!("{{{}}}", format!("{name}{entries}").trim_start_matches(','))
        };
        let mut expected = found(&[]);
        expected.extend(violation.map(|code| (place.to_owned(), code)));
        expected.extend(vec![(place.to_owned(), "duplicate_key"); values.len() - 1]);
        assert_eq!(answer(&body), expected, "{body}");
    }
}

#[test]
fn finds_the_violations_of_a_second_list_of_kpis() {
    let body = r#"{"name":"a","kpis":[{"name":"k"}],"kpis":[{"name":"k"},{"name":""}]}"#;
    assert_eq!(answer(body), found(&[("kpis[1].name", "string_too_short"), ("kpis", "duplicate_key")]));
    let body = r#"{"name":"a","kpis":[{"name":""}],"kpis":[{"name":1},{"name":1}]}"#;
    assert_eq!(answer(body), found(&[("kpis[0].name", "string_too_short"), ("kpis", "duplicate_key")]));
}
