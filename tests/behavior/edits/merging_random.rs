//! Merging of generated versions: no value of either side is lost, and nothing overlaps that only one side has changed.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::Debug;

use kpi_store::{Dataset, DatasetDraft, Kpi, KpiDraft, KpiField, KpiId, Merge, Overlap};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use super::scenes::{Scene, scenes};
use crate::property::runner;
use crate::support::seed;

type Checked = Result<(), TestCaseError>;

/// What was merged, and what came of it.
struct Case {
    base: Dataset,
    draft: DatasetDraft,
    current: Dataset,
    merge: Merge,
}

impl Case {
    fn new(scene: Scene) -> Self {
        let base: Dataset = serde_json::from_value(scene.base).unwrap();
        let draft = DatasetDraft::from_json(scene.draft.to_string()).unwrap();
        let current = serde_json::from_value(scene.current).unwrap();
        let merge = draft.merge(&base, &current);
        Self { base, draft, current, merge }
    }
}

#[test]
fn no_value_of_either_side_is_lost_and_only_what_both_have_changed_overlaps() {
    let seed = seed();
    let [clean, overlapping, ordered] = [const { Cell::new(0) }; 3];
    let loses_nothing = |scene: Scene| {
        let case = Case::new(scene);
        check_fields(&case)?;
        check_kpis(&case)?;
        check_order(&case)?;
        prop_assert_eq!(case.merge.draft.updated_at(), case.current.updated_at);
        let count = if case.merge.is_clean() { &clean } else { &overlapping };
        count.set(count.get() + 1);
        let has_order = case.merge.overlaps.iter().any(|overlap| matches!(overlap, Overlap::Order { .. }));
        ordered.set(ordered.get() + u32::from(has_order));
        Ok(())
    };
    runner(seed, 2_000).run(&scenes(), loses_nothing).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let counts = [&clean, &overlapping, &ordered].map(Cell::get);
    assert!(counts.iter().all(|count| *count > 20), "seed {seed}: {counts:?}");
}

#[test]
fn without_changes_of_one_side_the_merge_is_the_other() {
    let seed = seed();
    let is_the_other = |scene: Scene| {
        let Case { base, draft, current, .. } = Case::new(scene);
        let untouched = base.edit().merge(&base, &current);
        prop_assert!(untouched.is_clean());
        prop_assert_eq!(untouched.draft, current.edit());

        let unchanged = draft.merge(&base, &base);
        prop_assert!(unchanged.is_clean());
        prop_assert_eq!(content(&unchanged.draft), content(&draft));
        prop_assert_eq!((unchanged.draft.id(), unchanged.draft.updated_at()), (draft.id(), draft.updated_at()));

        // Changed and changed back: only the token is another.
        let mut back = base.clone();
        back.updated_at = current.updated_at;
        let merged = draft.merge(&base, &back);
        prop_assert!(merged.is_clean());
        prop_assert_eq!(content(&merged.draft), content(&draft));
        prop_assert_eq!(merged.draft.updated_at(), current.updated_at);
        Ok(())
    };
    runner(seed, 1_000).run(&scenes(), is_the_other).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

/// A draft without its token and sort keys, neither of which a form edits.
fn content(draft: &DatasetDraft) -> Value {
    let mut json = serde_json::to_value(draft).unwrap();
    json["updated_at"].take();
    json["kpis"].as_array_mut().unwrap().iter_mut().for_each(|kpi| drop(kpi["sort_order"].take()));
    json
}

/// Checks one field: the merged value, and whether it is named as an overlap.
fn check<T: PartialEq + Debug>(base: Option<&T>, draft: &T, current: &T, merged: &T, is_overlap: bool) -> Checked {
    let (ours, theirs) = (base != Some(draft), base != Some(current));
    prop_assert_eq!(is_overlap, ours && theirs && draft != current);
    prop_assert_eq!(merged, if ours { draft } else { current });
    Ok(())
}

fn check_fields(Case { base, draft, current, merge }: &Case) -> Checked {
    let name = merge.overlaps.iter().find_map(|overlap| match overlap {
        Overlap::Name { base, draft, current, .. } => Some([base, draft, current]),
        _ => None,
    });
    check(Some(&base.name), &draft.name, &current.name, &merge.draft.name, name.is_some())?;
    prop_assert!(name.is_none_or(|values| values == [&base.name, &draft.name, &current.name]));
    let description = merge.overlaps.iter().find_map(|overlap| match overlap {
        Overlap::Description { base, draft, current, .. } => Some([base, draft, current]),
        _ => None,
    });
    let merged = &merge.draft.description;
    check(Some(&base.description), &draft.description, &current.description, merged, description.is_some())?;
    let expected = [&base.description, &draft.description, &current.description];
    prop_assert!(description.is_none_or(|values| values == expected));
    Ok(())
}

fn check_kpis(Case { base, draft, current, merge }: &Case) -> Checked {
    let in_draft = |id: KpiId| draft.kpis.iter().find(|kpi| kpi.id() == Some(id));
    let ids: HashSet<KpiId> = base.kpis.iter().chain(&current.kpis).map(|kpi| kpi.id).collect();
    let ids: HashSet<KpiId> = draft.kpis.iter().filter_map(KpiDraft::id).chain(ids).collect();
    for id in ids {
        let mut merged = merge.draft.kpis.iter().filter(|kpi| kpi.id() == Some(id));
        let (found, second) = (merged.next(), merged.next());
        prop_assert!(second.is_none());
        let fields = overlapping(merge, id)?;
        let is_changed = |kpi: &KpiDraft, base: &Kpi| *kpi != KpiDraft::from(base) && !same(kpi, base);
        match (in_draft(id), base.kpi(id), current.kpi(id)) {
            (Some(ours), base, Some(theirs)) => {
                let Some(merged) = found else { return Err(TestCaseError::fail("lost")) };
                check_kpi(base, ours, theirs, merged, fields)?;
            }
            (Some(ours), None, None) => prop_assert!(found == Some(ours) && fields.is_none()),
            (None, None, Some(theirs)) => prop_assert!(found.is_some_and(|kpi| same(kpi, theirs)) && fields.is_none()),
            (Some(ours), Some(base), None) => {
                prop_assert_eq!(found, is_changed(ours, base).then_some(ours));
                prop_assert_eq!(fields.is_some(), found.is_some());
            }
            (None, Some(base), Some(theirs)) => {
                let theirs = KpiDraft::from(theirs);
                prop_assert_eq!(found, is_changed(&theirs, base).then_some(&theirs));
                prop_assert_eq!(fields.is_some(), found.is_some());
            }
            (None, _, None) => prop_assert!(found.is_none() && fields.is_none()),
        }
    }
    // Those without an id have nothing to be told apart by, and follow what the other side has moved.
    let fresh = |draft: &DatasetDraft| {
        let kpis = draft.kpis.iter().filter(|kpi| kpi.id().is_none());
        let mut kpis: Vec<_> = kpis.map(|kpi| format!("{kpi:?}")).collect();
        kpis.sort();
        kpis
    };
    prop_assert_eq!(fresh(&merge.draft), fresh(draft));
    Ok(())
}

/// The overlapping fields of a KPI, which at most one overlap names.
fn overlapping(merge: &Merge, kpi: KpiId) -> Result<Option<&[KpiField]>, TestCaseError> {
    let mut found = merge.overlaps.iter().filter_map(|overlap| match overlap {
        Overlap::Kpi { id, fields, .. } if *id == kpi => Some(&**fields),
        _ => None,
    });
    let first = found.next();
    prop_assert!(found.next().is_none() && first.is_none_or(|fields| !fields.is_empty()));
    Ok(first)
}

fn check_kpi(
    base: Option<&Kpi>,
    draft: &KpiDraft,
    current: &Kpi,
    merged: &KpiDraft,
    fields: Option<&[KpiField]>,
) -> Checked {
    let has = |field| fields.is_some_and(|fields| fields.contains(&field));
    let base = base.map(KpiDraft::from);
    let (base, current) = (base.as_ref(), &KpiDraft::from(current));
    macro_rules! check {
        ($field:ident, $named:ident) => {
            check(base.map(|kpi| &kpi.$field), &draft.$field, &current.$field, &merged.$field, has(KpiField::$named))?;
        };
    }
    check!(name, Name);
    check!(description, Description);
    check!(unit, Unit);
    check!(value_type, ValueType);
    check!(required, Required);
    Ok(())
}

fn same(draft: &KpiDraft, kpi: &Kpi) -> bool {
    (&draft.name, &draft.description, &draft.unit) == (&kpi.name, &kpi.description, &kpi.unit)
        && (draft.value_type, draft.required) == (kpi.value_type, kpi.required)
}

fn check_order(Case { base, draft, current, merge }: &Case) -> Checked {
    let of_dataset = |dataset: &Dataset| dataset.kpis.iter().map(|kpi| kpi.id).collect::<Vec<_>>();
    let of_draft = |draft: &DatasetDraft| draft.kpis.iter().filter_map(KpiDraft::id).collect::<Vec<_>>();
    let [of_base, ours, theirs] = [of_dataset(base), of_draft(draft), of_dataset(current)];
    let merged = of_draft(&merge.draft);

    let in_all = |list: &[KpiId]| {
        let common = |id: &&KpiId| [&of_base, &ours, &theirs].into_iter().all(|list| list.contains(id));
        list.iter().filter(common).copied().collect::<Vec<_>>()
    };
    let is_ours = in_all(&ours) != in_all(&of_base);
    let expected = if is_ours { in_all(&ours) } else { in_all(&theirs) };
    prop_assert_eq!(in_all(&merged), expected);
    let overlap = merge.overlaps.iter().find_map(|overlap| match overlap {
        Overlap::Order { base, draft, current, .. } => Some([&**base, draft, current]),
        _ => None,
    });
    let both = is_ours && in_all(&theirs) != in_all(&of_base) && in_all(&ours) != in_all(&theirs);
    prop_assert_eq!(overlap.is_some(), both);
    prop_assert!(overlap.is_none_or(|orders| orders == [in_all(&of_base), in_all(&ours), in_all(&theirs)]));

    // All KPIs of the side that leads stand in its order; each that only the other has, behind the same KPI of both.
    let (leading, other) = if is_ours { (&ours, &theirs) } else { (&theirs, &ours) };
    let kept = |list: &[KpiId]| list.iter().filter(|id| merged.contains(id)).copied().collect::<Vec<_>>();
    let of_leading = merged.iter().filter(|id| leading.contains(id)).copied().collect::<Vec<_>>();
    prop_assert_eq!(of_leading, kept(leading));
    let before = |list: &[KpiId], id: KpiId| {
        let before = list.iter().take_while(|other| **other != id);
        before.filter(|id| ours.contains(id) && theirs.contains(id)).last().copied()
    };
    for id in kept(other).into_iter().filter(|id| !leading.contains(id)) {
        prop_assert_eq!(before(&merged, id), before(other, id));
    }
    Ok(())
}
