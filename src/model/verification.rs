//! The result of checking every row of the file.

use std::fmt;

use serde::{Serialize, Serializer};

use super::ids::{DatasetId, OrganizationId};

/// The result of [`Store::verify`](crate::Store::verify): every finding, and how much was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// How many datasets were read.
    pub datasets: u64,
    /// How many KPIs were read.
    pub kpis: u64,
    /// What is wrong; empty if the file is whole.
    pub findings: Vec<Finding>,
}

impl Verification {
    pub(crate) const fn new(findings: Vec<Finding>) -> Self {
        Self { datasets: 0, kpis: 0, findings }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Something that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of finding it is.
    pub kind: FindingKind,
    /// The organization of the dataset it concerns, if it concerns one.
    pub organization: Option<OrganizationId>,
    /// The dataset it concerns, if it concerns one and its id can be read.
    pub dataset: Option<DatasetId>,
    /// A sentence for a person.
    pub detail: String,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self { kind, organization: None, dataset: None, detail: detail.into() }
    }

    /// The same finding, about this dataset of this organization.
    pub(crate) fn about(mut self, organization: Option<OrganizationId>, dataset: Option<DatasetId>) -> Self {
        (self.organization, self.dataset) = (organization, dataset);
        self
    }
}

/// `dataset: it does not match its digest (dataset 018f…)`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dataset {
            Some(dataset) => write!(f, "{}: {} (dataset {dataset})", self.kind, self.detail),
            None => write!(f, "{}: {}", self.kind, self.detail),
        }
    }
}

/// What kind of [`Finding`] it is. In text and in JSON its name in lower case, which is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// SQLite's own check of pages, indexes and constraints.
    Integrity,
    /// KPIs that belong to no dataset.
    ForeignKey,
    /// A dataset that does not match its digest, or holds what this crate never writes.
    Dataset,
    /// A whole dataset that an index does not lead to, so that a read or a listing misses it.
    Hidden,
    /// The tables and their indexes do not agree on how many rows there are.
    Count,
    /// Two KPIs of a dataset with the same position in the order of addition.
    Order,
}

impl FindingKind {
    /// The name: `integrity`, `foreign_key`, `dataset`, `hidden`, `count` or `order`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FindingKind::Integrity => "integrity",
            FindingKind::ForeignKey => "foreign_key",
            FindingKind::Dataset => "dataset",
            FindingKind::Hidden => "hidden",
            FindingKind::Count => "count",
            FindingKind::Order => "order",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
