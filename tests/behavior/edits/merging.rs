//! Merging, case by case: which side's value is taken, what is an overlap, where KPIs stand.

use kpi_store::{Dataset, DatasetDraft, KpiDraft, KpiField, Merge, NewKpi, Overlap, ValueType};
use serde_json::{Value, json};

use super::{changed, dataset, id};

/// Merges what two sides have made of a dataset with these KPIs.
fn merge(names: &[&str], ours: impl FnOnce(&mut DatasetDraft), theirs: impl FnOnce(&mut Dataset)) -> Merge {
    let base = dataset(names);
    let mut draft = base.edit();
    ours(&mut draft);
    let current = changed(&base, |current| {
        current.updated_at = "2026-03-04T05:06:07Z".parse().ok();
        theirs(current);
    });
    let merge = draft.merge(&base, &current);
    assert_eq!((merge.draft.id(), merge.draft.updated_at()), (base.id, current.updated_at));
    assert_eq!(merge.is_clean(), merge.overlaps.is_empty());
    merge
}

fn names(merge: &Merge) -> String {
    merge.draft.kpis.iter().map(|kpi| &*kpi.name).collect::<Vec<_>>().join(" ")
}

fn new(name: &str) -> KpiDraft {
    NewKpi::new(name).into()
}

fn added(kpis: &[kpi_store::Kpi], name: &str, number: usize) -> kpi_store::Kpi {
    let mut kpi = kpis[0].clone();
    (kpi.id, kpi.name) = (id(number), name.to_owned());
    kpi
}

/// A base that is not the draft's would make what others have changed look like the draft's own work.
#[test]
fn a_base_that_the_draft_was_not_made_of_counts_for_nothing() {
    let base = dataset(&["a", "b"]);
    let current = changed(&base, |current| {
        current.updated_at = "2026-03-04T05:06:07Z".parse().ok();
        current.name = "Theirs".into();
        current.kpis[0].unit = Some("theirs".into());
        current.kpis.push(added(&base.kpis, "c", 7));
        current.kpis.swap(0, 1);
    });
    let mut draft = base.edit();
    draft.kpis[1].required = false;
    let other = changed(&current, |other| other.id = uuid::Uuid::from_u128(99).into());
    for wrong in [&current, &other] {
        let merge = draft.merge(wrong, &current);
        assert_eq!(merge.draft.kpis.len(), 3);
        let told: Vec<_> =
            merge.overlaps.iter().map(|overlap| serde_json::to_value(overlap).unwrap()["type"].clone()).collect();
        assert_eq!(told, ["name", "kpi", "kpi", "order"], "{:?}", merge.overlaps);
    }
    // The control: with its own base nothing overlaps.
    assert!(draft.merge(&base, &current).is_clean());
    // Another dataset is nothing to merge with.
    assert_eq!(draft.merge(&base, &other).draft, draft);
}

#[test]
fn fields_that_one_side_has_changed_are_that_sides() {
    let merge = merge(
        &["a", "b"],
        |draft| {
            draft.name = "Water use".into();
            draft.kpis[0].unit = Some("l".into());
            draft.kpis[1].required = false;
        },
        |current| {
            current.description = Some("d".into());
            current.kpis[0].name = "A".into();
            current.kpis[0].description = Some(String::new());
            current.kpis[1].value_type = ValueType::Date;
        },
    );
    assert!(merge.is_clean());
    let expected = changed(&dataset(&["A", "b"]), |expected| {
        (expected.name, expected.description) = ("Water use".into(), Some("d".into()));
        expected.kpis[0].unit = Some("l".into());
        expected.kpis[0].description = Some(String::new());
        expected.kpis[1].required = false;
        expected.kpis[1].value_type = ValueType::Date;
    });
    assert!(!merge.draft.differs_from(&expected));
}

#[test]
fn a_field_that_both_have_changed_is_the_drafts_and_an_overlap_with_three_values() {
    let merge = merge(
        &["a"],
        |draft| {
            draft.name = "ours".into();
            draft.description = Some("ours".into());
            draft.kpis[0].unit = Some("ours".into());
            draft.kpis[0].required = false;
            draft.kpis[0].value_type = ValueType::Date;
        },
        |current| {
            current.name = "theirs".into();
            current.description = Some("theirs".into());
            current.kpis[0].unit = Some("theirs".into());
            current.kpis[0].required = false;
            current.kpis[0].value_type = ValueType::Text;
            current.kpis[0].name = "A".into();
        },
    );
    assert_eq!((&*merge.draft.name, merge.draft.description.as_deref()), ("ours", Some("ours")));
    let kpi = &merge.draft.kpis[0];
    assert_eq!((&*kpi.name, kpi.unit.as_deref(), kpi.value_type), ("A", Some("ours"), ValueType::Date));
    let [
        Overlap::Name { base, draft, current, .. },
        Overlap::Description { base: None, draft: Some(_), current: Some(_), .. },
        Overlap::Kpi { id: kpi, fields, base: Some(_), draft: Some(ours), current: Some(theirs), .. },
    ] = &*merge.overlaps
    else {
        panic!("{:?}", merge.overlaps)
    };
    assert_eq!([base, draft, current], ["Water", "ours", "theirs"]);
    assert_eq!((*kpi, &**fields), (id(0), &[KpiField::Unit, KpiField::ValueType][..]));
    assert_eq!((ours.unit.as_deref(), theirs.unit.as_deref()), (Some("ours"), Some("theirs")));
    let fields = [KpiField::Name, KpiField::Description, KpiField::Unit, KpiField::ValueType, KpiField::Required];
    let names = ["name", "description", "unit", "value_type", "required"];
    assert_eq!(fields.map(KpiField::as_str), names);
    assert_eq!(fields.map(|field| field.to_string()), names);
    assert_eq!(serde_json::to_value(fields).unwrap(), json!(names));
}

#[test]
fn a_field_that_both_have_changed_to_the_same_is_no_overlap() {
    let merge = merge(
        &["a", "b"],
        |draft| {
            draft.name = "same".into();
            draft.kpis[0].unit = Some("same".into());
            draft.kpis.swap(0, 1);
        },
        |current| {
            current.name = "same".into();
            current.kpis[0].unit = Some("same".into());
            current.kpis.swap(0, 1);
        },
    );
    assert!(merge.is_clean());
    assert_eq!((&*merge.draft.name, names(&merge)), ("same", "b a".into()));
}

#[test]
fn a_deleted_kpi_is_gone_unless_the_other_side_has_changed_it() {
    let clean = merge(&["a", "b", "c"], |draft| drop(draft.kpis.remove(0)), |current| drop(current.kpis.pop()));
    assert!(clean.is_clean());
    assert_eq!(names(&clean), "b");
    // A KPI that was only moved was not changed.
    let moved = merge(&["a", "b", "c"], |draft| drop(draft.kpis.remove(0)), |current| current.kpis.swap(0, 2));
    assert_eq!((moved.is_clean(), names(&moved)), (true, "c b".into()));

    let ours = merge(&["a", "b"], |draft| draft.kpis[0].required = false, |current| drop(current.kpis.remove(0)));
    let [Overlap::Kpi { fields, base: Some(_), draft: Some(draft), current: None, .. }] = &*ours.overlaps else {
        panic!("{:?}", ours.overlaps)
    };
    assert_eq!((&**fields, draft.required), (&[KpiField::Required][..], false));
    assert_eq!((names(&ours), ours.draft.kpis[0].id()), ("a b".into(), Some(id(0))));

    let theirs = merge(
        &["a", "b"],
        |draft| drop(draft.kpis.remove(1)),
        |current| {
            current.kpis[1].name = "B".into();
            current.kpis[1].unit = Some("l".into());
        },
    );
    let [Overlap::Kpi { fields, base: Some(_), draft: None, current: Some(current), .. }] = &*theirs.overlaps else {
        panic!("{:?}", theirs.overlaps)
    };
    assert_eq!((&**fields, &*current.name), (&[KpiField::Name, KpiField::Unit][..], "B"));
    assert_eq!((names(&theirs), theirs.draft.kpis[1].id()), ("a B".into(), Some(id(1))));
}

#[test]
fn kpis_that_either_side_has_added_stand_behind_the_one_that_they_stand_behind_there() {
    type Inserted = &'static [(usize, &'static str)];
    // The rows at which each side inserts KPIs, and the order that results.
    let table: [(Inserted, Inserted, &str); 7] = [
        (&[(2, "x")], &[], "a b x"),
        (&[], &[(1, "y")], "a y b"),
        (&[(0, "x")], &[(2, "y")], "x a b y"),
        (&[(2, "x1"), (3, "x2")], &[(2, "y1"), (3, "y2")], "a b y1 y2 x1 x2"),
        (&[(0, "x1"), (1, "x2")], &[(0, "y")], "y x1 x2 a b"),
        (&[(1, "x1"), (2, "x2")], &[(1, "y")], "a y x1 x2 b"),
        (&[(1, "x")], &[(1, "y1"), (3, "y2")], "a y1 x b y2"),
    ];
    for (ours, theirs, expected) in table {
        let merge = merge(
            &["a", "b"],
            |draft| ours.iter().for_each(|(row, name)| draft.kpis.insert(*row, new(name))),
            |current| {
                for (number, (row, name)) in theirs.iter().enumerate() {
                    let kpi = added(&current.kpis, name, 100 + number);
                    current.kpis.insert(*row, kpi);
                }
            },
        );
        assert_eq!((merge.is_clean(), &*names(&merge)), (true, expected));
    }
}

#[test]
fn the_order_is_that_of_the_side_that_has_changed_it() {
    let abc = &["a", "b", "c"];
    let ours = merge(
        abc,
        |draft| draft.kpis.rotate_left(1),
        |current| {
            let kpi = added(&current.kpis, "y", 100);
            current.kpis.insert(1, kpi);
        },
    );
    assert_eq!((ours.is_clean(), names(&ours)), (true, "b c a y".into()));
    let theirs = merge(abc, |draft| draft.kpis.insert(1, new("x")), |current| current.kpis.rotate_left(1));
    assert_eq!((theirs.is_clean(), names(&theirs)), (true, "b c a x".into()));

    let both = merge(abc, |draft| draft.kpis.swap(0, 1), |current| current.kpis.swap(1, 2));
    assert_eq!(names(&both), "b a c");
    let [Overlap::Order { base, draft, current, .. }] = &*both.overlaps else { panic!("{:?}", both.overlaps) };
    assert_eq!([base, draft, current], [&[id(0), id(1), id(2)], &[id(1), id(0), id(2)], &[id(0), id(2), id(1)]]);

    // What was moved and is deleted leaves no order behind.
    let gone = merge(abc, |draft| draft.kpis.swap(0, 2), |current| drop(current.kpis.remove(0)));
    assert_eq!((gone.is_clean(), names(&gone)), (true, "c b".into()));
    let gone = merge(abc, |draft| draft.kpis.rotate_left(1), |current| drop(current.kpis.remove(0)));
    assert_eq!((gone.is_clean(), names(&gone)), (true, "b c".into()));
}

#[test]
fn a_kpi_that_both_have_added_with_one_id_is_one_kpi() {
    let both = |unit: &'static str| {
        merge(
            &["a"],
            |draft| draft.kpis.push(NewKpi::new("n").id(id(9)).unit("l").into()),
            |current| {
                let mut kpi = added(&current.kpis, "n", 9);
                kpi.unit = Some(unit.into());
                current.kpis.push(kpi);
            },
        )
    };
    assert!(both("l").is_clean());
    let merge = both("m³");
    assert_eq!((names(&merge), merge.draft.kpis[1].unit.as_deref()), ("a n".into(), Some("l")));
    let [Overlap::Kpi { fields, base: None, draft: Some(_), current: Some(_), .. }] = &*merge.overlaps else {
        panic!("{:?}", merge.overlaps)
    };
    assert_eq!(**fields, [KpiField::Unit]);
}

#[test]
fn two_rows_with_one_id_are_both_kept_for_validate_to_name() {
    let merge = merge(&["a", "b"], |draft| draft.kpis.insert(1, draft.kpis[0].clone()), |_| ());
    assert_eq!(names(&merge), "a a b");
    assert_eq!(merge.draft.validate().unwrap_err().as_slice()[0].path(), "kpis[1].id");
}

#[test]
fn serialize_with_the_overlaps_tagged() {
    let merge = merge(
        &["a", "b"],
        |draft| {
            draft.description = Some("ours".into());
            draft.kpis[0].unit = Some("l".into());
            draft.kpis.pop();
        },
        |current| {
            current.description = Some("theirs".into());
            current.kpis[0].unit = Some("m³".into());
            current.kpis[1].required = false;
        },
    );
    let json: Value = serde_json::to_value(&merge).unwrap();
    assert_eq!(json["draft"], serde_json::to_value(&merge.draft).unwrap());
    let overlaps = &json["overlaps"];
    let expected = json!({"type": "description", "base": null, "draft": "ours", "current": "theirs"});
    assert_eq!(overlaps[0], expected);
    assert_eq!((&overlaps[1]["type"], &overlaps[1]["fields"]), (&json!("kpi"), &json!(["unit"])));
    assert_eq!((&overlaps[1]["draft"]["unit"], &overlaps[1]["current"]["unit"]), (&json!("l"), &json!("m³")));
    assert_eq!((&overlaps[2]["draft"], &overlaps[2]["fields"]), (&json!(null), &json!(["required"])));
}
