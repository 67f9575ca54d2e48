//! Many datasets, and large ones.

use kpi_store::{DatasetQuery, Durability, LoadOptions, NewDataset, NewKpi, Store, ValueType};

use crate::support::{TestFile, organization};

/// A file of the shortest rows has the least bytes for each step, and the steps of a read are bounded by the bytes.
#[test]
fn a_search_that_finds_nothing_reads_every_intact_file_to_its_end() {
    let file = TestFile::in_memory();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let ours = organization(&store);
    ours.load_datasets((0..20_000).map(|_| NewDataset::new("d")), LoadOptions::new()).unwrap();
    let kpis = |count| (0..count).map(|_| NewKpi::new("k"));
    ours.load_datasets((0..2_000).map(|_| NewDataset::new("d").kpis(kpis(1))), LoadOptions::new()).unwrap();
    ours.create_datasets((0..2).map(|_| NewDataset::new("d").kpis(kpis(10_000)))).unwrap();
    store.checkpoint().unwrap();
    for query in [
        DatasetQuery::new().matching("absent"),
        DatasetQuery::new().matching("absent").newest_first(),
        DatasetQuery::new().matching("absent").recently_changed_first(),
        DatasetQuery::new().with_value_type(ValueType::Date),
        DatasetQuery::new().with_value_type(ValueType::Date).matching("absent"),
    ] {
        let page = ours.summaries(&query).unwrap();
        assert_eq!((page.items.len(), page.damaged.len(), page.next), (0, 0, None), "{query:?}");
        assert_eq!(ours.datasets(&query).unwrap().items, []);
        assert_eq!(ours.count_datasets(&query).unwrap(), 0);
    }
    assert_eq!(ours.count_datasets(&DatasetQuery::new().matching("d").recently_changed_first()).unwrap(), 22_002);
    assert_eq!(ours.count_datasets(&DatasetQuery::new().with_value_type(ValueType::Number)).unwrap(), 2_002);
}

/// What the matches take in memory counts, too.
#[test]
fn a_page_of_summaries_with_many_matches_takes_at_most_64_mib() {
    let file = TestFile::in_memory();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let ours = organization(&store);
    // Four bytes to a code point: 31 MB of matches.
    let kpi = NewKpi::new("k").description("𝄞".repeat(2_000));
    let new = |_| NewDataset::new("Water").kpis(vec![kpi.clone(); 3_900]);
    ours.load_datasets((0..3).map(new), LoadOptions::new()).unwrap();
    let query = DatasetQuery::new().matching("𝄞");
    let first = ours.summaries(&query).unwrap();
    assert_eq!(first.items.len(), 2);
    assert_eq!(first.items[0].matches.len(), 3_900);
    let second = ours.summaries(&query.clone().after(&first.next.unwrap())).unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));
    // Without a search there are none.
    assert_eq!(ours.summaries(&DatasetQuery::new()).unwrap().items.len(), 3);
}
