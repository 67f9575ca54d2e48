//! Overlaps: fields that both sides of a merge have changed differently.

use std::fmt;

use serde::Serialize;

use crate::model::dataset::Kpi;
use crate::model::draft::KpiDraft;
use crate::model::ids::KpiId;

/// A field, a KPI or an order that the draft and the current dataset have both changed, and differently: `base` is the
/// value that both began with, `draft` that of the draft, `current` the stored one.
///
/// As JSON it is an object whose `type` is the name of the variant: `kpi`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "overlaps are few, and mostly of KPIs")]
#[non_exhaustive]
pub enum Overlap {
    /// The name of the dataset.
    #[non_exhaustive]
    Name {
        /// The value that both began with.
        base: String,
        /// The value of the draft.
        draft: String,
        /// The stored value.
        current: String,
    },
    /// The description of the dataset.
    #[non_exhaustive]
    Description {
        /// The value that both began with.
        base: Option<String>,
        /// The value of the draft.
        draft: Option<String>,
        /// The stored value.
        current: Option<String>,
    },
    /// Fields of a KPI, or a KPI that one side has deleted and the other has changed.
    #[non_exhaustive]
    Kpi {
        /// The KPI.
        id: KpiId,
        /// The fields that both have changed; if one side has deleted the KPI, those that the other has changed.
        fields: Vec<KpiField>,
        /// The KPI that both began with; `None` if both have added one with this id.
        base: Option<Kpi>,
        /// The KPI of the draft; `None` if the draft has deleted it. Then the merged draft has the stored KPI.
        draft: Option<KpiDraft>,
        /// The stored KPI; `None` if it was deleted. Then saving the merged draft adds the KPI again.
        current: Option<Kpi>,
    },
    /// The display order of the KPIs that all three have.
    #[non_exhaustive]
    Order {
        /// The order that both began with.
        base: Vec<KpiId>,
        /// The order of the draft.
        draft: Vec<KpiId>,
        /// The stored order.
        current: Vec<KpiId>,
    },
}

/// A field of a KPI that a draft edits. As text and as JSON it is the name of the field in the contract: `value_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KpiField {
    /// Its name.
    Name,
    /// Its description.
    Description,
    /// The unit of its values.
    Unit,
    /// The type of its values.
    ValueType,
    /// Whether a value is required.
    Required,
}

impl KpiField {
    /// The name of the field in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            KpiField::Name => "name",
            KpiField::Description => "description",
            KpiField::Unit => "unit",
            KpiField::ValueType => "value_type",
            KpiField::Required => "required",
        }
    }

    /// The fields in which a draft differs from a KPI.
    pub(super) fn different(draft: &KpiDraft, kpi: &Kpi) -> Vec<Self> {
        let fields = [
            (KpiField::Name, draft.name != kpi.name),
            (KpiField::Description, draft.description != kpi.description),
            (KpiField::Unit, draft.unit != kpi.unit),
            (KpiField::ValueType, draft.value_type != kpi.value_type),
            (KpiField::Required, draft.required != kpi.required),
        ];
        fields.into_iter().filter_map(|(field, is_different)| is_different.then_some(field)).collect()
    }
}

impl fmt::Display for KpiField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
