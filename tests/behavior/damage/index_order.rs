//! Two entries of an index exchanged so that SQLite's own check still finds each of them: it begins a search on the
//! page where the last one has ended. A search from the root misses one of them.

use std::fs;

use kpi_store::{DatasetQuery, Durability, NewDataset, OrganizationId, Store};
use uuid::Uuid;

use crate::support::{TestFile, plain_sqlite};

const PAGE: usize = 4_096;

/// Enough for several pages of the index.
const ORGANIZATIONS: usize = 300;

/// The length of an entry: the header, an organization and two numbers of two bytes.
const ENTRY: usize = 25;

#[test]
fn exchanged_entries_that_sqlite_finds_are_found_by_verify() {
    // The organizations of the two entries depend on how the entries are spread over the pages.
    let (mut missed, mut first) = (1, 2);
    let (file, bytes, entries) = loop {
        let file = file_with_an_organization_each(missed, first);
        let bytes = fs::read(&file.path).unwrap();
        let entries = last_separator_and_first_of_last_page(&file, &bytes);
        let found = entries.map(|at| organization_at(&bytes, at));
        if found == [missed, first] {
            break (file, bytes, entries);
        }
        [missed, first] = found;
    };
    assert!(Store::open(&file.path).unwrap().verify().unwrap().is_whole(), "before");

    let mut exchanged = bytes.clone();
    let [separator, of_page] = entries;
    exchanged[separator..separator + ENTRY].copy_from_slice(&bytes[of_page..of_page + ENTRY]);
    exchanged[of_page..of_page + ENTRY].copy_from_slice(&bytes[separator..separator + ENTRY]);
    fs::write(&file.path, exchanged).unwrap();

    let plain = plain_sqlite(&file.path);
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "the control");
    drop(plain);
    let store = Store::open(&file.path).unwrap();
    let hidden = store.organization(organization(missed)).count_datasets(&DatasetQuery::new()).unwrap();
    assert_eq!(hidden, 0, "the control");
    let findings = store.verify().unwrap().findings;
    let found: Vec<_> = findings.iter().map(|finding| finding.kind.as_str()).collect();
    assert_eq!(found, ["hidden"], "{findings:?}");
    let refused = store.backup_to(file.folder.path().join("backup.db")).unwrap_err();
    assert_eq!(refused.code(), "corrupt");
}

fn organization(number: usize) -> OrganizationId {
    Uuid::from_u128(number as u128).into()
}

/// A compact file with a dataset for each organization. The last four are created in the order in which the check finds
/// the exchanged entries: that of the last organization leads it to the last page, and that of the first to the root.
fn file_with_an_organization_each(missed: usize, first: usize) -> TestFile {
    let last = [ORGANIZATIONS, missed, 0, first];
    let others = (0..=ORGANIZATIONS).filter(|number| !last.contains(number));
    let file = TestFile::new();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    for number in others.chain(last) {
        store.organization(organization(number)).create_dataset(NewDataset::new("Water")).unwrap();
    }
    store.close().unwrap();
    plain_sqlite(&file.path).execute_batch("VACUUM; PRAGMA journal_mode = DELETE; PRAGMA journal_mode = WAL").unwrap();
    file
}

/// Where the entry before the last page of the index of listings begins, and the first one of that page.
fn last_separator_and_first_of_last_page(file: &TestFile, bytes: &[u8]) -> [usize; 2] {
    let root: u32 = plain_sqlite(&file.path)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'dataset_by_organization'", [], |row| row.get(0))
        .unwrap();
    let number = |at: usize| usize::from(bytes[at]) * 256 + usize::from(bytes[at + 1]);
    let root = (root as usize - 1) * PAGE;
    assert_eq!(bytes[root], 2, "an interior page of an index");
    let cells = number(root + 3);
    // Behind the number of the left child and the length.
    let separator = root + number(root + 12 + 2 * (cells - 1)) + 5;
    let last_page = (number(root + 10) - 1) * PAGE;
    assert_eq!(bytes[last_page], 10, "a leaf of an index");
    [separator, last_page + number(last_page + 8) + 1]
}

/// The number of the organization of the entry, which begins with the types of its columns.
fn organization_at(bytes: &[u8], at: usize) -> usize {
    assert_eq!(usize::from(bytes[at - 1]), ENTRY, "the length of the entry");
    usize::from(bytes[at + 5 + 14]) * 256 + usize::from(bytes[at + 5 + 15])
}
