//! Merging a draft with the changes that were saved since it was made.

mod order;
pub(crate) mod overlap;

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use self::order::{Entry, merged_order};
use self::overlap::{KpiField, Overlap};
use super::dataset::{Dataset, Kpi};
use super::draft::{DatasetDraft, KpiDraft};
use super::ids::KpiId;

/// The result of [`DatasetDraft::merge`]. As JSON it is an object with both fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct Merge {
    /// A draft with the changes of both sides. It can be saved unless the current dataset is changed again.
    pub draft: DatasetDraft,
    /// The fields that both sides have changed differently, name and description first. In each of them the merged
    /// draft has the value of the draft, if that still has the field.
    pub overlaps: Vec<Overlap>,
}

impl Merge {
    /// Whether there are no overlaps, so that saving [`draft`](Self::draft) loses no change of either side.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.overlaps.is_empty()
    }
}

impl DatasetDraft {
    /// Merges the draft with the changes that were saved since it was made, as after a
    /// [`Conflict`](crate::Error::Conflict).
    ///
    /// `base` is the dataset that the draft was made from, `current` the dataset as it is stored now. Both sides, the
    /// draft and `current`, are compared with the base field by field. A field that only one side has changed takes
    /// that side's value, and one that both have changed to the same value takes that value. If they have changed it to
    /// different values, the merged draft has the value of the draft, and an [`Overlap`] names the field with all three
    /// values, for the user to decide.
    ///
    /// - The merged draft has all KPIs that either side has added.
    /// - A KPI that one side has deleted is deleted, unless the other side has changed a field of it: then it stays
    ///   with that change, and is an overlap. Moving a KPI does not count as a change of it.
    /// - The order is that of the side that has changed it. If both have, it is the order of the draft, and an overlap
    ///   if the two orders differ. A KPI that only one side has follows the same KPI as on that side.
    ///
    /// With a `base` that the draft was not made from, changes of others would look like changes of the draft. Such a
    /// base is recognized by its id or `updated_at` and ignored: then every field in which both sides differ is an
    /// overlap, and the merged draft has the KPIs of both. If `current` is another dataset, the draft is returned
    /// unchanged.
    ///
    /// The merged draft has the `updated_at` of `current`. If saving it is a conflict again, `current` is the base of
    /// the next merge. The merged draft may exceed a limit that each side keeps, such as the number of KPIs; like every
    /// draft it is validated when it is saved.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{Dataset, NewDataset, NewKpi, Overlap, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// # let base = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
    /// # let saved_by_another = |edit: fn(&mut Dataset)| {
    /// #     let mut dataset = base.clone();
    /// #     edit(&mut dataset);
    /// #     dataset
    /// # };
    /// let mut draft = base.edit();
    /// draft.name = "Water use".to_owned();
    /// draft.kpis[0].unit = Some("m³".to_owned());
    ///
    /// let current = saved_by_another(|dataset| dataset.kpis[0].required = false);
    /// let merge = draft.merge(&base, &current);
    /// assert!(merge.is_clean());
    /// assert_eq!((merge.draft.kpis[0].unit.as_deref(), merge.draft.kpis[0].required), (Some("m³"), false));
    ///
    /// let current = saved_by_another(|dataset| dataset.name = "Water 2026".to_owned());
    /// let merge = draft.merge(&base, &current);
    /// let [Overlap::Name { draft: ours, current: theirs, .. }] = merge.overlaps.as_slice() else { panic!() };
    /// assert_eq!((ours.as_str(), theirs.as_str()), ("Water use", "Water 2026"));
    /// assert_eq!(merge.draft.name, "Water use");
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn merge(&self, base: &Dataset, current: &Dataset) -> Merge {
        let mut overlaps = Vec::new();
        if current.id != self.id() {
            return Merge { draft: self.clone(), overlaps };
        }
        let is_base = base.id == self.id() && base.updated_at == self.updated_at();
        let (name, is_overlap) = merged(is_base.then_some(&base.name), &self.name, &current.name);
        if is_overlap {
            let (base, draft, current) = (base.name.clone(), self.name.clone(), current.name.clone());
            overlaps.push(Overlap::Name { base, draft, current });
        }
        let (description, is_overlap) =
            merged(is_base.then_some(&base.description), &self.description, &current.description);
        if is_overlap {
            let texts = [&base.description, &self.description, &current.description];
            let [base, draft, current] = texts.map(Clone::clone);
            overlaps.push(Overlap::Description { base, draft, current });
        }
        let kpis = merged_kpis(&self.kpis, is_base.then_some(base), current, &mut overlaps);
        let draft = DatasetDraft::new(self.id(), current.updated_at, name, description, kpis);
        Merge { draft, overlaps }
    }
}

/// The merged value of a field, and whether both sides have changed it differently. Without a base, both have changed
/// it.
fn merged<T: Clone + PartialEq>(base: Option<&T>, draft: &T, current: &T) -> (T, bool) {
    if base == Some(draft) {
        (current.clone(), false)
    } else {
        (draft.clone(), draft != current && base != Some(current))
    }
}

fn merged_kpis(
    draft: &[KpiDraft],
    base: Option<&Dataset>,
    current: &Dataset,
    overlaps: &mut Vec<Overlap>,
) -> Vec<KpiDraft> {
    let in_base: HashMap<KpiId, &Kpi> = base.iter().flat_map(|base| &base.kpis).map(|kpi| (kpi.id, kpi)).collect();
    let in_current: HashMap<KpiId, &Kpi> = current.kpis.iter().map(|kpi| (kpi.id, kpi)).collect();
    let mut in_draft = HashSet::new();
    let mut kpis = HashMap::new();
    let mut of_draft = Vec::with_capacity(draft.len());
    for (row, kpi) in draft.iter().enumerate() {
        // A second KPI with the same id is kept too; saving the merged draft then fails because of it.
        let Some(id) = kpi.id.filter(|id| in_draft.insert(*id)) else {
            of_draft.push(Entry::New(row));
            kpis.insert(Entry::New(row), kpi.clone());
            continue;
        };
        let merged = match (in_base.get(&id), in_current.get(&id)) {
            (base, Some(current)) => Some(merged_kpi(kpi, base.copied(), current, overlaps)),
            (None, None) => Some(kpi.clone()),
            (Some(base), None) => kept_by_draft(kpi, base, overlaps),
        };
        if let Some(merged) = merged {
            of_draft.push(Entry::Known(id));
            kpis.insert(Entry::Known(id), merged);
        }
    }
    let mut of_current = Vec::with_capacity(current.kpis.len());
    for kpi in &current.kpis {
        if !in_draft.contains(&kpi.id) {
            let Some(kept) = kept_by_current(kpi, in_base.get(&kpi.id).copied(), overlaps) else { continue };
            kpis.insert(Entry::Known(kpi.id), kept);
        }
        of_current.push(Entry::Known(kpi.id));
    }
    let of_base: Option<Vec<Entry>> = base.map(|base| base.kpis.iter().map(|kpi| Entry::Known(kpi.id)).collect());
    let order = merged_order(of_base.as_deref(), &of_draft, &of_current, overlaps);
    order.iter().filter_map(|entry| kpis.remove(entry)).collect()
}

/// A KPI that both sides have.
fn merged_kpi(draft: &KpiDraft, base: Option<&Kpi>, current: &Kpi, overlaps: &mut Vec<Overlap>) -> KpiDraft {
    let mut fields = Vec::new();
    let mut note = |field, is_overlap| {
        if is_overlap {
            fields.push(field);
        }
    };
    let (name, is_overlap) = merged(base.map(|kpi| &kpi.name), &draft.name, &current.name);
    note(KpiField::Name, is_overlap);
    let (description, is_overlap) = merged(base.map(|kpi| &kpi.description), &draft.description, &current.description);
    note(KpiField::Description, is_overlap);
    let (unit, is_overlap) = merged(base.map(|kpi| &kpi.unit), &draft.unit, &current.unit);
    note(KpiField::Unit, is_overlap);
    let (value_type, is_overlap) = merged(base.map(|kpi| &kpi.value_type), &draft.value_type, &current.value_type);
    note(KpiField::ValueType, is_overlap);
    let (required, is_overlap) = merged(base.map(|kpi| &kpi.required), &draft.required, &current.required);
    note(KpiField::Required, is_overlap);
    if !fields.is_empty() {
        overlaps.push(Overlap::Kpi {
            id: current.id,
            fields,
            base: base.cloned(),
            draft: Some(draft.clone()),
            current: Some(current.clone()),
        });
    }
    KpiDraft { id: draft.id, name, description, unit, value_type, required, sort_order: current.sort_order }
}

/// A KPI of the draft that was deleted from the current dataset; `None` if the draft has not changed it.
fn kept_by_draft(draft: &KpiDraft, base: &Kpi, overlaps: &mut Vec<Overlap>) -> Option<KpiDraft> {
    let fields = KpiField::different(draft, base);
    if fields.is_empty() {
        return None;
    }
    let (base, kept) = (Some(base.clone()), Some(draft.clone()));
    overlaps.push(Overlap::Kpi { id: draft.id?, fields, base, draft: kept, current: None });
    Some(draft.clone())
}

/// A KPI of the current dataset that the draft does not have; `None` if the draft has deleted it and the current
/// dataset has not changed it.
fn kept_by_current(current: &Kpi, base: Option<&Kpi>, overlaps: &mut Vec<Overlap>) -> Option<KpiDraft> {
    let kept = KpiDraft::from(current);
    let Some(base) = base else { return Some(kept) };
    let fields = KpiField::different(&kept, base);
    if fields.is_empty() {
        return None;
    }
    let (base, current) = (Some(base.clone()), Some(current.clone()));
    overlaps.push(Overlap::Kpi { id: kept.id?, fields, base, draft: None, current });
    Some(kept)
}
