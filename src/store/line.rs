//! The line before the door: who waits for the connection, in the order of coming, and the job that each brings along.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Error, Failure, Result};
use crate::model::ids::DatasetId;
use crate::sqlite::transaction;

/// A job of more datasets is done alone: those who share its transaction would wait for all of it.
const SMALL_MAX: usize = 8;

/// A leader takes in as many jobs: nobody waits for an endless row of others.
const GUESTS_MAX: usize = 64;

/// Work that writes, to be done by whoever leads.
pub(super) struct Job {
    /// The datasets that it writes.
    pub(super) ids: Vec<DatasetId>,
    work: Work,
}

pub(super) type Work = Box<dyn FnOnce(&Connection) -> Result<(), Failure> + Send>;

impl Job {
    /// A job, and where its value will be once it is done.
    pub(super) fn new<T: Send + 'static>(
        ids: Vec<DatasetId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> (Self, Value<T>) {
        let value = Value(Arc::new(Mutex::new(None)));
        let place = Value(Arc::clone(&value.0));
        let work = move |connection: &Connection| {
            *lock(&place.0) = Some(work(connection)?);
            Ok(())
        };
        (Self { ids, work: Box::new(work) }, value)
    }

    pub(super) fn is_small(&self) -> bool {
        self.ids.len() <= SMALL_MAX
    }

    pub(super) fn into_parts(self) -> (Vec<DatasetId>, Work) {
        (self.ids, self.work)
    }
}

/// What a job gives, in whichever thread it was done.
pub(super) struct Value<T>(Arc<Mutex<Option<T>>>);

impl<T> Value<T> {
    /// The value of a job that was done.
    pub(super) fn take(self) -> Result<T> {
        lock(&self.0).take().ok_or(Error::Storage { source: None })
    }
}

/// The connection that writes, as it goes from hand to hand.
#[derive(Default)]
pub(super) struct Writer {
    /// None, if it was given up.
    pub(super) connection: Option<Connection>,
    /// One that was given up, unused until there is a fresh one.
    pub(super) given_up: Option<Box<Connection>>,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection: Some(connection), given_up: None }
    }

    /// IMPORTANT: the connection stays open, if it can be rolled back. Were it the last one, the next one would read the log
    /// from its start, and take what it holds of the failed commit for committed.
    pub(super) fn give_up(&mut self) {
        self.given_up = self.connection.take().filter(|connection| transaction::end(connection).is_ok()).map(Box::new);
    }
}

/// What one who waits is told.
pub(super) enum Turn {
    /// To lead, with the connection and the job that was brought.
    Lead(Writer, Option<Job>),
    /// That the job was done by another, and how it ended.
    Answered(Result<()>),
    /// The same, if it panicked.
    Panicked(Box<dyn Any + Send>),
}

/// A place in the line, held by the one who waits and by the line.
pub(super) struct Ticket {
    turn: Mutex<Option<Turn>>,
    bell: Condvar,
}

impl Ticket {
    /// Waits to be told, not longer than `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> Option<Turn> {
        let turn = self.bell.wait_timeout_while(lock(&self.turn), timeout, |turn| turn.is_none());
        turn.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// Waits for what is on its way.
    pub(super) fn wait_on(&self) -> Turn {
        let mut turn = lock(&self.turn);
        loop {
            match turn.take() {
                Some(turn) => return turn,
                None => turn = self.bell.wait(turn).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn tell(&self, turn: Turn) {
        *lock(&self.turn) = Some(turn);
        self.bell.notify_one();
    }
}

/// One whose job another has taken over, and who will be told how it ended, whatever happens.
pub(super) struct Guest(Option<Arc<Ticket>>);

impl Guest {
    pub(super) fn tell(mut self, turn: Turn) {
        if let Some(ticket) = self.0.take() {
            ticket.tell(turn);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The leader was torn out of its work: nothing of it was committed.
        if let Some(ticket) = self.0.take() {
            ticket.tell(Turn::Answered(Err(Error::Storage { source: None })));
        }
    }
}

/// Those who wait, first come first.
#[derive(Default)]
pub(super) struct Line(VecDeque<Waiting>);

pub(super) struct Waiting {
    ticket: Arc<Ticket>,
    /// None, if only the connection is wanted.
    job: Option<Job>,
}

impl Waiting {
    /// It is the turn of this one to lead.
    pub(super) fn lead(self, writer: Writer) {
        self.ticket.tell(Turn::Lead(writer, self.job));
    }
}

impl Line {
    pub(super) fn join(&mut self, job: Option<Job>) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket { turn: Mutex::new(None), bell: Condvar::new() });
        self.0.push_back(Waiting { ticket: Arc::clone(&ticket), job });
        ticket
    }

    /// Takes the one with this ticket out of the line, with the job. Says whether it still stood there; else what it is
    /// told is on its way.
    pub(super) fn leave(&mut self, ticket: &Arc<Ticket>) -> bool {
        let place = self.0.iter().position(|waiting| Arc::ptr_eq(&waiting.ticket, ticket));
        place.and_then(|place| self.0.remove(place)).is_some()
    }

    /// Takes in the small jobs at the front, up to the first that wants something else.
    pub(super) fn take_small(&mut self) -> Vec<(Guest, Job)> {
        let is_small = |waiting: &&Waiting| waiting.job.as_ref().is_some_and(Job::is_small);
        let count = self.0.iter().take(GUESTS_MAX).take_while(is_small).count();
        let taken = self.0.drain(..count);
        taken.filter_map(|Waiting { ticket, job }| Some((Guest(Some(ticket)), job?))).collect()
    }

    /// Takes the first out of the line.
    pub(super) fn take_first(&mut self) -> Option<Waiting> {
        self.0.pop_front()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells everybody that the store was closed.
    pub(super) fn close(&mut self) {
        for waiting in self.0.drain(..) {
            waiting.ticket.tell(Turn::Answered(Err(Error::Closed)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic cannot leave these half changed: each change is one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
