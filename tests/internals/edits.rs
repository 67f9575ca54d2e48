//! The content that drafts and patches give to a dataset, and what refuses them: inside, because a store answers with
//! what it then has written.

#[path = "../behavior/edits/scenes.rs"]
mod scenes;

use std::collections::HashMap;

use kpi_store_test_support::seed;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use self::scenes::{Scene, scenes};
use crate::limits::KPIS_MAX;
use crate::model::content::{Content, KpiContent, Refusal};
use crate::model::id_source::IdSource;
use crate::{Dataset, DatasetDiff, DatasetDraft, DatasetPatch, KpiDraft, KpiId, KpiPatch, NewKpi, ValueType};

/// A dataset whose KPIs have the ids 0, 1, 2 and so on, in display order, and these sort keys.
fn dataset(sort_orders: &[i64]) -> Dataset {
    let kpis = sort_orders.iter().zip(0_u128..).map(|(sort_order, number)| {
        serde_json::json!({
            "id": id(number),
            "dataset_id": id(0),
            "name": number.to_string(),
            "sort_order": sort_order,
            "created_at": "2026-01-02T03:04:05Z",
            "description": "d",
            "unit": "u",
            "value_type": "number",
            "required": true,
        })
    });
    serde_json::from_value(serde_json::json!({
        "id": id(0),
        "organization_id": id(0),
        "name": "Water",
        "created_at": "2026-01-02T03:04:05Z",
        "description": "d",
        "kpis": kpis.collect::<Vec<_>>(),
    }))
    .unwrap()
}

fn id(number: u128) -> KpiId {
    KpiId::from_u128(number)
}

fn new(number: u128) -> NewKpi {
    NewKpi::new(number.to_string()).id(id(number))
}

/// Numbers and sort keys of the KPIs, in the order of the list.
fn order(content: &Content<'_>) -> Vec<(u128, i64)> {
    content.kpis.iter().map(|kpi| (Uuid::from(kpi.id).as_u128(), kpi.sort_order)).collect()
}

#[test]
fn a_draft_keeps_the_sort_keys_that_agree_with_its_list() {
    // The numbers of the KPIs of the draft, and the sort keys that a save gives them; the dataset has 5, 7, 7, 9.
    let table: [(&[u128], &[i64]); 10] = [
        (&[0, 1, 2, 3], &[5, 7, 7, 9]),
        (&[0, 3], &[5, 9]),
        (&[], &[]),
        (&[0, 1, 2, 3, 10, 11], &[5, 7, 7, 9, 10, 11]),
        (&[0, 2, 10], &[5, 7, 8]),
        (&[10, 11], &[0, 1]),
        // Ties in another order than they were added in.
        (&[0, 2, 1, 3], &[0, 1, 2, 3]),
        (&[3, 0, 1, 2], &[0, 1, 2, 3]),
        (&[0, 10, 1, 2, 3], &[0, 1, 2, 3, 4]),
        (&[10, 0, 1, 2, 3], &[0, 1, 2, 3, 4]),
    ];
    let water = dataset(&[5, 7, 7, 9]);
    for (numbers, sort_orders) in table {
        let mut draft = water.edit();
        let kpi =
            |number: &u128| water.kpi(id(*number)).map_or_else(|| new(*number).sort_order(3).into(), KpiDraft::from);
        draft.kpis = numbers.iter().map(kpi).collect();
        let content = draft.content(&water).unwrap();
        assert_eq!(order(&content), numbers.iter().copied().zip(sort_orders.iter().copied()).collect::<Vec<_>>());
        assert!(content.kpis.iter().all(|kpi| kpi.origin.is_none()));
    }
    let mut draft = dataset(&[i64::MAX]).edit();
    draft.kpis.push(new(1).into());
    assert_eq!(order(&draft.content(&dataset(&[i64::MAX])).unwrap()), [(0, 0), (1, 1)]);
}

#[test]
fn a_draft_of_another_version_is_a_conflict_and_a_taken_id_is_not_added_twice() {
    let water = dataset(&[0]);
    let mut later = water.clone();
    later.updated_at = Some(later.created_at);
    assert!(matches!(water.edit().content(&later), Err(Refusal::Conflict { expected: None })));
    let expected = later.updated_at;
    assert!(matches!(later.edit().content(&water), Err(Refusal::Conflict { expected: found }) if found == expected));
    assert!(later.edit().content(&later).is_ok());

    // From a source of ids that returns the same id each time.
    let mut draft = water.edit();
    draft.kpis.extend([NewKpi::new("a"), NewKpi::new("b")].map(KpiDraft::from));
    let same = IdSource::Given(Box::new(|| id(7).into()));
    let refusal = draft.clone().with_ids(&same).content(&water).unwrap_err();
    assert!(matches!(refusal, Refusal::KpiExists(kpi) if kpi == id(7)));
    let patch = DatasetPatch::new().add_kpi(NewKpi::new("a")).add_kpi(NewKpi::new("b")).with_ids(&same);
    assert!(matches!(patch.content(&water).unwrap_err(), Refusal::KpiExists(kpi) if kpi == id(7)));

    let given = draft.with_ids(&IdSource::Fresh);
    let content = given.content(&water).unwrap();
    assert_eq!(given.kpis.iter().map(KpiDraft::id).collect::<Vec<_>>(), ids(&content.kpis));
}

fn ids(kpis: &[KpiContent<'_>]) -> Vec<Option<KpiId>> {
    kpis.iter().map(|kpi| Some(kpi.id)).collect()
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let water = dataset(&[0, 1]);
    let patch = DatasetPatch::new().update_kpi(id(1), KpiPatch::new());
    let unchanged = patch.content(&water).unwrap();
    assert_eq!(format!("{unchanged:?}"), format!("{:?}", Content::from(&water)));

    let kpi = KpiPatch::new().clear_unit().value_type(ValueType::Date).required(false);
    let patch = DatasetPatch::new().name("w").clear_description().update_kpi(id(1), kpi);
    let content = patch.content(&water).unwrap();
    let mut expected = water.clone();
    (expected.name, expected.description) = ("w".into(), None);
    let kpi = &mut expected.kpis[1];
    (kpi.unit, kpi.value_type, kpi.required) = (None, ValueType::Date, false);
    assert_eq!(format!("{content:?}"), format!("{:?}", Content::from(&expected)));

    let kpi = KpiPatch::new().name("n").unit("l").clear_description();
    let patch = DatasetPatch::new().description("").update_kpi(id(0), kpi);
    let content = patch.content(&water).unwrap();
    let kpi = &content.kpis[0];
    assert_eq!((kpi.name, kpi.unit, kpi.description), ("n", Some("l"), None));
    assert_eq!((content.name, content.description), ("Water", Some("")));
}

#[test]
fn a_patch_orders_kpis_by_their_sort_keys_or_by_its_list() {
    let patch = DatasetPatch::new;
    let to = |sort_order| KpiPatch::new().sort_order(sort_order);
    // What is done to 5, 7, 7, 9, and the KPIs that result.
    let table: [(DatasetPatch, &[(u128, i64)]); 12] = [
        (patch().delete_kpi(id(1)), &[(0, 5), (2, 7), (3, 9)]),
        (patch().add_kpi(new(10)), &[(10, 0), (0, 5), (1, 7), (2, 7), (3, 9)]),
        (patch().add_kpi(new(10).sort_order(7)), &[(0, 5), (1, 7), (2, 7), (10, 7), (3, 9)]),
        (
            patch().add_kpi(new(11).sort_order(9)).add_kpi(new(10).sort_order(9)),
            &[(0, 5), (1, 7), (2, 7), (3, 9), (11, 9), (10, 9)],
        ),
        (patch().update_kpi(id(3), to(0)), &[(3, 0), (0, 5), (1, 7), (2, 7)]),
        (patch().update_kpi(id(3), to(i64::MAX)), &[(0, 5), (1, 7), (2, 7), (3, i64::MAX)]),
        (patch().order_kpis([]), &[(0, 5), (1, 7), (2, 7), (3, 9)]),
        (patch().order_kpis([id(0), id(1)]), &[(0, 5), (1, 7), (2, 7), (3, 9)]),
        (patch().order_kpis([id(3), id(1)]), &[(3, 0), (1, 1), (0, 2), (2, 3)]),
        (
            patch().order_kpis([]).add_kpi(new(10)).add_kpi(new(11)),
            &[(0, 5), (1, 7), (2, 7), (3, 9), (10, 10), (11, 11)],
        ),
        (
            patch().order_kpis([id(11), id(2)]).add_kpi(new(10)).add_kpi(new(11)).delete_kpi(id(0)),
            &[(11, 0), (2, 1), (1, 2), (3, 3), (10, 4)],
        ),
        (patch().delete_kpi(id(0)).delete_kpi(id(1)).order_kpis([id(2)]), &[(2, 7), (3, 9)]),
    ];
    for (patch, expected) in table {
        assert_eq!(patch.validate(), Ok(()));
        let water = dataset(&[5, 7, 7, 9]);
        let mut kpis = order(&patch.content(&water).unwrap());
        // As they are stored then: in the order of addition among those with the same key.
        kpis.sort_by_key(|(_, sort_order)| *sort_order);
        assert_eq!(kpis, expected, "{patch:?}");
    }
}

#[test]
fn a_patch_is_refused_for_another_version_then_for_unknown_and_taken_ids_then_for_the_limit() {
    let water = dataset(&[0, 1]);
    let refused = |patch: DatasetPatch| {
        assert_eq!(patch.validate(), Ok(()));
        format!("{:?}", patch.content(&water).unwrap_err())
    };
    let patch = DatasetPatch::new;
    let other = Some(water.created_at);
    let unknown = format!("KpiNotFound({:?})", id(9));
    let known = format!("KpiExists({:?})", id(1));
    let all_wrong = patch().add_kpi(new(1)).update_kpi(id(9), KpiPatch::new());
    assert_eq!(refused(all_wrong.clone().if_updated_at(other)), format!("Conflict {{ expected: {other:?} }}"));
    assert_eq!(refused(all_wrong.if_unchanged(&water)), unknown);
    assert_eq!(refused(patch().delete_kpi(id(9))), unknown);
    assert_eq!(refused(patch().order_kpis([id(0), id(9)])), unknown);
    assert_eq!(refused(patch().add_kpi(new(1))), known);
    // A KPI that is added or deleted by the same patch cannot be updated or listed.
    assert_eq!(refused(patch().add_kpi(new(9)).update_kpi(id(9), KpiPatch::new())), unknown);
    assert_eq!(refused(patch().delete_kpi(id(1)).order_kpis([id(1)])), format!("KpiNotFound({:?})", id(1)));

    let full = dataset(&vec![0; KPIS_MAX]);
    assert!(patch().add_kpi(NewKpi::new("k")).delete_kpi(id(0)).content(&full).is_ok());
    let Err(Refusal::Invalid(violations)) = patch().add_kpi(NewKpi::new("k")).content(&full) else { panic!() };
    let violation = &violations.as_slice()[0];
    assert_eq!((violation.path(), violation.code(), violations.len()), ("kpis".to_owned(), "too_long", 1));
}

/// Sorts as a store does: by sort key, then by position, where added KPIs come last.
fn stored_order(content: &Content<'_>, before: &Dataset) -> Vec<KpiId> {
    let positions: HashMap<KpiId, usize> = before.kpis.iter().enumerate().map(|(place, kpi)| (kpi.id, place)).collect();
    let position = |place: usize, kpi: &KpiContent<'_>| positions.get(&kpi.id).map_or((1, place), |place| (0, *place));
    let mut kpis: Vec<_> = content.kpis.iter().enumerate().collect();
    kpis.sort_by_key(|(place, kpi)| (kpi.sort_order, position(*place, kpi)));
    kpis.into_iter().map(|(_, kpi)| kpi.id).collect()
}

#[test]
fn the_difference_between_two_versions_applied_to_the_first_is_the_second() {
    let turns_into_the_second = |scene: Scene| {
        let [from, to] = [scene.base, scene.current].map(|json| serde_json::from_value::<Dataset>(json).unwrap());
        for (from, to) in [(&from, &to), (&to, &from), (&from, &from)] {
            let diff = DatasetDiff::between(from, to);
            let patch = diff.patch().if_unchanged(from);
            prop_assert_eq!(patch.validate(), Ok(()));
            let content = patch.content(from).unwrap();
            prop_assert_eq!(stored_order(&content, from), to.kpis.iter().map(|kpi| kpi.id).collect::<Vec<_>>());
            prop_assert!(!edited(from, content).differs_from(to), "{}", diff);
        }
        Ok(())
    };
    run(turns_into_the_second);
}

#[test]
fn what_a_draft_saves_is_what_it_shows() {
    let saves_what_it_shows = |scene: Scene| {
        let base: Dataset = serde_json::from_value(scene.base).unwrap();
        let draft = DatasetDraft::from_json(scene.draft.to_string()).unwrap().with_ids(&IdSource::Fresh);
        let content = draft.content(&base).unwrap();
        let ids = content.kpis.iter().map(|kpi| kpi.id).collect::<Vec<_>>();
        prop_assert_eq!(stored_order(&content, &base), &*ids);
        prop_assert_eq!(draft.kpis.iter().filter_map(KpiDraft::id).collect::<Vec<_>>(), ids);
        let is_unchanged = format!("{content:?}") == format!("{:?}", Content::from(&base));
        prop_assert_eq!(draft.differs_from(&base), !is_unchanged);
        Ok(())
    };
    run(saves_what_it_shows);
}

/// The content as a draft, which compares itself with a dataset.
fn edited(dataset: &Dataset, content: Content<'_>) -> DatasetDraft {
    let mut draft = dataset.edit();
    (draft.name, draft.description) = (content.name.to_owned(), content.description.map(str::to_owned));
    draft.kpis = content.kpis.into_iter().map(kpi_draft).collect();
    draft
}

fn kpi_draft(kpi: KpiContent<'_>) -> KpiDraft {
    let mut new = NewKpi::new(kpi.name).value_type(kpi.value_type).required(kpi.required).id(kpi.id);
    (new.description, new.unit) = (kpi.description.map(str::to_owned), kpi.unit.map(str::to_owned));
    new.into()
}

fn run(check: impl Fn(Scene) -> Result<(), TestCaseError>) {
    let seed = seed();
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes().repeat(2));
    let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner.run(&scenes(), check).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}
