//! The result of verifying a file.

use std::fmt;

use serde::{Serialize, Serializer};

use super::ids::{DatasetId, OrganizationId};

/// The result of [`Store::verify`](crate::Store::verify): every finding, and how much was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// The number of datasets that were checked, damaged ones included.
    pub datasets: u64,
    /// The number of KPIs of the intact datasets.
    pub kpis: u64,
    /// Everything that is wrong; empty if the file is intact.
    pub findings: Vec<Finding>,
}

impl Verification {
    pub(crate) const fn new() -> Self {
        Self { datasets: 0, kpis: 0, findings: Vec::new() }
    }

    /// Whether the file is intact: there are no findings.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A defect of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of the finding.
    pub kind: FindingKind,
    /// The organization of the affected dataset or property, if one is affected and its organization can be read.
    pub organization: Option<OrganizationId>,
    /// The affected dataset, if one is affected and its id can be read.
    pub dataset: Option<DatasetId>,
    /// A human-readable description.
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

/// The kind of a [`Finding`]. Text and JSON use its lower-case name, which is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A finding of SQLite's own check of pages, indexes and constraints.
    Integrity,
    /// KPIs, or changes of a history, that belong to no dataset.
    ForeignKey,
    /// A dataset that does not match its digest, or contains a value that this crate never writes.
    Dataset,
    /// An index that does not lead to every dataset, so that a read or a listing misses some; names the dataset if it
    /// is known.
    Hidden,
    /// A table and one of its indexes have different numbers of rows, or the counter is damaged or behind a number that is
    /// in use.
    Count,
    /// Two KPIs of a dataset with the same position in the order of addition.
    Order,
    /// A version in the history of a dataset that is damaged or missing, or the record of a purge that is damaged: an id
    /// that was purged may be given again.
    History,
    /// A property of an organization that does not match its digest.
    Property,
}

impl FindingKind {
    /// The name: `integrity`, `foreign_key`, `dataset`, `hidden`, `count`, `order`, `history` or `property`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FindingKind::Integrity => "integrity",
            FindingKind::ForeignKey => "foreign_key",
            FindingKind::Dataset => "dataset",
            FindingKind::Hidden => "hidden",
            FindingKind::Count => "count",
            FindingKind::Order => "order",
            FindingKind::History => "history",
            FindingKind::Property => "property",
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
