//! Limits: each number of `kpi_store::limits` is a CHECK in the file, which outlives the program, and is stated in the
//! docs.

mod texts;

use std::collections::BTreeSet;

use kpi_store::limits::{
    DESCRIPTION_MAX, KPIS_IN_REQUEST_MAX, KPIS_MAX, NAME_MAX, NAME_MIN, PAGE_DEFAULT, PAGE_MAX, PAGE_MIN,
    PROPERTY_CONTENT_MAX, PROPERTY_KEY_MAX, PROPERTY_KEY_MIN, SORT_ORDER_MAX, SORT_ORDER_MIN, TIME_MAX_MICROS,
    TIME_MIN_MICROS, UNIT_MAX,
};
use kpi_store::{Store, ValueType};
use rusqlite::Connection;
use rusqlite::ffi::{
    SQLITE_CONSTRAINT_CHECK as CHECK, SQLITE_CONSTRAINT_DATATYPE as DATATYPE,
    SQLITE_CONSTRAINT_FOREIGNKEY as FOREIGN_KEY, SQLITE_CONSTRAINT_NOTNULL as NOT_NULL,
    SQLITE_CONSTRAINT_PRIMARYKEY as PRIMARY_KEY, SQLITE_CONSTRAINT_UNIQUE as UNIQUE,
};

use crate::support::{TestFile, plain_sqlite};

/// The columns of a valid row, with an SQL expression for each.
type Columns = &'static [(&'static str, &'static str)];

const DATASET: Columns = &[
    ("seq", "NULL"),
    ("id", "randomblob(16)"),
    ("organization_id", "randomblob(16)"),
    ("name", "'Water'"),
    ("description", "NULL"),
    ("created_at", "0"),
    ("created_by", "NULL"),
    ("updated_by", "NULL"),
    ("updated_at", "NULL"),
    ("revision", "1"),
    ("kpi_count", "10000"),
    ("required_count", "0"),
    ("head_digest", "0"),
    ("kpi_digest", "0"),
    ("changed", "9223372036854775807"),
    ("deleted_at", "0"),
    ("deleted_by", "NULL"),
    ("state_digest", "0"),
];

const KPI: Columns = &[
    ("dataset_seq", "1"),
    ("id", "randomblob(16)"),
    ("position", "0"),
    ("name", "'Withdrawal'"),
    ("description", "NULL"),
    ("unit", "NULL"),
    ("value_type", "0"),
    ("required", "1"),
    ("sort_order", "0"),
    ("created_at", "0"),
    ("updated_at", "NULL"),
];

const DATASET_VERSION: Columns = &[
    ("dataset_seq", "1"),
    ("change", "abs(random() / 2) + 1000"),
    ("part", "0"),
    ("origin", "0"),
    ("changed_at", "0"),
    ("changed_by", "NULL"),
    ("revision", "1"),
    ("head_digest", "0"),
    ("kpi_digest", "0"),
    ("replaced", "NULL"),
    ("digest", "0"),
];

const PURGED_DATASET: Columns =
    &[("organization_id", "randomblob(16)"), ("change", "1"), ("id", "randomblob(16)"), ("digest", "0")];

const ORGANIZATION_PROPERTY: Columns =
    &[("organization_id", "randomblob(16)"), ("key", "'key'"), ("content", "x''"), ("digest", "0")];

const COUNTER: Columns = &[("id", "1"), ("last", "0"), ("generation", "0")];

const TABLES: [(&str, Columns); 6] = [
    ("dataset", DATASET),
    ("kpi", KPI),
    ("dataset_version", DATASET_VERSION),
    ("purged_dataset", PURGED_DATASET),
    ("organization_property", ORGANIZATION_PROPERTY),
    ("counter", COUNTER),
];

/// Values of a column: an expression, with the constraint that refuses it, if any.
type Rules = Vec<(String, Option<i32>)>;

#[test]
fn the_file_accepts_each_limit_and_refuses_what_is_past_it() {
    let (_place, plain) = store_with_one_dataset();
    for (table, column, rules) in rules() {
        for (expression, refused) in rules {
            let found = insert(&plain, table, &[(column, &expression)]).err();
            assert_eq!(found, refused, "{table}.{column} = {expression:.120}");
        }
    }
}

#[test]
fn no_check_of_the_schema_is_left_out_here() {
    let (_place, plain) = store_with_one_dataset();
    let mut in_the_schema = BTreeSet::new();
    for (table, _) in TABLES {
        let query = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        let sql: String = plain.query_row(query, [table], |row| row.get(0)).unwrap();
        let checks = sql.lines().map(str::trim).filter(|line| line.contains("CHECK ("));
        in_the_schema.extend(checks.map(|line| format!("{table}.{}", line.split(' ').next().unwrap())));
    }
    let is_checked = |rules: &Rules| rules.iter().any(|(_, refused)| *refused == Some(CHECK));
    let tried = rules().into_iter().filter(|(.., rules)| is_checked(rules));
    assert_eq!(tried.map(|(table, column, _)| format!("{table}.{column}")).collect::<BTreeSet<_>>(), in_the_schema);
    assert!(in_the_schema.len() > 30, "{in_the_schema:?}");
}

/// Each is null or not with another: `changed`, `deleted_at`, `deleted_by`, `state_digest`.
#[test]
fn the_file_accepts_only_a_state_that_a_dataset_can_have() {
    let (_place, plain) = store_with_one_dataset();
    let columns = [("changed", "99"), ("deleted_at", "0"), ("deleted_by", "zeroblob(16)"), ("state_digest", "0")];
    let mut accepted = Vec::new();
    for state in 0..1 << columns.len() {
        let is_set = |index: usize| state & (1 << index) != 0;
        let values = columns.iter().enumerate();
        let mut values: Vec<_> =
            values.map(|(index, (column, value))| (*column, if is_set(index) { *value } else { "NULL" })).collect();
        values.push(("seq", "50"));
        match insert(&plain, "dataset", &values) {
            Ok(()) => {
                accepted.push(
                    columns
                        .iter()
                        .enumerate()
                        .filter(|(index, _)| is_set(*index))
                        .map(|(_, (column, _))| *column)
                        .collect::<Vec<_>>()
                        .join(", "),
                );
                plain.execute("DELETE FROM dataset WHERE seq = 50", []).unwrap();
            }
            Err(constraint) => assert_eq!(constraint, CHECK, "{values:?}"),
        }
    }
    let expected = [
        "",
        "changed, state_digest",
        "changed, deleted_at, state_digest",
        "changed, deleted_at, deleted_by, state_digest",
    ];
    assert_eq!(accepted, expected);
}

#[test]
fn the_file_refuses_ids_that_are_taken_and_kpis_of_no_dataset() {
    let (_place, plain) = store_with_one_dataset();
    let [first, second] = ["x'00000000000000000000000000000001'", "x'00000000000000000000000000000002'"];
    let dataset = |organization, id| insert(&plain, "dataset", &[("organization_id", organization), ("id", id)]);
    assert_eq!(dataset(first, first), Ok(()));
    assert_eq!(dataset(first, second), Ok(()));
    assert_eq!(dataset(second, first), Ok(()), "another organization may use the id too");
    assert_eq!(dataset(first, first), Err(UNIQUE));

    let kpi = |dataset, id| insert(&plain, "kpi", &[("dataset_seq", dataset), ("id", id)]);
    assert_eq!(kpi("1", first), Ok(()));
    assert_eq!(kpi("2", first), Ok(()), "another dataset may use the id too");
    assert_eq!(kpi("1", first), Err(PRIMARY_KEY));
    assert_eq!(kpi("99", first), Err(FOREIGN_KEY));
    assert_eq!(insert(&plain, "dataset", &[("seq", "1")]), Err(PRIMARY_KEY));

    let version = |dataset, change, part| {
        insert(&plain, "dataset_version", &[("dataset_seq", dataset), ("change", change), ("part", part)])
    };
    assert_eq!(version("1", "70", "0"), Ok(()));
    assert_eq!(version("1", "70", "1"), Ok(()));
    assert_eq!(version("2", "70", "0"), Ok(()));
    assert_eq!(version("1", "70", "0"), Err(PRIMARY_KEY));
    assert_eq!(version("99", "100", "0"), Err(FOREIGN_KEY));

    let purged = |organization, change, id| {
        insert(&plain, "purged_dataset", &[("organization_id", organization), ("change", change), ("id", id)])
    };
    assert_eq!(purged(first, "70", first), Ok(()));
    assert_eq!(purged(first, "71", second), Ok(()));
    assert_eq!(purged(second, "70", first), Ok(()), "another organization may use the id too");
    assert_eq!(purged(first, "70", "randomblob(16)"), Err(PRIMARY_KEY));
    assert_eq!(purged(first, "72", first), Err(UNIQUE));

    let property =
        |organization, key| insert(&plain, "organization_property", &[("organization_id", organization), ("key", key)]);
    assert_eq!(property(first, "'a'"), Ok(()));
    assert_eq!(property(first, "'A'"), Ok(()));
    assert_eq!(property(second, "'a'"), Ok(()), "another organization may use the key too");
    assert_eq!(property(first, "'a'"), Err(PRIMARY_KEY));
}

fn rules() -> Vec<(&'static str, &'static str, Rules)> {
    let id = || -> Rules { accepted(["zeroblob(16)"], refused(CHECK, ["zeroblob(15)", "zeroblob(17)", "x''"])) };
    let time =
        || accepted([TIME_MIN_MICROS, TIME_MAX_MICROS], refused(CHECK, [TIME_MIN_MICROS - 1, TIME_MAX_MICROS + 1]));
    let or_null = |rules| accepted(["NULL"], rules);
    let not_null = |mut rules: Rules| -> Rules {
        rules.push(("NULL".to_owned(), Some(NOT_NULL)));
        rules
    };
    let name = || {
        not_null(with_nul(accepted(
            [text(NAME_MIN), text(NAME_MAX)],
            refused(CHECK, ["''".to_owned(), text(NAME_MAX + 1)]),
        )))
    };
    let optional_text =
        |max| or_null(with_nul(accepted(["''".to_owned(), text(max)], refused(CHECK, [text(max + 1)]))));
    let from = |min: i64| not_null(accepted([min, i64::MAX], refused(CHECK, [min - 1, i64::MIN])));
    let digest = || not_null(accepted([i64::MIN, -1, i64::MAX], refused(DATATYPE, ["'x'"])));
    let last_type = i64::try_from(ValueType::ALL.len()).unwrap() - 1;
    vec![
        ("dataset", "id", not_null(id())),
        ("dataset", "organization_id", not_null(id())),
        ("dataset", "name", name()),
        ("dataset", "description", optional_text(DESCRIPTION_MAX)),
        ("dataset", "created_at", not_null(time())),
        ("dataset", "created_by", or_null(id())),
        ("dataset", "updated_by", or_null(id())),
        ("dataset", "updated_at", or_null(time())),
        ("dataset", "revision", from(1)),
        ("dataset", "kpi_count", not_null(accepted([0, KPIS_MAX], refused(CHECK, [KPIS_MAX + 1])))),
        ("dataset", "required_count", not_null(accepted([0, KPIS_MAX], refused(CHECK, [KPIS_MAX + 1])))),
        ("dataset", "required_count", refused(CHECK, [-1])),
        ("dataset", "kpi_count", refused(CHECK, [-1])),
        ("dataset", "head_digest", digest()),
        ("dataset", "kpi_digest", digest()),
        ("dataset", "changed", accepted([i64::MAX], refused(CHECK, ["NULL", "0", "-1"]))),
        ("dataset", "deleted_at", or_null(time())),
        ("dataset", "deleted_by", or_null(id())),
        ("dataset", "state_digest", accepted([i64::MIN, -1, i64::MAX], refused(CHECK, ["NULL"]))),
        ("dataset", "state_digest", refused(DATATYPE, ["'x'"])),
        ("kpi", "dataset_seq", not_null(refused(DATATYPE, ["'x'"]))),
        ("kpi", "id", not_null(id())),
        ("kpi", "position", from(0)),
        ("kpi", "name", name()),
        ("kpi", "description", optional_text(DESCRIPTION_MAX)),
        ("kpi", "unit", optional_text(UNIT_MAX)),
        ("kpi", "value_type", not_null(accepted([0, last_type], refused(CHECK, [-1, last_type + 1])))),
        ("kpi", "required", not_null(accepted([0, 1], refused(CHECK, [-1, 2])))),
        ("kpi", "sort_order", from(SORT_ORDER_MIN)),
        ("kpi", "created_at", not_null(time())),
        ("kpi", "updated_at", or_null(time())),
        ("dataset_version", "dataset_seq", not_null(refused(DATATYPE, ["'x'"]))),
        ("dataset_version", "change", not_null(accepted([2, i64::MAX], refused(CHECK, [1, 0, i64::MIN])))),
        ("dataset_version", "part", from(0)),
        ("dataset_version", "origin", not_null(accepted([0, 4], refused(CHECK, [-1, 5])))),
        ("dataset_version", "changed_at", not_null(time())),
        ("dataset_version", "changed_by", or_null(id())),
        ("dataset_version", "revision", digest()),
        ("dataset_version", "head_digest", digest()),
        ("dataset_version", "kpi_digest", digest()),
        ("dataset_version", "replaced", or_null(accepted(["'{}'"], refused(CHECK, ["''", "'{'", "'{},'"])))),
        ("dataset_version", "replaced", refused(DATATYPE, ["x'7b7d'"])),
        ("dataset_version", "digest", digest()),
        ("purged_dataset", "organization_id", not_null(id())),
        ("purged_dataset", "change", from(1)),
        ("purged_dataset", "id", not_null(id())),
        ("purged_dataset", "digest", digest()),
        ("organization_property", "organization_id", not_null(id())),
        ("organization_property", "key", name()),
        (
            "organization_property",
            "content",
            not_null(accepted(
                [format!("zeroblob({PROPERTY_CONTENT_MAX})")],
                refused(CHECK, [format!("zeroblob({})", PROPERTY_CONTENT_MAX + 1)]),
            )),
        ),
        ("organization_property", "content", refused(DATATYPE, ["'x'"])),
        ("organization_property", "digest", digest()),
        ("counter", "id", accepted([1], refused(CHECK, [0, 2]))),
        ("counter", "last", from(0)),
        ("counter", "generation", digest()),
    ]
}

/// This number of code points of four bytes each.
fn text(length: usize) -> String {
    format!("'{}'", "🌊".repeat(length))
}

/// U+0000 at the beginning, in the middle and at the end, and a BLOB instead of a text.
fn with_nul(mut rules: Rules) -> Rules {
    rules.extend(refused(CHECK, ["char(0)", "char(0) || 'a'", "'a' || char(0) || 'b'", "'a' || char(0)"]));
    rules.extend(refused(DATATYPE, ["x'41'"]));
    rules
}

fn accepted<T: ToString, const N: usize>(expressions: [T; N], mut rules: Rules) -> Rules {
    rules.extend(expressions.map(|expression| (expression.to_string(), None)));
    rules
}

fn refused<T: ToString, const N: usize>(constraint: i32, expressions: [T; N]) -> Rules {
    expressions.map(|expression| (expression.to_string(), Some(constraint))).to_vec()
}

/// Inserts the valid row with some columns changed; the error is the code of the constraint.
fn insert(plain: &Connection, table: &str, changed: &[(&str, &str)]) -> Result<(), i32> {
    let (_, columns) = TABLES.iter().find(|(name, _)| *name == table).unwrap();
    // That table has exactly one row.
    let verb = if table == "counter" { "REPLACE" } else { "INSERT" };
    let value = |(name, usual): &(&'static str, &'static str)| {
        changed.iter().find(|(column, _)| column == name).map_or((*usual).to_owned(), |(_, other)| (*other).to_owned())
    };
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = columns.iter().map(value).collect();
    let sql = format!("{verb} INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    let constraint = |error: rusqlite::Error| error.sqlite_error().unwrap_or_else(|| panic!("{error}")).extended_code;
    plain.execute(&sql, []).map(drop).map_err(constraint)
}

fn store_with_one_dataset() -> (TestFile, Connection) {
    let file = TestFile::new();
    Store::open(&file.path).unwrap();
    let plain = plain_sqlite(&file.path);
    plain.execute_batch("PRAGMA foreign_keys = ON; BEGIN").unwrap();
    assert_eq!(insert(&plain, "dataset", &[]), Ok(()));
    (file, plain)
}

/// A page of the docs, and the phrases in it that name a limit.
type Stated = (&'static str, &'static str, Vec<String>);

#[test]
fn the_docs_state_every_limit_as_it_is() {
    for (page, content, phrases) in stated() {
        for phrase in phrases {
            assert!(states(content, &phrase), "{page} does not say {phrase:?}");
        }
    }
    // The control.
    assert!(!states("1 to 2550 code points", "1 to 255"));
    assert!(!states("at most 12,000", "2,000"));
    assert!(states("(at most 2,000,", "at most 2,000"));
}

fn stated() -> Vec<Stated> {
    let name = format!("{NAME_MIN} to {NAME_MAX} code points");
    let description = format!("at most {} code points", grouped(DESCRIPTION_MAX));
    let unit = format!("at most {UNIT_MAX} code points");
    let page = format!("{PAGE_MIN} to {}, by default {PAGE_DEFAULT}", grouped(PAGE_MAX));
    let sort_order = format!("{SORT_ORDER_MIN} to 2^63 - 1");
    assert_eq!(i128::from(SORT_ORDER_MAX), (1 << 63) - 1);
    let property_key = format!("{PROPERTY_KEY_MIN} to {PROPERTY_KEY_MAX} code points");
    let property_content = format!("at most {} bytes", grouped(PROPERTY_CONTENT_MAX));
    let models = [name.clone(), description.clone(), unit.clone()];
    vec![
        (
            "README.md",
            include_str!("../../README.md"),
            vec![
                name,
                description,
                unit,
                format!(
                    "at most {KPIS_IN_REQUEST_MAX} items in one request, at most {} in a dataset",
                    grouped(KPIS_MAX)
                ),
                sort_order.clone(),
                property_key.clone(),
                property_content.clone(),
            ],
        ),
        (
            "src/model/new_dataset.rs",
            include_str!("../../src/model/new_dataset.rs"),
            [
                &models[..],
                &[format!("At most {}", grouped(KPIS_MAX)), format!("at most {KPIS_IN_REQUEST_MAX} in one request")],
            ]
            .concat(),
        ),
        ("src/model/dataset.rs", include_str!("../../src/model/dataset.rs"), [&models[..], &[sort_order]].concat()),
        (
            "src/store/organization/properties.rs",
            include_str!("../../src/store/organization/properties.rs"),
            vec![property_key, property_content],
        ),
        ("src/store/dataset/query.rs", include_str!("../../src/store/dataset/query.rs"), vec![page]),
    ]
}

/// Whether the text has the phrase, in any case, and not as a part of longer numbers.
fn states(text: &str, phrase: &str) -> bool {
    let is_part = |char: Option<char>| char.is_some_and(|char| char.is_ascii_digit());
    let (text, phrase) = (text.to_lowercase(), phrase.to_lowercase());
    text.match_indices(&phrase).any(|(start, found)| {
        let (before, after) = (&text[..start], &text[start + found.len()..]);
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    })
}

/// The number with commas, as the docs print it.
fn grouped(number: impl TryInto<u64, Error: std::fmt::Debug>) -> String {
    let number = number.try_into().unwrap();
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}
