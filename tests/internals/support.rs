//! Access to the inside of a store.

use std::time::Duration;

use rusqlite::Connection;

use crate::access::job::Job;
use crate::access::leader::Leader;
use crate::error::{Error, Result, Source};
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::Transaction;
use crate::{DatasetId, Store};

/// Any work on the writer's connection, as a small job that writes this dataset.
struct Work<F>(DatasetId, F);

impl<F> Job for Work<F>
where
    F: Fn(&Connection) -> Result<(), Failure> + Send + 'static,
{
    type Output = ();

    fn run(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        (self.1)(transaction.plain())
    }

    fn bytes(&self) -> usize {
        0
    }

    fn outcome_unknown(&self, (): Self::Output, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: vec![self.0], updated_at: None, source }
    }
}

/// Runs `work` on the writer's connection, as a job that may share its transaction.
pub(super) fn write(store: &Store, work: impl Fn(&Connection) -> Result<(), Failure> + Send + 'static) -> Result<()> {
    write_dataset(store, DatasetId::new(), work)
}

/// The same, as a write of this dataset.
pub(super) fn write_dataset(
    store: &Store,
    id: DatasetId,
    work: impl Fn(&Connection) -> Result<(), Failure> + Send + 'static,
) -> Result<()> {
    store.access().write(Work(id, work)).map(drop)
}

/// Keeps every other thread waiting while it is held.
pub(super) fn hold(store: &Store) -> Leader<'_> {
    store.access().writer.hold()
}

/// How many threads wait for the writer.
pub(super) fn waiting(store: &Store) -> usize {
    store.access().writer.waiting()
}

/// Runs `look` on the writer's connection; after a failed commit on a fresh one.
pub(super) fn with_writer<T>(store: &Store, look: impl FnOnce(&mut Connection) -> T) -> T {
    let mut guard = hold(store);
    let connection = guard.ready(&Deadline::after(Duration::from_secs(1))).map_err(|Failure(error)| error).unwrap();
    look(connection.plain_mut())
}

impl Store {
    /// Makes the calls, each in a thread of its own, while the writer is held, so that they share a transaction.
    pub(crate) fn in_a_group<T: Send>(&self, calls: impl IntoIterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
        std::thread::scope(|scope| {
            let held = hold(self);
            let enqueue = |call| {
                let before = waiting(self);
                let thread = scope.spawn(call);
                while waiting(self) == before && !thread.is_finished() {
                    std::thread::yield_now();
                }
                thread
            };
            let threads: Vec<_> = calls.into_iter().map(enqueue).collect();
            drop(held);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}
