//! The content that a change gives to a dataset, and the reasons for which a change is refused.

use chrono::{DateTime, Utc};

use super::dataset::{Dataset, Kpi};
use super::ids::KpiId;
use super::request::violation::Violations;
use super::value_type::ValueType;

/// The content that a change gives to a dataset: all of its fields that can be changed, borrowed from the stored
/// dataset and from the request, since most of them stay as they are.
#[derive(Clone, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    /// In display order, if [`sort_order`](KpiContent::sort_order) and the order of addition give that order too.
    pub(crate) kpis: Vec<KpiContent<'a>>,
}

/// The content of a KPI. A KPI that the dataset does not have yet is added with this id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KpiContent<'a> {
    pub(crate) id: KpiId,
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) unit: Option<&'a str>,
    pub(crate) value_type: ValueType,
    pub(crate) required: bool,
    pub(crate) sort_order: i64,
    /// Its position in the order of addition and the time of its creation, if they are to be those of an earlier
    /// version. With `None` a stored KPI keeps its own, and an added one gets the time of the change and a position
    /// after all others, in the order of this list.
    pub(crate) origin: Option<(i64, DateTime<Utc>)>,
}

impl<'a> From<&'a Dataset> for Content<'a> {
    fn from(dataset: &'a Dataset) -> Self {
        Self {
            name: &dataset.name,
            description: dataset.description.as_deref(),
            kpis: dataset.kpis.iter().map(KpiContent::from).collect(),
        }
    }
}

impl<'a> From<&'a Kpi> for KpiContent<'a> {
    fn from(kpi: &'a Kpi) -> Self {
        Self {
            id: kpi.id,
            name: &kpi.name,
            description: kpi.description.as_deref(),
            unit: kpi.unit.as_deref(),
            value_type: kpi.value_type,
            required: kpi.required,
            sort_order: kpi.sort_order,
            origin: None,
        }
    }
}

/// Why a change cannot be applied to the dataset as it is stored.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The `updated_at` that the caller expected is not that of the dataset.
    Conflict { expected: Option<DateTime<Utc>> },
    /// The dataset has no such KPI.
    KpiNotFound(KpiId),
    /// The dataset already has a KPI with this id.
    KpiExists(KpiId),
    /// The dataset would have too many KPIs.
    Invalid(Violations),
}
