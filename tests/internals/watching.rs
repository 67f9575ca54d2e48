//! Watches while the disk fails, and what they have open.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kpi_store_fault_vfs::{Cause, Disk, Fault, Kind};

use crate::{
    ChangeState, DatasetId, DatasetQuery, Durability, Error, NewDataset, Organization, OrganizationId, StopHandle,
    Store, Watch,
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
    let readers = store.access().readers.as_ref().unwrap();
    let idle = || readers.counts().1;
    // The first reads would use the connection of the writer.
    assert!(readers.lend().connection().is_ok());
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

/// Past any wait that is to end by itself.
const LONG: Duration = Duration::from_mins(1);

/// A store in a file, eight threads that read from it, and a watch.
#[test]
fn a_watch_does_not_wait_for_reads() {
    let (mut reported, mut stopped, mut closed) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::options().busy_timeout(LONG).open(folder.path().join("kpis.db")).unwrap();
        let ours = store.organization(OrganizationId::new());
        let [mut watch, mut waiting] = [(); 2].map(|()| ours.watch(ours.change_cursor().unwrap()).unwrap());
        let mut lent: Vec<_> = (0..8).map(|_| store.access().readers.as_ref().unwrap().lend()).collect();
        for reader in &mut lent {
            assert!(reader.connection().is_ok());
        }
        let started = Instant::now();
        assert_eq!(watch.wait(Duration::ZERO).unwrap().items, []);
        ours.create_dataset(NewDataset::new("Water")).unwrap();
        assert_eq!(watch.wait(LONG).unwrap().items.len(), 1);
        reported = reported.min(started.elapsed());

        stopped = stopped.min(end_of_a_wait(&mut watch, "cancelled", StopHandle::stop));
        closed = closed.min(end_of_a_wait(&mut waiting, "closed", |_| store.clone().close().unwrap()));
        drop(lent);
    }
    for (what, took) in [("reported", reported), ("stopped", stopped), ("closed", closed)] {
        assert!(took < Duration::from_millis(100), "{what}: {took:?}");
    }
}

/// How long it takes until the waits of the watch have ended, with this error.
fn end_of_a_wait(watch: &mut Watch, code: &str, end: impl FnOnce(&StopHandle)) -> Duration {
    let stop = watch.stop_handle();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            loop {
                if let Err(error) = watch.wait(LONG) {
                    return (error.code(), Instant::now());
                }
            }
        });
        let started = Instant::now();
        end(&stop);
        let (found, ended) = waiting.join().unwrap();
        assert_eq!(found, code);
        ended.duration_since(started)
    })
}

/// Watches wait for each other when all connections are in use, and not longer than their timeout.
#[test]
fn a_watch_that_waits_for_another_is_woken_before_other_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::options().busy_timeout(LONG).open(folder.path().join("kpis.db")).unwrap();
    let ours = store.organization(OrganizationId::new());
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    let created = ours.create_dataset(NewDataset::new("Water")).unwrap().id;
    let readers = store.access().readers.as_ref().unwrap();
    let lent: Vec<_> = (0..8).map(|_| readers.lend()).collect();
    let lent_to_watch = readers.lend_to_watch();
    assert_eq!(watch.wait(Duration::from_millis(5)).unwrap().items, [], "at the timeout");
    std::thread::scope(|scope| {
        let wait_for = |count| {
            while readers.counts().0 < count {
                std::thread::yield_now();
            }
        };
        let reading = scope.spawn(|| ours.dataset(created).unwrap().unwrap());
        wait_for(1);
        let watching = scope.spawn(|| watch.wait(LONG).unwrap());
        wait_for(2);
        let started = Instant::now();
        drop(lent_to_watch);
        assert_eq!(watching.join().unwrap().items[0].dataset, created);
        assert!(started.elapsed() < LONG / 2, "it was not woken");
        assert_eq!(readers.counts().0, 1, "the other read waits");
        drop(lent);
        assert_eq!(reading.join().unwrap().id, created);
    });
}

/// A write in progress has the only connection of a store in memory.
#[test]
fn in_memory_a_wait_ends_at_its_timeout_during_a_write() {
    let store = Store::options().busy_timeout(LONG).open_in_memory().unwrap();
    let ours = store.organization(OrganizationId::new());
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    assert_eq!(watch.wait(Duration::ZERO).unwrap().items, []);
    let writer = &store.access().writer;
    let started = Instant::now();
    let write = writer.hold();
    for timeout in [0, 5] {
        assert_eq!(watch.wait(Duration::from_millis(timeout)).unwrap().items, [], "nothing was committed");
    }
    drop(write);
    let created = ours.create_dataset(NewDataset::new("Water")).unwrap().id;
    let write = writer.hold();
    assert_eq!(watch.wait(Duration::from_millis(5)).unwrap().items, [], "at the timeout");
    assert_eq!(writer.waiting(), 0);
    assert!(started.elapsed() < LONG / 2);
    // What was committed is found even without a timeout, after the write.
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch.wait(Duration::ZERO).unwrap());
        while writer.waiting() == 0 {
            assert!(!watching.is_finished());
        }
        drop(write);
        assert_eq!(watching.join().unwrap().items[0].dataset, created);
    });
}

#[test]
fn in_memory_a_watch_that_waits_for_a_write_is_stopped() {
    let store = Store::options().busy_timeout(LONG).open_in_memory().unwrap();
    let ours = store.organization(OrganizationId::new());
    let mut watch = ours.watch(ours.change_cursor().unwrap()).unwrap();
    let (stop, writer) = (watch.stop_handle(), &store.access().writer);
    ours.create_dataset(NewDataset::new("Water")).unwrap();
    let write = writer.hold();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch.wait(Duration::MAX));
        while writer.waiting() == 0 {
            assert!(!watching.is_finished());
        }
        let started = Instant::now();
        stop.stop();
        assert!(matches!(watching.join().unwrap(), Err(Error::Cancelled)));
        assert!(started.elapsed() < LONG / 2);
        assert_eq!(writer.waiting(), 0);
    });
    drop(write);
    assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 1);
}
