//! Generated versions of a dataset as JSON: one that two sides began with, and what each has made of it.
//!
//! It knows nothing of the crate, so that the tests inside the crate include it too. Values come from small sets, so
//! that both sides often change the same, and sometimes to the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Three versions in the form of a response.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) base: Value,
    /// Has the `updated_at` of the base. Some of the KPIs that it adds have no id.
    pub(crate) draft: Value,
    /// Has another `updated_at`.
    pub(crate) current: Value,
}

/// A change of one version.
#[derive(Clone, Debug)]
enum Edit {
    Name(&'static str),
    Description(Option<&'static str>),
    /// A field of the KPI in this row.
    Field(Index, &'static str, Value),
    Delete(Index),
    /// From this row to that one.
    Move(Index, Index),
    /// A KPI with this number instead of an id, at this row.
    Add(Index, u32, Kpi),
}

#[derive(Clone, Debug)]
struct Kpi {
    name: &'static str,
    description: Option<&'static str>,
    unit: Option<&'static str>,
    value_type: &'static str,
    required: bool,
}

/// Both sides can add a KPI with one of these ids, and the base has some of them.
const SHARED_IDS: std::ops::Range<u32> = 1..9;
const DRAFT_IDS: u32 = 100;
const CURRENT_IDS: u32 = 200;

pub(crate) fn scenes() -> impl Strategy<Value = Scene> {
    let steps = prop_oneof![4 => Just(1), 1 => Just(0), 1 => Just(7)];
    (text(), nullable(), vec(kpi(), 0..7), vec(edit(), 0..6), vec(edit(), 0..6), steps).prop_map(
        |(name, description, kpis, of_draft, of_current, step)| {
            let kpis: Vec<_> = (1..).zip(&kpis).map(|(number, kpi)| kpi.json(number)).collect();
            let base = numbered(
                json!({
                    "id": id(1_000),
                    "organization_id": id(1_001),
                    "name": name,
                    "created_at": "2026-01-02T03:04:05Z",
                    "description": description,
                    "created_by": null,
                    "updated_by": null,
                    "updated_at": null,
                    "kpis": kpis,
                }),
                step,
            );
            let draft = edited(&base, &of_draft, DRAFT_IDS);
            let mut current = numbered(edited(&base, &of_current, CURRENT_IDS), 2);
            current["updated_at"] = json!("2026-02-03T04:05:06.789012Z");
            Scene { base, draft, current }
        },
    )
}

fn text() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c", "\"é\"\n\\"])
}

fn nullable() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![None, Some(""), Some("a"), Some("b")])
}

fn value_type() -> impl Strategy<Value = &'static str> {
    select(vec!["number", "text", "date"])
}

fn kpi() -> impl Strategy<Value = Kpi> {
    (text(), nullable(), nullable(), value_type(), any::<bool>()).prop_map(
        |(name, description, unit, value_type, required)| Kpi { name, description, unit, value_type, required },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    let row = any::<Index>;
    let field = prop_oneof![
        text().prop_map(|text| ("name", json!(text))),
        nullable().prop_map(|text| ("description", json!(text))),
        nullable().prop_map(|text| ("unit", json!(text))),
        value_type().prop_map(|value_type| ("value_type", json!(value_type))),
        any::<bool>().prop_map(|required| ("required", json!(required))),
    ];
    let number = prop_oneof![1 => SHARED_IDS, 2 => 10..20_u32];
    prop_oneof![
        1 => text().prop_map(Edit::Name),
        1 => nullable().prop_map(Edit::Description),
        4 => (row(), field).prop_map(|(row, (field, value))| Edit::Field(row, field, value)),
        2 => row().prop_map(Edit::Delete),
        3 => (row(), row()).prop_map(|(from, to)| Edit::Move(from, to)),
        2 => (row(), number, kpi()).prop_map(|(row, number, kpi)| Edit::Add(row, number, kpi)),
    ]
}

impl Kpi {
    fn json(&self, number: u32) -> Value {
        json!({
            "id": id(number),
            "dataset_id": id(1_000),
            "name": self.name,
            "sort_order": 0,
            "created_at": "2026-01-02T03:04:05Z",
            "description": self.description,
            "unit": self.unit,
            "value_type": self.value_type,
            "required": self.required,
            "updated_at": null,
        })
    }
}

fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The same version after these edits. KPIs that this side alone adds have ids from `own_ids` on; of the draft's, every
/// second has none.
fn edited(base: &Value, edits: &[Edit], own_ids: u32) -> Value {
    let mut edited = base.clone();
    for edit in edits {
        match edit {
            Edit::Name(name) => edited["name"] = json!(name),
            Edit::Description(description) => edited["description"] = json!(description),
            edit => edit_kpis(edited["kpis"].as_array_mut().unwrap(), edit, own_ids),
        }
    }
    edited
}

fn edit_kpis(kpis: &mut Vec<Value>, edit: &Edit, own_ids: u32) {
    let count = kpis.len();
    match edit {
        Edit::Add(row, number, kpi) => {
            let shared = SHARED_IDS.contains(number);
            let mut added = kpi.json(if shared { *number } else { own_ids + number });
            if !shared && own_ids == DRAFT_IDS && number % 2 == 0 {
                added["id"] = Value::Null;
            }
            if added["id"].is_null() || kpis.iter().all(|kpi| kpi["id"] != added["id"]) {
                kpis.insert(row.index(count + 1), added);
            }
        }
        _ if count == 0 => {}
        Edit::Field(row, field, value) => kpis[row.index(count)][*field] = value.clone(),
        Edit::Delete(row) => drop(kpis.remove(row.index(count))),
        Edit::Move(from, to) => {
            let kpi = kpis.remove(from.index(count));
            kpis.insert(to.index(count), kpi);
        }
        Edit::Name(_) | Edit::Description(_) => unreachable!("no edits of KPIs"),
    }
}

/// Gives each KPI a `sort_order` that agrees with the list; a step of 0 gives all the same, and 2 gives pairs the same.
fn numbered(mut dataset: Value, step: usize) -> Value {
    for (row, kpi) in dataset["kpis"].as_array_mut().unwrap().iter_mut().enumerate() {
        kpi["sort_order"] = if step == 2 { json!(row / 2) } else { json!(row * step) };
    }
    dataset
}
