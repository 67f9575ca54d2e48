//! A page of an index that cannot be read, behind a full page of a listing.

use std::fs;

use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};

use crate::support::{TestFile, plain_sqlite};

const PAGE: usize = 4_096;

#[test]
fn a_full_page_before_an_unreadable_page_of_the_index_has_no_more_than_its_limit() {
    let file = TestFile::new();
    let id = OrganizationId::new();
    let store = Store::open(&file.path).unwrap();
    store.organization(id).create_datasets((0..600).map(|_| NewDataset::new("Water"))).unwrap();
    store.close().unwrap();
    let root: u32 = plain_sqlite(&file.path)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'dataset_by_organization'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = fs::read(&file.path).unwrap();
    let number = |at: usize| usize::from(bytes[at]) * 256 + usize::from(bytes[at + 1]);
    let root = (root as usize - 1) * PAGE;
    assert_eq!(bytes[root], 2, "an interior page of an index");
    let [first, second] = [0, 1].map(|cell| (number(root + number(root + 12 + 2 * cell) + 2) - 1) * PAGE);
    // Those of the first page of the index, and the one between it and the second.
    let limit = u32::try_from(number(first + 3) + 1).unwrap();
    bytes[second..second + PAGE].fill(0);
    fs::write(&file.path, bytes).unwrap();

    let organization = Store::open(&file.path).unwrap().organization(id);
    let query = DatasetQuery::new().limit(limit);
    let page = organization.datasets(&query).unwrap();
    assert!(page.items.len() + page.damaged.len() <= limit as usize, "{} items, {:?}", page.items.len(), page.damaged);
    let page = organization.summaries(&query).unwrap();
    assert!(page.items.len() + page.damaged.len() <= limit as usize, "{} items, {:?}", page.items.len(), page.damaged);
}
