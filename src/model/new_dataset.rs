//! What is asked for: the contract's request.

use serde::Serialize;

use super::dataset::{Dataset, Kpi};
use super::ids::{DatasetId, KpiId};
use super::value_type::ValueType;

/// A dataset to be created, with its KPIs.
///
/// Built in code, or read from the JSON of a request with [`from_json`](Self::from_json). As JSON it is written as
/// `from_json` reads it; the id is not part of that.
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
    /// The id it shall have; a fresh one if none is given. Not part of the JSON.
    #[serde(skip)]
    pub id: Option<DatasetId>,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// At most 100.
    pub kpis: Vec<NewKpi>,
}

impl NewDataset {
    /// A dataset of this name, without description or KPIs.
    pub fn new(name: impl Into<String>) -> Self {
        Self { id: None, name: name.into(), description: None, kpis: Vec::new() }
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a KPI after those it has.
    pub fn kpi(mut self, kpi: NewKpi) -> Self {
        self.kpis.push(kpi);
        self
    }

    /// Adds KPIs after those it has.
    pub fn kpis(mut self, kpis: impl IntoIterator<Item = NewKpi>) -> Self {
        self.kpis.extend(kpis);
        self
    }

    /// Gives the id that the dataset shall have: for a retry after an unknown outcome, or an import.
    pub fn id(mut self, id: DatasetId) -> Self {
        self.id = Some(id);
        self
    }
}

/// The content of a stored dataset as a request for another one: its name, description and KPIs in display order, each
/// with its `sort_order`. Ids, times and users are left out, so that the copy gets its own.
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
    /// The id it shall have; a fresh one if none is given. Not part of the JSON.
    #[serde(skip)]
    pub id: Option<KpiId>,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// The unit of its values, at most 50 code points.
    pub unit: Option<String>,
    /// What kind of value it asks for; a number if nothing else is said.
    pub value_type: ValueType,
    /// Whether a value must be given; true if nothing else is said.
    pub required: bool,
    /// Its place among the KPIs of the dataset, from 0, which is also the default; ties keep the order of addition.
    pub sort_order: i64,
}

impl NewKpi {
    /// A required number of this name, without description or unit, at `sort_order` 0.
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

    /// Sets what kind of value it asks for.
    pub fn value_type(mut self, value_type: ValueType) -> Self {
        self.value_type = value_type;
        self
    }

    /// Sets whether a value must be given.
    pub fn required(mut self, required: bool) -> Self {
        self.required = required;
        self
    }

    /// Sets its place among the KPIs of the dataset.
    pub fn sort_order(mut self, sort_order: i64) -> Self {
        self.sort_order = sort_order;
        self
    }

    /// Gives the id that the KPI shall have.
    pub fn id(mut self, id: KpiId) -> Self {
        self.id = Some(id);
        self
    }
}

/// The content of a stored KPI as a request for another one, without its id.
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
