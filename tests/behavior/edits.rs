//! What an edit is made of, without a store: drafts, patches, what two versions differ in, and merging them.

mod diffs;
mod draft_json;
mod drafts;
mod merging;
mod merging_random;
mod new_kpis;
mod patches;
mod scenes;

use kpi_store::{Dataset, KpiId, Violations};
use serde_json::json;

/// A dataset with these KPIs, whose ids are [`id`] of their rows and whose `sort_order` is ten times the row.
fn dataset(names: &[&str]) -> Dataset {
    let kpi = |(row, name): (usize, &&str)| {
        json!({
            "id": id(row),
            "dataset_id": "00000000-0000-4000-8000-000000000001",
            "name": name,
            "sort_order": 10 * row,
            "created_at": "2026-01-02T03:04:05Z",
            "description": null,
            "unit": null,
            "value_type": "number",
            "required": true,
            "updated_at": null,
        })
    };
    let dataset = json!({
        "id": "00000000-0000-4000-8000-000000000001",
        "organization_id": "00000000-0000-4000-8000-000000000002",
        "name": "Water",
        "created_at": "2026-01-02T03:04:05Z",
        "description": null,
        "created_by": null,
        "updated_by": null,
        "updated_at": "2026-02-03T04:05:06.789012Z",
        "kpis": names.iter().enumerate().map(kpi).collect::<Vec<_>>(),
    });
    serde_json::from_value(dataset).unwrap()
}

fn id(row: usize) -> KpiId {
    KpiId::from_u128(0x1000 + u128::try_from(row).unwrap())
}

/// Another version of a dataset.
fn changed(dataset: &Dataset, change: impl FnOnce(&mut Dataset)) -> Dataset {
    let mut dataset = dataset.clone();
    change(&mut dataset);
    dataset
}

/// Paths and codes, in order.
fn found<T: std::fmt::Debug>(answer: Result<T, Violations>) -> Vec<(String, &'static str)> {
    let violations = answer.expect_err("expected violations");
    violations.iter().map(|violation| (violation.path(), violation.code())).collect()
}

fn expected(table: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    table.iter().map(|(path, code)| ((*path).to_owned(), *code)).collect()
}
