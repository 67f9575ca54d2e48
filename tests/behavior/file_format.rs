//! The file format: the schema is the recorded one, files of every version stay readable, and digests and history are
//! what `docs/file-format.md` says, by a second implementation.

mod documented;
mod fixture;

use std::fs;
use std::path::Path;

use chrono::DateTime;
use kpi_store::{NewDataset, NewKpi, OrganizationId, Store, UserId};
use uuid::Uuid;

use self::documented::{digests, mismatched, state_digest, stored_digests, version_digest, versions_put_together};
use self::fixture::{make, read};
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
        assert_eq!(mismatched(&plain_sqlite(&file.path)), [""; 0], "version {number}");
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
    let store = make(&file.path);
    let ours = store.organization(OrganizationId::new());
    for count in [0, 1, 2, 99, 100] {
        let kpis = (0..count).map(|index| NewKpi::new(format!("{index}")).sort_order((index * 7) % 5));
        let new = NewDataset::new("🌊".repeat(255)).description("水".repeat(2_000)).kpis(kpis);
        let dataset = ours.create_dataset(new).unwrap();
        let mut draft = dataset.edit();
        draft.kpis.reverse();
        ours.save_dataset(&draft).unwrap();
    }
    assert_eq!(mismatched(&plain_sqlite(&file.path)), [""; 0]);
}

/// The control: a change of any column that is hashed is detected, where it was made.
#[test]
fn the_second_implementation_detects_a_change_of_any_column() {
    const ID: &str = "randomblob(16)";
    let file = TestFile::new();
    let store = make(&file.path);
    let dataset = [
        ("organization_id", ID, "head 4 state 4 version"),
        ("id", ID, "head 4 state 4 version"),
        ("revision", "revision + 1", "head 4"),
        ("name", "'x'", "head 4"),
        ("description", "ifnull(nullif(description, description), '')", "head 4"),
        ("created_at", "created_at + 1", "head 4"),
        ("created_by", "NULL", "head 4"),
        ("updated_by", ID, "head 4"),
        ("updated_at", "NULL", "head 4"),
        ("kpi_count", "kpi_count + 1", "head 4 count 4"),
        ("required_count", "required_count - 1", "head 4 count 4"),
        ("head_digest", "head_digest + 1", "head 4"),
        ("kpi_digest", "kpi_digest + 1", "kpis 4"),
        ("changed", "changed + 1", "state 4"),
        ("deleted_at", "1", "state 4"),
        ("deleted_at", "1, deleted_by = randomblob(16)", "state 4"),
        ("state_digest", "state_digest + 1", "state 4"),
    ];
    let kpi = [
        ("id", ID),
        ("position", "position + 1"),
        ("name", "'x'"),
        ("description", "'x'"),
        ("unit", "'x'"),
        ("value_type", "4 - value_type + (value_type = 2)"),
        ("required", "1 - required"),
        ("sort_order", "sort_order + 1"),
        ("created_at", "created_at + 1"),
        ("updated_at", "1"),
    ];
    let version = [
        ("change", "change + 1000"),
        ("part", "1"),
        ("origin", "(origin + 1) % 5"),
        ("changed_at", "changed_at + 1"),
        ("changed_by", "NULL"),
        ("revision", "revision + 1"),
        ("head_digest", "head_digest + 1"),
        ("kpi_digest", "kpi_digest + 1"),
        ("replaced", "NULL"),
        ("replaced", "'{}'"),
        ("digest", "digest + 1"),
    ];
    let purged = [("organization_id", ID), ("change", "change + 1000"), ("id", ID), ("digest", "digest + 1")]
        .map(|(column, value)| (format!("UPDATE purged_dataset SET {column} = {value}"), "purged "));
    let property = [
        ("organization_id", ID),
        ("key", "'other'"),
        ("content", "CAST(content || x'00' AS BLOB)"),
        ("digest", "digest + 1"),
    ]
    .map(|(column, value)| {
        (format!("UPDATE organization_property SET {column} = {value} WHERE key = 'empty'"), "property ")
    });
    let changes = dataset
        .iter()
        .map(|(column, value, found)| (format!("UPDATE dataset SET {column} = {value} WHERE seq = 4"), *found))
        .chain(kpi.iter().map(|(column, value)| {
            let one = "(SELECT id FROM kpi WHERE dataset_seq = 4 LIMIT 1)";
            (format!("UPDATE kpi SET {column} = {value} WHERE dataset_seq = 4 AND id = {one}"), "kpis 4")
        }))
        .chain(version.iter().map(|(column, value)| {
            let one = "(SELECT max(change) FROM dataset_version WHERE dataset_seq = 4)";
            (format!("UPDATE dataset_version SET {column} = {value} WHERE change = {one}"), "version 4/")
        }))
        .chain(purged)
        .chain(property);
    for (change, expected) in changes {
        let plain = plain_sqlite(&file.path);
        plain.execute_batch("BEGIN").unwrap();
        assert_eq!(plain.execute(&change, []).unwrap(), 1, "{change}");
        let found = mismatched(&plain).join(" ");
        assert!(found.starts_with(expected), "{change}: {found}");
    }
    drop(store);
}

#[test]
fn earlier_versions_can_be_put_together_by_plain_sql() {
    let file = TestFile::new();
    let store = make(&file.path);
    let ours = store.organization(OrganizationId::new());
    // What the change replaces is stored in several parts.
    let long = |_| NewKpi::new("🌊".repeat(255)).description("🌊".repeat(2_000)).unit("🌊".repeat(50));
    let mut draft = ours.create_dataset(NewDataset::new("Many").kpis((0..100).map(long))).unwrap().edit();
    draft.kpis.truncate(50);
    draft.kpis.iter_mut().for_each(|kpi| kpi.description = None);
    ours.save_dataset(&draft).unwrap();
    let mut plain = plain_sqlite(&file.path);
    let parts: i64 = plain.query_row("SELECT max(part) FROM dataset_version", [], |row| row.get(0)).unwrap();
    assert!(parts > 0, "the control");

    let count = versions_put_together(&plain.transaction().unwrap());

    let contents = "SELECT count(DISTINCT change) FROM dataset_version WHERE replaced IS NOT NULL";
    let expected: i64 = plain.query_row(contents, [], |row| row.get(0)).unwrap();
    // Nothing is known of what was accepted, so the version before that is not reached.
    assert_eq!(i64::try_from(count).unwrap(), expected - 1);
}

#[test]
fn the_digests_of_known_datasets_are_pinned() {
    let [kept, made] = [TestFile::new(), TestFile::new()];
    fs::write(&kept.path, FIXTURES[0].0).unwrap();
    make(&made.path).close().unwrap();
    for file in [kept.path, made.path] {
        let plain = plain_sqlite(&file);
        let found =
            ([1, 2, 3, 4].map(|seq| digests(&plain, seq)), state_digest(&plain, 4), version_digest(&plain, 4, 5, 0));
        let empty: i64 = plain
            .query_row("SELECT digest FROM organization_property WHERE key = 'empty'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(empty, 8_268_457_725_361_986_373);
        let datasets = [
            (4_948_233_330_719_952_133, 2_806_582_184_884_664_290),
            (-1_232_118_174_434_668_129, 1_090_899_738_488_833_354),
            (1_820_397_883_270_972_151, 0),
            (-7_669_895_757_329_051_634, -7_396_555_072_489_922_600),
        ];
        assert_eq!(found, (datasets, Some(8_702_916_848_821_230_719), -6_700_012_370_282_860_286));
    }
}

/// A tool that knows the format can write what a change by this crate would have written.
#[test]
fn a_changed_dataset_with_the_digests_that_are_documented_is_read() {
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
    let (head, kpis) = digests(&plain, 1);
    assert_ne!(stored_digests(&plain, 1), (head, kpis));
    plain.execute("UPDATE dataset SET head_digest = ?1, kpi_digest = ?2 WHERE seq = 1", [head, kpis]).unwrap();

    let dataset = listed(&store.organization(Uuid::from_u128(1).into())).remove(0);
    assert_eq!(dataset.updated_by, Some(user));
    assert_eq!(dataset.updated_at, DateTime::from_timestamp_micros(-1));
    assert!(!dataset.kpis.is_empty());
    assert!(dataset.kpis.iter().all(|kpi| kpi.updated_at == DateTime::from_timestamp_micros(1)));
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
