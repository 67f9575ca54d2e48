//! Damage: a row that is not as it was written is an error that names its dataset, never an answer. It hides no other
//! dataset, and a listing continues after it.

mod boundaries;
mod changed;
mod changes;
mod history;
mod index_entry;
mod index_order;
mod order;
mod page_limit;
mod properties;
mod types;

use std::fs;

use kpi_store::{Dataset, DatasetId, DatasetQuery, Error, NewDataset, NewKpi, Organization, Store, UserId};
use uuid::Uuid;

use crate::support::{TestFile, organization, plain_sqlite};

/// Changes to the dataset with `seq` 3 and to its KPIs that the schema allows: SQLite finds nothing wrong.
const ALLOWED: &[&str] = &[
    "UPDATE dataset SET name = 'Wate'",
    "UPDATE dataset SET name = name || ' '",
    "UPDATE dataset SET name = CAST(x'ff' AS TEXT)",
    "UPDATE dataset SET description = NULL",
    "UPDATE dataset SET description = ''",
    "UPDATE dataset SET description = CAST(x'c3' AS TEXT)",
    "UPDATE dataset SET created_at = created_at + 1",
    "UPDATE dataset SET created_by = NULL",
    "UPDATE dataset SET created_by = id",
    "UPDATE dataset SET updated_by = created_by",
    "UPDATE dataset SET updated_by = created_by, created_by = NULL",
    "UPDATE dataset SET updated_at = created_at",
    "UPDATE dataset SET revision = 2",
    "UPDATE dataset SET kpi_count = kpi_count + 1",
    "UPDATE dataset SET kpi_count = 0, required_count = 0",
    "UPDATE dataset SET required_count = required_count - 1",
    "UPDATE dataset SET required_count = 0",
    "UPDATE dataset SET head_digest = ~head_digest",
    "UPDATE dataset SET head_digest = 0",
    "UPDATE dataset SET head_digest = (SELECT head_digest FROM dataset WHERE seq = 2)",
    "UPDATE dataset SET kpi_digest = ~kpi_digest",
    "UPDATE dataset SET kpi_digest = 0",
    "UPDATE dataset SET kpi_digest = (SELECT kpi_digest FROM dataset WHERE seq = 2)",
    "UPDATE dataset SET head_digest = kpi_digest, kpi_digest = head_digest",
    "UPDATE dataset SET changed = 100, state_digest = 0",
    "UPDATE kpi SET id = randomblob(16)",
    "UPDATE kpi SET name = name || '.'",
    "UPDATE kpi SET name = CAST(x'fffe' AS TEXT)",
    "UPDATE kpi SET description = ''",
    "UPDATE kpi SET description = CAST(x'eda080' AS TEXT)",
    "UPDATE kpi SET unit = NULL",
    "UPDATE kpi SET unit = 'm2'",
    "UPDATE kpi SET unit = CAST(x'80' AS TEXT)",
    "UPDATE kpi SET unit = name, name = unit",
    "UPDATE kpi SET value_type = 4 - value_type",
    "UPDATE kpi SET required = 1 - required",
    "UPDATE kpi SET sort_order = sort_order + 1",
    "UPDATE kpi SET created_at = created_at - 1",
    "UPDATE kpi SET updated_at = created_at",
    "UPDATE kpi SET position = position + 1",
    // Two KPIs share a sort_order; this exchanges them.
    "UPDATE kpi SET position = 10 - position",
    "DELETE FROM kpi",
    "DELETE FROM kpi WHERE position = 2",
    "INSERT INTO kpi SELECT dataset_seq, randomblob(16), 9, name, NULL, NULL, 0, 1, 9, 0, NULL FROM kpi",
    "UPDATE kpi SET sort_order = 5 - sort_order",
];

/// Changes that a CHECK refuses; here it is off.
const REFUSED: &[&str] = &[
    "UPDATE dataset SET name = ''",
    "UPDATE dataset SET name = name || char(0)",
    "UPDATE dataset SET created_at = 9223372036854775807",
    "UPDATE dataset SET created_by = zeroblob(15)",
    "UPDATE dataset SET updated_by = x''",
    "UPDATE dataset SET updated_at = -9223372036854775808",
    "UPDATE dataset SET revision = 0",
    "UPDATE dataset SET kpi_count = -1",
    "UPDATE dataset SET required_count = -1",
    "UPDATE dataset SET required_count = kpi_count + 1",
    "UPDATE dataset SET kpi_count = 4294967299",
    "UPDATE dataset SET changed = 100",
    "UPDATE dataset SET deleted_by = id",
    "UPDATE dataset SET state_digest = 0",
    "UPDATE kpi SET id = zeroblob(15) WHERE position = 0",
    "UPDATE kpi SET name = ''",
    "UPDATE kpi SET description = char(0)",
    "UPDATE kpi SET unit = printf('%.*c', 100000, 'x')",
    "UPDATE kpi SET value_type = 5",
    "UPDATE kpi SET value_type = -1",
    "UPDATE kpi SET value_type = value_type + 256",
    "UPDATE kpi SET required = 2",
    "UPDATE kpi SET sort_order = -1",
    "UPDATE kpi SET created_at = -62135596800000001",
    "UPDATE kpi SET updated_at = 253402300800000000",
];

#[test]
fn every_change_of_a_row_is_an_error_that_names_the_dataset_and_hides_no_other() {
    let whole = Whole::new();
    for change in ALLOWED.iter().chain(REFUSED) {
        let (_place, ours) = whole.altered(&[&on_the_third(change)]);
        whole.is_damaged_at(&ours, &[2], change);
    }
}

#[test]
fn the_harness_finds_no_damage_where_there_is_none() {
    let whole = Whole::new();
    let (_place, ours) = whole.altered(&["UPDATE dataset SET name = name", "UPDATE kpi SET unit = unit"]);
    whole.is_damaged_at(&ours, &[], "nothing");
}

/// The control: without the digest, these would be returned.
#[test]
fn plain_sqlite_finds_nothing_wrong_with_the_changes_that_the_schema_allows() {
    let whole = Whole::new();
    for change in ALLOWED {
        let (file, _) = whole.altered(&[&on_the_third(change)]);
        let plain = plain_sqlite(&file.path);
        let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        // It checks texts too, though not on every read.
        assert!(check == "ok" || change.contains("AS TEXT"), "{change}: {check}");
        let read = plain.query_row("SELECT count(*) FROM dataset JOIN kpi ON seq = dataset_seq", [], |row| row.get(0));
        assert!(read.is_ok_and(|count: i64| count >= 12), "{change}");
    }
}

#[test]
fn a_listing_continues_after_every_damaged_dataset() {
    let whole = Whole::new();
    for subset in 0_u32..1 << 5 {
        let damaged: Vec<usize> = (0..5).filter(|index| subset & (1 << index) != 0).collect();
        let change = |index: &usize| format!("UPDATE dataset SET head_digest = ~head_digest WHERE seq = {}", index + 1);
        let changes: Vec<_> = damaged.iter().map(change).collect();
        let (_place, ours) = whole.altered(&changes.iter().map(String::as_str).collect::<Vec<_>>());
        whole.is_damaged_at(&ours, &damaged, "digests");
    }
}

#[test]
fn a_page_lists_damaged_datasets_beside_intact_ones() {
    let whole = Whole::new();
    let (_place, ours) = whole.altered(&["UPDATE dataset SET revision = 9 WHERE seq IN (1, 3)"]);
    let page = ours.datasets(&DatasetQuery::new().limit(4)).unwrap();
    assert_eq!(page.items, [whole.datasets[1].clone(), whole.datasets[3].clone()]);
    let damaged: Vec<_> = page.damaged.iter().map(|damage| (damage.index, damage.dataset)).collect();
    assert_eq!(damaged, [(0, Some(whole.datasets[0].id)), (1, Some(whole.datasets[2].id))]);
    let error = Error::from(page.damaged[0].clone());
    assert!(error.to_string().contains(&page.damaged[0].detail.to_string()), "{error}");
    let json = serde_json::to_value(&page).unwrap();
    assert_eq!(json["damaged"][1]["dataset"], whole.datasets[2].id.to_string());
    let last = ours.datasets(&DatasetQuery::new().after(&page.next.unwrap())).unwrap();
    assert_eq!((last.items, last.damaged, last.next), (whole.datasets[4..].to_vec(), Vec::new(), None));
}

#[test]
fn a_row_longer_than_sqlite_may_read_hides_no_other() {
    let whole = Whole::new();
    for table in ["kpi", "dataset"] {
        let change = on_the_third(&format!("UPDATE {table} SET description = printf('%.*c', 2000000, 'x')"));
        let (_place, ours) = whole.altered(&[&change]);
        whole.is_damaged_at(&ours, &[2], &change);
    }
}

#[test]
fn a_row_with_a_broken_chain_of_pages_hides_no_other() {
    let mut whole = Whole::new();
    let (file, ours) = whole.altered(&[]);
    // Long enough for two overflow pages beside the page of the row.
    let torn = NewDataset::new("🌊".repeat(60)).description("🌊".repeat(2_000));
    whole.datasets.extend(
        ours.create_datasets([torn, NewDataset::new("Waste")].map(|new| new.kpi(NewKpi::new("Withdrawal")))).unwrap(),
    );
    drop(ours);
    let mut bytes = fs::read(&file.path).unwrap();
    let is_chained = |page: &&mut [u8]| page[4..1_000].iter().all(|byte| "🌊".as_bytes().contains(byte));
    let chain: Vec<_> = bytes.chunks_exact_mut(4_096).filter(is_chained).collect();
    assert_eq!(chain.len(), 2);
    // An overflow page begins with the number of the next one.
    for page in chain {
        page[..4].fill(0x7f);
    }
    fs::write(&file.path, bytes).unwrap();

    let ours = Store::open(&file.path).unwrap().organization(whole.datasets[0].organization_id);
    whole.is_damaged_at(&ours, &[5], "a torn chain");
}

#[test]
fn kpis_exchanged_between_datasets_damage_both() {
    let whole = Whole::new();
    let (_place, ours) = whole.altered(&[
        "UPDATE kpi SET dataset_seq = dataset_seq + 100 WHERE position = 0 AND dataset_seq IN (2, 4)",
        "UPDATE kpi SET dataset_seq = 106 - dataset_seq WHERE dataset_seq > 100",
    ]);
    whole.is_damaged_at(&ours, &[1, 3], "exchanged KPIs");
}

#[test]
fn a_kpi_that_moved_damages_both_datasets() {
    let whole = Whole::new();
    let (_place, ours) = whole.altered(&["UPDATE kpi SET dataset_seq = 5 WHERE position = 1 AND dataset_seq = 1"]);
    whole.is_damaged_at(&ours, &[0, 4], "a moved KPI");
}

#[test]
fn a_dataset_with_anothers_id_is_an_error_under_that_id_and_absent_under_its_own() {
    let whole = Whole::new();
    let (_place, ours) = whole.altered(&["UPDATE dataset SET id = zeroblob(16) WHERE seq = 3"]);
    let other = DatasetId::from(Uuid::nil());
    assert_eq!(named(&ours.dataset(other).unwrap_err()), Some(other));
    assert_eq!(ours.dataset(whole.datasets[2].id).unwrap(), None);
    whole.lists(&ours, &|index| if index == 2 { Some(Some(other)) } else { None }, "another id");

    // An id of a wrong length names no dataset, but the listing continues.
    let (_place, ours) = whole.altered(&["UPDATE dataset SET id = zeroblob(15) WHERE seq = 3"]);
    whole.lists(&ours, &|index| if index == 2 { Some(None) } else { None }, "an id of 15 bytes");
}

#[test]
fn exchanged_ids_are_errors_and_never_the_other_dataset() {
    let whole = Whole::new();
    let (_place, ours) = whole.altered(&[
        "CREATE TEMP TABLE swap AS SELECT 7 - seq AS seq, id FROM dataset WHERE seq IN (3, 4)",
        "UPDATE dataset SET id = randomblob(16) WHERE seq IN (3, 4)",
        "UPDATE dataset SET id = (SELECT id FROM swap WHERE swap.seq = dataset.seq) WHERE seq IN (3, 4)",
    ]);
    let [third, fourth] = [2, 3].map(|index| whole.datasets[index].id);
    for id in [third, fourth] {
        assert_eq!(named(&ours.dataset(id).unwrap_err()), Some(id));
    }
    let expected = |index| [None, None, Some(Some(fourth)), Some(Some(third)), None][index];
    whole.lists(&ours, &expected, "exchanged ids");
}

#[test]
fn a_dataset_that_moved_to_another_organization_is_an_error_there_and_absent_here() {
    let whole = Whole::new();
    let (file, ours) = whole.altered(&["UPDATE dataset SET organization_id = zeroblob(16) WHERE seq = 3"]);
    let moved = whole.datasets[2].id;
    assert_eq!(ours.dataset(moved).unwrap(), None);
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 4);
    let left: Vec<_> = ours.iter_datasets(&DatasetQuery::new()).map(|dataset| dataset.unwrap().id).collect();
    assert_eq!(left, [0, 1, 3, 4].map(|index| whole.datasets[index].id));

    let theirs = Store::open(&file.path).unwrap().organization(Uuid::nil().into());
    assert_eq!(named(&theirs.dataset(moved).unwrap_err()), Some(moved));
    let listed: Vec<_> = theirs.iter_datasets(&DatasetQuery::new()).collect();
    let [Err(error)] = &listed[..] else { panic!("expected one error, got {listed:?}") };
    assert_eq!(named(error), Some(moved));
}

#[test]
fn damage_done_while_the_store_is_open_is_found_too() {
    let whole = Whole::new();
    let (file, ours) = whole.altered(&[]);
    whole.is_damaged_at(&ours, &[], "nothing yet");
    plain_sqlite(&file.path).execute("UPDATE kpi SET name = 'x' WHERE dataset_seq = 2", []).unwrap();
    whole.is_damaged_at(&ours, &[1], "a change beside the open store");
    let added = ours.create_dataset(NewDataset::new("Waste")).unwrap();
    assert_eq!(ours.dataset(added.id).unwrap(), Some(added), "the store still takes new datasets");
}

/// A file with five datasets of one organization, and the datasets as they were stored.
struct Whole {
    file: Vec<u8>,
    datasets: Vec<Dataset>,
}

impl Whole {
    fn new() -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store).acting_as(UserId::new());
        let kpi = |sort_order| NewKpi::new("Withdrawal").unit("m³").sort_order(sort_order);
        let water = |_| NewDataset::new("Water").description("Withdrawal").kpis([5, 0, 5].map(kpi));
        let datasets = ours.create_datasets((0..5).map(water)).unwrap();
        store.close().unwrap();
        Self { file: fs::read(&file.path).unwrap(), datasets }
    }

    /// A copy, altered by plain SQL with all checks off, and the organization in it.
    fn altered(&self, changes: &[&str]) -> (TestFile, Organization) {
        let file = TestFile::with(&self.file);
        let plain = plain_sqlite(&file.path);
        plain.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF").unwrap();
        for change in changes {
            let rows = plain.execute(change, []).unwrap_or_else(|error| panic!("{change}: {error}"));
            assert!(rows > 0 || change.starts_with("CREATE"), "{change} changes nothing");
        }
        let ours = Store::open(&file.path).unwrap().organization(self.datasets[0].organization_id);
        (file, ours)
    }

    /// Every way of reading returns an error for the `damaged` ones, and the others as they were stored.
    fn is_damaged_at(&self, ours: &Organization, damaged: &[usize], what: &str) {
        for (index, dataset) in self.datasets.iter().enumerate() {
            let read = ours.dataset(dataset.id).map_err(|error| named(&error));
            let expected = if damaged.contains(&index) { Err(Some(dataset.id)) } else { Ok(Some(dataset.clone())) };
            assert_eq!(read, expected, "{what}: dataset {index}");
        }
        self.lists(ours, &|index| damaged.contains(&index).then_some(Some(self.datasets[index].id)), what);
    }

    /// Listings in both orders return the datasets in order, and an error for each that `names` returns one for.
    fn lists(&self, ours: &Organization, names: &dyn Fn(usize) -> Option<Option<DatasetId>>, what: &str) {
        let place = |(index, dataset): (usize, &Dataset)| names(index).map_or_else(|| Ok(dataset.clone()), Err);
        let oldest_first: Vec<_> = self.datasets.iter().enumerate().map(place).collect();
        let newest_first: Vec<_> = oldest_first.iter().rev().cloned().collect();
        for limit in [1, 2, 3, 5, 50] {
            let query = DatasetQuery::new().limit(limit);
            // Everything intact matches it.
            let search = query.clone().matching("withdrawal");
            for (query, expected) in [
                (query.clone(), &oldest_first),
                (query.newest_first(), &newest_first),
                (search.clone(), &oldest_first),
                (search.newest_first(), &newest_first),
            ] {
                assert_eq!(&page_by_page(ours, &query), expected, "{what}: {query:?}");
                let iterated = ours.iter_datasets(&query).map(|item| item.map_err(|error| named(&error)));
                assert_eq!(&iterated.collect::<Vec<_>>(), expected, "{what}: {query:?}");
            }
        }
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), self.datasets.len() as u64, "{what}");
    }
}

/// Appends the condition for the third dataset to the change.
fn on_the_third(change: &str) -> String {
    let column = if change.contains(" dataset SET") { "seq" } else { "dataset_seq" };
    let word = if change.contains("WHERE position") { "AND" } else { "WHERE" };
    format!("{change} {word} {column} = 3")
}

fn page_by_page(ours: &Organization, query: &DatasetQuery) -> Vec<Result<Dataset, Option<DatasetId>>> {
    let mut found = Vec::new();
    let mut query = Some(query.clone());
    while let Some(page) = query.take() {
        assert!(found.len() < 10, "the listing does not end: {found:?}");
        let read = ours.datasets(&page).unwrap();
        let mut all: Vec<_> = read.items.into_iter().map(Ok).collect();
        for damage in read.damaged.into_iter().rev() {
            all.insert(damage.index, Err(damage.dataset));
        }
        assert!(all.len() as u64 <= 50);
        found.extend(all);
        let next = read.next;
        query = next.map(|cursor| page.after(&cursor));
    }
    found
}

/// The dataset that an error of damage names.
fn named(error: &Error) -> Option<DatasetId> {
    let Error::Corrupt { dataset, .. } = error else { panic!("expected damage, got {error:?}") };
    *dataset
}

/// A page ends at its limit too where SQLite cannot read the rows.
#[test]
fn a_page_with_unreadable_rows_keeps_to_its_limit_and_the_listing_misses_none() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..2_000).map(|_| NewDataset::new("d").kpi(NewKpi::new("k")))).unwrap();
    store.close().unwrap();
    let root: u32 = plain_sqlite(&file.path)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'dataset'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = fs::read(&file.path).unwrap();
    // The type of the page of rows that the first cell of the root leads to.
    let base = (root as usize - 1) * 4_096;
    let cell = base + usize::from(u16::from_be_bytes([bytes[base + 18], bytes[base + 19]]));
    let child = u32::from_be_bytes(bytes[cell..cell + 4].try_into().unwrap()) as usize;
    bytes[(child - 1) * 4_096] = 0x55;
    fs::write(&file.path, &bytes).unwrap();

    let ours = Store::open(&file.path).unwrap().organization(ours.id());
    for query in [DatasetQuery::new().limit(10), DatasetQuery::new().limit(7).newest_first()] {
        let most = if query == DatasetQuery::new().limit(10) { 10 } else { 7 };
        let (mut items, mut damaged, mut next) = (0, 0, Some(query.clone()));
        while let Some(query) = next {
            let page = ours.datasets(&query).unwrap();
            assert!(page.items.len() + page.damaged.len() <= most);
            (items, damaged) = (items + page.items.len(), damaged + page.damaged.len());
            next = page.next.map(|cursor| query.after(&cursor));
        }
        assert!(damaged > 10, "{damaged}");
        assert_eq!(items + damaged, created.len());
    }
}

#[test]
fn damaged_datasets_among_many_without_kpis_are_listed() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    ours.create_datasets((0..2_000).map(|_| NewDataset::new("d"))).unwrap();
    plain_sqlite(&file.path)
        .execute("UPDATE dataset SET name = 'x' WHERE seq IN (SELECT seq FROM dataset ORDER BY seq LIMIT 1000)", [])
        .unwrap();
    let page = ours.datasets(&DatasetQuery::new().limit(1_000)).unwrap();
    assert_eq!((page.items.len(), page.damaged.len()), (0, 1_000));
}
