//! The differences between two versions of a dataset.

pub(crate) mod difference;
mod moved;

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use self::difference::{Difference, KpiChange};
use self::moved::longest_increasing;
use super::dataset::{Dataset, Kpi};
use super::ids::KpiId;
use super::new_dataset::NewKpi;
use super::patch::DatasetPatch;

/// The differences between two versions of a dataset, for a history screen or before a change is saved.
///
/// The versions are compared by the content that a reader sees: fields, KPIs and display order. The id, the times and
/// the users of the dataset are not compared, and of `sort_order` only the display order that results from it.
///
/// The order is fixed: name, description, deleted KPIs in the order of the first version, then added, moved and changed
/// KPIs in the order of the second. A moved KPI that was also changed appears twice. As JSON it is an array; it
/// prints a line for each difference.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetDiff, NewDataset, NewKpi, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let german = organization.create_dataset(NewDataset::new("Wasser").kpi(NewKpi::new("Entnahme")))?;
/// let english = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
///
/// let diff = DatasetDiff::between(&german, &english);
/// assert_eq!(
///     diff.to_string(),
///     "name: \"Wasser\" -> \"Water\"\n\
///      kpis[0]: \"Entnahme\" deleted\n\
///      kpis[0]: \"Withdrawal\" added"
/// );
/// // The answers to the deleted KPI have no question any more.
/// assert!(!diff.is_compatible());
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[must_use]
pub struct DatasetDiff {
    differences: Vec<Difference>,
    /// The KPIs of the second version in display order, if some were added or moved.
    #[serde(skip)]
    order: Vec<KpiId>,
}

impl DatasetDiff {
    /// The differences that turn `from` into `to`.
    pub fn between(from: &Dataset, to: &Dataset) -> Self {
        let mut differences = Vec::new();
        if from.name != to.name {
            differences.push(Difference::Name { from: from.name.clone(), to: to.name.clone() });
        }
        if from.description != to.description {
            let (from, to) = (from.description.clone(), to.description.clone());
            differences.push(Difference::Description { from, to });
        }
        // Most versions have the KPIs of the one before, in the same places.
        let order = if from.kpis.iter().map(|kpi| kpi.id).eq(to.kpis.iter().map(|kpi| kpi.id)) {
            for (index, (old, kpi)) in from.kpis.iter().zip(&to.kpis).enumerate() {
                differences.extend(Difference::of_fields(index, old, kpi));
            }
            Vec::new()
        } else {
            of_lists(&from.kpis, &to.kpis, &mut differences)
        };
        Self { differences, order }
    }

    /// An iterator over the differences.
    pub fn iter(&self) -> std::slice::Iter<'_, Difference> {
        self.differences.iter()
    }

    /// Whether both versions are the same to a reader.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// The differences that invalidate answers given to the first version ([`Difference::is_breaking`]).
    pub fn breaking(&self) -> impl Iterator<Item = &Difference> {
        self.iter().filter(|difference| difference.is_breaking())
    }

    /// Whether every set of answers that was complete and valid for the first version is so for the second: nothing is
    /// [`breaking`](Self::breaking).
    #[must_use]
    pub fn is_compatible(&self) -> bool {
        self.breaking().next().is_none()
    }

    /// A patch that turns the first version into the second: the same fields, KPIs with the same ids, and display
    /// order.
    ///
    /// It has no condition ([`DatasetPatch::if_unchanged`]). Where KPIs are added or moved, their `sort_order` may
    /// differ from that of the second version.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetDiff, DatasetPatch, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water").description("of the year"))?;
    /// let waste = organization.create_dataset(NewDataset::new("Waste"))?;
    /// let patch = DatasetDiff::between(&water, &waste).patch();
    /// assert_eq!(patch, DatasetPatch::new().name("Waste").clear_description());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn patch(&self) -> DatasetPatch {
        let patch = self.iter().fold(DatasetPatch::new(), |patch, difference| match difference {
            Difference::Name { to, .. } => patch.name(to),
            Difference::Description { to: Some(to), .. } => patch.description(to),
            Difference::Description { to: None, .. } => patch.clear_description(),
            Difference::KpiDeleted { kpi, .. } => patch.delete_kpi(kpi.id),
            Difference::KpiAdded { kpi, .. } => patch.add_kpi(NewKpi::from(kpi).id(kpi.id).sort_order(0)),
            Difference::KpiChanged { id, changes, .. } => patch.update_kpi(*id, KpiChange::patch(changes)),
            Difference::KpiMoved { .. } => patch,
        });
        if self.order.is_empty() { patch } else { patch.order_kpis(self.order.iter().copied()) }
    }
}

impl IntoIterator for DatasetDiff {
    type Item = Difference;
    type IntoIter = std::vec::IntoIter<Difference>;

    fn into_iter(self) -> Self::IntoIter {
        self.differences.into_iter()
    }
}

impl<'a> IntoIterator for &'a DatasetDiff {
    type Item = &'a Difference;
    type IntoIter = std::slice::Iter<'a, Difference>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Adds the differences of two lists of KPIs; returns the new order if it is not that of the KPIs that stay.
fn of_lists(from: &[Kpi], to: &[Kpi], differences: &mut Vec<Difference>) -> Vec<KpiId> {
    let old: HashMap<KpiId, (usize, &Kpi)> =
        from.iter().enumerate().map(|(index, kpi)| (kpi.id, (index, kpi))).collect();
    let kept: HashSet<KpiId> = to.iter().map(|kpi| kpi.id).collect();
    let deleted = from.iter().enumerate().filter(|(_, kpi)| !kept.contains(&kpi.id));
    differences.extend(deleted.map(|(index, kpi)| Difference::KpiDeleted { index, kpi: kpi.clone() }));

    let indices: Vec<usize> = to.iter().filter_map(|kpi| Some(old.get(&kpi.id)?.0)).collect();
    let in_place = longest_increasing(&indices);
    let mut is_arranged = false;
    for (index, kpi) in to.iter().enumerate() {
        let Some((old_index, old)) = old.get(&kpi.id) else {
            differences.push(Difference::KpiAdded { index, kpi: kpi.clone() });
            is_arranged = true;
            continue;
        };
        if !in_place.contains(old_index) {
            differences.push(Difference::KpiMoved { id: kpi.id, name: kpi.name.clone(), from: *old_index, to: index });
            is_arranged = true;
        }
        differences.extend(Difference::of_fields(index, old, kpi));
    }
    if is_arranged { to.iter().map(|kpi| kpi.id).collect() } else { Vec::new() }
}

impl Difference {
    /// The difference of the fields of a KPI, which has this index in the new list; `None` if there is none.
    fn of_fields(index: usize, old: &Kpi, kpi: &Kpi) -> Option<Self> {
        let changes = KpiChange::between(old, kpi);
        (!changes.is_empty()).then(|| Difference::KpiChanged { id: kpi.id, name: kpi.name.clone(), index, changes })
    }
}

/// A line for each difference; empty if there are none.
impl fmt::Display for DatasetDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{difference}")?;
        }
        Ok(())
    }
}
