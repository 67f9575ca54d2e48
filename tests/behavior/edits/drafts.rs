//! Drafts: made of a dataset, edited, checked, compared, and taken back.

use kpi_store::limits::KPIS_MAX;
use kpi_store::{KpiDraft, KpiId, NewKpi, ValueType};
use serde_json::json;

use super::{changed, dataset, expected, found, id};

#[test]
fn have_the_content_of_their_dataset_in_display_order() {
    let water = changed(&dataset(&["a", "b"]), |water| {
        water.description = Some("d".into());
        water.kpis[1].unit = Some("m³".into());
        water.kpis[1].description = Some(String::new());
        water.kpis[1].value_type = ValueType::Date;
        water.kpis[1].required = false;
    });
    let draft = water.edit();
    assert_eq!((draft.id(), draft.updated_at()), (water.id, water.updated_at));
    assert_eq!((&draft.name, &draft.description), (&water.name, &water.description));
    assert_eq!(draft.kpis, water.kpis.iter().map(KpiDraft::from).collect::<Vec<_>>());
    let kpi = &draft.kpis[1];
    assert_eq!((kpi.id(), &*kpi.name, kpi.unit.as_deref()), (Some(id(1)), "b", Some("m³")));
    assert_eq!((kpi.description.as_deref(), kpi.value_type, kpi.required), (Some(""), ValueType::Date, false));
}

#[test]
fn serialize_with_the_token_and_the_ids() {
    let mut draft = dataset(&["a"]).edit();
    draft.kpis.push(NewKpi::new("b").unit("m³").sort_order(7).into());
    let text = r#"{"id":"00000000-0000-4000-8000-000000000001","updated_at":"2026-02-03T04:05:06.789012Z","name":"Water","description":null,"kpis":[{"id":"00000000-0000-0000-0000-000000001000","name":"a","description":null,"unit":null,"value_type":"number","required":true,"sort_order":0},{"id":null,"name":"b","description":null,"unit":"m³","value_type":"number","required":true,"sort_order":7}]}"#;
    assert_eq!(serde_json::to_string(&draft).unwrap(), text);
    let unchanged = changed(&dataset(&[]), |water| water.updated_at = None).edit();
    assert_eq!(serde_json::to_value(unchanged).unwrap()["updated_at"], json!(null));
}

#[test]
fn name_every_violation_by_the_row_of_the_form() {
    let mut draft = dataset(&["a", "b", "c"]).edit();
    draft.name = "é".repeat(256);
    draft.description = Some("\0".into());
    draft.kpis[0].name.clear();
    draft.kpis[0].unit = Some("é".repeat(51));
    draft.kpis.swap(0, 2);
    draft.kpis.insert(1, draft.kpis[0].clone());
    draft.kpis[1].description = Some("é".repeat(2_001));
    draft.kpis.push(draft.kpis[0].clone());
    let violations = expected(&[
        ("name", "string_too_long"),
        ("description", "string_nul"),
        ("kpis[1].id", "duplicate_id"),
        ("kpis[1].description", "string_too_long"),
        ("kpis[3].name", "string_too_short"),
        ("kpis[3].unit", "string_too_long"),
        ("kpis[4].id", "duplicate_id"),
    ]);
    assert_eq!(found(draft.validate()), violations);
    let error = draft.validate().unwrap_err();
    assert_eq!(error.as_slice()[2].message(), "Id should appear only once");
}

#[test]
fn hold_as_many_kpis_as_a_dataset_and_new_ones_may_be_alike() {
    let mut draft = dataset(&["a"]).edit();
    draft.kpis.resize(KPIS_MAX, NewKpi::new("new").into());
    assert_eq!(draft.validate(), Ok(()));
    draft.kpis.push(NewKpi::new("").into());
    assert_eq!(found(draft.validate()), expected(&[("kpis", "too_long")]));
}

#[test]
fn differ_where_a_save_would_change_something() {
    let water = dataset(&["a", "b", "c"]);
    let differs = |edit: fn(&mut kpi_store::DatasetDraft)| {
        let mut draft = water.edit();
        edit(&mut draft);
        draft.differs_from(&water)
    };
    assert!(!differs(|_| ()));
    assert!(differs(|draft| draft.name.push('!')));
    assert!(differs(|draft| draft.description = Some(String::new())));
    assert!(differs(|draft| draft.kpis[2].name.push('!')));
    assert!(differs(|draft| draft.kpis[2].description = Some("d".into())));
    assert!(differs(|draft| draft.kpis[2].unit = Some("l".into())));
    assert!(differs(|draft| draft.kpis[2].value_type = ValueType::Text));
    assert!(differs(|draft| draft.kpis[2].required = false));
    assert!(differs(|draft| draft.kpis.swap(0, 1)));
    assert!(differs(|draft| drop(draft.kpis.pop())));
    assert!(differs(|draft| draft.kpis.push(NewKpi::new("d").into())));
    // A KPI that is made again is another one, whatever its fields.
    assert!(differs(|draft| draft.kpis[2] = NewKpi::new("c").into()));
    assert!(differs(|draft| draft.kpis[2] = NewKpi::new("c").id(KpiId::new()).into()));
    assert!(!differs(|draft| draft.kpis[2] = NewKpi::new("c").id(id(2)).into()));
    // Neither the token nor the sort keys are content: a save would change neither.
    let later = changed(&water, |water| {
        water.updated_at = None;
        water.kpis[2].sort_order = 99;
    });
    assert!(!water.edit().differs_from(&later));
}

#[test]
fn take_the_content_of_another_version_and_stay_what_they_save_over() {
    let before = dataset(&["a", "b"]);
    let after = changed(&before, |after| {
        after.name = "Waste".into();
        after.updated_at = "2026-03-04T05:06:07Z".parse().ok();
        after.kpis.remove(0);
    });
    let mut draft = after.edit();
    draft.set_content(&before);
    assert_eq!((draft.id(), draft.updated_at()), (after.id, after.updated_at));
    assert!(!draft.differs_from(&before) && draft.differs_from(&after));
    assert_eq!(draft.kpis[0].id(), Some(id(0)));
}

#[test]
fn take_new_kpis_and_stored_ones() {
    let new = NewKpi::new("n").description("d").unit("u").value_type(ValueType::Boolean).required(false);
    let draft = KpiDraft::from(new.clone().id(id(7)));
    assert_eq!((draft.id(), &*draft.name, draft.description.as_deref()), (Some(id(7)), "n", Some("d")));
    assert_eq!((draft.unit.as_deref(), draft.value_type, draft.required), (Some("u"), ValueType::Boolean, false));
    assert_eq!(KpiDraft::from(new).id(), None);
    // Not shown by a form, so not refused, and 0 in the JSON, which is read again.
    let negative = serde_json::to_value(KpiDraft::from(NewKpi::new("n").sort_order(-1))).unwrap();
    assert_eq!(negative["sort_order"], json!(0));
    let stored = &dataset(&["a"]).kpis[0];
    assert_eq!(KpiDraft::from(stored), KpiDraft::from(NewKpi::from(stored).id(stored.id)));
}
