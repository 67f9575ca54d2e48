//! One flipped bit in an index makes an entry lead to the row of another organization. It must not hide the datasets
//! after it.

use std::fs;

use kpi_store::{Dataset, DatasetQuery, NewDataset, OrganizationId, Store};
use uuid::Uuid;

use crate::support::{TestFile, plain_sqlite};

const PAGE: usize = 4_096;

#[test]
fn an_entry_that_leads_to_another_organization_does_not_hide_the_datasets_after_it() {
    let file = TestFile::new();
    let [ours, theirs] = [1, 2].map(|number| OrganizationId::from(Uuid::from_u128(number)));
    let store = Store::open(&file.path).unwrap();
    let create = |organization, count: usize| -> Vec<Dataset> {
        let requests = (0..count).map(|_| NewDataset::new("Water"));
        store.organization(organization).create_datasets(requests).unwrap()
    };
    // The numbers 1 to 4, 5 to 8, and 9 and 10.
    create(ours, 4);
    create(theirs, 4);
    let last = create(ours, 2);
    store.close().unwrap();
    flip_the_row_of_an_entry(&file, ours, 2, 6);

    let organization = Store::open(&file.path).unwrap().organization(ours);
    let page = organization.datasets(&DatasetQuery::new()).unwrap();

    assert!(page.items.ends_with(&last), "{} items", page.items.len());
    let listed: Vec<_> = organization.iter_datasets(&DatasetQuery::new()).filter_map(Result::ok).collect();
    assert!(listed.ends_with(&last), "{} items", listed.len());
    let summaries = organization.summaries(&DatasetQuery::new()).unwrap();
    let ids: Vec<_> = summaries.items.iter().map(|summary| summary.id).collect();
    assert!(ids.ends_with(&[last[0].id, last[1].id]), "{} summaries", ids.len());
}

/// Lets the entry of the dataset with the number `seq` in the index of listings lead to another row.
fn flip_the_row_of_an_entry(file: &TestFile, organization: OrganizationId, seq: u8, row: u8) {
    assert_eq!((seq ^ row).count_ones(), 1);
    let root: usize = plain_sqlite(&file.path)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'dataset_by_organization'", [], |row| {
            row.get::<_, u32>(0)
        })
        .unwrap() as usize;
    let mut bytes = fs::read(&file.path).unwrap();
    let page = &mut bytes[(root - 1) * PAGE..root * PAGE];
    let mut entry = Uuid::from(organization).as_bytes().to_vec();
    entry.extend([seq, seq]);
    let at = page.windows(entry.len()).position(|bytes| bytes == entry).unwrap();
    page[at + entry.len() - 1] = row;
    fs::write(&file.path, bytes).unwrap();
}
