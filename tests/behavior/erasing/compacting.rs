//! What a compaction leaves as it was, and what it gives back.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kpi_store::{Dataset, DatasetQuery, Error, HistoryQuery, NewDataset, Organization, Store};

use crate::support::child::{self, Child};
use crate::support::{
    TestFile, checkpointed_store, in_a_file_and_in_memory, listed, organization, plain_sqlite, request_with_kpis,
    with_suffix,
};

fn length(file: &TestFile, suffix: &str) -> u64 {
    std::fs::metadata(with_suffix(&file.path, suffix)).unwrap().len()
}

#[test]
fn free_pages_are_given_back_and_the_log_is_empty() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..200).map(|_| request_with_kpis(30))).unwrap();
    ours.delete_datasets(created[20..].iter().map(|dataset| dataset.id)).unwrap();
    created[20..].iter().for_each(|dataset| ours.purge_dataset(dataset.id).unwrap());
    assert!(store.checkpoint().unwrap());
    let before = length(&file, "");
    store.compact().unwrap();
    assert!(length(&file, "") < before / 3, "{} of {before}", length(&file, ""));
    assert_eq!(length(&file, "-wal"), 0);
    assert_eq!(listed(&ours), created[..20]);
    let plain = plain_sqlite(&file.path);
    assert_eq!(plain.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0)).unwrap(), 0);
    drop(plain);
    let after = length(&file, "");
    store.compact().unwrap();
    assert_eq!(length(&file, ""), after, "with nothing to give back");
}

#[test]
fn datasets_cursors_histories_and_numbers_are_as_they_were() {
    in_a_file_and_in_memory(Store::options, |store, file| {
        let ours = organization(store);
        let created = ours.create_datasets((0..9).map(request_with_kpis)).unwrap();
        let mut draft = created[8].edit();
        draft.name = "Waste".to_owned();
        ours.save_dataset(&draft).unwrap();
        ours.delete_dataset(created[0].id).unwrap();
        ours.delete_dataset(created[1].id).unwrap();
        ours.purge_dataset(created[1].id).unwrap();
        let other = file.map(|file| Store::open(file).unwrap());
        let page = ours.datasets(&DatasetQuery::new().limit(3)).unwrap();
        let seen = |ours: &Organization| {
            let history = ours.history(created[8].id, &HistoryQuery::new()).unwrap().items;
            (listed(ours), history, ours.deleted_datasets(&DatasetQuery::new()).unwrap().items)
        };
        let before = seen(&ours);

        store.compact().unwrap();

        assert_eq!(seen(&ours), before);
        let after = DatasetQuery::new().after(page.next.as_ref().unwrap());
        let rest = ours.datasets(&after).unwrap().items;
        assert_eq!([page.items, rest].concat(), before.0, "a cursor of before");
        let again = ours.create_dataset(NewDataset::new("again").id(created[1].id));
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        // Through the other handle, too, whose statements were prepared before.
        let mut all = before.0;
        for store in std::iter::once(store).chain(&other).cycle().take(6) {
            let ours = store.organization(ours.id());
            all.push(ours.create_dataset(request_with_kpis(2)).unwrap());
            assert_eq!(listed(&ours), all);
        }
        ours.restore_dataset(created[0].id).unwrap();
        assert!(store.verify().unwrap().is_whole());
    });
}

#[test]
fn writers_of_another_process_and_readers_go_on() {
    const TEST: &str = "erasing::compacting::writers_of_another_process_and_readers_go_on";
    if let Some(task) = child::task() {
        let store = Store::open(&task.file).unwrap();
        let ours = store.organization(uuid::Uuid::from_u128(9).into());
        child::send(["ready".to_owned()]);
        for _ in 0..200 {
            let created = ours.create_dataset(request_with_kpis(5)).unwrap();
            assert_eq!(ours.dataset(created.id).unwrap(), Some(created));
        }
        return;
    }
    let file = checkpointed_store();
    let store = Store::options().busy_timeout(Duration::from_mins(1)).open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..50).map(|_| request_with_kpis(50))).unwrap();
    let mut child = Child::start(TEST, "write", &file.path, 0);
    child.receive();
    let is_over = AtomicBool::new(false);
    let mut reads = 0;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Relaxed) {
                assert_eq!(listed(&ours), created);
                reads += 1;
            }
            reads
        });
        (0..20).for_each(|_| store.compact().unwrap());
        is_over.store(true, Relaxed);
        reads = reader.join().unwrap();
    });
    assert!(reads > 0);
    child.wait().unwrap();
    let theirs: Vec<Dataset> = listed(&store.organization(uuid::Uuid::from_u128(9).into()));
    assert_eq!(theirs.len(), 200);
    assert!(theirs.iter().all(|dataset| dataset.kpis.len() == 5));
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_file_with_a_page_in_use_twice_is_refused_and_stays_as_it_was() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let created = organization(&store).create_datasets((0..200).map(|_| request_with_kpis(20))).unwrap();
    store.close().unwrap();
    let plain = plain_sqlite(&file.path);
    let root: u32 =
        plain.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'kpi'", [], |row| row.get(0)).unwrap();
    drop(plain);
    let mut bytes = std::fs::read(&file.path).unwrap();
    // The first two cells of an inner page refer to the same child.
    let page = &mut bytes[(root as usize - 1) * 4_096..][..4_096];
    assert!([2, 5].contains(&page[0]), "the root is an inner page");
    let cell =
        |page: &[u8], index: usize| usize::from(u16::from_be_bytes([page[12 + index * 2], page[13 + index * 2]]));
    let (first, second) = (cell(page, 0), cell(page, 1));
    page.copy_within(first..first + 4, second);
    std::fs::write(&file.path, &bytes).unwrap();

    let store = Store::open(&file.path).unwrap();
    let compacted = store.compact();
    assert!(
        matches!(&compacted, Err(Error::Corrupt { detail, .. }) if detail == "a page is in use twice"),
        "{compacted:?}"
    );
    let ours = store.organization(created[0].organization_id);
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 200);
    ours.create_dataset(NewDataset::new("Afterwards")).unwrap();
}
