//! What a look at every row of the file found.

use std::ops::ControlFlow;

use super::ids::{DatasetId, OrganizationId};
use crate::error::Error;

/// How far a long operation is, in steps that only the two numbers give a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is done, at most `total`.
    pub done: u64,
    /// What is to do, as far as it is known at the start.
    pub total: u64,
}

/// A caller's callback: told the progress, it says whether to go on.
pub(crate) type Watch = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// The result of [`Store::verify`](crate::Store::verify): every finding, and how much was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many datasets were read.
    pub datasets: u64,
    /// How many KPIs were read.
    pub kpis: u64,
    /// What does not hold; empty if the file is whole.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Something in the file that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of finding, stable:
    ///
    /// | code | meaning |
    /// |---|---|
    /// | `integrity` | SQLite's own check of pages, indexes and constraints |
    /// | `foreign_key` | KPIs that belong to no dataset |
    /// | `dataset` | a dataset that does not match its digest, or holds what this crate never writes |
    /// | `hidden` | a whole dataset that an index does not lead to, so that a read or a listing misses it |
    /// | `count` | the tables and their indexes do not agree on how many rows there are |
    /// | `order` | two KPIs of a dataset with one place in the order of addition |
    pub code: &'static str,
    /// The organization of the dataset it concerns, if it concerns one.
    pub organization: Option<OrganizationId>,
    /// The dataset it concerns, if it concerns one and its id can be read.
    pub dataset: Option<DatasetId>,
    /// A sentence for a person.
    pub detail: String,
}

impl Finding {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, organization: None, dataset: None, detail: detail.into() }
    }

    pub(crate) fn about(mut self, organization: Option<OrganizationId>, dataset: Option<DatasetId>) -> Self {
        (self.organization, self.dataset) = (organization, dataset);
        self
    }

    pub(crate) fn into_error(self) -> Error {
        let error = Error::damaged(self.detail);
        match self.dataset {
            Some(dataset) => error.about(dataset),
            None => error,
        }
    }
}
