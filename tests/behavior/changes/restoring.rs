//! Generations: a cursor is of one file. What was restored from a backup, or has lost an organization, is another.

use std::fs;

use kpi_store::{ChangeCursor, Error, NewDataset, Organization, Store};

use super::since;
use crate::support::{TestFile, organization, plain_sqlite, request_with_kpis, with_suffix};

fn generation(file: &TestFile) -> i64 {
    plain_sqlite(&file.path).query_row("SELECT generation FROM counter", [], |row| row.get(0)).unwrap()
}

fn is_refused(organization: &Organization, cursor: &ChangeCursor) -> bool {
    match organization.changes_since(cursor) {
        Err(Error::InvalidCursor) => true,
        answer => {
            answer.unwrap();
            false
        }
    }
}

#[test]
fn every_file_has_a_generation_of_its_own() {
    let files = [(); 2].map(|()| TestFile::new());
    let cursors = files.each_ref().map(|file| {
        let store = Store::open(&file.path).unwrap();
        let ours = store.organization(uuid::Uuid::from_u128(7).into());
        ours.create_dataset(request_with_kpis(1)).unwrap();
        ours.change_cursor().unwrap()
    });
    for (file, cursor) in files.iter().zip(cursors.iter().rev()) {
        let ours = Store::open(&file.path).unwrap().organization(uuid::Uuid::from_u128(7).into());
        assert!(is_refused(&ours, cursor));
    }
}

#[test]
fn cursors_of_every_organization_end_with_the_restoring_of_a_backup() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let all = [(); 2].map(|()| organization(&store));
    for ours in &all {
        ours.create_datasets((0..3).map(request_with_kpis)).unwrap();
    }
    let early = all.each_ref().map(|ours| ours.change_cursor().unwrap());
    let backup = TestFile::new();
    store.backup_to(&backup.path).unwrap();
    // What the backup lacks was sent to a server, whose cursor must not be valid in a file that knows nothing of it.
    all[0].create_dataset(NewDataset::new("Lost")).unwrap();
    let late = all[0].change_cursor().unwrap();
    store.close().unwrap();

    // A backup that is only read goes on where the file was.
    let reader = Store::options().read_only(true).open(&backup.path).unwrap();
    let ours = reader.organization(all[0].id());
    assert!(since(&ours, &early[0]).items.is_empty());
    assert!(is_refused(&ours, &late));
    drop((reader, ours));
    assert_eq!(generation(&backup), generation(&file));

    let before = generation(&file);
    fs::copy(&backup.path, &file.path).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(with_suffix(&file.path, suffix));
    }
    let restored = Store::open(&file.path).unwrap();
    assert_ne!(generation(&file), before);
    for (ours, early) in all.iter().zip(&early) {
        let ours = restored.organization(ours.id());
        assert!(is_refused(&ours, early));
        let start = since(&ours, &ChangeCursor::start());
        assert_eq!(start.items.len(), 3);
        // The new cursors last.
        let opened_again = Store::open(&file.path).unwrap().organization(ours.id());
        assert!(since(&opened_again, &start.next).items.is_empty());
    }
    assert!(is_refused(&restored.organization(all[0].id()), &late));
    // The same backup, restored again, is yet another file.
    let second = Store::open(&backup.path).unwrap();
    assert!(![before, generation(&file)].contains(&generation(&backup)));
    assert!(second.verify().unwrap().is_whole() && restored.verify().unwrap().is_whole());
}

#[test]
fn only_a_backup_gets_another_generation_when_it_is_opened() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let first = generation(&file);
    store.compact().unwrap();
    organization(&store).create_dataset(request_with_kpis(1)).unwrap();
    store.close().unwrap();
    for _ in 0..3 {
        Store::open(&file.path).unwrap().close().unwrap();
        assert_eq!(generation(&file), first);
    }
}

#[test]
fn a_backup_of_a_store_in_memory_is_another_file_too() {
    let store = Store::open_in_memory().unwrap();
    let ours = organization(&store);
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let cursor = ours.change_cursor().unwrap();
    let file = TestFile::new();
    store.backup_to(&file.path).unwrap();
    assert!(!is_refused(&ours, &cursor));
    assert!(is_refused(&Store::open(&file.path).unwrap().organization(ours.id()), &cursor));
}

#[test]
fn cursors_of_every_organization_end_with_the_purge_of_one() {
    for is_in_memory in [false, true] {
        let file = TestFile::new();
        let store = if is_in_memory { Store::open_in_memory() } else { Store::open(&file.path) }.unwrap();
        let (ours, theirs, empty) = (organization(&store), organization(&store), organization(&store));
        for each in [&ours, &theirs] {
            each.create_datasets((0..3).map(request_with_kpis)).unwrap();
        }
        let before = [ours.change_cursor().unwrap(), theirs.change_cursor().unwrap()];
        // There is nothing that could be returned as purged.
        store.purge_organization(empty.id()).unwrap();
        assert!(!is_refused(&ours, &before[0]) && !is_refused(&theirs, &before[1]));

        store.purge_organization(ours.id()).unwrap();
        assert!(is_refused(&ours, &before[0]) && is_refused(&theirs, &before[1]));
        let after = theirs.change_cursor().unwrap();
        assert!(since(&ours, &ChangeCursor::start()).items.is_empty());
        assert_eq!(since(&theirs, &ChangeCursor::start()).items.len(), 3);
        // Repeating it, as after a failed compaction, ends nothing.
        store.purge_organization(ours.id()).unwrap();
        assert!(!is_refused(&theirs, &after));

        // What is left of an organization is only a purged id.
        let id = theirs.datasets(&kpi_store::DatasetQuery::new()).unwrap().items[0].id;
        let last = organization(&store);
        last.create_dataset(NewDataset::new("Water").id(id)).unwrap();
        last.delete_dataset(id).unwrap();
        last.purge_dataset(id).unwrap();
        let cursor = last.change_cursor().unwrap();
        store.purge_organization(last.id()).unwrap();
        last.create_dataset(NewDataset::new("Water").id(id)).unwrap();
        assert!(is_refused(&last, &cursor));
    }
}

/// Another tool may put an older copy of the file in its place, which only the numbers show.
#[test]
fn a_cursor_behind_the_last_change_of_an_older_copy_is_refused() {
    let (file, copy) = (TestFile::new(), TestFile::new());
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let early = ours.change_cursor().unwrap();
    store.close().unwrap();
    fs::copy(&file.path, &copy.path).unwrap();
    let ours = Store::open(&file.path).unwrap().organization(ours.id());
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let late = ours.change_cursor().unwrap();
    let older = Store::open(&copy.path).unwrap().organization(ours.id());
    assert!(is_refused(&older, &late));
    assert!(!is_refused(&older, &early));
}
