//! Several jobs in one transaction: the leader's own, then those of its guests, each in a savepoint of its own, so that
//! one's failure leaves the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rusqlite::Connection;

use super::line::{Guest, Job, Turn};
use crate::error::{Error, Failure, Result, Source, shared};
use crate::model::ids::DatasetId;
use crate::sqlite::transaction;

/// The jobs of one transaction, done but for the commit.
pub(super) struct Group {
    own: Done,
    guests: Vec<(Guest, Done)>,
    /// Why all of it was rolled back, if it was.
    lost: Option<Error>,
}

struct Done {
    ids: Vec<DatasetId>,
    outcome: Outcome,
}

enum Outcome {
    ToCommit,
    Failed(Error),
    Panicked(Box<dyn Any + Send>),
}

impl Group {
    /// Of the leader, whose own job is done and wrote the datasets `ids`.
    pub(super) fn new(ids: Vec<DatasetId>) -> Self {
        Self { own: Done { ids, outcome: Outcome::ToCommit }, guests: Vec::new(), lost: None }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Does the job of a guest in the transaction that is open on the connection.
    pub(super) fn work(&mut self, connection: &Connection, guest: Guest, job: Job) {
        let (done, is_undone) = match &self.lost {
            None => work_one(connection, job),
            Some(error) => (Done { ids: job.ids, outcome: Outcome::Failed(for_all(error)) }, true),
        };
        // After some errors SQLite rolls back everything by itself: a full disk, for one.
        if !self.is_lost() && (connection.is_autocommit() || !is_undone) {
            let error = if let Outcome::Failed(error) = &done.outcome {
                error.clone()
            } else {
                Error::Storage { source: None }
            };
            self.fail(|_| for_all(&error));
            self.lost = Some(error);
        }
        self.guests.push((guest, done));
    }

    /// Nothing of what was to be committed holds for sure, so that no one may be told that it is there.
    pub(super) fn fail(&mut self, failed: impl Fn(Vec<DatasetId>) -> Error) {
        let all = || std::iter::once(&self.own).chain(self.guests.iter().map(|(_, done)| done));
        let undone: Vec<DatasetId> =
            all().filter(|done| done.is_to_commit()).flat_map(|done| done.ids.clone()).collect();
        for done in std::iter::once(&mut self.own).chain(self.guests.iter_mut().map(|(_, done)| done)) {
            if done.is_to_commit() || done.found_taken(&undone) {
                done.outcome = Outcome::Failed(failed(std::mem::take(&mut done.ids)));
            }
        }
    }

    /// Tells the guests how their jobs ended, and the leader how its own did.
    pub(super) fn tell(self) -> Result<()> {
        for (guest, done) in self.guests {
            guest.tell(match done.outcome {
                Outcome::ToCommit => Turn::Answered(Ok(())),
                Outcome::Failed(error) => Turn::Answered(Err(error)),
                Outcome::Panicked(panic) => Turn::Panicked(panic),
            });
        }
        match self.own.outcome {
            Outcome::ToCommit => Ok(()),
            Outcome::Failed(error) => Err(error),
            // It was done before there was a group.
            Outcome::Panicked(panic) => resume_unwind(panic),
        }
    }
}

impl Done {
    fn is_to_commit(&self) -> bool {
        matches!(self.outcome, Outcome::ToCommit)
    }

    /// Whether it was refused for an id that one of these has taken.
    fn found_taken(&self, ids: &[DatasetId]) -> bool {
        matches!(&self.outcome, Outcome::Failed(Error::AlreadyExists { dataset, kpi: None }) if ids.contains(dataset))
    }
}

/// Does one job. Says too whether nothing is left of it, if it failed: else nothing may be committed.
fn work_one(connection: &Connection, job: Job) -> (Done, bool) {
    let (ids, work) = job.into_parts();
    let savepoint = transaction::savepoint(connection).map_err(Failure::from);
    let worked = match savepoint {
        Ok(()) => catch_unwind(AssertUnwindSafe(|| work(connection))),
        Err(failure) => Ok(Err(failure)),
    };
    let outcome = match worked {
        Ok(Ok(())) => Outcome::ToCommit,
        Ok(Err(Failure(error))) => Outcome::Failed(error),
        Err(panic) => Outcome::Panicked(panic),
    };
    let ended = if let Outcome::ToCommit = outcome {
        transaction::release(connection)
    } else {
        transaction::roll_back_to_savepoint(connection)
    };
    let is_undone = ended.is_ok();
    if !is_undone {
        // It may fail too, for want of memory: whoever holds the connection tries again before its next use.
        let _ = transaction::end(connection);
    }
    let outcome = match (ended, outcome) {
        (Err(error), Outcome::ToCommit) => {
            let Failure(error) = error.into();
            Outcome::Failed(error)
        }
        (_, outcome) => outcome,
    };
    (Done { ids, outcome }, is_undone)
}

/// The error of one, told to others: without what it says about the one's datasets.
fn for_all(error: &Error) -> Error {
    match error {
        Error::StorageFull { .. } | Error::ReadOnly { .. } | Error::Storage { .. } => error.clone(),
        Error::Corrupt { detail, source, .. } => {
            Error::Corrupt { dataset: None, next: None, detail: detail.clone(), source: source.clone() }
        }
        _ => Error::Storage { source: None },
    }
}

/// Why a commit failed.
pub(super) enum CommitFailed {
    /// Nothing was committed.
    WithoutEffect(Error),
    /// It may hold, or not.
    Unknown(Option<Source>),
}

impl CommitFailed {
    pub(super) fn of(&self, ids: Vec<DatasetId>) -> Error {
        match self {
            CommitFailed::WithoutEffect(error) => error.clone(),
            CommitFailed::Unknown(source) => Error::OutcomeUnknown { ids, source: source.clone() },
        }
    }
}

impl From<rusqlite::Error> for CommitFailed {
    fn from(error: rusqlite::Error) -> Self {
        if transaction::is_without_effect(&error) {
            let Failure(error) = error.into();
            CommitFailed::WithoutEffect(error)
        } else {
            CommitFailed::Unknown(shared(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::store::line::{Line, Ticket};

    type Work = fn(&Connection) -> Result<(), Failure>;

    /// A guest, what it would wait for, and its job.
    fn guest(work: Work) -> (Arc<Ticket>, Guest, Job) {
        let mut line = Line::default();
        let ticket = line.join(Some(Job::new(vec![DatasetId::new()], work).0));
        let (guest, job) = line.take_small().pop().unwrap();
        (ticket, guest, job)
    }

    fn told(ticket: &Ticket) -> Result<()> {
        match ticket.wait(Duration::ZERO) {
            Some(Turn::Answered(answer)) => answer,
            _ => panic!("not answered"),
        }
    }

    fn write(connection: &Connection) -> Result<(), Failure> {
        connection.execute("INSERT INTO written VALUES (1)", [])?;
        Ok(())
    }

    /// SQLite rolls back all of a transaction when it has no room, or no memory, or finds damage while it writes.
    fn lose(connection: &Connection, error: Error) -> Result<(), Failure> {
        connection.execute("ROLLBACK", [])?;
        Err(error.into())
    }

    #[test]
    fn what_one_job_undoes_is_told_to_all_and_nothing_is_done_after_it() {
        let damaged = |connection: &Connection| lose(connection, Error::damaged("a page").about(DatasetId::new()));
        let cases: [(Work, &str, &str); 4] = [
            (|connection| lose(connection, Error::StorageFull { source: None }), "storage_full", "storage_full"),
            (|connection| lose(connection, Error::ReadOnly { source: None }), "read_only", "read_only"),
            (damaged, "corrupt", "corrupt"),
            (|connection| lose(connection, Error::InvalidCursor), "invalid_cursor", "storage"),
        ];
        for (losing, its_own, of_all) in cases {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE TABLE written (x); BEGIN").unwrap();
            write(&connection).map_err(|Failure(error)| error).unwrap();
            let mut group = Group::new(vec![DatasetId::new()]);
            let jobs = [guest(write), guest(losing), guest(write)];
            let tickets = jobs.map(|(ticket, guest, job)| {
                group.work(&connection, guest, job);
                ticket
            });
            assert!(group.is_lost());
            assert_eq!(group.tell().unwrap_err().code(), of_all);
            let answers = tickets.map(|ticket| told(&ticket).unwrap_err());
            assert_eq!(answers.each_ref().map(Error::code), [of_all, its_own, of_all]);
            for error in [&answers[0], &answers[2]] {
                assert!(!matches!(error, Error::Corrupt { dataset: Some(_), .. }), "another's: {error:?}");
            }
            let rows: i64 = connection.query_one("SELECT count(*) FROM written", [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 0);
        }
    }

    #[test]
    fn one_whose_part_cannot_be_kept_undoes_all() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE written (x); BEGIN").unwrap();
        let mut group = Group::new(Vec::new());
        // Its savepoint is gone when it is to be released.
        let (ticket, guest, job) = guest(|connection| {
            write(connection)?;
            connection.execute("RELEASE part", [])?;
            Ok(())
        });
        group.work(&connection, guest, job);
        assert!(group.is_lost() && connection.is_autocommit());
        assert!(group.tell().is_err() && told(&ticket).is_err());
        let rows: i64 = connection.query_one("SELECT count(*) FROM written", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
    }

    #[test]
    fn a_guest_whose_leader_is_torn_out_of_its_work_is_told_so() {
        let (ticket, guest, _) = guest(write);
        drop(guest);
        assert!(matches!(told(&ticket), Err(Error::Storage { .. })));
    }
}
