//! Finding: summaries, filters, the order of the last changes, searches; each against what a listing of everything
//! says.

mod damaged;
mod filters;
mod large;
mod recent;
mod searching;
mod summaries;

use kpi_store::{Dataset, DatasetQuery, DatasetSummary, Organization};

/// The summary of a dataset by its documented fields, without matches.
fn summary_of(dataset: &Dataset) -> serde_json::Value {
    let mut json = serde_json::to_value(dataset).unwrap();
    let fields = json.as_object_mut().unwrap();
    fields.remove("kpis").unwrap();
    fields.insert("kpi_count".into(), dataset.kpis.len().into());
    fields.insert("required_count".into(), dataset.kpis.iter().filter(|kpi| kpi.required).count().into());
    fields.insert("matches".into(), Vec::<()>::new().into());
    json
}

fn without_matches(mut summary: DatasetSummary) -> serde_json::Value {
    summary.matches.clear();
    serde_json::to_value(summary).unwrap()
}

/// The names of everything that a query lists, whole and as summaries.
fn names(ours: &Organization, query: &DatasetQuery) -> Vec<String> {
    let names: Vec<_> = ours.iter_datasets(query).map(|dataset| dataset.unwrap().name).collect();
    assert!(ours.iter_summaries(query).map(|summary| summary.unwrap().name).eq(names.clone()), "{query:?}");
    assert_eq!(ours.count_datasets(query).unwrap(), names.len() as u64, "{query:?}");
    names
}
