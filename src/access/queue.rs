//! The threads that wait for the writer, first in, first out, each with its job.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::job::Job;
use super::recovery::WriterConnection;
use crate::error::{Result, Source};
use crate::sqlite::failure::Failure;
use crate::sqlite::write_connection::{Transaction, TransactionLost};

/// At most this many queued jobs share a commit, and at most this many bytes that they write: to bound the latency of each.
const FOLLOWERS_MAX: usize = 64;
const SHARED_MAX: usize = 512 * 1024;

/// How waiting ends. A sender that is dropped instead tells that the store was closed.
pub(super) enum Wake<J: Job> {
    /// With the connection, to run the job oneself; alone, if it must not share its transaction.
    Lead { connection: WriterConnection, job: J, alone: bool },
    /// With the job run by another thread.
    Done(Result<(J, J::Output)>),
}

/// What became of the transaction that jobs shared.
pub(super) enum Fate {
    Committed,
    /// It may have been committed, or not.
    Unknown(Option<Source>),
    /// Nothing of it was committed.
    Undone,
}

/// A thread that waits, whatever the type of its job.
pub(super) trait Waiter: Send {
    fn id(&self) -> u64;

    /// About how many bytes its job writes, if it may be run in a transaction that others share.
    fn bytes_to_share(&self) -> Option<usize>;

    /// Runs its job in the transaction of another. Its own failure undoes what it wrote, and nothing else.
    fn follow(&mut self, transaction: &Transaction<'_>) -> Result<(), TransactionLost>;

    /// Answers it, now that the fate of the transaction is known; or gives it back, to run its job alone, where what
    /// happened in there says nothing true of it.
    fn conclude(self: Box<Self>, fate: &Fate) -> Option<Box<dyn Waiter>>;

    /// Lets it run its job itself.
    fn lead(self: Box<Self>, connection: WriterConnection);
}

struct QueuedJob<J: Job> {
    id: u64,
    job: J,
    /// What it gave, if another thread ran it to its end.
    ran: Option<Result<J::Output, Failure>>,
    alone: bool,
    wake: SyncSender<Wake<J>>,
}

impl<J: Job> QueuedJob<J> {
    /// Wakes the thread. It waits until it is woken or has left the queue, so that there is always a receiver.
    fn wake(wake: &SyncSender<Wake<J>>, how: Wake<J>) {
        let _ = wake.send(how);
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
            // A job that panics is run again by the thread that it belongs to, and panics there.
            let ran = catch_unwind(AssertUnwindSafe(|| self.job.run(transaction))).ok();
            match ran {
                Some(Ok(output)) => Ok(output),
                Some(Err(failure)) => Err(Some(failure)),
                None => Err(None),
            }
        });
        self.ran = match ran? {
            Ok(output) => Some(Ok(output)),
            Err(failure) => failure.map(Err),
        };
        Ok(())
    }

    fn conclude(mut self: Box<Self>, fate: &Fate) -> Option<Box<dyn Waiter>> {
        let done = match (fate, self.ran.take()) {
            (Fate::Committed, Some(Ok(output))) => {
                Self::wake(&self.wake, Wake::Done(Ok((self.job, output))));
                return None;
            }
            (Fate::Committed, Some(Err(Failure(error)))) => error,
            (Fate::Unknown(source), Some(Ok(_))) => self.job.outcome_unknown(source.clone()),
            // A failure may be due to what others wrote in the same transaction: an id that is taken, for one.
            _ => {
                self.alone = true;
                return Some(self);
            }
        };
        Self::wake(&self.wake, Wake::Done(Err(done)));
        None
    }

    fn lead(self: Box<Self>, connection: WriterConnection) {
        let Self { job, alone, wake, .. } = *self;
        Self::wake(&wake, Wake::Lead { connection, job, alone });
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct WaitQueue {
    waiters: VecDeque<Box<dyn Waiter>>,
    /// The id of the waiter that came last.
    last: u64,
}

impl WaitQueue {
    /// Enqueues a job. Gives the id by which it can [leave](Self::leave), and the end on which it is woken.
    pub(super) fn join<J: Job>(&mut self, job: J) -> (u64, Receiver<Wake<J>>) {
        self.last += 1;
        let (wake, woken) = sync_channel(1);
        self.waiters.push_back(Box::new(QueuedJob { id: self.last, job, ran: None, alone: false, wake }));
        (self.last, woken)
    }

    /// Takes a waiter out of the queue. False if it is not there any more: it is about to be woken.
    pub(super) fn leave(&mut self, id: u64) -> bool {
        let index = self.waiters.iter().position(|waiter| waiter.id() == id);
        index.and_then(|index| self.waiters.remove(index)).is_some()
    }

    /// Takes the waiters at the front whose jobs may follow that of the leader, up to the first that may not.
    pub(super) fn take_followers(&mut self, leader: &impl Job) -> Vec<Box<dyn Waiter>> {
        if self.waiters.is_empty() || !leader.is_small() {
            return Vec::new();
        }
        let mut bytes = leader.bytes();
        let fits = |waiter: &&Box<dyn Waiter>| {
            waiter.bytes_to_share().is_some_and(|more| {
                bytes += more;
                bytes <= SHARED_MAX
            })
        };
        let count = self.waiters.iter().take(FOLLOWERS_MAX).take_while(fits).count();
        self.waiters.drain(..count).collect()
    }

    /// Puts waiters back at the front, in their order.
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
