//! An index of listings with entries out of order or duplicated: a listing ends, never goes back, and returns no
//! dataset twice.

use std::fs;
use std::time::Duration;

use kpi_store::{ChangeCursor, Dataset, DatasetQuery, Store};

use super::Whole;
use crate::support::{TestFile, plain_sqlite};

#[test]
fn a_listing_through_an_index_out_of_order_goes_forward_only() {
    let whole = Whole::new();
    let mut missed = 0;
    for one in 0..5 {
        for other in 0..5 {
            for exchange in [true, false] {
                let what =
                    format!("entry {one} {} {other}", if exchange { "exchanged with" } else { "in the place of" });
                let file = with_entries(&whole, |entries| {
                    if exchange {
                        entries.swap(one, other);
                    } else {
                        entries[other] = entries[one];
                    }
                });
                let ours = Store::open(&file.path).unwrap().organization(whole.datasets[0].organization_id);
                for limit in [1, 2, 50] {
                    let query = DatasetQuery::new().limit(limit);
                    let forward: Vec<_> = ours.iter_datasets(&query).take(20).flatten().collect();
                    let mut backward: Vec<_> = ours.iter_datasets(&query.newest_first()).take(20).flatten().collect();
                    backward.reverse();
                    for listed in [&forward, &backward] {
                        let places: Vec<_> = listed.iter().map(|dataset| place_of(&whole, dataset)).collect();
                        assert!(places.is_sorted_by(|one, other| one < other), "{what}, by {limit}: {places:?}");
                        missed += 5 - places.len();
                    }
                }
                let is_damaged = one != other;
                assert_eq!(
                    ours.datasets(&DatasetQuery::new()).unwrap().items.len() < 5,
                    is_damaged,
                    "the control: {what}"
                );
            }
        }
    }
    assert!(missed > 0, "the control: something was out of order");
}

/// Every look finds it, which must not make a loop over changes turn without an end.
#[test]
fn a_watch_tells_an_index_out_of_order_once_and_hears_what_is_before_the_damage() {
    let whole = Whole::new();
    let file = with_entries(&whole, |entries| entries.swap(3, 4));
    let ours = Store::open(&file.path).unwrap().organization(whole.datasets[0].organization_id);
    let mut watch = ours.watch(ChangeCursor::start()).unwrap();
    let mut damaged = 0;
    for _ in 0..5 {
        let changes = watch.wait(Duration::ZERO).unwrap();
        damaged += changes.damaged.len();
    }
    assert_eq!(damaged, 1);
    ours.delete_dataset(whole.datasets[0].id).unwrap();
    let told = watch.wait(Duration::from_mins(1)).unwrap().items;
    assert_eq!(told.iter().map(|change| change.dataset).collect::<Vec<_>>(), [whole.datasets[0].id]);
}

fn place_of(whole: &Whole, dataset: &Dataset) -> usize {
    whole.datasets.iter().position(|stored| stored == dataset).expect("what was stored")
}

/// A copy in which the cell pointers of the index of listings are changed.
fn with_entries(whole: &Whole, change: impl FnOnce(&mut [[u8; 2]])) -> TestFile {
    with_cells(whole, "dataset_by_organization", 10, change)
}

/// A copy in which the cell pointers of a tree, all on one page of this kind, are changed.
fn with_cells(whole: &Whole, tree: &str, kind: u8, change: impl FnOnce(&mut [[u8; 2]])) -> TestFile {
    let file = TestFile::with(&whole.file);
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: u16 = plain_sqlite(&file.path).query_row(root, [tree], |row| row.get(0)).unwrap();
    let mut bytes = whole.file.clone();
    let page = &mut bytes[usize::from(root - 1) * 4_096..][..4_096];
    assert_eq!(page[..5], [kind, 0, 0, 0, 5], "a leaf with five entries");
    change(page[8..18].as_chunks_mut().0);
    fs::write(&file.path, bytes).unwrap();
    file
}

/// Rows that go back might never end, so the walk over them stops; SQLite's own check only reports their order.
#[test]
fn verify_ends_where_the_rows_of_a_table_are_out_of_order() {
    let whole = Whole::new();
    for exchange in [true, false] {
        let file =
            with_cells(&whole, "dataset", 13, |cells| if exchange { cells.swap(0, 1) } else { cells[1] = cells[0] });
        for read_only in [true, false] {
            let store = Store::options().read_only(read_only).open(&file.path).unwrap();
            let found = store.verify().unwrap();
            let details: Vec<_> = found.findings.iter().map(|finding| finding.detail.as_str()).collect();
            let what = format!("exchanged: {exchange}: {found:?}");
            assert!(details.contains(&"the rows of the datasets are out of order"), "{what}");
            assert_eq!(found.datasets, 2, "{what}");
        }
    }
}
