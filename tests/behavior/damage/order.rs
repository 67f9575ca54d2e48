//! An index of listings with entries out of order or duplicated: a listing ends, never goes back, and returns no
//! dataset twice.

use std::fs;

use kpi_store::{Dataset, DatasetQuery, Store};

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

fn place_of(whole: &Whole, dataset: &Dataset) -> usize {
    whole.datasets.iter().position(|stored| stored == dataset).expect("what was stored")
}

/// A copy in which the cell pointers of the index of listings, all on one page, are changed.
fn with_entries(whole: &Whole, change: impl FnOnce(&mut [[u8; 2]])) -> TestFile {
    let file = TestFile::with(&whole.file);
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'dataset_by_organization'";
    let root: u16 = plain_sqlite(&file.path).query_row(root, [], |row| row.get(0)).unwrap();
    let mut bytes = whole.file.clone();
    let page = &mut bytes[usize::from(root - 1) * 4_096..][..4_096];
    assert_eq!(page[..5], [10, 0, 0, 0, 5], "a leaf of an index with five entries");
    change(page[8..18].as_chunks_mut().0);
    fs::write(&file.path, bytes).unwrap();
    file
}
