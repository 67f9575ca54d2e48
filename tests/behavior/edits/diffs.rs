//! What two versions differ in: every difference, what is breaking, how it reads, and how few KPIs are moved.

use std::collections::HashSet;

use kpi_store::{Dataset, DatasetDiff, Difference, Kpi, KpiChange, ValueType};
use proptest::prelude::*;
use serde_json::json;

use super::scenes::{Scene, scenes};
use super::{changed, dataset, id};
use crate::property::runner;
use crate::support::seed;

#[test]
fn names_every_difference_in_a_fixed_order() {
    let from = dataset(&["a", "b", "c", "d"]);
    let to = changed(&from, |to| {
        to.name = "Waste".into();
        to.description = Some("of\nthe \"year\"".into());
        to.kpis.remove(1);
        to.kpis.rotate_right(1);
        to.kpis[0].unit = Some("m³".into());
        to.kpis[0].value_type = ValueType::Percentage;
        to.kpis[1].required = false;
        to.kpis[1].name = "A".into();
        to.kpis[1].description = Some(String::new());
        to.kpis.insert(2, from.kpis[2].clone());
        to.kpis[2].id = id(9);
        to.kpis[2].name = "new".into();
    });
    let diff = DatasetDiff::between(&from, &to);
    let lines = [
        r#"name: "Water" -> "Waste""#,
        r#"description: none -> "of\nthe \"year\"""#,
        r#"kpis[1]: "b" deleted"#,
        r#"kpis[0]: "d" moved from kpis[3]"#,
        r#"kpis[0]: "d" unit none -> "m³", value_type number -> percentage"#,
        r#"kpis[1]: "A" name "a" -> "A", description none -> "", required true -> false"#,
        r#"kpis[2]: "new" added"#,
    ];
    assert_eq!(diff.to_string(), lines.join("\n"));
    assert_eq!(diff.iter().map(Difference::to_string).collect::<Vec<_>>(), lines);
    assert_eq!((&diff).into_iter().count(), diff.clone().into_iter().count());
    let breaking: Vec<_> = diff.breaking().map(Difference::to_string).collect();
    assert_eq!(breaking, [lines[2], lines[4], lines[6]]);
    assert!(!diff.is_empty() && !diff.is_compatible());

    let back = DatasetDiff::between(&to, &from);
    assert!(
        back.to_string().starts_with("name: \"Waste\" -> \"Water\"\ndescription: \"of\\nthe \\\"year\\\"\" -> none\n")
    );
}

#[test]
fn versions_that_a_reader_sees_alike_do_not_differ() {
    let from = dataset(&["a", "b"]);
    let to = changed(&dataset(&["a", "b"]), |to| {
        to.updated_at = None;
        to.updated_by = Some(kpi_store::UserId::new());
        to.kpis[0].updated_at = Some(to.created_at);
        to.kpis[1].sort_order = 11;
    });
    let diff = DatasetDiff::between(&from, &to);
    assert!(diff.is_empty() && diff.is_compatible());
    assert_eq!((diff.to_string(), serde_json::to_value(&diff).unwrap()), (String::new(), json!([])));
}

#[test]
fn serialize_as_an_array_of_tagged_objects() {
    let from = dataset(&["a", "b", "c"]);
    let to = changed(&from, |to| {
        to.name = "Waste".into();
        to.kpis[1].unit = Some("l".into());
        to.kpis[1].required = false;
        to.kpis.swap(1, 2);
        to.kpis.remove(0);
    });
    let expected = json!([
        {"type": "name", "from": "Water", "to": "Waste"},
        {"type": "kpi_deleted", "index": 0, "kpi": from.kpis[0]},
        {"type": "kpi_moved", "id": id(2), "name": "c", "from": 2, "to": 0},
        {"type": "kpi_changed", "id": id(1), "name": "b", "index": 1, "changes": [
            {"field": "unit", "from": null, "to": "l"},
            {"field": "required", "from": true, "to": false},
        ]},
    ]);
    let found = serde_json::to_value(DatasetDiff::between(&from, &to)).unwrap();
    let same_moved = json!({"type": "kpi_moved", "id": id(1), "name": "b", "from": 1, "to": 1});
    assert!(found == expected || found[2] == same_moved, "{found:#}");
    let added = serde_json::to_value(DatasetDiff::between(&dataset(&[]), &dataset(&["a"]))).unwrap();
    assert_eq!(added, json!([{"type": "kpi_added", "index": 0, "kpi": from.kpis[0]}]));
}

#[test]
fn what_invalidates_answers_is_breaking_and_nothing_else() {
    let from = changed(&dataset(&["a", "b"]), |from| from.kpis[1].required = false);
    let breaks = |change: fn(&mut Dataset)| {
        let diff = DatasetDiff::between(&from, &changed(&from, change));
        assert_eq!(diff.iter().count(), 1, "{diff}");
        assert_eq!(diff.is_compatible(), diff.breaking().next().is_none());
        assert_eq!(diff.breaking().count(), diff.iter().filter(|difference| difference.is_breaking()).count());
        !diff.is_compatible()
    };
    let another = |to: &mut Dataset, required| {
        let mut kpi = to.kpis[0].clone();
        (kpi.id, kpi.required) = (id(9), required);
        to.kpis.push(kpi);
    };
    assert!(!breaks(|to| to.name.push('!')));
    assert!(!breaks(|to| to.description = Some(String::new())));
    assert!(!breaks(|to| to.kpis[0].name.push('!')));
    assert!(!breaks(|to| to.kpis[0].description = Some(String::new())));
    assert!(!breaks(|to| to.kpis[0].required = false));
    assert!(breaks(|to| to.kpis[1].required = true));
    assert!(breaks(|to| to.kpis[0].value_type = ValueType::Text));
    assert!(breaks(|to| to.kpis[0].unit = Some("l".into())));
    assert!(!breaks(|to| to.kpis.swap(0, 1)));
    assert!(breaks(|to| drop(to.kpis.pop())));
    let with = |required| DatasetDiff::between(&from, &changed(&from, |to| another(to, required)));
    assert!(with(false).is_compatible() && !with(true).is_compatible());
}

#[test]
fn one_kpi_that_changes_its_place_is_the_only_one_that_was_moved() {
    let from = dataset(&["a", "b", "c", "d", "e"]);
    for (old, new) in (0..5).flat_map(|old| (0..5).map(move |new| (old, new))) {
        let to = changed(&from, |to| {
            let kpi = to.kpis.remove(old);
            to.kpis.insert(new, kpi);
        });
        let diff = DatasetDiff::between(&from, &to);
        let count = diff.iter().count();
        assert_eq!(count, usize::from(old != new), "{diff}");
        // Of two neighbors that change places, either one.
        if old.abs_diff(new) > 1 {
            let Some(Difference::KpiMoved { id: moved, from, to, .. }) = diff.iter().next() else { panic!("{diff}") };
            assert_eq!((*moved, *from, *to), (id(old), old, new));
        }
    }
}

#[test]
fn every_difference_is_there_and_no_other() {
    let seed = seed();
    let is_right = |scene: Scene| {
        let [from, to] = [scene.base, scene.current].map(|json| serde_json::from_value::<Dataset>(json).unwrap());
        let diff = DatasetDiff::between(&from, &to);
        let has = |difference: fn(&Difference) -> bool| diff.iter().any(difference);
        prop_assert_eq!(has(|one| matches!(one, Difference::Name { .. })), from.name != to.name);
        let of_description = has(|one| matches!(one, Difference::Description { .. }));
        prop_assert_eq!(of_description, from.description != to.description);
        let mut moved = HashSet::new();
        let (mut deleted, mut added) = (0, 0);
        for difference in &diff {
            match difference {
                Difference::KpiDeleted { index, kpi, .. } => {
                    deleted += 1;
                    prop_assert!(&from.kpis[*index] == kpi && to.kpi(kpi.id).is_none());
                }
                Difference::KpiAdded { index, kpi, .. } => {
                    added += 1;
                    prop_assert!(&to.kpis[*index] == kpi && from.kpi(kpi.id).is_none());
                }
                Difference::KpiMoved { id, from: old, to: new, .. } => {
                    prop_assert_eq!((from.kpis[*old].id, to.kpis[*new].id), (*id, *id));
                    moved.insert(*id);
                }
                Difference::KpiChanged { id, changes, .. } => {
                    let (old, new) = (from.kpi(*id).unwrap(), to.kpi(*id).unwrap());
                    prop_assert_eq!(changes.len(), different_fields(old, new));
                    prop_assert!(changes.iter().all(|change| is_of(change, old, new)));
                }
                _ => {}
            }
        }
        prop_assert_eq!(deleted, from.kpis.iter().filter(|kpi| to.kpi(kpi.id).is_none()).count());
        prop_assert_eq!(added, to.kpis.iter().filter(|kpi| from.kpi(kpi.id).is_none()).count());
        let both = to.kpis.iter().filter_map(|kpi| Some((from.kpi(kpi.id)?, kpi)));
        let differing = both.filter(|(old, new)| different_fields(old, new) > 0).count();
        prop_assert_eq!(diff.iter().filter(|one| matches!(one, Difference::KpiChanged { .. })).count(), differing);
        // Those that were not moved stand in the same order.
        let stayed = |kpis: &[Kpi], other: &Dataset| {
            let ids = kpis.iter().map(|kpi| kpi.id).filter(|id| other.kpi(*id).is_some() && !moved.contains(id));
            ids.collect::<Vec<_>>()
        };
        prop_assert_eq!(stayed(&from.kpis, &to), stayed(&to.kpis, &from));
        prop_assert_eq!(DatasetDiff::between(&from, &from).is_empty(), true);
        Ok(())
    };
    runner(seed, 1_000).run(&scenes(), is_right).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

fn different_fields(old: &Kpi, new: &Kpi) -> usize {
    let differ = [
        old.name != new.name,
        old.description != new.description,
        old.unit != new.unit,
        old.value_type != new.value_type,
        old.required != new.required,
    ];
    differ.into_iter().filter(|differs| *differs).count()
}

fn is_of(change: &KpiChange, old: &Kpi, new: &Kpi) -> bool {
    match change {
        KpiChange::Name { from, to, .. } => (from, to) == (&old.name, &new.name) && from != to,
        KpiChange::Description { from, to, .. } => (from, to) == (&old.description, &new.description) && from != to,
        KpiChange::Unit { from, to, .. } => (from, to) == (&old.unit, &new.unit) && from != to,
        KpiChange::ValueType { from, to, .. } => (*from, *to) == (old.value_type, new.value_type) && from != to,
        KpiChange::Required { from, to, .. } => (*from, *to) == (old.required, new.required) && from != to,
        _ => false,
    }
}
