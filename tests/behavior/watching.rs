//! Watching: every commit is reported, at once, and nothing else; a watch ends when it is stopped and when its store is
//! closed, and keeps nothing open.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use kpi_store::{
    Change, ChangeCursor, ChangeState, Changes, DatasetId, Durability, Error, LoadOptions, NewDataset, Organization,
    StopHandle, Store, StoreOptions, Watch, limits,
};

use crate::support::{TestFile, in_a_file_and_in_memory, organization, request_with_kpis};

mod ending;
mod failing;

/// Past any wait that is not to end by itself.
const LONG: Duration = Duration::from_mins(1);

fn watch(organization: &Organization) -> Watch {
    organization.watch(organization.change_cursor().unwrap()).unwrap()
}

fn pairs(changes: &Changes) -> Vec<(DatasetId, ChangeState)> {
    assert!(changes.damaged.is_empty());
    changes.items.iter().map(|Change { dataset, state, .. }| (*dataset, *state)).collect()
}

/// What the watch reports at once.
fn reported(watch: &mut Watch) -> Vec<(DatasetId, ChangeState)> {
    pairs(&watch.wait(Duration::ZERO).unwrap())
}

/// A thread that waits for changes, and the results of its waits.
struct Listener {
    results: mpsc::Receiver<Result<Changes, Error>>,
    thread: thread::JoinHandle<()>,
    stop: StopHandle,
}

impl Listener {
    fn start(watch: Watch) -> Self {
        let (stop, (sender, results)) = (watch.stop_handle(), mpsc::channel());
        let thread = thread::spawn(move || watch.for_each(|changes| sender.send(changes).unwrap()));
        Self { results, thread, stop }
    }

    fn next(&self) -> Vec<(DatasetId, ChangeState)> {
        pairs(&self.results.recv_timeout(LONG).expect("nothing was reported").unwrap())
    }

    fn stop(self) {
        self.stop.stop();
        self.thread.join().unwrap();
        assert!(self.results.try_iter().next().is_none(), "something else was reported");
    }
}

#[test]
fn each_kind_of_change_is_reported_with_the_state_that_it_leaves() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let listener = Listener::start(watch(&ours));
        let created = ours.create_dataset(request_with_kpis(2)).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
        let mut draft = created.edit();
        draft.name = "Waste".into();
        ours.save_dataset(&draft).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
        ours.delete_dataset(created.id).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Deleted)]);
        ours.restore_dataset(created.id).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
        ours.delete_dataset(created.id).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Deleted)]);
        ours.purge_dataset(created.id).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Purged)]);
        listener.stop();
    });
}

/// A poll finds it only 50 ms later.
#[test]
fn a_commit_of_this_process_is_reported_at_once_whichever_handle_made_it() {
    let file = TestFile::new();
    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let ours = organization(&store);
    let again = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
    let read_only = Store::options().read_only(true).open(&file.path).unwrap();
    let in_memory = organization(&Store::open_in_memory().unwrap());
    for (what, watched, writing) in [
        ("the same handle", &ours, &ours),
        ("another handle", &ours, &store.organization(ours.id())),
        ("another store", &ours, &again.organization(ours.id())),
        ("another store than the reading one", &read_only.organization(ours.id()), &ours),
        ("in memory", &in_memory, &in_memory.clone()),
    ] {
        let listener = Listener::start(watch(watched));
        let fastest = (0..20).map(|_| {
            let created = writing.create_dataset(NewDataset::new("Water")).unwrap().id;
            let answered = Instant::now();
            assert_eq!(listener.next(), [(created, ChangeState::Present)], "{what}");
            answered.elapsed()
        });
        // After the first, each begins right after a poll.
        let fastest = fastest.skip(1).min().unwrap();
        assert!(fastest < Duration::from_millis(25), "{what}: {fastest:?}");
        listener.stop();
    }
}

#[test]
fn a_commit_of_another_organization_does_not_end_the_wait() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        let listener = Listener::start(watch(&ours));
        for _ in 0..20 {
            theirs.create_dataset(request_with_kpis(1)).unwrap();
        }
        let created = ours.create_dataset(request_with_kpis(1)).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
        theirs.create_dataset(request_with_kpis(1)).unwrap();
        listener.stop();
    });
}

#[test]
fn nothing_is_reported_before_its_commit_and_nothing_that_is_rolled_back() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let mut watch = watch(&ours);
    let requests = (0..200).map(|number| {
        assert_eq!(reported(&mut watch), [], "a load that is not committed");
        if number == 199 { NewDataset::new("") } else { request_with_kpis(3) }
    });
    ours.load_datasets(requests, LoadOptions::new()).unwrap_err();
    assert_eq!(reported(&mut watch), []);

    let created = ours.create_dataset(request_with_kpis(1)).unwrap();
    assert_eq!(reported(&mut watch), [(created.id, ChangeState::Present)]);
    let repeated = [request_with_kpis(1), request_with_kpis(1).id(created.id)];
    assert_eq!(ours.create_datasets(repeated).unwrap_err().code(), "already_exists");
    ours.purge_dataset(created.id).unwrap_err();
    assert_eq!(reported(&mut watch), []);
}

#[test]
fn at_the_timeout_it_returns_nothing_and_keeps_its_cursor() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let mut watch = watch(&ours);
        let before = watch.cursor().clone();
        for timeout in [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(120)] {
            let started = Instant::now();
            let changes = watch.wait(timeout).unwrap();
            assert!(started.elapsed() >= timeout);
            assert_eq!((pairs(&changes), changes.has_more), (vec![], false));
            assert_eq!((&changes.next, watch.cursor()), (&before, &before));
        }
    });
}

#[test]
fn what_happened_before_the_call_is_reported_by_it_and_each_dataset_once() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let first = ours.create_dataset(request_with_kpis(1)).unwrap();
        let mut watch = ours.watch(ChangeCursor::start()).unwrap();
        let second = ours.create_dataset(request_with_kpis(1)).unwrap();
        for number in 0..50 {
            let mut draft = ours.dataset(first.id).unwrap().unwrap().edit();
            draft.name = format!("Water {number}");
            ours.save_dataset(&draft).unwrap();
        }
        ours.delete_dataset(second.id).unwrap();
        let changes = watch.wait(LONG).unwrap();
        assert_eq!(pairs(&changes), [(first.id, ChangeState::Present), (second.id, ChangeState::Deleted)]);
        assert_eq!(&changes.next, watch.cursor());
        assert_eq!(reported(&mut watch), []);
        // Another watch continues from the cursor of this one.
        ours.delete_dataset(first.id).unwrap();
        let mut later = ours.watch(watch.cursor().to_string().parse().unwrap()).unwrap();
        assert_eq!(reported(&mut later), [(first.id, ChangeState::Deleted)]);
    });
}

#[test]
fn more_changes_than_one_call_returns_are_returned_by_the_next_calls_at_once() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let mut watch = watch(&ours);
        let created = ours.create_datasets((0..=limits::CHANGES_MAX).map(|_| NewDataset::new("Water"))).unwrap();
        let first = watch.wait(LONG).unwrap();
        assert_eq!((first.items.len(), first.has_more), (created.len() - 1, true));
        let last = watch.wait(LONG).unwrap();
        assert_eq!((pairs(&last), last.has_more), (vec![(created.last().unwrap().id, ChangeState::Present)], false));
    });
}

#[test]
fn each_of_several_watches_of_a_store_reports_every_change() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        let listeners = [(); 3].map(|()| Listener::start(watch(&ours)));
        let other = Listener::start(watch(&theirs));
        for _ in 0..10 {
            let created = ours.create_dataset(request_with_kpis(1)).unwrap();
            for listener in &listeners {
                assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
            }
        }
        listeners.into_iter().for_each(Listener::stop);
        let created = theirs.create_dataset(request_with_kpis(1)).unwrap();
        assert_eq!(other.next(), [(created.id, ChangeState::Present)], "the end of the others does not concern it");
        other.stop();
    });
}

/// The connection that polls must not be in the way of anything.
#[test]
fn an_idle_watch_does_not_hinder_what_needs_the_file_for_itself() {
    let file = TestFile::new();
    let options = |_: &TestFile| -> StoreOptions { Store::options().durability(Durability::Normal) };
    let store = options(&file).open(&file.path).unwrap();
    let ours = organization(&store);
    let listener = Listener::start(watch(&ours));
    for _ in 0..20 {
        let created = ours.create_dataset(request_with_kpis(5)).unwrap();
        assert_eq!(listener.next(), [(created.id, ChangeState::Present)]);
        assert!(store.checkpoint().unwrap());
        assert_eq!(std::fs::metadata(file.with_suffix("-wal")).unwrap().len(), 0);
        store.compact().unwrap();
    }
    listener.stop();
}

#[test]
fn a_watch_can_be_sent_and_prints_nothing_that_is_stored() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    let ours = organization(&Store::open_in_memory().unwrap());
    let watch = watch(&ours);
    is_send(&watch);
    is_shared(&watch.stop_handle());
    assert_eq!(format!("{watch:?}"), format!("Watch {{ cursor: {:?}, .. }}", watch.cursor()));
    assert_eq!(format!("{:?}", watch.stop_handle()), "StopHandle { is_stopped: false, .. }");
}
