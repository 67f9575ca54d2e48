//! Pages of the largest datasets: they end by their size, and the listing goes on without a gap.

use kpi_store::{DatasetId, DatasetQuery, Durability, LoadOptions, NewDataset, NewKpi, Organization, Store};

use crate::support::{TestFile, organization, plain_sqlite, request_with_kpis};

/// A dataset of about 0.9 MiB.
fn largest() -> NewDataset {
    // Four bytes to a code point.
    let kpi = NewKpi::new("𝄞".repeat(255)).description("𝄞".repeat(2_000)).unit("𝄞".repeat(50));
    NewDataset::new("Water").kpis(vec![kpi; 100])
}

/// The texts of a page, in bytes; the rest of what it takes in memory is less than a twentieth.
fn texts(page: &kpi_store::Page<kpi_store::Dataset>) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let kpis = page.items.iter().flat_map(|dataset| &dataset.kpis);
    kpis.map(|kpi| kpi.name.len() + text(&kpi.description) + text(&kpi.unit)).sum()
}

fn pages(ours: &Organization, query: &DatasetQuery) -> Vec<(Vec<DatasetId>, usize)> {
    let (mut query, mut pages) = (query.clone(), Vec::new());
    loop {
        let page = ours.datasets(&query).unwrap();
        pages.push((page.items.iter().map(|dataset| dataset.id).collect(), texts(&page)));
        let Some(next) = page.next else { return pages };
        query = query.after(&next);
    }
}

#[test]
fn a_page_takes_at_most_64_mib_and_the_listing_goes_on_after_it() {
    const MOST: usize = 64 << 20;
    let file = TestFile::in_memory();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let ours = organization(&store);
    ours.load_datasets((0..90).map(|_| largest()), LoadOptions::new()).unwrap();
    let mut expected: Vec<_> =
        ours.iter_datasets(&DatasetQuery::new().limit(10)).map(|dataset| dataset.unwrap().id).collect();
    for query in [DatasetQuery::new(), DatasetQuery::new().newest_first()] {
        let found = pages(&ours, &query.clone().limit(1_000));
        assert_eq!(found.iter().map(|(ids, _)| ids.clone()).collect::<Vec<_>>().concat(), expected);
        let sizes: Vec<_> = found.iter().map(|(_, bytes)| *bytes).collect();
        assert!(sizes.len() == 2 && sizes[0] < MOST && sizes[0] > MOST - MOST / 20, "{sizes:?}");
        let iterated = ours.iter_datasets(&query.limit(1_000)).map(|dataset| dataset.unwrap().id);
        assert!(iterated.eq(expected.iter().copied()));
        expected.reverse();
    }
    // A damaged dataset is read again alone, and the rest counts on.
    plain_sqlite(&file.path).execute_batch("UPDATE dataset SET name = 'x' WHERE seq = 20").unwrap();
    let first = ours.datasets(&DatasetQuery::new().limit(1_000)).unwrap();
    assert!(first.damaged.len() == 1 && texts(&first) < MOST && texts(&first) > MOST - MOST / 20);
}

#[test]
fn a_dataset_larger_than_a_page_is_returned_alone() {
    let file = TestFile::in_memory();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets([request_with_kpis(2), largest(), request_with_kpis(2)]).unwrap();
    let more = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 8000)
                INSERT INTO kpi SELECT dataset_seq, randomblob(16), 100 + n, name, description, unit, 0, 1, 0, created_at,
                NULL FROM kpi CROSS JOIN number WHERE dataset_seq = 2 AND position = 0";
    plain_sqlite(&file.path).execute_batch(more).unwrap();
    let large = ours.accept_dataset(created[1].id).unwrap();
    assert_eq!(large.kpis.len(), 8_100);
    drop(large);
    let ids: Vec<_> = created.iter().map(|dataset| vec![dataset.id]).collect();
    let found = pages(&ours, &DatasetQuery::new());
    assert!(found.iter().map(|(ids, _)| ids).eq(&ids), "{found:?}");
    assert!(found[1].1 > 64 << 20, "the control");
    assert!(pages(&ours, &DatasetQuery::new().newest_first()).iter().map(|(ids, _)| ids).eq(ids.iter().rev()));
}
