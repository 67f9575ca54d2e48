//! Changing a dataset: drafts, patches and single KPIs; what a change returns, moves and refuses.

mod conflicts;
mod large;
mod tokens;

use kpi_store::{
    Dataset, DatasetId, DatasetPatch, Error, KpiDraft, KpiId, KpiPatch, NewDataset, NewKpi, Organization, Store,
    UserId, ValueType,
};

use crate::support::{self, in_a_file_and_in_memory, organization, paths, request_with_kpis};

/// The names of the KPIs, in display order.
fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.kpis.iter().map(|kpi| kpi.name.as_str()).collect()
}

fn sort_orders(dataset: &Dataset) -> Vec<i64> {
    dataset.kpis.iter().map(|kpi| kpi.sort_order).collect()
}

fn dataset_with(organization: &Organization, kpis: &[(&str, i64)]) -> Dataset {
    let kpis = kpis.iter().map(|(name, sort_order)| NewKpi::new(*name).sort_order(*sort_order));
    organization.create_dataset(NewDataset::new("Water").kpis(kpis)).unwrap()
}

#[test]
fn what_a_save_returns_is_what_every_reader_finds() {
    in_a_file_and_in_memory(Store::options, |store, file| {
        let user = UserId::new();
        let ours = organization(store);
        let before = ours.create_dataset(request_with_kpis(3)).unwrap();
        let mut draft = before.edit();
        draft.name = "Water and waste".into();
        draft.description = Some("Of the year".into());
        draft.kpis[0].unit = None;
        draft.kpis[1].value_type = ValueType::Percentage;
        draft.kpis.remove(2);
        draft.kpis.push(NewKpi::new("New").required(false).into());
        let saved = ours.acting_as(user).save_dataset(&draft).unwrap();

        assert_eq!((saved.name.as_str(), saved.description.as_deref()), ("Water and waste", Some("Of the year")));
        assert_eq!(names(&saved), ["KPI 0", "KPI 1", "New"]);
        assert_eq!((saved.kpis[0].unit.as_deref(), saved.kpis[1].value_type), (None, ValueType::Percentage));
        assert_eq!((saved.updated_by, saved.created_by), (Some(user), None));
        assert_eq!(saved.created_at, before.created_at);
        assert!(!draft.differs_from(&saved) || draft.kpis[2].id().is_none());
        assert_eq!(ours.dataset(saved.id).unwrap().as_ref(), Some(&saved));
        assert_eq!(support::listed(&ours), std::slice::from_ref(&saved));
        if let Some(file) = file {
            let other = Store::open(file).unwrap().organization(ours.id());
            assert_eq!(other.dataset(saved.id).unwrap(), Some(saved));
        }
    });
}

#[test]
fn the_list_of_a_draft_is_the_display_order_and_sort_orders_stay_where_they_agree() {
    let ours = organization(&Store::open_in_memory().unwrap());
    let before = dataset_with(&ours, &[("a", 10), ("b", 20), ("c", 30)]);

    let mut draft = before.edit();
    draft.kpis.extend(["d", "e"].map(|name| KpiDraft::from(NewKpi::new(name))));
    let appended = ours.save_dataset(&draft).unwrap();
    assert_eq!((names(&appended), sort_orders(&appended)), (vec!["a", "b", "c", "d", "e"], vec![10, 20, 30, 31, 32]));

    let mut draft = appended.edit();
    draft.kpis.remove(1);
    let shorter = ours.save_dataset(&draft).unwrap();
    assert_eq!((names(&shorter), sort_orders(&shorter)), (vec!["a", "c", "d", "e"], vec![10, 30, 31, 32]));

    let mut draft = shorter.edit();
    draft.kpis.swap(0, 3);
    let moved = ours.save_dataset(&draft).unwrap();
    assert_eq!((names(&moved), sort_orders(&moved)), (vec!["e", "c", "d", "a"], vec![0, 1, 2, 3]));
}

#[test]
fn ties_stay_in_the_order_of_addition() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let before = dataset_with(&ours, &[("a", 5), ("b", 5), ("c", 5)]);
        let added = ours.create_kpi(before.id, NewKpi::new("d").sort_order(5)).unwrap();
        let patch = DatasetPatch::new().add_kpi(NewKpi::new("e").sort_order(5)).add_kpi(NewKpi::new("f").sort_order(5));
        let after = ours.update_dataset(before.id, patch).unwrap();
        assert_eq!(names(&after), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(after.kpi(added.id), Some(&added));
        assert_eq!(ours.dataset(before.id).unwrap(), Some(after));
    });
}

#[test]
fn undoing_a_deletion_adds_the_kpi_with_its_id() {
    let ours = organization(&Store::open_in_memory().unwrap());
    let before = dataset_with(&ours, &[("a", 0), ("b", 1), ("c", 2)]);
    let mut draft = before.edit();
    let deleted = draft.kpis.remove(1);
    let mut draft = ours.save_dataset(&draft).unwrap().edit();
    draft.kpis.insert(1, deleted);
    let after = ours.save_dataset(&draft).unwrap();
    assert_eq!(names(&after), ["a", "b", "c"]);
    assert_eq!(after.kpis[1].id, before.kpis[1].id);
    // It is a new one for a reader of its times.
    assert_eq!(Some(after.kpis[1].created_at), after.updated_at);
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let ours = organization(&Store::open_in_memory().unwrap());
    let before = ours.create_dataset(request_with_kpis(4).description("Of the year")).unwrap();
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|index| before.kpis[index].id);
    let patch = DatasetPatch::new()
        .clear_description()
        .update_kpi(first, KpiPatch::new().clear_unit().required(false))
        .delete_kpi(second)
        .add_kpi(NewKpi::new("New"))
        .order_kpis([fourth, third]);
    let after = ours.update_dataset(before.id, patch).unwrap();
    assert_eq!((after.name.as_str(), after.description.as_deref()), ("Water", None));
    assert_eq!(names(&after), ["KPI 3", "KPI 2", "KPI 0", "New"]);
    let changed = after.kpi(first).unwrap();
    assert_eq!((changed.unit.as_deref(), changed.required, changed.name.as_str()), (None, false, "KPI 0"));
    assert_eq!(ours.dataset(before.id).unwrap(), Some(after));
}

#[test]
fn a_created_kpi_is_the_one_that_is_read_and_the_dataset_has_changed() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let user = UserId::new();
        let ours = organization(store).acting_as(user);
        let before = ours.create_dataset(request_with_kpis(2)).unwrap();
        let (id, body) =
            (KpiId::new(), r#"{"name":"Discharge","unit":"m³","value_type":"date","required":false,"sort_order":9}"#);
        let kpi = ours.create_kpi(before.id, NewKpi::from_json(body).unwrap().id(id)).unwrap();
        let after = ours.dataset(before.id).unwrap().unwrap();
        assert_eq!((kpi.id, kpi.dataset_id, kpi.value_type, kpi.sort_order), (id, before.id, ValueType::Date, 9));
        assert_eq!((Some(kpi.created_at), kpi.updated_at), (after.updated_at, None));
        assert_eq!(after.updated_by, Some(user));
        assert_eq!(after.kpis[..2], before.kpis);
        assert_eq!(after.kpis[2], kpi);

        let taken = ours.create_kpi(before.id, NewKpi::new("again").id(id)).unwrap_err();
        assert!(
            matches!(taken, Error::AlreadyExists { dataset, kpi: Some(kpi), .. } if (dataset, kpi) == (before.id, id))
        );
        let invalid = ours.create_kpi(before.id, NewKpi::new("").sort_order(-1)).unwrap_err();
        assert_eq!(paths(&invalid), ["name", "sort_order"]);
        assert_eq!(ours.dataset(before.id).unwrap(), Some(after));
    });
}

#[test]
fn a_refused_change_names_every_violation_and_changes_nothing() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let before = ours.create_dataset(request_with_kpis(3)).unwrap();
        let mut draft = before.edit();
        draft.name = String::new();
        draft.kpis[1].unit = Some("x".repeat(51));
        draft.kpis.insert(0, NewKpi::new("\0").into());
        assert_eq!(paths(&ours.save_dataset(&draft).unwrap_err()), ["name", "kpis[0].name", "kpis[2].unit"]);

        let unknown = KpiId::new();
        for (patch, code) in [
            (DatasetPatch::new().name(""), "invalid"),
            (DatasetPatch::new().name("x").delete_kpi(unknown), "not_found"),
            (DatasetPatch::new().name("x").update_kpi(unknown, KpiPatch::new().name("y")), "not_found"),
            (DatasetPatch::new().name("x").order_kpis([unknown]), "not_found"),
            (DatasetPatch::new().name("x").add_kpi(NewKpi::new("y").id(before.kpis[0].id)), "already_exists"),
            (
                DatasetPatch::new()
                    .delete_kpi(before.kpis[0].id)
                    .update_kpi(before.kpis[0].id, KpiPatch::new().name("y")),
                "invalid",
            ),
        ] {
            let error = ours.update_dataset(before.id, patch.clone()).unwrap_err();
            assert_eq!(error.code(), code, "{patch:?}");
            if let Error::NotFound { dataset, kpi, revision, .. } = error {
                assert_eq!((dataset, kpi, revision), (before.id, Some(unknown), None));
            }
        }
        assert_eq!(ours.dataset(before.id).unwrap(), Some(before));
    });
}

#[test]
fn a_dataset_that_is_not_there_is_not_found_by_any_change() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let deleted = ours.create_dataset(request_with_kpis(1)).unwrap();
        ours.delete_dataset(deleted.id).unwrap();
        let theirs = organization(store).create_dataset(request_with_kpis(1)).unwrap();
        for dataset in [deleted, theirs] {
            let id: DatasetId = dataset.id;
            let mut draft = dataset.edit();
            draft.name = "x".into();
            let answers = [
                ours.save_dataset(&draft).map(drop),
                ours.update_dataset(id, DatasetPatch::new().name("x")).map(drop),
                ours.update_dataset(id, DatasetPatch::new()).map(drop),
                ours.create_kpi(id, NewKpi::new("x")).map(drop),
                ours.revert_dataset(&dataset, 1).map(drop),
                ours.accept_dataset(id).map(drop),
                ours.delete_dataset(id),
                ours.history(id, &kpi_store::HistoryQuery::new()).map(drop),
            ];
            for answer in answers {
                let error = answer.unwrap_err();
                assert!(
                    matches!(error, Error::NotFound { dataset, kpi: None, revision: None, .. } if dataset == id),
                    "{error:?}"
                );
            }
            assert_eq!(ours.version(id, 1).unwrap(), None);
            assert_eq!(ours.version_at(id, None).unwrap(), None);
        }
    });
}

/// As in a new dataset, whatever their `sort_order`: it decides among KPIs that are given the same one later.
#[test]
fn kpis_of_a_patch_are_added_in_the_order_of_the_calls() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let before = dataset_with(&ours, &[("a", 0)]);
        let last = NewKpi::new("last").sort_order(9);
        let patch = DatasetPatch::new().add_kpi(last).add_kpi(NewKpi::new("first").sort_order(1));
        let added = ours.update_dataset(before.id, patch).unwrap();
        assert_eq!(names(&added), ["a", "first", "last"]);

        let same = |patch: DatasetPatch, kpi: &kpi_store::Kpi| patch.update_kpi(kpi.id, KpiPatch::new().sort_order(5));
        let patch = added.kpis.iter().fold(DatasetPatch::new(), same);
        assert_eq!(names(&ours.update_dataset(before.id, patch).unwrap()), ["a", "last", "first"]);
    });
}
