//! Drafts: a dataset as a form edits it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::content::{Content, KpiContent, Refusal};
use super::dataset::{Dataset, Kpi};
use super::id_source::IdSource;
use super::ids::{DatasetId, KpiId};
use super::limits::{KPIS_MAX, SORT_ORDER_MIN};
use super::new_dataset::NewKpi;
use super::order::{places, sort_orders};
use super::request::rule::Rule;
use super::request::validation::{check_count, check_description, check_name, check_unit};
use super::request::violation::{Segment, Violations};
use super::request::violations_builder::ViolationsBuilder;
use super::time;
use super::value_type::ValueType;

/// A dataset as a form edits it: its fields, and its KPIs in display order.
///
/// [`Dataset::edit`] makes one from a stored dataset, [`from_json`](Self::from_json) from the response that a web view
/// edited. The draft keeps the [`updated_at`](Self::updated_at) of that dataset, so that saving it is refused if the
/// dataset was changed meanwhile; [`merge`](Self::merge) then combines both.
///
/// The list is an ordinary `Vec`: KPIs are changed in place, pushed, inserted, removed and moved. Their place in the
/// list is their place in the display order; [`save_dataset`](crate::Organization::save_dataset) says which
/// `sort_order` each gets.
///
/// As JSON its keys are `id`, `updated_at`, `name`, `description` and `kpis`, with values as in the response.
///
/// # Examples
///
/// ```
/// # use kpi_store::{KpiDraft, NewDataset, NewKpi, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let new = NewDataset::new("Watr").kpis(["Withdrawal", "Discharge"].map(NewKpi::new));
/// let water = organization.create_dataset(new)?;
///
/// let mut draft = water.edit();
/// assert!(!draft.differs_from(&water));
///
/// draft.name = "Water".to_owned();
/// draft.kpis[0].unit = Some("m³".to_owned());
/// draft.kpis.swap(0, 1);
/// draft.kpis.push(NewKpi::new("Consumption").into());
/// assert!(draft.validate().is_ok() && draft.differs_from(&water));
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DatasetDraft {
    id: DatasetId,
    #[serde(with = "time::utc_or_null")]
    updated_at: Option<DateTime<Utc>>,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// In display order; at most 10,000.
    pub kpis: Vec<KpiDraft>,
}

impl Dataset {
    /// The dataset as a draft, to be edited and saved.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// let mut draft = water.edit();
    /// draft.description = Some("Withdrawal, discharge and consumption".to_owned());
    /// assert_eq!((draft.id(), draft.updated_at()), (water.id, water.updated_at));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    #[must_use]
    pub fn edit(&self) -> DatasetDraft {
        DatasetDraft {
            id: self.id,
            updated_at: self.updated_at,
            name: self.name.clone(),
            description: self.description.clone(),
            kpis: self.kpis.iter().map(KpiDraft::from).collect(),
        }
    }
}

impl DatasetDraft {
    pub(crate) fn new(
        id: DatasetId,
        updated_at: Option<DateTime<Utc>>,
        name: String,
        description: Option<String>,
        kpis: Vec<KpiDraft>,
    ) -> Self {
        Self { id, updated_at, name, description, kpis }
    }

    /// The id of the dataset that the draft edits.
    #[must_use]
    pub fn id(&self) -> DatasetId {
        self.id
    }

    /// The `updated_at` of the dataset that the draft was made from. Saving is refused if the stored dataset has
    /// another.
    #[must_use]
    pub fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    /// Checks every limit of the contract without storing anything.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, with the codes of
    /// [`NewDataset::validate`](crate::NewDataset::validate) and `duplicate_id` for a KPI whose id an earlier one has.
    /// The index in a path is the row of the draft. More than 10,000 KPIs are the single violation `too_long` of the
    /// list.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// # let water = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
    /// let mut draft = water.edit();
    /// draft.name.clear();
    /// draft.kpis.push(draft.kpis[0].clone());
    ///
    /// let violations = draft.validate().unwrap_err();
    /// let found: Vec<_> = violations.iter().map(|violation| (violation.path(), violation.code())).collect();
    /// assert_eq!(found, [("name".to_owned(), "string_too_short"), ("kpis[1].id".to_owned(), "duplicate_id")]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn validate(&self) -> Result<(), Violations> {
        let mut violations = ViolationsBuilder::in_body();
        violations.field("name", check_name(&self.name));
        violations.field("description", check_description(self.description.as_deref()));
        if violations.field("kpis", check_count(self.kpis.len(), KPIS_MAX)).is_some() {
            violations.within(Segment::key("kpis"), |violations| {
                let mut ids = HashSet::new();
                for (index, kpi) in self.kpis.iter().enumerate() {
                    violations.within(Segment::Index(index), |violations| kpi.validate(&mut ids, violations));
                }
            });
        }
        violations.finish()
    }

    /// Whether saving the draft would change the content of the dataset: its name, its description, or its KPIs, their
    /// fields and their order.
    ///
    /// A form can show with it that there are unsaved changes. The dataset need not be the version that the draft was
    /// made from.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water"))?;
    /// let mut draft = water.edit();
    /// draft.name.push('!');
    /// assert!(draft.differs_from(&water));
    /// draft.name.pop();
    /// assert!(!draft.differs_from(&water));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    #[must_use]
    pub fn differs_from(&self, dataset: &Dataset) -> bool {
        let Self { name, description, kpis, .. } = self;
        let is_same = (name, description, kpis.len()) == (&dataset.name, &dataset.description, dataset.kpis.len())
            && kpis.iter().zip(&dataset.kpis).all(|(draft, kpi)| draft.id == Some(kpi.id) && draft.is_content_of(kpi));
        !is_same
    }

    /// Replaces the content with that of another version of the dataset, and keeps `id` and `updated_at`.
    ///
    /// An application that keeps earlier versions on an undo stack can so save one of them over the present version.
    /// KPIs that were deleted since then are added again with their ids, so that answers that the application keeps for
    /// them belong to them again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
    /// let mut draft = water.edit();
    /// draft.kpis.clear();
    ///
    /// draft.set_content(&water);
    /// assert_eq!(draft, water.edit());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn set_content(&mut self, of: &Dataset) {
        *self = Self { id: self.id, updated_at: self.updated_at, ..of.edit() };
    }

    /// The same draft with an id for each KPI that has none.
    pub(crate) fn with_ids(mut self, ids: &IdSource) -> Self {
        let without = self.kpis.iter_mut().filter(|kpi| kpi.id.is_none()).collect::<Vec<_>>();
        let mut ids = ids.ids(without.len());
        for kpi in without {
            kpi.id = Some(ids.next());
        }
        self
    }

    /// The content that saving the draft gives to the dataset. [`with_ids`](Self::with_ids) comes first: here a KPI
    /// without an id would get a fresh one at each call.
    pub(crate) fn content<'a>(&'a self, current: &'a Dataset) -> Result<Content<'a>, Refusal> {
        if current.updated_at != self.updated_at {
            return Err(Refusal::Conflict { expected: self.updated_at });
        }
        let mut kpis: Vec<KpiContent<'_>> = self.kpis.iter().map(KpiDraft::content).collect();
        if kpis.len() == current.kpis.len() && kpis.iter().zip(&current.kpis).all(|(kpi, stored)| kpi.id == stored.id) {
            // Mostly the KPIs are in their places.
            for (kpi, stored) in kpis.iter_mut().zip(&current.kpis) {
                kpi.sort_order = stored.sort_order;
            }
        } else {
            let mut ids = HashSet::with_capacity(kpis.len());
            // Two KPIs of a valid draft have the same id only if the source of the ids has given it twice.
            if let Some(repeated) = kpis.iter().find(|kpi| !ids.insert(kpi.id)) {
                return Err(Refusal::KpiExists(repeated.id));
            }
            let places = places(current);
            let list: Vec<_> = kpis.iter().map(|kpi| places.get(&kpi.id).copied()).collect();
            for (kpi, sort_order) in kpis.iter_mut().zip(sort_orders(&list)) {
                kpi.sort_order = sort_order;
            }
        }
        Ok(Content { name: &self.name, description: self.description.as_deref(), kpis })
    }
}

/// A KPI in a [`DatasetDraft`].
///
/// It is made from a [`NewKpi`] to be added, or from a stored [`Kpi`] to be added again after it was deleted.
///
/// As JSON its keys are `id` (null if it gets one when it is saved), `name`, `description`, `unit`, `value_type`,
/// `required` and `sort_order`. Saving ignores this `sort_order`: the place in the list counts.
///
/// # Examples
///
/// ```
/// use kpi_store::{KpiDraft, KpiId, NewKpi};
///
/// let withdrawal = KpiDraft::from(NewKpi::new("Withdrawal").unit("m³"));
/// assert_eq!((withdrawal.id(), withdrawal.unit.as_deref()), (None, Some("m³")));
///
/// let id = KpiId::new();
/// assert_eq!(KpiDraft::from(NewKpi::new("Discharge").id(id)).id(), Some(id));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KpiDraft {
    pub(super) id: Option<KpiId>,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// The unit of its values, at most 50 code points.
    pub unit: Option<String>,
    /// The type of its values.
    pub value_type: ValueType,
    /// Whether a value is required.
    pub required: bool,
    pub(super) sort_order: i64,
}

impl KpiDraft {
    /// The id of the stored KPI, or the id that was given to the new one; `None` if it gets a fresh one when it is
    /// saved.
    #[must_use]
    pub fn id(&self) -> Option<KpiId> {
        self.id
    }

    /// Whether every field that a draft edits is that of the KPI.
    pub(super) fn is_content_of(&self, kpi: &Kpi) -> bool {
        (&self.name, &self.description, &self.unit, self.value_type, self.required)
            == (&kpi.name, &kpi.description, &kpi.unit, kpi.value_type, kpi.required)
    }

    /// `ids` are those of the KPIs before it.
    fn validate(&self, ids: &mut HashSet<KpiId>, violations: &mut ViolationsBuilder) {
        let is_repeated = self.id.is_some_and(|id| !ids.insert(id));
        violations.field("id", if is_repeated { Err(Rule::DuplicateId) } else { Ok(()) });
        violations.field("name", check_name(&self.name));
        violations.field("description", check_description(self.description.as_deref()));
        violations.field("unit", check_unit(self.unit.as_deref()));
    }

    fn content(&self) -> KpiContent<'_> {
        KpiContent {
            id: self.id.unwrap_or_else(KpiId::new),
            name: &self.name,
            description: self.description.as_deref(),
            unit: self.unit.as_deref(),
            value_type: self.value_type,
            required: self.required,
            sort_order: self.sort_order,
            origin: None,
        }
    }
}

/// A KPI to be added. Its place in the draft decides where it is displayed, not its `sort_order`.
impl From<NewKpi> for KpiDraft {
    fn from(new: NewKpi) -> Self {
        Self {
            id: new.id,
            name: new.name,
            description: new.description,
            unit: new.unit,
            value_type: new.value_type,
            required: new.required,
            // A negative one is ignored and not refused. It must not appear in the JSON, which could not be read then.
            sort_order: new.sort_order.max(SORT_ORDER_MIN),
        }
    }
}

/// The content of a stored KPI, with its id: the undo of its deletion.
impl From<&Kpi> for KpiDraft {
    fn from(kpi: &Kpi) -> Self {
        Self { id: Some(kpi.id), ..NewKpi::from(kpi).into() }
    }
}
