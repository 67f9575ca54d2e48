//! The display order of merged KPIs.

use std::collections::{HashMap, HashSet};

use super::overlap::Overlap;
use crate::model::ids::KpiId;

/// A KPI of one of the lists that are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    Known(KpiId),
    /// A KPI of the draft that has no id yet, by its row.
    New(usize),
}

/// All KPIs of the draft and of the current dataset in one order; each list has only KPIs that stay.
///
/// Each side's order of the KPIs that all three have is compared with that of the base. The list of the side that has
/// changed it leads, or that of the draft if both have; the KPIs that only the other side has are inserted into it.
/// Without a base, both sides have changed the order if their orders differ.
pub(super) fn merged_order(
    base: Option<&[Entry]>,
    draft: &[Entry],
    current: &[Entry],
    overlaps: &mut Vec<Overlap>,
) -> Vec<Entry> {
    let common = in_all(base.unwrap_or(draft), draft, current);
    let [of_base, of_draft, of_current] = [base.unwrap_or_default(), draft, current].map(|list| only(list, &common));
    let is_drafts = of_draft != of_base;
    if is_drafts && of_current != of_base && of_draft != of_current {
        let [base, draft, current] = [of_base, of_draft, of_current].map(ids);
        overlaps.push(Overlap::Order { base, draft, current });
    }
    if is_drafts { inserted(draft, current) } else { inserted(current, draft) }
}

fn in_all(base: &[Entry], draft: &[Entry], current: &[Entry]) -> HashSet<Entry> {
    let [base, draft]: [HashSet<Entry>; 2] = [base, draft].map(|list| list.iter().copied().collect());
    current.iter().copied().filter(|entry| base.contains(entry) && draft.contains(entry)).collect()
}

fn only(list: &[Entry], of: &HashSet<Entry>) -> Vec<Entry> {
    list.iter().copied().filter(|entry| of.contains(entry)).collect()
}

fn ids(list: Vec<Entry>) -> Vec<KpiId> {
    let id = |entry| if let Entry::Known(id) = entry { Some(id) } else { None };
    list.into_iter().filter_map(id).collect()
}

/// The leading list with the KPIs that only the other list has, each after the shared KPI that it follows there. Where
/// both lists have KPIs of their own after the same shared KPI, those of the leading list come first.
fn inserted(leading: &[Entry], other: &[Entry]) -> Vec<Entry> {
    let in_leading: HashSet<Entry> = leading.iter().copied().collect();
    // The KPIs that only the other list has, by the shared KPI that they follow; `None` at the beginning.
    let mut following: HashMap<Option<Entry>, Vec<Entry>> = HashMap::new();
    let mut shared = None;
    for entry in other.iter().copied() {
        if in_leading.contains(&entry) {
            shared = Some(entry);
        } else {
            following.entry(shared).or_default().push(entry);
        }
    }
    let in_other: HashSet<Entry> = other.iter().copied().collect();
    let mut order = Vec::with_capacity(leading.len() + other.len());
    let mut shared = None;
    for entry in leading.iter().copied() {
        if in_other.contains(&entry) {
            order.extend(following.remove(&shared).unwrap_or_default());
            shared = Some(entry);
        }
        order.push(entry);
    }
    order.extend(following.remove(&shared).unwrap_or_default());
    order
}
