//! Patches: everything that can be wrong with one whatever the dataset is, and their JSON.

use kpi_store::limits::KPIS_MAX;
use kpi_store::{DatasetPatch, KpiPatch, NewKpi};

use super::{dataset, expected, found, id};

#[test]
fn nothing_is_wrong_with_what_the_limits_allow() {
    let texts = |length| "é".repeat(length);
    let kpi = KpiPatch::new().name(texts(255)).description(texts(2_000)).unit(texts(50)).sort_order(i64::MAX);
    let patches = [
        DatasetPatch::new(),
        DatasetPatch::new().name("w").description("").if_unchanged(&dataset(&[])).if_updated_at(None),
        DatasetPatch::new().name(texts(255)).description(texts(2_000)).clear_description(),
        DatasetPatch::new().update_kpi(id(0), KpiPatch::new()).update_kpi(id(1), kpi).delete_kpi(id(2)),
        DatasetPatch::new().add_kpi(NewKpi::new("k").sort_order(i64::MAX)).add_kpi(NewKpi::new("k").id(id(0))),
        DatasetPatch::new().add_kpi(NewKpi::new("k").id(id(0))).order_kpis([id(1), id(0)]).order_kpis([]),
        // Whether such a KPI exists, only the dataset says.
        DatasetPatch::new().delete_kpi(id(0)).order_kpis([id(0)]),
        (0..KPIS_MAX).fold(DatasetPatch::new(), |patch, _| patch.add_kpi(NewKpi::new("k"))),
    ];
    for patch in patches {
        assert_eq!(patch.validate(), Ok(()));
    }
}

#[test]
fn every_limit_is_named_at_the_call_that_breaks_it() {
    let long = |length| "é".repeat(length);
    let patch = DatasetPatch::new()
        .name("")
        .description(long(2_001))
        .add_kpi(NewKpi::new("k"))
        .add_kpi(NewKpi::new("").description("\0").unit(long(51)).sort_order(-1))
        .update_kpi(id(0), KpiPatch::new().name(long(256)).unit("\0"))
        .update_kpi(id(1), KpiPatch::new().description(long(2_001)).sort_order(i64::MIN).clear_unit());
    let violations = expected(&[
        ("name", "string_too_short"),
        ("description", "string_too_long"),
        ("add_kpis[1].name", "string_too_short"),
        ("add_kpis[1].description", "string_nul"),
        ("add_kpis[1].unit", "string_too_long"),
        ("add_kpis[1].sort_order", "greater_than_equal"),
        ("update_kpis[0].name", "string_too_long"),
        ("update_kpis[0].unit", "string_nul"),
        ("update_kpis[1].description", "string_too_long"),
        ("update_kpis[1].sort_order", "greater_than_equal"),
    ]);
    assert_eq!(found(patch.validate()), violations);
    let many = (0..=KPIS_MAX).fold(DatasetPatch::new(), |patch, _| patch.add_kpi(NewKpi::new("")));
    assert_eq!(found(many.validate()), expected(&[("add_kpis", "too_long")]));
}

#[test]
fn one_kpi_is_named_once_in_each_list_and_is_not_both_changed_and_deleted() {
    let new = |row| NewKpi::new("k").id(id(row));
    let table: [(DatasetPatch, &[(&str, &str)]); 7] = [
        (
            DatasetPatch::new().update_kpi(id(0), KpiPatch::new()).update_kpi(id(0), KpiPatch::new().name("")),
            &[("update_kpis[1].id", "duplicate_id"), ("update_kpis[1].name", "string_too_short")],
        ),
        (DatasetPatch::new().delete_kpi(id(0)).delete_kpi(id(0)), &[("delete_kpis[1]", "duplicate_id")]),
        (
            DatasetPatch::new().delete_kpi(id(1)).delete_kpi(id(0)).update_kpi(id(0), KpiPatch::new()),
            &[("delete_kpis[1]", "duplicate_id")],
        ),
        (DatasetPatch::new().add_kpi(new(0)).add_kpi(new(1)).add_kpi(new(0)), &[("add_kpis[2].id", "duplicate_id")]),
        (DatasetPatch::new().add_kpi(new(0)).delete_kpi(id(0)), &[("add_kpis[0].id", "duplicate_id")]),
        (
            DatasetPatch::new().order_kpis([id(0), id(1), id(0), id(0)]),
            &[("order_kpis[2]", "duplicate_id"), ("order_kpis[3]", "duplicate_id")],
        ),
        (DatasetPatch::new().order_kpis([id(0), id(0)]).delete_kpi(id(0)), &[("order_kpis[1]", "duplicate_id")]),
    ];
    for (patch, violations) in table {
        assert_eq!(found(patch.validate()), expected(violations), "{patch:?}");
    }
}

#[test]
fn sort_keys_are_not_set_together_with_the_order() {
    let patch = DatasetPatch::new()
        .add_kpi(NewKpi::new("k"))
        .add_kpi(NewKpi::new("k").sort_order(1))
        .add_kpi(NewKpi::new("k").sort_order(-1))
        .update_kpi(id(0), KpiPatch::new().sort_order(0))
        .update_kpi(id(1), KpiPatch::new().sort_order(-1))
        .update_kpi(id(2), KpiPatch::new().name("k"));
    assert_eq!(found(patch.validate()).len(), 2, "without an order only the negative ones are wrong");
    let violations = expected(&[
        ("add_kpis[1].sort_order", "ambiguous_order"),
        ("add_kpis[2].sort_order", "greater_than_equal"),
        ("update_kpis[0].sort_order", "ambiguous_order"),
        ("update_kpis[1].sort_order", "greater_than_equal"),
    ]);
    // Even an empty order gives the KPIs their sort keys.
    for order in [vec![], vec![id(0)]] {
        assert_eq!(found(patch.clone().order_kpis(order).validate()), violations);
    }
    let error = patch.order_kpis([]).validate().unwrap_err();
    let message = "Sort order should not be set together with the order of the KPIs";
    assert_eq!(error.as_slice()[0].message(), message);
}

#[test]
fn their_json_is_a_merge_patch_of_the_fields() {
    let table = [
        ("{}", DatasetPatch::new()),
        (r#" {"name": "w"} "#, DatasetPatch::new().name("w")),
        (r#"{"description":null}"#, DatasetPatch::new().clear_description()),
        (r#"{"description":"","name":"w"}"#, DatasetPatch::new().name("w").description("")),
    ];
    for (body, patch) in table {
        assert_eq!(DatasetPatch::from_json(body), Ok(patch), "{body}");
    }
    let table: [(&str, &[(&str, &str)]); 9] = [
        ("", &[("", "missing")]),
        ("null", &[("", "model_attributes_type")]),
        ("{", &[("", "json_invalid")]),
        (r#"{"name":null}"#, &[("name", "string_type")]),
        (r#"{"description":1,"name":""}"#, &[("name", "string_too_short"), ("description", "string_type")]),
        (r#"{"name":"\ud800"}"#, &[("name", "string_unicode")]),
        (r#"{"kpis":[],"id":"x"}"#, &[("kpis", "extra_forbidden"), ("id", "extra_forbidden")]),
        (
            r#"{"name":"a","name":"b","x":1,"x":2}"#,
            &[("name", "duplicate_key"), ("x", "extra_forbidden"), ("x", "duplicate_key")],
        ),
        (r#"{"name":"a","name":""}"#, &[("name", "string_too_short"), ("name", "duplicate_key")]),
    ];
    for (body, violations) in table {
        assert_eq!(found(DatasetPatch::from_json(body)), expected(violations), "{body}");
    }
}
