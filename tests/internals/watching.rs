//! Watches while the disk fails, and what they have open.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};

use crate::{
    ChangeState, DatasetId, DatasetQuery, Durability, Error, NewDataset, Organization, OrganizationId, Store, Watch,
};

/// What the watch reports until nothing is left. A temporary error does not end it.
fn reported(watch: &mut Watch) -> BTreeSet<DatasetId> {
    let mut all = BTreeSet::new();
    loop {
        match watch.wait(Duration::ZERO) {
            Ok(changes) if changes.items.is_empty() => return all,
            Ok(changes) => {
                assert!(changes.items.iter().all(|change| change.state == ChangeState::Present));
                all.extend(changes.items.iter().map(|change| change.dataset));
            }
            Err(error) => assert!(matches!(error, Error::Storage { .. } | Error::Busy { .. }), "{error:?}"),
        }
    }
}

fn listed(ours: &Organization) -> BTreeSet<DatasetId> {
    ours.iter_datasets(&DatasetQuery::new()).map(|dataset| dataset.unwrap().id).collect()
}

/// Each operation of a create on the disk fails once; after some it took effect, after others it did not.
#[test]
fn a_commit_that_failed_is_reported_if_it_took_effect_and_never_otherwise() {
    let mut lost = 0;
    for (kinds, cause) in [
        (vec![Kind::Write], Cause::Full),
        (vec![Kind::TornWrite], Cause::Io),
        (vec![Kind::Sync], Cause::Io),
        (vec![Kind::Length], Cause::Io),
        (vec![Kind::Shm, Kind::Read, Kind::Lock], Cause::Io),
    ] {
        for at in 1..=8 {
            let what = format!("{kinds:?} {at}");
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::new(folder.path());
            let store =
                Store::options().busy_timeout(Duration::from_millis(50)).open(folder.path().join("kpis.db")).unwrap();
            let ours = store.organization(OrganizationId::new());
            let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
            let before = ours.create_dataset(NewDataset::new("Water")).unwrap();
            assert_eq!(reported(&mut watch), BTreeSet::from([before.id]), "{what}");

            disk.fail(Fault { kinds: kinds.clone(), at, cause, lasting: false });
            let id = DatasetId::new();
            let created = ours.create_dataset(NewDataset::new("Waste").id(id));
            disk.calm();
            let is_there = ours.dataset(id).unwrap().is_some();
            assert_eq!(reported(&mut watch).contains(&id), is_there, "{what}: {created:?}");
            match created {
                Ok(_) => assert!(is_there, "{what}"),
                Err(_) if is_there => {}
                Err(_) => lost += 1,
            }
            // The outcome is settled by the next write.
            let after = ours.create_dataset(NewDataset::new("Energy")).unwrap();
            let all_reported = reported(&mut watch);
            assert!(all_reported.contains(&after.id), "{what}");
            let mut all = BTreeSet::from([before.id, after.id]);
            all.extend(is_there.then_some(id));
            assert_eq!(listed(&ours), all, "{what}");
            assert!(all_reported.is_subset(&all), "{what}");
        }
    }
    assert!(lost > 5, "the control: some creates were lost: {lost}");
}

/// A file that is moved during the commit: its outcome is unknown to the writer, and a read finds it.
#[test]
fn a_commit_of_unknown_outcome_that_took_effect_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    let [file, elsewhere] = ["kpis.db", "moved.db"].map(|name| folder.path().join(name));
    let store = Store::open(&file).unwrap();
    let ours = store.organization(OrganizationId::new());
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    let (from, to) = (file.clone(), elsewhere.clone());
    disk.before(Kind::Write, 1, move || std::fs::rename(from, to).unwrap());
    let id = DatasetId::new();
    let unknown = ours.create_dataset(NewDataset::new("Water").id(id)).unwrap_err();
    assert_eq!(unknown.code(), "outcome_unknown");
    std::fs::rename(elsewhere, file).unwrap();
    assert!(ours.dataset(id).unwrap().is_some());
    assert_eq!(watch.wait(Duration::from_mins(1)).unwrap().items[0].dataset, id);
}

/// A watch whose read fails tries again from the same cursor.
#[test]
fn a_read_that_fails_is_an_error_and_the_next_call_reports_the_change() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    let mut failed = 0;
    for round in 0..5 {
        let created = ours.create_dataset(NewDataset::new("Water")).unwrap();
        disk.fail(Fault { kinds: vec![Kind::Read, Kind::Shm, Kind::Open], at: 1, cause: Cause::Io, lasting: true });
        let first = watch.wait(Duration::ZERO);
        disk.calm();
        match first {
            Ok(changes) => assert_eq!(changes.items[0].dataset, created.id, "round {round}"),
            Err(error) => {
                assert_eq!(error.code(), "storage", "round {round}");
                failed += 1;
                let again = watch.next().unwrap().unwrap();
                assert_eq!(again.items[0].dataset, created.id, "round {round}");
            }
        }
    }
    assert!(failed > 0, "the control: some reads failed");
}

/// While the log begins anew, reads wait.
#[test]
fn a_watch_is_not_late_because_the_log_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let options = Store::options().log_max(100 * 1024).durability(Durability::Normal);
    let store = options.open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    // The writer waits for this read, at most for 200 ms.
    let reader = store.access().readers.as_ref().unwrap().lend();
    let (mut longest, mut latest) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..20 {
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                ours.create_dataset(NewDataset::new("Water")).unwrap();
                longest = longest.max(started.elapsed());
            });
            assert_eq!(watch.wait(Duration::from_mins(1)).unwrap().items.len(), 1);
            latest = latest.max(started.elapsed());
        });
    }
    drop(reader);
    assert!(longest >= Duration::from_millis(200), "the control: {longest:?}");
    assert!(latest < Duration::from_millis(150), "{latest:?}");
}

/// The connection that polls is one of those for reading, before and after.
#[test]
fn watches_share_a_connection_and_return_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let idle = || store.access().readers.as_ref().unwrap().counts().1;
    ours.count_datasets(&DatasetQuery::new()).unwrap();
    assert_eq!(idle(), 1);
    for _ in 0..10 {
        let mut watches: Vec<_> = (0..5).map(|_| ours.watch(ours.change_cursor().unwrap()).unwrap()).collect();
        ours.create_dataset(NewDataset::new("Water")).unwrap();
        for watch in &mut watches {
            assert_eq!(watch.wait(Duration::ZERO).unwrap().items.len(), 1);
        }
        assert_eq!(idle(), 1, "besides the one that polls");
        drop(watches);
        assert_eq!(idle(), 2);
    }
}
