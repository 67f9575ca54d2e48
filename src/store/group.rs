//! Several jobs in one transaction, each in a savepoint of its own, so that one's failure leaves the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::line::{Job, Turn};
use crate::error::{Error, Failure, Source, shared};
use crate::model::ids::DatasetId;
use crate::sqlite::transaction;

/// A job that was done, but for the commit.
pub(super) struct Done {
    ids: Vec<DatasetId>,
    outcome: Outcome,
}

enum Outcome {
    ToCommit,
    Failed(Error),
    Panicked(Box<dyn Any + Send>),
}

impl Done {
    pub(super) fn is_to_commit(&self) -> bool {
        matches!(self.outcome, Outcome::ToCommit)
    }

    /// Whether it was refused for an id that one of these has taken.
    fn found_taken(&self, ids: &[DatasetId]) -> bool {
        matches!(&self.outcome, Outcome::Failed(Error::AlreadyExists { dataset, kpi: None }) if ids.contains(dataset))
    }

    /// What the one who brought the job is told.
    pub(super) fn turn(self) -> Turn {
        match self.outcome {
            Outcome::ToCommit => Turn::Answered(Ok(())),
            Outcome::Failed(error) => Turn::Answered(Err(error)),
            Outcome::Panicked(panic) => Turn::Panicked(panic),
        }
    }
}

/// Nothing of what was to be committed holds for sure, so that no one may be told that it is there.
pub(super) fn fail(all: &mut [Done], failed: impl Fn(Vec<DatasetId>) -> Error) {
    let to_commit = all.iter().filter(|done| done.is_to_commit());
    let undone: Vec<DatasetId> = to_commit.flat_map(|done| done.ids.iter().copied()).collect();
    for done in all {
        if done.is_to_commit() || done.found_taken(&undone) {
            done.outcome = Outcome::Failed(failed(std::mem::take(&mut done.ids)));
        }
    }
}

/// Does the jobs in the transaction that is open on the connection.
pub(super) fn work(connection: &Connection, jobs: impl Iterator<Item = Job>) -> Vec<Done> {
    let mut all: Vec<Done> = Vec::new();
    let mut lost = None;
    for job in jobs {
        let (done, is_undone) = match &lost {
            None => work_one(connection, job),
            Some(error) => (Done { ids: job.ids, outcome: Outcome::Failed(for_all(error)) }, true),
        };
        // After some errors SQLite rolls back everything by itself: a full disk, for one.
        if lost.is_none() && (connection.is_autocommit() || !is_undone) {
            let error = if let Outcome::Failed(error) = &done.outcome {
                error.clone()
            } else {
                Error::Storage { source: None }
            };
            fail(&mut all, |_| for_all(&error));
            lost = Some(error);
        }
        all.push(done);
    }
    all
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
