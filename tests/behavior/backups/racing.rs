//! Several backups to one name at the same time: one of them succeeds, and the file is its copy.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Barrier;

use kpi_store::{Error, OrganizationId, Store};

use super::{TestFile, entries, holds, organization, request_with_kpis, store_with, with_suffix};
use crate::support::child::{self, Child};

fn is_taken(error: &Error) -> bool {
    matches!(error, Error::InvalidPath { reason: "the file already exists", .. })
}

#[test]
fn of_threads_that_back_up_to_one_name_one_succeeds_and_the_others_are_told_that_it_exists() {
    const THREADS: usize = 4;
    let (file, _store, created) = store_with(5);
    for round in 0..60 {
        let (copy, barrier) = (file.with_suffix(&format!(".copy{round}")), Barrier::new(THREADS));
        let back_up = || {
            let store = Store::open(&file.path).unwrap();
            barrier.wait();
            store.backup_to(&copy)
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| scope.spawn(back_up));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), THREADS - 1, "round {round}: {refused:?}");
        assert!(refused.iter().all(is_taken), "round {round}: {refused:?}");
        holds(&copy, &created);
        fs::remove_file(&copy).unwrap();
        assert!(!entries(file.folder.path()).iter().any(|entry| entry.has_suffix(".draft")), "round {round}");
    }
}

#[test]
fn of_processes_that_back_up_to_one_name_one_succeeds() {
    const TEST: &str = "backups::racing::of_processes_that_back_up_to_one_name_one_succeeds";
    if let Some(task) = child::task() {
        let store = Store::open(&task.file).unwrap();
        child::send(["ready".to_owned()]);
        loop {
            let copy = child::receive();
            child::send([match store.backup_to(&copy) {
                Ok(()) => "won".to_owned(),
                Err(error) if is_taken(&error) => "lost".to_owned(),
                Err(error) => format!("{error:?}"),
            }]);
        }
    }
    let (file, _store, created) = store_with(5);
    let mut children = [(); 2].map(|()| Child::start(TEST, "back up", &file.path, 0));
    for child in &mut children {
        assert_eq!(child.receive().as_deref(), Some("ready"));
    }
    for round in 0..60 {
        let copy = file.with_suffix(&format!(".copy{round}"));
        for child in &mut children {
            child.send(copy.to_str().unwrap());
        }
        let mut answers = children.each_mut().map(|child| child.receive().unwrap());
        answers.sort();
        assert_eq!(answers, ["lost", "won"], "round {round}");
        holds(&copy, &created);
    }
}

/// The name is checked at the beginning and again when the copy gets it.
#[test]
fn a_name_that_is_taken_during_the_backup_stays_as_it_is() {
    for suffix in ["", "-wal", "-journal", "-shm"] {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        store.organization(OrganizationId::new()).create_dataset(request_with_kpis(3)).unwrap();
        let copy = file.with_suffix(".copy");
        let taken = with_suffix(&copy, suffix);
        let text = taken.clone();
        let refused = store.backup_to_with(&copy, move |_| {
            fs::write(&text, "text").unwrap();
            ControlFlow::Continue(())
        });
        assert!(matches!(refused, Err(Error::InvalidPath { .. })), "{suffix}: {refused:?}");
        assert_eq!(fs::read(&taken).unwrap(), b"text", "{suffix}");
        assert_eq!(copy.exists(), suffix.is_empty(), "{suffix}");
        assert!(!entries(file.folder.path()).iter().any(|entry| entry.has_suffix(".draft")), "{suffix}");
        organization(&store).create_dataset(request_with_kpis(3)).unwrap();
    }
}

/// A process that is killed while it gives a backup its name leaves a complete file with two names.
#[test]
fn a_backup_with_the_name_of_its_draft_too_is_refused_until_that_is_removed() {
    let (file, store, created) = store_with(5);
    let copy = file.with_suffix(".copy");
    store.backup_to(&copy).unwrap();
    let draft = copy.with_file_name("kpi-store-0123456789abcdef.draft");
    fs::hard_link(&copy, &draft).unwrap();
    for options in [Store::options(), Store::options().read_only(true)] {
        let error = options.open(&copy).unwrap_err();
        let Error::InvalidPath { reason, .. } = error else { panic!("{error:?}") };
        assert!(reason.contains("remove the kpi-store-*.draft"), "{reason}");
    }
    fs::remove_file(draft).unwrap();
    holds(&copy, &created);
}
