//! Datasets created from generated requests, and the rows that a file should hold for them, had in three ways: from the
//! request, from what `create` returned, and from plain SQLite.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::DateTime;
use kpi_store::{Dataset, Durability, Organization, OrganizationId, Store, UserId};
use proptest::strategy::{Strategy, ValueTree};
use rusqlite::Connection;
use rusqlite::types::Value;
use uuid::Uuid;

use super::draft::{Draft, drafts};
use super::runner;
use crate::support::{self, TestFile};

/// A file with datasets from generated requests, and what `create` returned for each, in the order of creation.
pub(super) struct Stored {
    pub(super) seed: u64,
    pub(super) store: Store,
    pub(super) organization: Organization,
    pub(super) cases: Vec<(Case, Dataset)>,
    // The last, so that no store is open when its folder is removed: another file may get its inode.
    pub(super) file: TestFile,
}

/// A request, with the time and the user of its creation.
pub(super) struct Case {
    draft: Draft,
    micros: i64,
    user: Option<UserId>,
    organization: OrganizationId,
}

impl Stored {
    const CALLS: i64 = 160;

    /// In turn one dataset and four at once, with and without a user, at times from the year 1 to the year 9999.
    pub(super) fn new(seed: u64) -> Self {
        let file = TestFile::new();
        let calls = AtomicI64::new(0);
        let clock =
            move || DateTime::from_timestamp_micros(micros_of_call(calls.fetch_add(1, Ordering::SeqCst))).unwrap();
        let store = Store::options().durability(Durability::Normal).clock(clock).open(&file.path).unwrap();
        let organization = support::organization(&store);
        let mut runner = runner(seed, 1);
        let mut drafts = std::iter::repeat_with(|| drafts().new_tree(&mut runner).unwrap().current());
        let mut cases = Vec::new();
        for call in 0..Self::CALLS {
            let user = (call % 3 == 0).then(UserId::new);
            let acting = user.map_or(organization.clone(), |user| organization.acting_as(user));
            let count = if call % 2 == 0 { 1 } else { 4 };
            let admissible: Vec<_> = drafts.by_ref().filter(|draft| draft.wrongs().is_empty()).take(count).collect();
            let created = match &*admissible {
                [draft] => acting.create_dataset(draft.request()).map(|dataset| vec![dataset]),
                several => acting.create_datasets(several.iter().map(Draft::request)),
            };
            let created = created.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let case = |draft| Case { draft, micros: micros_of_call(call), user, organization: organization.id() };
            cases.extend(admissible.into_iter().map(case).zip(created));
        }
        Self { seed, store, organization, cases, file }
    }
}

fn micros_of_call(call: i64) -> i64 {
    let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
    if call == Stored::CALLS - 1 { last } else { first + call * ((last - first) / Stored::CALLS) }
}

impl Case {
    /// The rows that the file should hold, the dataset's and then those of its KPIs in the order of addition, with the
    /// ids that were given in the request, or else those that `create` returned.
    pub(super) fn expected_rows(&self, returned: &Dataset) -> Vec<Vec<Value>> {
        let Draft { id, name, description, kpis, .. } = &self.draft;
        let id = id.unwrap_or(Uuid::from(returned.id).into_bytes());
        let mut rows = vec![vec![
            Value::Blob(id.into()),
            blob(self.organization),
            text(name),
            optional(description.as_deref(), text),
            Value::Integer(self.micros),
            optional(self.user, blob),
            Value::Null,
            Value::Null,
            Value::Integer(1),
        ]];
        let shown = self.draft.display_order();
        for (position, kpi) in kpis.iter().enumerate() {
            let place = shown.iter().position(|shown| *shown == position).unwrap();
            let id = kpi.id.unwrap_or_else(|| Uuid::from(returned.kpis[place].id).into_bytes());
            rows.push(vec![
                Value::Blob(id.into()),
                integer(position),
                text(&kpi.name),
                optional(kpi.description.as_deref(), text),
                optional(kpi.unit.as_deref(), text),
                integer(kpi.value_type.unwrap_or(0)),
                Value::Integer(kpi.required.unwrap_or(true).into()),
                Value::Integer(kpi.sort_order.unwrap_or(0)),
                Value::Integer(self.micros),
                Value::Null,
            ]);
        }
        rows
    }
}

/// The same rows as they follow from what `create` returned.
pub(super) fn rows_of(case: &Case, returned: &Dataset) -> Vec<Vec<Value>> {
    let micros = |time: &DateTime<_>| Value::Integer(time.timestamp_micros());
    let mut rows = vec![vec![
        blob(returned.id),
        blob(returned.organization_id),
        text(&returned.name),
        optional(returned.description.as_deref(), text),
        micros(&returned.created_at),
        optional(returned.created_by, blob),
        optional(returned.updated_by, blob),
        optional(returned.updated_at.as_ref(), micros),
        Value::Integer(1),
    ]];
    let mut kpis: Vec<_> = case.draft.display_order().into_iter().zip(&returned.kpis).collect();
    assert_eq!(kpis.len(), returned.kpis.len());
    kpis.sort_by_key(|(position, _)| *position);
    for (position, kpi) in kpis {
        assert_eq!(kpi.dataset_id, returned.id);
        rows.push(vec![
            blob(kpi.id),
            integer(position),
            text(&kpi.name),
            optional(kpi.description.as_deref(), text),
            optional(kpi.unit.as_deref(), text),
            integer(kpi_store::ValueType::ALL.iter().position(|value_type| *value_type == kpi.value_type).unwrap()),
            Value::Integer(kpi.required.into()),
            Value::Integer(kpi.sort_order),
            micros(&kpi.created_at),
            optional(kpi.updated_at.as_ref(), micros),
        ]);
    }
    rows
}

/// The same rows as plain SQLite finds them.
pub(super) fn rows_found(plain: &Connection, dataset: &Dataset) -> Vec<Vec<Value>> {
    let sql = [
        "SELECT id, organization_id, name, description, created_at, created_by, updated_by, updated_at, revision
         FROM dataset WHERE id = ?1",
        "SELECT id, position, name, description, unit, value_type, required, sort_order, created_at, updated_at
         FROM kpi WHERE dataset_seq = (SELECT seq FROM dataset WHERE id = ?1) ORDER BY position",
    ];
    let mut found = Vec::new();
    for sql in sql {
        let mut statement = plain.prepare_cached(sql).unwrap();
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        let rows = statement.query_map([Uuid::from(dataset.id).into_bytes()], read).unwrap();
        found.extend(rows.map(Result::unwrap));
    }
    found
}

fn blob(id: impl Into<Uuid>) -> Value {
    Value::Blob(id.into().into_bytes().into())
}

fn text(text: &(impl AsRef<str> + ?Sized)) -> Value {
    Value::Text(text.as_ref().to_owned())
}

fn integer(place: usize) -> Value {
    Value::Integer(place.try_into().unwrap())
}

fn optional<T>(value: Option<T>, to_value: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Null, to_value)
}
