//! Summaries: what a dataset is without its KPIs.

use kpi_store::{DatasetQuery, DatasetSummary, NewDataset, NewKpi, Organization, Store, Summaries, UserId};

use super::{summary_of, without_matches};
use crate::support::{self, in_a_file_and_in_memory, listed, request_with_kpis};

/// Datasets that were never changed, edited, and restored.
fn filled(store: &Store) -> Organization {
    let ours = support::organization(store).acting_as(UserId::new());
    let kpis = |count: usize| (0..count).map(|index| NewKpi::new(format!("KPI {index}")).required(index % 3 == 0));
    ours.create_datasets((0..25).map(|count| NewDataset::new(format!("{count}")).kpis(kpis(count)))).unwrap();
    let all = listed(&ours);
    for dataset in all.iter().step_by(4) {
        let mut draft = dataset.edit();
        draft.description = Some("edited".into());
        draft.kpis.push(NewKpi::new("added").into());
        ours.acting_as(UserId::new()).save_dataset(&draft).unwrap();
    }
    for dataset in all.iter().step_by(5) {
        ours.delete_dataset(dataset.id).unwrap();
    }
    ours.restore_dataset(all[5].id).unwrap();
    ours.create_kpi(all[6].id, NewKpi::new("one more")).unwrap();
    ours
}

#[test]
fn a_summary_has_everything_of_its_dataset_but_the_kpis_and_counts_them() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = filled(store);
        for query in [
            DatasetQuery::new(),
            DatasetQuery::new().newest_first(),
            DatasetQuery::new().recently_changed_first(),
            DatasetQuery::new().matching("1"),
            DatasetQuery::new().matching("kpi").newest_first(),
        ] {
            let expected: Vec<_> = ours.iter_datasets(&query).map(|dataset| summary_of(&dataset.unwrap())).collect();
            assert!(expected.len() > 9, "the control");
            for limit in [1, 2, 7, 50] {
                let query = query.clone().limit(limit);
                let found = ours.iter_summaries(&query).map(|summary| without_matches(summary.unwrap()));
                assert_eq!(found.collect::<Vec<_>>(), expected, "{query:?}");
            }
        }
    });
}

#[test]
fn summaries_and_datasets_continue_from_the_cursors_of_each_other() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = filled(store);
        for query in
            [DatasetQuery::new(), DatasetQuery::new().recently_changed_first(), DatasetQuery::new().matching("kpi")]
        {
            let query = query.limit(3);
            let (datasets, summaries) = (ours.datasets(&query).unwrap(), ours.summaries(&query).unwrap());
            assert!(datasets.next.is_some());
            assert_eq!(datasets.next, summaries.next);
        }
    });
}

#[test]
fn a_summary_serializes_its_fields_in_order_and_is_read_back() {
    let ours = support::organization(&Store::open_in_memory().unwrap());
    let kpis = [NewKpi::new("Energía").unit("kWh"), NewKpi::new("Notes").required(false)];
    let dataset = ours.create_dataset(NewDataset::new("Consumo").kpis(kpis)).unwrap();
    let summary = ours.summaries(&DatasetQuery::new().matching("energia")).unwrap().items.remove(0);
    let json = serde_json::to_string(&summary).unwrap();
    let expected = format!(
        r#"{{"id":"{}","organization_id":"{}","name":"Consumo","created_at":{},"description":null,"created_by":null,"updated_by":null,"updated_at":null,"kpi_count":2,"required_count":1,"matches":[{{"kpi":"{}","field":"name","segments":[["Energía",true]]}}]}}"#,
        dataset.id,
        ours.id(),
        serde_json::to_value(&dataset).unwrap()["created_at"],
        dataset.kpis[0].id,
    );
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<DatasetSummary>(&json).unwrap(), summary);
    // A server that knows nothing of searches, or more fields.
    let other = json.replace(r#","matches":"#, r#","more":"#);
    let read: DatasetSummary = serde_json::from_str(&other).unwrap();
    assert_eq!((read.id, read.kpi_count, read.matches.len()), (dataset.id, 2, 0));
}

#[test]
fn the_iterator_over_summaries_can_be_named_printed_and_asked_beyond_its_end() {
    fn fused<T: std::iter::FusedIterator + std::fmt::Debug + Send>(iterator: T) -> T {
        iterator
    }
    let ours = support::organization(&Store::open_in_memory().unwrap());
    ours.create_datasets((0..3).map(request_with_kpis)).unwrap();
    let mut summaries: Summaries = fused(ours.iter_summaries(&DatasetQuery::new().limit(2)));
    assert!(format!("{summaries:?}").starts_with("Summaries"));
    assert_eq!(summaries.by_ref().count(), 3);
    assert!(summaries.next().is_none() && summaries.next().is_none());
    let mut refused = ours.iter_summaries(&DatasetQuery::new().limit(0));
    assert_eq!(refused.next().unwrap().unwrap_err().code(), "invalid");
    assert!(refused.next().is_none());
}
