//! The file format: the schema is the recorded one, files of every version stay readable, and the digest is what
//! `docs/file-format.md` says, by a second implementation.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::DateTime;
use kpi_store::{Dataset, NewDataset, NewKpi, OrganizationId, Store, UserId, ValueType};
use rusqlite::types::Value;
use twox_hash::XxHash3_64;
use uuid::Uuid;

use crate::support::{TestFile, listed, plain_sqlite};

/// The schema of a fresh file: for each object a comment with type, name and table, then its text.
const SCHEMA: &str = include_str!("../fixtures/V1.sql");

/// A file of every version, and what is read from it.
const FIXTURES: &[(&[u8], &str)] = &[(include_bytes!("../fixtures/v1.db"), include_str!("../fixtures/v1.json"))];

#[test]
fn a_fresh_file_has_the_schema_that_is_written_down() {
    let file = TestFile::new();
    Store::open(&file.path).unwrap();
    let found = dump(&file.path);
    // One by one first, so that a failure shows the object.
    for (found, expected) in objects(&found).zip(objects(SCHEMA)) {
        assert_eq!(found, expected);
    }
    assert_eq!(found, SCHEMA);
    // The control.
    plain_sqlite(&file.path).execute_batch("CREATE INDEX by_name ON dataset (name)").unwrap();
    assert_ne!(dump(&file.path), SCHEMA);
}

#[test]
fn a_file_of_every_version_reads_as_it_was_written_and_ends_with_the_schema_of_a_fresh_one() {
    for (number, (bytes, content)) in (1..).zip(FIXTURES) {
        let file = TestFile::with(bytes);
        let store = Store::open(&file.path).unwrap();
        assert_eq!(read(&store), *content, "version {number}");
        store.close().unwrap();
        assert_eq!(dump(&file.path), SCHEMA, "version {number}");
        assert_eq!(mismatched(&file.path), [0; 0], "version {number}");
    }
}

/// When the schema has changed, `KEEP_IN=tests/fixtures cargo test --test behavior the_fixture` writes the next
/// fixture, `v<n>.db` with `v<n>.json`, and the schema, `V<n>.sql`. Earlier ones stay as they are.
#[test]
fn the_fixture_is_still_what_its_maker_makes() {
    let file = TestFile::new();
    make(&file.path);
    let store = Store::open(&file.path).unwrap();
    let content = read(&store);
    store.close().unwrap();
    if let Some(folder) = std::env::var_os("KEEP_IN") {
        let version: i64 = plain_sqlite(&file.path).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        let keep = |name: String| Path::new(&folder).join(name);
        fs::copy(&file.path, keep(format!("v{version}.db"))).unwrap();
        fs::write(keep(format!("v{version}.json")), &content).unwrap();
        fs::write(keep(format!("V{version}.sql")), dump(&file.path)).unwrap();
    }
    assert_eq!(Some(content.as_str()), FIXTURES.last().map(|(_, content)| *content));
}

#[test]
fn a_second_implementation_finds_the_same_digests() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = store.organization(OrganizationId::new());
    for count in [0, 1, 2, 99, 100] {
        let kpis = (0..count).map(|index| NewKpi::new(format!("{index}")).sort_order((index * 7) % 5));
        ours.create_dataset(NewDataset::new("🌊".repeat(255)).description("水".repeat(2_000)).kpis(kpis)).unwrap();
    }
    assert_eq!(mismatched(&file.path), [0; 0]);
    // The control: a change of any part is detected, also of `position` where it breaks a tie.
    let changes = [
        "dataset SET name = 'x'",
        "dataset SET revision = 2",
        "kpi SET unit = ''",
        "kpi SET position = 100 - position",
    ];
    for change in changes {
        let plain = plain_sqlite(&file.path);
        plain.execute_batch(&format!("BEGIN; UPDATE {change}")).unwrap();
        assert!(!mismatched_on(&plain).is_empty(), "{change}");
    }
}

#[test]
fn the_digests_of_known_datasets_are_pinned() {
    let [kept, made] = [TestFile::new(), TestFile::new()];
    fs::write(&kept.path, FIXTURES[0].0).unwrap();
    make(&made.path).close().unwrap();
    for file in [kept.path, made.path] {
        let plain = plain_sqlite(&file);
        let found = [1, 2, 3].map(|seq| digests(&plain, seq).0);
        assert_eq!(found, [6_458_943_727_471_494_618, 9_569_011_439_437_919_262, 4_577_735_241_854_600_602]);
    }
}

/// No call of this version changes a dataset, but a file may hold one that was changed.
#[test]
fn a_changed_dataset_with_the_digest_that_is_documented_is_read() {
    let file = TestFile::new();
    let store = make(&file.path);
    let plain = plain_sqlite(&file.path);
    let user = UserId::from(Uuid::from_u128(7));
    plain
        .execute(
            "UPDATE dataset SET revision = 2, updated_by = ?1, updated_at = -1 WHERE seq = 1",
            [Uuid::from(user).as_bytes()],
        )
        .unwrap();
    plain.execute("UPDATE kpi SET updated_at = 1 WHERE dataset_seq = 1", []).unwrap();
    let (_, expected) = digests(&plain, 1);
    plain.execute("UPDATE dataset SET digest = ?1 WHERE seq = 1", [expected.cast_signed()]).unwrap();

    let datasets = all(&store).remove(0).1;
    assert_eq!(datasets[0].updated_by, Some(user));
    assert_eq!(datasets[0].updated_at, DateTime::from_timestamp_micros(-1));
    assert!(!datasets[0].kpis.is_empty());
    assert!(datasets[0].kpis.iter().all(|kpi| kpi.updated_at == DateTime::from_timestamp_micros(1)));
}

/// Makes the store of the fixtures through the public API, with ids and times counted from fixed ones.
fn make(file: &Path) -> Store {
    let (ids, seconds) = (AtomicU64::new(1), AtomicI64::new(0));
    let store = Store::options()
        .ids(move || Uuid::from_u64_pair(0x0190_0000_0000_7000, ids.fetch_add(1, Ordering::Relaxed)))
        .clock(move || {
            let seconds = seconds.fetch_add(1, Ordering::Relaxed);
            DateTime::from_timestamp_micros(1_699_335_116_000_000 + seconds * 86_400_120_000).unwrap()
        })
        .open(file)
        .unwrap();
    let [first, second] = [1, 2].map(|id| store.organization(OrganizationId::from(Uuid::from_u128(id))));
    let every_type = ValueType::ALL.map(|value_type| NewKpi::new(value_type.as_str()).value_type(value_type));
    let ties = [3, 1, 3, 0, 1].map(|sort_order| NewKpi::new(format!("tie at {sort_order}")).sort_order(sort_order));
    let water = NewDataset::new("Water 水 🌊").description("Entnahme,\nEinleitung\t\"und\" Verbrauch").kpis(every_type);
    first.acting_as(UserId::from(Uuid::from_u128(3))).create_dataset(water.kpis(ties)).unwrap();
    let edges = NewDataset::new(" ")
        .description("")
        .kpi(NewKpi::new("é").description("").unit("").required(false).sort_order(i64::MAX))
        .kpi(NewKpi::new("\u{1}\u{10ffff}").description("m³ ".repeat(600)).unit("kg CO₂e/m²"));
    second.create_dataset(edges).unwrap();
    first.create_dataset(NewDataset::new("n".repeat(255))).unwrap();
    store
}

fn all(store: &Store) -> Vec<(OrganizationId, Vec<Dataset>)> {
    let organizations = store.organizations().unwrap().into_iter();
    organizations.map(|id| (id, listed(&store.organization(id)))).collect()
}

/// Everything that the public API returns, as JSON.
fn read(store: &Store) -> String {
    serde_json::to_string_pretty(&all(store)).unwrap() + "\n"
}

fn dump(file: &Path) -> String {
    let plain = plain_sqlite(file);
    let mut statement =
        plain.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let text = |row: &rusqlite::Row<'_>| {
        let [kind, name, table] = [row.get::<_, String>(0)?, row.get(1)?, row.get(2)?];
        let sql: Option<String> = row.get(3)?;
        Ok(format!("-- {kind} {name} on {table}\n{};\n", sql.as_deref().unwrap_or("-- made by SQLite")))
    };
    let objects: Vec<String> = statement.query_map([], text).unwrap().map(Result::unwrap).collect();
    objects.join("\n")
}

fn objects(dump: &str) -> impl Iterator<Item = &str> {
    dump.split("\n\n")
}

/// How a column is hashed.
enum Form {
    Id,
    Text,
    I64,
    U8,
}

/// The columns of a dataset in the order of `docs/file-format.md`; the last says whether it may be null.
const DATASET: [(&str, Form, bool); 9] = [
    ("organization_id", Form::Id, false),
    ("id", Form::Id, false),
    ("revision", Form::I64, false),
    ("name", Form::Text, false),
    ("description", Form::Text, true),
    ("created_at", Form::I64, false),
    ("created_by", Form::Id, true),
    ("updated_by", Form::Id, true),
    ("updated_at", Form::I64, true),
];

const KPI: [(&str, Form, bool); 9] = [
    ("id", Form::Id, false),
    ("name", Form::Text, false),
    ("description", Form::Text, true),
    ("unit", Form::Text, true),
    ("value_type", Form::U8, false),
    ("required", Form::U8, false),
    ("sort_order", Form::I64, false),
    ("created_at", Form::I64, false),
    ("updated_at", Form::I64, true),
];

/// The datasets whose stored digest differs from the documented one.
fn mismatched(file: &Path) -> Vec<i64> {
    mismatched_on(&plain_sqlite(file))
}

fn mismatched_on(plain: &rusqlite::Connection) -> Vec<i64> {
    let mut statement = plain.prepare("SELECT seq FROM dataset").unwrap();
    let all: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(!all.is_empty());
    all.into_iter()
        .filter(|seq| {
            let (stored, expected) = digests(plain, *seq);
            stored != expected
        })
        .collect()
}

/// The stored digest, and the documented one.
fn digests(plain: &rusqlite::Connection, seq: i64) -> (u64, u64) {
    let from = format!("FROM dataset WHERE seq = {seq}");
    let stored: i64 = plain.query_row(&format!("SELECT digest {from}"), [], |row| row.get(0)).unwrap();
    let mut bytes = rows(plain, &DATASET, &from).remove(0);
    let kpis = rows(plain, &KPI, &format!("FROM kpi WHERE dataset_seq = {seq} ORDER BY sort_order, position"));
    bytes.extend((kpis.len() as u64).to_le_bytes());
    bytes.extend(kpis.concat());
    (stored.cast_unsigned(), XxHash3_64::oneshot(&bytes))
}

/// The bytes of each row that are hashed.
fn rows(plain: &rusqlite::Connection, columns: &[(&str, Form, bool)], from: &str) -> Vec<Vec<u8>> {
    let names: Vec<_> = columns.iter().map(|(name, ..)| *name).collect();
    let mut statement = plain.prepare(&format!("SELECT {} {from}", names.join(", "))).unwrap();
    let bytes = |row: &rusqlite::Row<'_>| {
        let values = columns
            .iter()
            .enumerate()
            .map(|(index, (_, form, may_be_null))| Ok(hashed(row.get(index)?, form, *may_be_null)));
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.concat())
    };
    statement.query_map([], bytes).unwrap().map(Result::unwrap).collect()
}

fn hashed(value: Value, form: &Form, may_be_null: bool) -> Vec<u8> {
    let bytes = match (value, form) {
        (Value::Null, _) if may_be_null => return vec![0],
        (Value::Blob(id), Form::Id) => id,
        (Value::Text(text), Form::Text) => [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat(),
        (Value::Integer(integer), Form::I64) => integer.to_le_bytes().to_vec(),
        (Value::Integer(integer), Form::U8) => vec![u8::try_from(integer).unwrap()],
        (value, _) => panic!("not of the documented form: {value:?}"),
    };
    if may_be_null { [vec![1], bytes].concat() } else { bytes }
}
