//! The digests and the history as `docs/file-format.md` describes them: a second implementation, in plain SQL.

use chrono::DateTime;
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use serde_json::Value as Json;
use twox_hash::XxHash3_64;
use uuid::Uuid;

/// How a column is hashed.
enum Form {
    Id,
    Text,
    Bytes,
    I64,
    U8,
}

/// A column; the last says whether it may be null.
type Column = (&'static str, Form, bool);

/// The head of a dataset, in the order of the documentation.
const HEAD: [Column; 11] = [
    ("organization_id", Form::Id, false),
    ("id", Form::Id, false),
    ("revision", Form::I64, false),
    ("name", Form::Text, false),
    ("description", Form::Text, true),
    ("created_at", Form::I64, false),
    ("created_by", Form::Id, true),
    ("updated_by", Form::Id, true),
    ("updated_at", Form::I64, true),
    ("kpi_count", Form::I64, false),
    ("required_count", Form::I64, false),
];

const KPI: [Column; 10] = [
    ("id", Form::Id, false),
    ("position", Form::I64, false),
    ("name", Form::Text, false),
    ("description", Form::Text, true),
    ("unit", Form::Text, true),
    ("value_type", Form::U8, false),
    ("required", Form::U8, false),
    ("sort_order", Form::I64, false),
    ("created_at", Form::I64, false),
    ("updated_at", Form::I64, true),
];

const STATE: [Column; 4] = [
    ("organization_id", Form::Id, false),
    ("id", Form::Id, false),
    ("changed", Form::I64, false),
    ("deleted_at", Form::I64, true),
];

const VERSION: [Column; 11] = [
    ("organization_id", Form::Id, false),
    ("id", Form::Id, false),
    ("change", Form::I64, false),
    ("part", Form::I64, false),
    ("origin", Form::I64, false),
    ("changed_at", Form::I64, false),
    ("changed_by", Form::Id, true),
    ("v.revision", Form::I64, false),
    ("v.head_digest", Form::I64, false),
    ("v.kpi_digest", Form::I64, false),
    ("replaced", Form::Text, true),
];

const PURGED: [Column; 3] =
    [("organization_id", Form::Id, false), ("change", Form::I64, false), ("id", Form::Id, false)];

const PROPERTY: [Column; 3] =
    [("organization_id", Form::Id, false), ("key", Form::Text, false), ("content", Form::Bytes, false)];

/// Everything in the file whose stored digest differs from the documented one: `head 1`, `kpis 1`, `state 1`,
/// `version 1/65/0`, `purged 65`, `property cursor`.
pub(super) fn mismatched(plain: &Connection) -> Vec<String> {
    let mut found = Vec::new();
    let seqs = seqs(plain);
    assert!(!seqs.is_empty());
    for seq in seqs {
        let (head, kpis) = stored_digests(plain, seq);
        let documented = digests(plain, seq);
        found.extend((head != documented.0).then(|| format!("head {seq}")));
        found.extend((kpis != documented.1).then(|| format!("kpis {seq}")));
        let count = "SELECT (kpi_count, required_count) = (SELECT count(*), ifnull(sum(required), 0) FROM kpi
            WHERE dataset_seq = seq) FROM dataset WHERE seq = ?1";
        found.extend((!one::<bool>(plain, count, seq)).then(|| format!("count {seq}")));
        let state: Option<i64> = one(plain, "SELECT state_digest FROM dataset WHERE seq = ?1", seq);
        found.extend((state != state_digest(plain, seq)).then(|| format!("state {seq}")));
    }
    let mut statement =
        plain.prepare("SELECT dataset_seq, change, part, digest FROM dataset_version ORDER BY 1, 2, 3").unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    for (seq, change, part, digest) in stored.map(Result::<(i64, i64, i64, i64), _>::unwrap) {
        let documented = version_digest(plain, seq, change, part);
        found.extend((digest != documented).then(|| format!("version {seq}/{change}/{part}")));
    }
    let mut statement = plain.prepare("SELECT change, digest FROM purged_dataset ORDER BY organization_id, 1").unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let stored = stored.unwrap().map(Result::<(i64, i64), _>::unwrap);
    let documented = rows(plain, &PURGED, "FROM purged_dataset ORDER BY organization_id, change");
    for ((change, digest), bytes) in stored.zip(documented) {
        found.extend((digest != hash(&bytes)).then(|| format!("purged {change}")));
    }
    let from = "FROM organization_property ORDER BY organization_id, key";
    let mut statement = plain.prepare(&format!("SELECT key, digest {from}")).unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let stored = stored.unwrap().map(Result::<(String, i64), _>::unwrap);
    for ((key, digest), bytes) in stored.zip(rows(plain, &PROPERTY, from)) {
        found.extend((digest != hash(&bytes)).then(|| format!("property {key}")));
    }
    found
}

fn seqs(plain: &Connection) -> Vec<i64> {
    let mut statement = plain.prepare("SELECT seq FROM dataset ORDER BY seq").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// `head_digest` and `kpi_digest` as they are stored.
pub(super) fn stored_digests(plain: &Connection, seq: i64) -> (i64, i64) {
    let sql = "SELECT head_digest, kpi_digest FROM dataset WHERE seq = ?1";
    plain.query_row(sql, [seq], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// `head_digest` and `kpi_digest` as they are documented.
pub(super) fn digests(plain: &Connection, seq: i64) -> (i64, i64) {
    let head = hash(&rows(plain, &HEAD, &format!("FROM dataset WHERE seq = {seq}")).remove(0));
    let kpis = rows(plain, &KPI, &format!("FROM kpi WHERE dataset_seq = {seq}"));
    (head, kpis.iter().fold(0, |sum, bytes| sum.wrapping_add(hash(bytes))))
}

/// `state_digest` as it is documented.
pub(super) fn state_digest(plain: &Connection, seq: i64) -> Option<i64> {
    let from = format!("FROM dataset WHERE seq = {seq}");
    let [was_changed, is_deleted] = ["changed", "deleted_at"]
        .map(|column| one::<bool>(plain, &format!("SELECT {column} IS NOT NULL FROM dataset WHERE seq = ?1"), seq));
    let mut bytes = was_changed.then(|| rows(plain, &STATE, &from).remove(0))?;
    if is_deleted {
        bytes.extend(rows(plain, &[("deleted_by", Form::Id, true)], &from).remove(0));
    }
    Some(hash(&bytes))
}

/// The digest of a row of `dataset_version` as it is documented.
pub(super) fn version_digest(plain: &Connection, seq: i64, change: i64, part: i64) -> i64 {
    let of_row = format!("dataset_seq = {seq} AND change = {change} AND part = {part}");
    hash(&rows(plain, &VERSION, &format!("FROM dataset_version v JOIN dataset ON seq = dataset_seq WHERE {of_row}"))[0])
}

/// Goes back through the history of every dataset, and returns how many versions were put together. Each must match the
/// digests that the change after it has stored. The connection must be in a transaction, which is then rolled back.
pub(super) fn versions_put_together(plain: &Connection) -> usize {
    let mut count = 0;
    for seq in seqs(plain) {
        let mut changes = plain
            .prepare(
                "SELECT change, revision, head_digest, kpi_digest, json_group_array(json(replaced))
                     FILTER (WHERE replaced IS NOT NULL)
                 FROM dataset_version WHERE dataset_seq = ?1 AND origin <= 2 GROUP BY change ORDER BY change DESC",
            )
            .unwrap();
        let rows = changes.query_map([seq], |row| {
            let digests: (i64, i64) = (row.get(2)?, row.get(3)?);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, digests, row.get::<_, Option<String>>(4)?))
        });
        for row in rows.unwrap() {
            let (change, revision, digests, parts) = row.unwrap();
            let parts: Vec<Json> = parts.map_or_else(Vec::new, |parts| serde_json::from_str(&parts).unwrap());
            if parts.is_empty() {
                // Nothing is known of the version that was replaced, nor of those before.
                break;
            }
            for part in &parts {
                put_back(plain, seq, part);
            }
            let count_kpis = "UPDATE dataset SET revision = ?2,
                (kpi_count, required_count) = (SELECT count(*), ifnull(sum(required), 0) FROM kpi
                    WHERE dataset_seq = ?1)
                WHERE seq = ?1";
            plain.execute(count_kpis, [seq, revision]).unwrap();
            assert_eq!(self::digests(plain, seq), digests, "dataset {seq} before change {change}");
            count += 1;
        }
    }
    count
}

/// Puts the values back that a change has replaced.
fn put_back(plain: &Connection, seq: i64, replaced: &Json) {
    let keys: Vec<_> = replaced.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(keys.iter().all(|key| ["dataset", "added", "changed", "deleted"].contains(key)), "{keys:?}");
    if let Some(dataset) = replaced.get("dataset") {
        for (key, value) in dataset.as_object().unwrap() {
            plain
                .execute(&format!("UPDATE dataset SET {key} = ?2 WHERE seq = ?1"), params![seq, stored(key, value)])
                .unwrap();
        }
    }
    let list = |key| replaced.get(key).map_or(&[][..], |list| list.as_array().unwrap());
    for kpi in list("changed") {
        let id = stored("id", &kpi["id"]);
        for (key, value) in kpi.as_object().unwrap() {
            let sql = format!("UPDATE kpi SET {key} = ?3 WHERE dataset_seq = ?1 AND id = ?2");
            assert_eq!(plain.execute(&sql, params![seq, id, stored(key, value)]).unwrap(), 1);
        }
    }
    for id in list("added") {
        let sql = "DELETE FROM kpi WHERE dataset_seq = ?1 AND id = ?2";
        assert_eq!(plain.execute(sql, params![seq, stored("id", id)]).unwrap(), 1);
    }
    for kpi in list("deleted") {
        let (keys, mut values): (Vec<_>, Vec<_>) =
            kpi.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), stored(key, value))).unzip();
        values.push(Value::Integer(seq));
        let parameters = vec!["?"; values.len()].join(", ");
        let sql = format!("INSERT INTO kpi ({}, dataset_seq) VALUES ({parameters})", keys.join(", "));
        plain.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
    }
}

/// A value of the JSON as its column stores it.
fn stored(key: &str, value: &Json) -> Value {
    match (key, value) {
        (_, Json::Null) => Value::Null,
        ("id" | "updated_by", Json::String(id)) => Value::Blob(id.parse::<Uuid>().unwrap().as_bytes().to_vec()),
        ("created_at" | "updated_at", Json::String(time)) => {
            Value::Integer(DateTime::parse_from_rfc3339(time).unwrap().timestamp_micros())
        }
        ("value_type", Json::String(value_type)) => {
            let types = ["number", "text", "percentage", "date", "boolean"];
            let (number, _) = (0..).zip(types).find(|(_, name)| name == value_type).unwrap();
            Value::Integer(number)
        }
        ("name" | "description" | "unit", Json::String(text)) => Value::Text(text.clone()),
        ("required", Json::Bool(required)) => Value::Integer(i64::from(*required)),
        ("position" | "sort_order", Json::Number(number)) => Value::Integer(number.as_i64().unwrap()),
        _ => panic!("not a documented key: {key}"),
    }
}

fn one<T: rusqlite::types::FromSql>(plain: &Connection, sql: &str, seq: i64) -> T {
    plain.query_row(sql, [seq], |row| row.get(0)).unwrap()
}

fn hash(bytes: &[u8]) -> i64 {
    XxHash3_64::oneshot(bytes).cast_signed()
}

/// The bytes of each row that are hashed.
fn rows(plain: &Connection, columns: &[Column], from: &str) -> Vec<Vec<u8>> {
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
        (Value::Blob(bytes), Form::Bytes) => [&(bytes.len() as u64).to_le_bytes(), &bytes[..]].concat(),
        (Value::Integer(integer), Form::I64) => integer.to_le_bytes().to_vec(),
        (Value::Integer(integer), Form::U8) => vec![u8::try_from(integer).unwrap()],
        (value, _) => panic!("not of the documented form: {value:?}"),
    };
    if may_be_null { [vec![1], bytes].concat() } else { bytes }
}
