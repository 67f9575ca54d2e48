//! Patches: a few changes of a dataset that is not read first.

mod apply;
mod validation;

use chrono::{DateTime, Utc};

use super::dataset::Dataset;
use super::id_source::IdSource;
use super::ids::KpiId;
use super::new_dataset::NewKpi;
use super::value_type::ValueType;

/// A few changes of a dataset, made without reading it first: from a command line, when synchronizing, or for one cell
/// of a table. A form edits a [`DatasetDraft`](crate::DatasetDraft) instead.
///
/// Either all of it is applied, as one revision, or nothing: first the fields of the dataset, then deletions, updates
/// and additions of KPIs, then their order. Fields and KPIs that the patch does not mention stay as they are.
///
/// By default a patch has no condition, so the last writer wins. [`if_unchanged`](Self::if_unchanged) makes it fail if
/// the dataset was changed since the caller read it.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetPatch, KpiPatch, NewDataset, NewKpi, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// # let water = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
/// let patch = DatasetPatch::new()
///     .clear_description()
///     .update_kpi(water.kpis[0].id, KpiPatch::new().unit("m³").required(false))
///     .add_kpi(NewKpi::new("Discharge").unit("m³").sort_order(1))
///     .if_unchanged(&water);
/// assert!(patch.validate().is_ok());
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DatasetPatch {
    name: Option<String>,
    #[expect(clippy::option_option, reason = "absent keeps, `None` clears")]
    description: Option<Option<String>>,
    added: Vec<NewKpi>,
    updated: Vec<(KpiId, KpiPatch)>,
    deleted: Vec<KpiId>,
    order: Option<Vec<KpiId>>,
    #[expect(clippy::option_option, reason = "absent is no condition, `None` is a dataset that was never changed")]
    expected: Option<Option<DateTime<Utc>>>,
}

impl DatasetPatch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A patch of the fields that are given.
    #[expect(clippy::option_option, reason = "absent keeps, `None` clears")]
    pub(super) fn of_fields(name: Option<String>, description: Option<Option<String>>) -> Self {
        Self { name, description, ..Self::default() }
    }

    /// Sets the name: 1 to 255 code points.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the description: at most 2,000 code points.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(Some(description.into()));
        self
    }

    /// Removes the description.
    pub fn clear_description(mut self) -> Self {
        self.description = Some(None);
        self
    }

    /// Adds a KPI. Its `sort_order` places it, as when a dataset is created: among KPIs with the same `sort_order` it
    /// comes last.
    pub fn add_kpi(mut self, kpi: NewKpi) -> Self {
        self.added.push(kpi);
        self
    }

    /// Changes fields of a KPI. A patch may do this at most once for each KPI.
    pub fn update_kpi(mut self, id: KpiId, patch: KpiPatch) -> Self {
        self.updated.push((id, patch));
        self
    }

    /// Deletes a KPI.
    pub fn delete_kpi(mut self, id: KpiId) -> Self {
        self.deleted.push(id);
        self
    }

    /// Sets the display order: these KPIs first, in this order, then the others as they were, then those that the patch
    /// adds. An added KPI can be listed if it was given an id.
    ///
    /// The `sort_order` of each KPI follows from the new order, as with
    /// [`save_dataset`](crate::Organization::save_dataset). The same patch cannot set a `sort_order`.
    ///
    /// A second call replaces the order of the first.
    pub fn order_kpis(mut self, ids: impl IntoIterator<Item = KpiId>) -> Self {
        self.order = Some(ids.into_iter().collect());
        self
    }

    /// Makes the patch fail with a conflict unless the stored dataset is still this version.
    pub fn if_unchanged(self, dataset: &Dataset) -> Self {
        self.if_updated_at(dataset.updated_at)
    }

    /// Makes the patch fail with a conflict unless the dataset has this `updated_at`. `None` is the `updated_at` of a
    /// dataset that was never changed.
    pub fn if_updated_at(mut self, updated_at: Option<DateTime<Utc>>) -> Self {
        self.expected = Some(updated_at);
        self
    }

    /// The same patch with an id for each KPI that it adds.
    pub(crate) fn with_ids(mut self, ids: &IdSource) -> Self {
        let without = self.added.iter_mut().filter(|kpi| kpi.id.is_none()).collect::<Vec<_>>();
        let mut ids = ids.ids(without.len());
        for kpi in without {
            kpi.id = Some(ids.next());
        }
        self
    }
}

/// Changes of a KPI, in a [`DatasetPatch`]. Fields that it does not set stay as they are.
///
/// # Examples
///
/// ```
/// use kpi_store::{DatasetPatch, KpiId, KpiPatch, ValueType};
///
/// let share = KpiPatch::new().unit("%").value_type(ValueType::Percentage).clear_description();
/// let patch = DatasetPatch::new().update_kpi(KpiId::new(), share);
/// assert!(patch.validate().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct KpiPatch {
    name: Option<String>,
    #[expect(clippy::option_option, reason = "absent keeps, `None` clears")]
    description: Option<Option<String>>,
    #[expect(clippy::option_option, reason = "absent keeps, `None` clears")]
    unit: Option<Option<String>>,
    value_type: Option<ValueType>,
    required: Option<bool>,
    sort_order: Option<i64>,
}

impl KpiPatch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name: 1 to 255 code points.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the description: at most 2,000 code points.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(Some(description.into()));
        self
    }

    /// Removes the description.
    pub fn clear_description(mut self) -> Self {
        self.description = Some(None);
        self
    }

    /// Sets the unit: at most 50 code points.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(Some(unit.into()));
        self
    }

    /// Removes the unit.
    pub fn clear_unit(mut self) -> Self {
        self.unit = Some(None);
        self
    }

    /// Sets the type of its values.
    pub fn value_type(mut self, value_type: ValueType) -> Self {
        self.value_type = Some(value_type);
        self
    }

    /// Sets whether a value is required.
    pub fn required(mut self, required: bool) -> Self {
        self.required = Some(required);
        self
    }

    /// Sets its sort key among the KPIs of the dataset, 0 to 2^63 - 1. KPIs with the same one are in the order in which
    /// they were added.
    pub fn sort_order(mut self, sort_order: i64) -> Self {
        self.sort_order = Some(sort_order);
        self
    }
}
