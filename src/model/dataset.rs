//! What is stored and returned: the contract's response.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{DatasetId, KpiId, OrganizationId, UserId};
use super::time;
use super::value_type::ValueType;

/// A stored dataset with its KPIs.
///
/// As JSON it is the response of the contract: keys in the order of the fields here, absent values as null, times in
/// UTC as `2023-11-07T05:31:56Z`, with six fractional digits if the fraction is not zero. Deserializing that JSON
/// returns an equal value. Deserializing also accepts unknown keys, since a later server may add fields, and any UTC
/// offset.
///
/// # Examples
///
/// ```
/// # use kpi_store::{Dataset, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let dataset = organization.create_dataset(NewDataset::new("Water"))?;
/// let json = serde_json::to_string(&dataset)?;
/// assert_eq!(serde_json::from_str::<Dataset>(&json)?, dataset);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Identifies the dataset within its organization.
    pub id: DatasetId,
    /// The organization that owns it.
    pub organization_id: OrganizationId,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// When it was created: UTC, whole microseconds.
    #[serde(with = "time::utc")]
    pub created_at: DateTime<Utc>,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// The user that the handle [acted as](crate::Organization::acting_as) when it created the dataset.
    pub created_by: Option<UserId>,
    /// The user of the last change; `None` until the first change.
    pub updated_by: Option<UserId>,
    /// When it was last changed: UTC, whole microseconds; `None` until the first change.
    #[serde(default, with = "time::utc_or_null")]
    pub updated_at: Option<DateTime<Utc>>,
    /// In display order: by `sort_order`, and KPIs with the same `sort_order` in the order of addition.
    pub kpis: Vec<Kpi>,
}

impl Dataset {
    /// The KPI with this id.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{KpiId, NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let withdrawal = KpiId::new();
    /// let dataset = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal").id(withdrawal)))?;
    /// assert_eq!(dataset.kpi(withdrawal).map(|kpi| kpi.name.as_str()), Some("Withdrawal"));
    /// assert_eq!(dataset.kpi(KpiId::new()), None);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    #[must_use]
    pub fn kpi(&self, id: KpiId) -> Option<&Kpi> {
        self.kpis.iter().find(|kpi| kpi.id == id)
    }
}

/// How many KPIs a dataset has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) kpis: i64,
    /// Of them, those that are required.
    pub(crate) required: i64,
}

impl Counts {
    pub(crate) fn of(kpis: &[Kpi]) -> Self {
        kpis.iter().fold(Self { kpis: 0, required: 0 }, Self::with)
    }

    /// The same with one KPI more.
    pub(crate) fn with(self, kpi: &Kpi) -> Self {
        Self { kpis: self.kpis.saturating_add(1), required: self.required.saturating_add(kpi.required.into()) }
    }

    /// The same with one KPI less.
    pub(crate) fn without(self, kpi: &Kpi) -> Self {
        Self { kpis: self.kpis.saturating_sub(1), required: self.required.saturating_sub(kpi.required.into()) }
    }
}

/// A stored KPI: a typed question with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kpi {
    /// Identifies the KPI within its dataset.
    pub id: KpiId,
    /// The dataset it belongs to.
    pub dataset_id: DatasetId,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// Its sort key among the KPIs of the dataset, 0 to 2^63 - 1; need not be unique.
    pub sort_order: i64,
    /// When it was created: UTC, whole microseconds.
    #[serde(with = "time::utc")]
    pub created_at: DateTime<Utc>,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// The unit of its values, at most 50 code points.
    pub unit: Option<String>,
    /// The type of its values.
    pub value_type: ValueType,
    /// Whether a value is required.
    pub required: bool,
    /// When it was last changed: UTC, whole microseconds; `None` until the first change.
    #[serde(default, with = "time::utc_or_null")]
    pub updated_at: Option<DateTime<Utc>>,
}
