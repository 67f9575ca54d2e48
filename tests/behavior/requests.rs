//! Every limit and type of the contract, value by value, in each function that checks a request: `from_json`,
//! `validate` and `create_dataset`. All three must agree. What is refused leaves no row.

mod bounds;
mod keys;
mod second_reader;
mod syntax;
mod violations;

use kpi_store::{Durability, Error, NewDataset, NewKpi, Organization, Store, Violations};
use serde_json::{Value, json};

use crate::support::{self, TestFile};

/// The paths and codes of what is refused.
type Found = Vec<(String, &'static str)>;

/// A text of the contract: its path, the lengths that it may have, and a request with it.
struct Text {
    path: &'static str,
    least: usize,
    most: usize,
    build: fn(String) -> NewDataset,
}

/// The limits, stated a second time.
const TEXTS: [Text; 5] = [
    Text { path: "name", least: 1, most: 255, build: |text| NewDataset::new(text).kpi(NewKpi::new("Withdrawal")) },
    Text {
        path: "description",
        least: 0,
        most: 2_000,
        build: |text| water(NewKpi::new("Withdrawal")).description(text),
    },
    Text { path: "kpis[0].name", least: 1, most: 255, build: |text| water(NewKpi::new(text)) },
    Text {
        path: "kpis[0].description",
        least: 0,
        most: 2_000,
        build: |text| water(NewKpi::new("Withdrawal").description(text)),
    },
    Text { path: "kpis[0].unit", least: 0, most: 50, build: |text| water(NewKpi::new("Withdrawal").unit(text)) },
];

/// Code points of one to four bytes, then characters that a reader would count as one but that are several code points.
const ALPHABETS: [&str; 6] = ["a", "é", "漢", "🌊", "e\u{301}", "👩\u{200d}👩\u{200d}👧"];

#[test]
fn counts_code_points_at_every_limit_of_every_text() {
    let checks = Checks::new();
    for Text { path, least, most, build } in TEXTS {
        for alphabet in ALPHABETS {
            for length in [0, 1, most - 1, most, most + 1, 4 * most + 1] {
                let text: String = alphabet.chars().cycle().take(length).collect();
                let expected = match length {
                    length if length < least => found(&[(path, "string_too_short")]),
                    length if length > most => found(&[(path, "string_too_long")]),
                    _ => Found::new(),
                };
                let answer = checks.answer(build(text.clone()), &body_with(path, &json!(text).to_string()));
                assert_eq!(answer, expected, "{length} of {alphabet} as {path}");
            }
        }
    }
}

#[test]
fn refuses_a_nul_at_any_position_of_a_text() {
    let checks = Checks::new();
    for Text { path, most, build, .. } in TEXTS {
        let full = |length: usize| format!("{}\0", "a".repeat(length - 1));
        let texts = ["\0", "\0a", "a\0b", "a\0", "\0\0", &full(most), &full(most + 1)];
        for (text, code) in texts.iter().zip(["string_nul"; 6].into_iter().chain(["string_too_long"])) {
            let answer = checks.answer(build((*text).to_owned()), &body_with(path, &json!(text).to_string()));
            assert_eq!(answer, found(&[(path, code)]), "{text:?} as {path}");
        }
        let raw = NewDataset::from_json(body_with(path, "\"a\0b\"")).unwrap_err();
        assert_eq!(codes(&raw), ["json_invalid"], "a raw NUL in {path}");
    }
}

#[test]
fn refuses_lone_surrogates_in_texts_and_as_other_values() {
    let lone = [
        r#""\ud800""#,
        r#""\udfff""#,
        r#""a\udc00b""#,
        r#""\ude00\ud83d""#,
        r#""\ud83d\ud83d\ude00""#,
        r#""\uD800\u0041""#,
    ];
    let too_long = format!(r#""{}\ud800""#, "a".repeat(2_001));
    for path in PATHS {
        for raw in lone.into_iter().chain([too_long.as_str()]) {
            let violations = NewDataset::from_json(body_with(path, raw)).unwrap_err();
            let code = if ["kpis", "kpis[0]"].contains(&path) { "json_invalid" } else { "string_unicode" };
            assert_eq!(codes(&violations), [code], "{raw} as {path}");
        }
    }
    for body in
        [r#""\ud800""#, r#"{"name":"Water","\udc00":1}"#, r#"{"name":"Water","kpis":[{"name":"k","\udc00":1}]}"#]
    {
        assert_eq!(codes(&NewDataset::from_json(body).unwrap_err()), ["json_invalid"], "{body}");
    }
    let unknown = NewDataset::from_json(r#"{"name":"Water","x":"\ud800"}"#).unwrap_err();
    assert_eq!(codes(&unknown), ["extra_forbidden"]);
    assert_eq!(NewDataset::from_json(r#"{"name":"\ud83c\udf0a"}"#), Ok(NewDataset::new("🌊")));
}

/// The path of every value of a request.
const PATHS: [&str; 10] = [
    "name",
    "description",
    "kpis",
    "kpis[0]",
    "kpis[0].name",
    "kpis[0].description",
    "kpis[0].unit",
    "kpis[0].value_type",
    "kpis[0].required",
    "kpis[0].sort_order",
];

#[test]
fn answers_every_type_of_json_at_every_path() {
    // A value, and the code that refuses it at each of the paths; "" where it is accepted.
    let table: [(&str, [&str; 10]); 12] = [
        (
            "null",
            ["string_type", "", "", "model_attributes_type", "string_type", "", "", "enum", "bool_type", "int_type"],
        ),
        ("true", refused_but(&[("kpis[0].required", "")])),
        ("false", refused_but(&[("kpis[0].required", "")])),
        ("1", refused_but(&[("kpis[0].sort_order", "")])),
        ("0.5", refused_but(&[])),
        ("1e400", refused_but(&[])),
        (r#""text""#, ["", "", "list_type", "model_attributes_type", "", "", "", "", "bool_type", "int_type"]),
        (r#""1""#, ["", "", "list_type", "model_attributes_type", "", "", "", "enum", "bool_type", "int_type"]),
        (
            r#""""#,
            [
                "string_too_short",
                "",
                "list_type",
                "model_attributes_type",
                "string_too_short",
                "",
                "",
                "enum",
                "bool_type",
                "int_type",
            ],
        ),
        ("[]", refused_but(&[("kpis", "")])),
        (r#"["a"]"#, refused_but(&[("kpis", "model_attributes_type")])),
        (r#"{"name":"a"}"#, refused_but(&[("kpis[0]", "")])),
    ];
    for (raw, expected) in table {
        for (path, code) in PATHS.into_iter().zip(expected) {
            let answer = NewDataset::from_json(body_with(path, raw));
            let inside = if (path, raw) == ("kpis", r#"["a"]"#) { "kpis[0]" } else { path };
            let expected = if code.is_empty() { Found::new() } else { found(&[(inside, code)]) };
            assert_eq!(refusals(&answer), expected, "{raw} as {path}");
        }
        let whole = NewDataset::from_json(raw);
        let expected = if raw.starts_with('{') { Found::new() } else { found(&[("", "model_attributes_type")]) };
        assert_eq!(refusals(&whole), expected, "{raw} as the body");
    }
}

#[test]
fn reads_every_sort_order_exactly_and_only_integers() {
    let low = "greater_than_equal";
    let table = [
        ("0", Ok(0)),
        ("-0", Ok(0)),
        ("9007199254740992", Ok(1 << 53)),
        ("9007199254740993", Ok((1 << 53) + 1)),
        ("9223372036854775807", Ok(i64::MAX)),
        ("9223372036854775808", Err("less_than_equal")),
        ("1000000000000000000000000000000", Err("less_than_equal")),
        ("-1", Err(low)),
        ("-9223372036854775808", Err(low)),
        ("-9223372036854775809", Err(low)),
        ("-10000000000000000000000", Err(low)),
        ("1.0", Err("int_type")),
        ("-0.0", Err("int_type")),
        ("1e3", Err("int_type")),
        ("1E+2", Err("int_type")),
        ("1e400", Err("int_type")),
        ("NaN", Err("json_invalid")),
        ("Infinity", Err("json_invalid")),
        ("-Infinity", Err("json_invalid")),
        ("01", Err("json_invalid")),
        ("+1", Err("json_invalid")),
    ];
    for (raw, expected) in table {
        let answer = NewDataset::from_json(body_with("kpis[0].sort_order", raw));
        let answer = answer.map(|new| new.kpis[0].sort_order).map_err(|violations| codes(&violations));
        assert_eq!(answer, expected.map_err(|code| vec![code]), "{raw}");
    }
    let many_digits = format!("-{}", "9".repeat(1_000_000));
    let violations = NewDataset::from_json(body_with("kpis[0].sort_order", &many_digits)).unwrap_err();
    assert_eq!(codes(&violations), [low]);

    let checks = Checks::new();
    for (sort_order, expected) in [(i64::MIN, low), (-1, low), (0, ""), (i64::MAX, "")] {
        let new = water(NewKpi::new("Withdrawal").sort_order(sort_order));
        let answer = checks.answer(new, &body_with("kpis[0].sort_order", &sort_order.to_string()));
        let expected = if expected.is_empty() { Found::new() } else { found(&[("kpis[0].sort_order", expected)]) };
        assert_eq!(answer, expected, "{sort_order}");
    }
}

#[test]
fn accepts_a_hundred_kpis_and_refuses_one_more_without_checking_them() {
    let checks = Checks::new();
    let body = |count: usize, kpi: &Value| json!({"name": "Water", "kpis": vec![kpi; count]}).to_string();
    let request = |count: usize, name: &str| NewDataset::new("Water").kpis(vec![NewKpi::new(name); count]);
    let too_long = found(&[("kpis", "too_long")]);
    assert_eq!(checks.answer(request(99, "a"), &body(99, &json!({"name": "a"}))), Found::new());
    assert_eq!(checks.answer(request(100, "a"), &body(100, &json!({"name": "a"}))), Found::new());
    assert_eq!(checks.answer(request(100, ""), &body(100, &json!({"name": ""}))).len(), 100);
    for kpi in [json!({"name": "a"}), json!({"name": ""}), Value::Null] {
        assert_eq!(refusals(&NewDataset::from_json(body(101, &kpi))), too_long);
    }
    // Built in code a dataset may have more, up to its own limit.
    assert_eq!(refusals(&request(101, "a").validate()), Found::new());
    assert_eq!(refusals(&request(10_001, "").validate()), too_long);
}

#[test]
fn writes_json_that_reads_back_equal() {
    let odd = "\" \\ / \u{1} \n \u{7f} \u{2028} \u{feff} é e\u{301} 🌊";
    let full = NewKpi::new(odd).description(odd).unit(odd).required(false).sort_order(i64::MAX);
    for value_type in kpi_store::ValueType::ALL {
        let new = NewDataset::new(odd)
            .description("")
            .kpi(NewKpi::new("k").unit(""))
            .kpi(full.clone().value_type(value_type));
        let json = serde_json::to_string(&new).unwrap();
        assert_eq!(NewDataset::from_json(json), Ok(new));
    }
    // Ids are not part of the JSON of a request.
    let new =
        NewDataset::new("Water").id(kpi_store::DatasetId::new()).kpi(NewKpi::new("k").id(kpi_store::KpiId::new()));
    assert_eq!(
        serde_json::to_string(&new).unwrap(),
        r#"{"name":"Water","description":null,"kpis":[{"name":"k","description":null,"unit":null,"value_type":"number","required":true,"sort_order":0}]}"#
    );
}

/// The functions that check a request, and a file to create it in.
struct Checks {
    organization: Organization,
    // The last, so that no store is open when its folder is removed: another file may get its inode.
    file: TestFile,
}

impl Checks {
    fn new() -> Self {
        let file = TestFile::new();
        // Hundreds of commits, which need not survive a power cut, are faster with `Normal`.
        let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
        Self { organization: support::organization(&store), file }
    }

    /// The result of each function for the same request, which must be the same; a refusal must leave no row.
    fn answer(&self, new: NewDataset, body: &str) -> Found {
        let before = support::rows_seen_by_plain_sqlite(&self.file.path);
        let kpis = i64::try_from(new.kpis.len()).unwrap();
        let (validated, read) = (new.validate(), NewDataset::from_json(body));
        assert_eq!(refusals(&validated), refusals(&read), "validate and from_json differ");
        assert_eq!(read.as_ref().ok().unwrap_or(&new), &new, "the request in code and the one in JSON differ");
        let written = match self.organization.create_dataset(new) {
            Ok(_) => (1, kpis),
            Err(Error::Invalid(violations)) => {
                assert_eq!(Err(violations), validated, "validate and create differ");
                (0, 0)
            }
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(written.0 == 1, validated.is_ok());
        let after = support::rows_seen_by_plain_sqlite(&self.file.path);
        assert_eq!(after, (before.0 + written.0, before.1 + written.1), "rows in the file");
        refusals(&validated)
    }
}

fn water(kpi: NewKpi) -> NewDataset {
    NewDataset::new("Water").kpi(kpi)
}

/// A valid body, except for the JSON text `raw` at one path.
fn body_with(path: &str, raw: &str) -> String {
    let mut body = json!({"name": "Water", "kpis": [{"name": "Withdrawal"}]});
    match path.split_once("[0]") {
        Some((_, "")) => body["kpis"][0] = "@".into(),
        Some((_, field)) => body["kpis"][0][field.trim_start_matches('.')] = "@".into(),
        None => body[path] = "@".into(),
    }
    body.to_string().replace("\"@\"", raw)
}

fn found(list: &[(&str, &'static str)]) -> Found {
    list.iter().map(|(path, code)| ((*path).to_owned(), *code)).collect()
}

fn refusals<T>(answer: &Result<T, Violations>) -> Found {
    let violations = answer.as_ref().err().into_iter().flatten();
    violations.map(|violation| (violation.path(), violation.code())).collect()
}

fn codes(violations: &Violations) -> Vec<&'static str> {
    violations.iter().map(kpi_store::Violation::code).collect()
}

/// A row of the table of types: the usual code of each path, except for the listed ones.
fn refused_but(listed: &[(&str, &'static str)]) -> [&'static str; 10] {
    let text = "string_type";
    let mut row = [text, text, "list_type", "model_attributes_type", text, text, text, "enum", "bool_type", "int_type"];
    for (path, code) in listed {
        row[PATHS.iter().position(|known| known == path).unwrap()] = code;
    }
    row
}
