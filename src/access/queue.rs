//! The FIFO queue of threads that wait for the writer, each with its job.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::job::Job;
use super::recovery::LeaderConnection;
use crate::error::{Result, Source};
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::{Transaction, TransactionLost};

/// The maximum number of queued jobs that share a commit, and of bytes that all of them write. They bound the latency
/// of each.
const FOLLOWERS_MAX: usize = 64;
const SHARED_MAX: usize = 512 * 1024;

/// The message that wakes a waiting thread. If the sender is dropped without one, the store was closed.
pub(super) enum Wake<J: Job> {
    /// The thread becomes the leader and runs its job itself; alone, if the job must not share its transaction.
    Lead { connection: LeaderConnection, job: J, alone: bool },
    /// Another thread ran the job.
    Done(Result<(J, J::Output)>),
}

/// How a shared transaction ended.
pub(super) enum Outcome {
    Committed,
    /// The commit failed, and may have been stored.
    Unknown(Option<Source>),
    /// Nothing was committed.
    RolledBack,
}

/// A waiting thread, independent of the type of its job.
pub(super) trait Waiter: Send {
    fn id(&self) -> u64;

    /// About how many bytes its job writes; none if the job must not share a transaction.
    fn bytes_to_share(&self) -> Option<usize>;

    /// Runs its job in the leader's transaction. A failure of the job rolls back only what the job wrote.
    fn follow(&mut self, transaction: &Transaction<'_>) -> Result<(), TransactionLost>;

    /// Wakes the thread with the result of its job, if the outcome of the transaction determines it. Otherwise returns
    /// the waiter, so that its job runs again, alone.
    fn conclude(self: Box<Self>, outcome: &Outcome) -> Option<Box<dyn Waiter>>;

    /// Wakes the thread as the leader, with the connection.
    fn hand_over(self: Box<Self>, connection: LeaderConnection);
}

struct QueuedJob<J: Job> {
    id: u64,
    job: J,
    /// The result of the job, if another thread ran it without a panic.
    ran: Option<Result<J::Output, Failure>>,
    alone: bool,
    wake: SyncSender<Wake<J>>,
}

impl<J: Job> QueuedJob<J> {
    /// Wakes the thread. It waits until it is woken or has left the queue, so there is always a receiver.
    fn wake(wake: &SyncSender<Wake<J>>, message: Wake<J>) {
        let _ = wake.send(message);
    }
}

impl<J: Job> Waiter for QueuedJob<J> {
    fn id(&self) -> u64 {
        self.id
    }

    fn bytes_to_share(&self) -> Option<usize> {
        (!self.alone && self.job.is_small()).then(|| self.job.bytes())
    }

    fn follow(&mut self, transaction: &Transaction<'_>) -> Result<(), TransactionLost> {
        let ran = transaction.savepoint(|| {
            // A job that panics is run again by its own thread, and panics there.
            let ran = catch_unwind(AssertUnwindSafe(|| self.job.run(transaction))).ok();
            match ran {
                Some(Ok(output)) => Ok(output),
                Some(Err(failure)) => Err(Some(failure)),
                None => Err(None),
            }
        });
        self.ran = match ran? {
            Ok(output) => Some(Ok(output)),
            // A read may have failed, and SQLite refuses to write in this transaction from now on.
            Err(Some(failure)) if failure.may_be_failed_read() => return Err(TransactionLost),
            Err(failure) => failure.map(Err),
        };
        Ok(())
    }

    fn conclude(mut self: Box<Self>, outcome: &Outcome) -> Option<Box<dyn Waiter>> {
        let error = match (outcome, self.ran.take()) {
            (Outcome::Committed, Some(Ok(output))) => {
                Self::wake(&self.wake, Wake::Done(Ok((self.job, output))));
                return None;
            }
            (Outcome::Committed, Some(Err(Failure(error)))) => error,
            (Outcome::Unknown(source), Some(Ok(output))) => self.job.outcome_unknown(output, source.clone()),
            // The failure may be due to another job of a transaction that was not committed, such as one with the same
            // id.
            _ => {
                self.alone = true;
                return Some(self);
            }
        };
        Self::wake(&self.wake, Wake::Done(Err(error)));
        None
    }

    fn hand_over(self: Box<Self>, connection: LeaderConnection) {
        let Self { job, alone, wake, .. } = *self;
        Self::wake(&wake, Wake::Lead { connection, job, alone });
    }
}

#[derive(Default)]
pub(super) struct WaitQueue {
    waiters: VecDeque<Box<dyn Waiter>>,
    /// The id of the waiter that was enqueued last.
    last: u64,
}

impl WaitQueue {
    /// Enqueues a job. Returns the id by which it can [leave](Self::leave), and the receiver of its wake-up.
    pub(super) fn join<J: Job>(&mut self, job: J) -> (u64, Receiver<Wake<J>>) {
        self.last += 1;
        let (wake, woken) = sync_channel(1);
        self.waiters.push_back(Box::new(QueuedJob { id: self.last, job, ran: None, alone: false, wake }));
        (self.last, woken)
    }

    /// Removes a waiter from the queue. False if it is no longer queued: then it is about to be woken.
    pub(super) fn leave(&mut self, id: u64) -> bool {
        let index = self.waiters.iter().position(|waiter| waiter.id() == id);
        index.and_then(|index| self.waiters.remove(index)).is_some()
    }

    /// Removes the waiters at the front whose jobs may share the transaction of the leader, up to the first that may
    /// not.
    pub(super) fn take_followers(&mut self, leading: &impl Job) -> Vec<Box<dyn Waiter>> {
        if self.waiters.is_empty() || !leading.is_small() {
            return Vec::new();
        }
        let (mut bytes, mut count) = (leading.bytes(), 0);
        for waiter in self.waiters.iter().take(FOLLOWERS_MAX) {
            let Some(more) = waiter.bytes_to_share() else { break };
            bytes += more;
            if bytes > SHARED_MAX {
                break;
            }
            count += 1;
        }
        self.waiters.drain(..count).collect()
    }

    /// Returns waiters to the front of the queue, in their order.
    pub(super) fn put_back(&mut self, waiters: Vec<Box<dyn Waiter>>) {
        for waiter in waiters.into_iter().rev() {
            self.waiters.push_front(waiter);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Box<dyn Waiter>> {
        self.waiters.pop_front()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }
}
