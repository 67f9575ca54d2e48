//! Summaries and searches while writers edit: each shows a dataset as it was in one revision.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use kpi_store::{
    Dataset, DatasetQuery, DatasetSummary, Durability, KpiDraft, NewDataset, NewKpi, Organization, Store, ValueType,
};

use crate::support;

const WRITERS: usize = 3;
const EDITS: usize = 150;

#[test]
fn summaries_and_searches_while_others_edit_are_each_of_one_revision() {
    let options = || Store::options().durability(Durability::Normal);
    support::in_a_file_and_in_memory(options, |store, _| {
        let ours = support::organization(store);
        let theirs = support::organization(store);
        let created: Vec<Dataset> =
            (0..WRITERS).map(|_| ours.create_dataset(NewDataset::new("Water 0")).unwrap()).collect();
        theirs.create_dataset(support::request_with_kpis(3)).unwrap();
        let all = DatasetQuery::new().recently_changed_first();
        let of_texts = all.clone().with_value_type(ValueType::Text);
        let queries = [(all.clone(), false), (all.matching("WÁTER"), false), (of_texts, true)];
        let (start, left) = (Barrier::new(WRITERS + queries.len()), AtomicUsize::new(WRITERS));
        thread::scope(|scope| {
            for dataset in created {
                let (ours, start, left) = (&ours, &start, &left);
                scope.spawn(move || {
                    start.wait();
                    (1..=EDITS).fold(dataset, |dataset, number| edit(ours, &dataset, number));
                    left.fetch_sub(1, Relaxed);
                });
            }
            for (query, is_of_texts) in queries {
                let (ours, start, left) = (&ours, &start, &left);
                scope.spawn(move || {
                    start.wait();
                    let mut seen = BTreeSet::new();
                    while left.load(Relaxed) > 0 {
                        let page = ours.summaries(&query).unwrap();
                        assert!(page.damaged.is_empty() && page.next.is_none(), "{page:?}");
                        let ids: BTreeSet<_> = page.iter().map(|summary| summary.id).collect();
                        assert_eq!(ids.len(), page.items.len(), "each once");
                        for summary in &page.items {
                            let number = is_of_one_revision(ours, summary);
                            assert!(!is_of_texts || value_type(number) == ValueType::Text, "{summary:?}");
                            seen.insert((summary.id, summary.updated_at));
                        }
                    }
                    assert!(
                        seen.len() > 2 * WRITERS,
                        "the control: {query:?} was run while others edited: {}",
                        seen.len()
                    );
                });
            }
        });
        let found = ours.summaries(&DatasetQuery::new().matching(format!("water {EDITS}"))).unwrap();
        assert_eq!(found.items.len(), WRITERS);
        assert_eq!(ours.count_datasets(&DatasetQuery::new().matching("kpi")).unwrap(), u64::try_from(WRITERS).unwrap());
    });
}

/// Gives every text and every count of the dataset the number of the edit.
fn edit(ours: &Organization, dataset: &Dataset, number: usize) -> Dataset {
    let mut draft = dataset.edit();
    draft.name = format!("Water {number}");
    draft.kpis.truncate(count(number));
    let missing = count(number) - draft.kpis.len();
    draft.kpis.extend((0..missing).map(|_| KpiDraft::from(NewKpi::new("new"))));
    for (index, kpi) in draft.kpis.iter_mut().enumerate() {
        kpi.name = format!("KPI and water {number}");
        kpi.required = index < number % 3;
        kpi.value_type = value_type(number);
    }
    ours.save_dataset(&draft).unwrap()
}

/// How many KPIs there are after the edit with this number.
fn count(number: usize) -> usize {
    if number == 0 { 0 } else { 3 + number % 5 }
}

fn value_type(number: usize) -> ValueType {
    if number.is_multiple_of(2) { ValueType::Text } else { ValueType::Number }
}

/// Returns the number of the edit that the summary shows.
fn is_of_one_revision(ours: &Organization, summary: &DatasetSummary) -> usize {
    let number: usize = summary.name.strip_prefix("Water ").unwrap().parse().unwrap();
    assert_eq!(usize::try_from(summary.kpi_count), Ok(count(number)), "{summary:?}");
    assert_eq!(usize::try_from(summary.required_count), Ok(if number == 0 { 0 } else { number % 3 }), "{summary:?}");
    let of_kpis: Vec<_> = summary.matches.iter().filter(|found| found.kpi.is_some()).collect();
    assert!(summary.matches.is_empty() || of_kpis.len() == count(number), "{summary:?}");
    assert!(of_kpis.iter().all(|found| found.text == format!("KPI and water {number}")), "{summary:?}");

    let version = ours.version_at(summary.id, summary.updated_at).unwrap().expect("it was stored").dataset;
    assert_eq!((&version.name, version.kpis.len()), (&summary.name, count(number)));
    assert!(of_kpis.iter().all(|found| found.kpi.is_some_and(|kpi| version.kpi(kpi).is_some())), "{summary:?}");
    number
}
