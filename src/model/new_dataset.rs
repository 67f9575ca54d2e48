//! The contract's request: a dataset to be created.

use serde::Serialize;

use super::dataset::{Dataset, Kpi};
use super::ids::{DatasetId, KpiId};
use super::value_type::ValueType;

/// A dataset to be created, with its KPIs.
///
/// It is built in code, or read from the JSON of a request with [`from_json`](Self::from_json). It serializes to JSON
/// that `from_json` reads, without the id, if it has at most 100 KPIs: no request may have more.
///
/// # Examples
///
/// ```
/// use kpi_store::{NewDataset, NewKpi, ValueType};
///
/// let request = NewDataset::new("Water")
///     .description("Withdrawal, discharge and consumption")
///     .kpi(NewKpi::new("Total water withdrawal").unit("m³").sort_order(1))
///     .kpi(NewKpi::new("Discharge permit valid until").value_type(ValueType::Date).required(false).sort_order(2));
///
/// assert_eq!(request.kpis.len(), 2);
/// assert!(request.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct NewDataset {
    /// The id of the new dataset; `None` for a fresh one. Not part of the JSON.
    #[serde(skip)]
    pub id: Option<DatasetId>,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// In the order of addition. At most 10,000; a server takes at most 100 in one request, and the others one by one.
    pub kpis: Vec<NewKpi>,
}

impl NewDataset {
    /// A dataset with this name, without description or KPIs.
    pub fn new(name: impl Into<String>) -> Self {
        Self { id: None, name: name.into(), description: None, kpis: Vec::new() }
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Appends a KPI.
    pub fn kpi(mut self, kpi: NewKpi) -> Self {
        self.kpis.push(kpi);
        self
    }

    /// Appends KPIs.
    pub fn kpis(mut self, kpis: impl IntoIterator<Item = NewKpi>) -> Self {
        self.kpis.extend(kpis);
        self
    }

    /// Sets the id of the new dataset: for a retry after an unknown outcome, or for an import.
    pub fn id(mut self, id: DatasetId) -> Self {
        self.id = Some(id);
        self
    }
}

/// The content of a stored dataset as a request for a copy: its name, its description and its KPIs in display order,
/// each with its `sort_order`. Ids, times and users are omitted, so that the copy gets its own.
///
/// # Examples
///
/// ```
/// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let water = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal").unit("m³")))?;
/// let copy = organization.create_dataset(NewDataset::from(&water))?;
/// assert_ne!(copy.id, water.id);
/// assert_eq!(NewDataset::from(&copy), NewDataset::from(&water));
/// # Ok::<(), kpi_store::Error>(())
/// ```
impl From<&Dataset> for NewDataset {
    fn from(dataset: &Dataset) -> Self {
        Self {
            id: None,
            name: dataset.name.clone(),
            description: dataset.description.clone(),
            kpis: dataset.kpis.iter().map(NewKpi::from).collect(),
        }
    }
}

/// A KPI to be created with its dataset: a typed question with a unit.
///
/// # Examples
///
/// ```
/// use kpi_store::{NewKpi, ValueType};
///
/// let kpi = NewKpi::new("Share of recycled water").unit("%").value_type(ValueType::Percentage).required(false);
/// assert_eq!(kpi.sort_order, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct NewKpi {
    /// The id of the new KPI; `None` for a fresh one. Not part of the JSON.
    #[serde(skip)]
    pub id: Option<KpiId>,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// The unit of its values, at most 50 code points.
    pub unit: Option<String>,
    /// The type of its values; by default a number.
    pub value_type: ValueType,
    /// Whether a value is required; by default true.
    pub required: bool,
    /// Its sort key among the KPIs of the dataset, 0 to 2^63 - 1; by default 0. KPIs with the same `sort_order` keep
    /// the order of addition.
    pub sort_order: i64,
}

impl NewKpi {
    /// A required KPI of type number with this name and `sort_order` 0, without description or unit.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: None,
            name: name.into(),
            description: None,
            unit: None,
            value_type: ValueType::default(),
            required: true,
            sort_order: 0,
        }
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the unit.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Sets the type of its values.
    pub fn value_type(mut self, value_type: ValueType) -> Self {
        self.value_type = value_type;
        self
    }

    /// Sets whether a value is required.
    pub fn required(mut self, required: bool) -> Self {
        self.required = required;
        self
    }

    /// Sets its sort key among the KPIs of the dataset.
    pub fn sort_order(mut self, sort_order: i64) -> Self {
        self.sort_order = sort_order;
        self
    }

    /// Sets the id of the new KPI.
    pub fn id(mut self, id: KpiId) -> Self {
        self.id = Some(id);
        self
    }
}

/// The content of a stored KPI as a request for a copy. Id and times are omitted.
impl From<&Kpi> for NewKpi {
    fn from(kpi: &Kpi) -> Self {
        Self {
            id: None,
            name: kpi.name.clone(),
            description: kpi.description.clone(),
            unit: kpi.unit.clone(),
            value_type: kpi.value_type,
            required: kpi.required,
            sort_order: kpi.sort_order,
        }
    }
}
