//! One difference between two versions of a dataset.

use std::fmt;

use serde::Serialize;

use crate::model::dataset::Kpi;
use crate::model::ids::KpiId;
use crate::model::patch::KpiPatch;
use crate::model::value_type::ValueType;

/// A difference between two versions of a dataset, part of a [`DatasetDiff`](crate::DatasetDiff).
///
/// It contains stored values, and prints them in quotes: `kpis[2]: "Withdrawal" unit "l" -> "m³"`. Indices count from
/// 0, as in the paths of violations. As JSON it is an object whose `type` is the name of the variant: `kpi_changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// The name of the dataset.
    #[non_exhaustive]
    Name {
        /// In the first version.
        from: String,
        /// In the second version.
        to: String,
    },
    /// The description of the dataset.
    #[non_exhaustive]
    Description {
        /// In the first version.
        from: Option<String>,
        /// In the second version.
        to: Option<String>,
    },
    /// Only the first version has the KPI.
    #[non_exhaustive]
    KpiDeleted {
        /// Its place in the display order of the first version.
        index: usize,
        /// The KPI, as it was.
        kpi: Kpi,
    },
    /// Only the second version has the KPI.
    #[non_exhaustive]
    KpiAdded {
        /// Its place in the display order of the second version.
        index: usize,
        /// The KPI, as it is.
        kpi: Kpi,
    },
    /// The KPI has another place among the KPIs that both versions have. No more KPIs are named than have to be moved
    /// to get the new order.
    #[non_exhaustive]
    KpiMoved {
        /// The KPI.
        id: KpiId,
        /// Its name in the second version.
        name: String,
        /// Its place in the display order of the first version.
        from: usize,
        /// Its place in the display order of the second version.
        to: usize,
    },
    /// Fields of the KPI differ.
    #[non_exhaustive]
    KpiChanged {
        /// The KPI.
        id: KpiId,
        /// Its name in the second version.
        name: String,
        /// Its place in the display order of the second version.
        index: usize,
        /// Its fields that differ; at least one.
        changes: Vec<KpiChange>,
    },
}

impl Difference {
    /// Whether it invalidates answers that were given to the first version.
    ///
    /// These are breaking: a deleted KPI, whose answers have no question any more; an added KPI that is required, which
    /// makes every set of answers incomplete; and a [`KpiChange`] that is [breaking](KpiChange::is_breaking). Names,
    /// descriptions and order are not: only the author of a new name knows whether it asks another question.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        match self {
            Difference::KpiDeleted { .. } => true,
            Difference::KpiAdded { kpi, .. } => kpi.required,
            Difference::KpiChanged { changes, .. } => changes.iter().any(KpiChange::is_breaking),
            Difference::Name { .. } | Difference::Description { .. } | Difference::KpiMoved { .. } => false,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Name { from, to } => write!(f, "name: {from:?} -> {to:?}"),
            Difference::Description { from, to } => write!(f, "description: {} -> {}", Text(from), Text(to)),
            Difference::KpiDeleted { index, kpi } => write!(f, "kpis[{index}]: {:?} deleted", kpi.name),
            Difference::KpiAdded { index, kpi } => write!(f, "kpis[{index}]: {:?} added", kpi.name),
            Difference::KpiMoved { name, from, to, .. } => write!(f, "kpis[{to}]: {name:?} moved from kpis[{from}]"),
            Difference::KpiChanged { name, index, changes, .. } => {
                write!(f, "kpis[{index}]: {name:?}")?;
                for (index, change) in changes.iter().enumerate() {
                    let separator = if index == 0 { " " } else { ", " };
                    write!(f, "{separator}{change}")?;
                }
                Ok(())
            }
        }
    }
}

/// A field of a KPI that differs between two versions of its dataset.
///
/// As JSON it is an object with `field`, the name of the field, `from` and `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "field", rename_all = "snake_case")]
#[non_exhaustive]
pub enum KpiChange {
    /// Its name.
    #[non_exhaustive]
    Name {
        /// In the first version.
        from: String,
        /// In the second version.
        to: String,
    },
    /// Its description.
    #[non_exhaustive]
    Description {
        /// In the first version.
        from: Option<String>,
        /// In the second version.
        to: Option<String>,
    },
    /// The unit of its values.
    #[non_exhaustive]
    Unit {
        /// In the first version.
        from: Option<String>,
        /// In the second version.
        to: Option<String>,
    },
    /// The type of its values.
    #[non_exhaustive]
    ValueType {
        /// In the first version.
        from: ValueType,
        /// In the second version.
        to: ValueType,
    },
    /// Whether a value is required.
    #[non_exhaustive]
    Required {
        /// In the first version.
        from: bool,
        /// In the second version.
        to: bool,
    },
}

impl KpiChange {
    /// Whether it invalidates answers that were given to the first version.
    ///
    /// These are breaking: another type, as a date is no number; another unit, as the stored numbers would mean
    /// something else; and a value that is now required, which may be missing from the answers.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        match self {
            KpiChange::Unit { .. } | KpiChange::ValueType { .. } => true,
            KpiChange::Required { to, .. } => *to,
            KpiChange::Name { .. } | KpiChange::Description { .. } => false,
        }
    }

    /// The fields that differ.
    pub(super) fn between(from: &Kpi, to: &Kpi) -> Vec<Self> {
        let mut changes = Vec::new();
        if from.name != to.name {
            changes.push(KpiChange::Name { from: from.name.clone(), to: to.name.clone() });
        }
        if from.description != to.description {
            changes.push(KpiChange::Description { from: from.description.clone(), to: to.description.clone() });
        }
        if from.unit != to.unit {
            changes.push(KpiChange::Unit { from: from.unit.clone(), to: to.unit.clone() });
        }
        if from.value_type != to.value_type {
            changes.push(KpiChange::ValueType { from: from.value_type, to: to.value_type });
        }
        if from.required != to.required {
            changes.push(KpiChange::Required { from: from.required, to: to.required });
        }
        changes
    }

    /// A patch that makes these changes.
    pub(super) fn patch(changes: &[Self]) -> KpiPatch {
        changes.iter().fold(KpiPatch::new(), |patch, change| match change {
            KpiChange::Name { to, .. } => patch.name(to),
            KpiChange::Description { to: Some(to), .. } => patch.description(to),
            KpiChange::Description { to: None, .. } => patch.clear_description(),
            KpiChange::Unit { to: Some(to), .. } => patch.unit(to),
            KpiChange::Unit { to: None, .. } => patch.clear_unit(),
            KpiChange::ValueType { to, .. } => patch.value_type(*to),
            KpiChange::Required { to, .. } => patch.required(*to),
        })
    }
}

impl fmt::Display for KpiChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KpiChange::Name { from, to } => write!(f, "name {from:?} -> {to:?}"),
            KpiChange::Description { from, to } => write!(f, "description {} -> {}", Text(from), Text(to)),
            KpiChange::Unit { from, to } => write!(f, "unit {} -> {}", Text(from), Text(to)),
            KpiChange::ValueType { from, to } => write!(f, "value_type {from} -> {to}"),
            KpiChange::Required { from, to } => write!(f, "required {from} -> {to}"),
        }
    }
}

/// A text in quotes, on one line whatever it contains; `none` without quotes if it is absent.
struct Text<'a>(&'a Option<String>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "{text:?}"),
            None => f.write_str("none"),
        }
    }
}
