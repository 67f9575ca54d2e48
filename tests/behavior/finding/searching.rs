//! Searching texts.

use kpi_store::{DatasetQuery, Match, MatchField, NewDataset, NewKpi, Organization, Store, limits};

use super::names;
use crate::support::{self, in_a_file_and_in_memory};

fn matching(text: &str) -> DatasetQuery {
    DatasetQuery::new().matching(text)
}

fn of_names(names: &[&str]) -> Organization {
    let ours = support::organization(&Store::open_in_memory().unwrap());
    ours.create_datasets(names.iter().copied().map(NewDataset::new)).unwrap();
    ours
}

#[test]
fn case_diacritics_and_other_forms_of_letters_do_not_matter() {
    let all = ["Energía", "Straße", "Łódź", "ﬁne ½", "ＷＡＴＥＲ", "ΣΊΣΥΦΟΣ", "Gas", "m³"];
    let ours = of_names(&all);
    for (text, expected) in [
        ("energia", &["Energía"][..]),
        ("ENERGÍA", &["Energía"]),
        ("energi\u{301}a", &["Energía"]),
        ("strasse", &["Straße"]),
        ("STRASSE", &["Straße"]),
        ("lodz", &["Łódź"]),
        ("ŁÓDŹ", &["Łódź"]),
        ("fine", &["ﬁne ½"]),
        ("water", &["ＷＡＴＥＲ"]),
        ("σίσυφος", &["ΣΊΣΥΦΟΣ"]),
        ("m3", &["m³"]),
        ("as", &["Straße", "Gas"]),
        ("s", &["Straße", "Gas"]),
        ("water gas", &[]),
        ("gasx", &[]),
        ("\0", &[]),
        (" \t\u{a0}\u{2003}\n", &all),
        ("", &all),
        // Of marks alone, nothing is left to look for.
        ("\u{301}", &all),
    ] {
        assert_eq!(names(&ours, &matching(text)), expected, "{text:?}");
    }
}

#[test]
fn each_word_is_found_in_any_text_of_a_dataset_and_none_across_two() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = support::organization(store);
        let kpis =
            [NewKpi::new("Withdrawal").description("from rivers").unit("m³"), NewKpi::new("Discharge").unit("t")];
        ours.create_dataset(NewDataset::new("Water").description("of the year").kpis(kpis)).unwrap();
        ours.create_dataset(NewDataset::new("Energy").kpi(NewKpi::new("Gas").unit("kWh"))).unwrap();
        for text in ["water", "year", "draw", "rivers", "m3", "charge t", "water YEAR withdrawal m3", "t t T", "of of"]
        {
            assert_eq!(names(&ours, &matching(text)), ["Water"], "{text}");
        }
        for text in ["water kwh", "waterof", "withdrawalfrom", "year gas", "waterx"] {
            assert_eq!(names(&ours, &matching(text)), [""; 0], "{text}");
        }
        assert_eq!(names(&ours, &matching("a").newest_first()), ["Energy", "Water"]);
    });
}

#[test]
fn a_summary_tells_in_which_texts_and_where() {
    let ours = support::organization(&Store::open_in_memory().unwrap());
    // In display order the second comes first.
    let kpis = [
        NewKpi::new("Agua de río").description("Sin agua de mar").unit("m³").sort_order(2),
        NewKpi::new("Consumo").unit("l de agua").sort_order(1),
    ];
    let dataset = ours.create_dataset(NewDataset::new("Agua y más AGUA").description("Año").kpis(kpis)).unwrap();
    let find = |text: &str| ours.summaries(&matching(text)).unwrap().items.remove(0).matches;
    let told = |found: &Match| {
        let pieces: Vec<String> =
            found.segments().map(|(text, is_found)| if is_found { format!("[{text}]") } else { text.into() }).collect();
        (found.kpi, found.field, pieces.concat())
    };
    let (first, second) = (Some(dataset.kpis[0].id), Some(dataset.kpis[1].id));
    assert_eq!(dataset.kpis[0].name, "Consumo");
    let found: Vec<_> = find("AGUA").iter().map(told).collect();
    let expected = [
        (None, MatchField::Name, "[Agua] y más [AGUA]"),
        (first, MatchField::Unit, "l de [agua]"),
        (second, MatchField::Name, "[Agua] de río"),
        (second, MatchField::Description, "Sin [agua] de mar"),
    ];
    assert_eq!(found, expected.map(|(kpi, field, text)| (kpi, field, text.to_owned())));
    // Each text in which any of the words is found.
    let found: Vec<_> = find("ano rio").iter().map(told).collect();
    let expected = [(None, MatchField::Description, "[Año]"), (second, MatchField::Name, "Agua de [río]")];
    assert_eq!(found, expected.map(|(kpi, field, text)| (kpi, field, text.to_owned())));
    let unfiltered = ours.summaries(&matching(" ")).unwrap();
    assert_eq!(unfiltered, ours.summaries(&DatasetQuery::new()).unwrap());
    assert!(unfiltered.items[0].matches.is_empty());
}

#[test]
fn a_text_that_is_too_long_is_refused_by_every_call() {
    let ours = of_names(&["Water"]);
    let longest = "ü".repeat(limits::SEARCH_MAX);
    assert_eq!(names(&ours, &matching(&longest)), [""; 0]);
    let query = matching(&(longest + "u"));
    let errors = [
        ours.datasets(&query).unwrap_err(),
        ours.summaries(&query).unwrap_err(),
        ours.deleted_datasets(&query).unwrap_err(),
        ours.count_datasets(&query).unwrap_err(),
        ours.count_deleted(&query).unwrap_err(),
        ours.iter_datasets(&query).next().unwrap().unwrap_err(),
        ours.iter_summaries(&query).next().unwrap().unwrap_err(),
    ];
    for error in errors {
        let kpi_store::Error::Invalid(violations) = &error else { panic!("{error:?}") };
        let json = serde_json::to_value(violations).unwrap();
        assert_eq!(json["detail"][0]["type"], "string_too_long");
        assert_eq!(json["detail"][0]["loc"], serde_json::json!(["query", "matching"]));
        assert_eq!(json["detail"][0]["ctx"]["max_length"], 1_000);
        assert!(!format!("{error} {error:?}").contains("üü"), "{error:?}");
    }
    assert_eq!(support::paths(&ours.datasets(&query.limit(0)).unwrap_err()), ["limit", "matching"]);
}
