//! The store of the fixtures, and what is read from it.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::DateTime;
use kpi_store::{
    Dataset, DatasetPatch, DatasetQuery, DatasetVersion, DeletedDataset, HistoryKeep, HistoryQuery, KpiPatch,
    NewDataset, NewKpi, Organization, OrganizationId, Page, Store, UserId, ValueType,
};
use uuid::Uuid;

use crate::support::{listed, plain_sqlite};

/// Makes the store through the public API, with ids and times counted from fixed ones.
pub(super) fn make(file: &Path) -> Store {
    let (ids, seconds) = (AtomicU64::new(1), AtomicI64::new(0));
    let store = Store::options()
        .ids(move || Uuid::from_u64_pair(0x0190_0000_0000_7000, ids.fetch_add(1, Ordering::Relaxed)))
        .clock(move || {
            let seconds = seconds.fetch_add(1, Ordering::Relaxed);
            DateTime::from_timestamp_micros(1_699_335_116_000_000 + seconds * 86_400_120_000).unwrap()
        })
        .open(file)
        .unwrap();
    let [first, second] = [1, 2].map(|id| store.organization(OrganizationId::from(Uuid::from_u128(id))));
    let every_type = ValueType::ALL.map(|value_type| NewKpi::new(value_type.as_str()).value_type(value_type));
    let ties = [3, 1, 3, 0, 1].map(|sort_order| NewKpi::new(format!("tie at {sort_order}")).sort_order(sort_order));
    let water = NewDataset::new("Water 水 🌊").description("Entnahme,\nEinleitung\t\"und\" Verbrauch").kpis(every_type);
    first.acting_as(UserId::from(Uuid::from_u128(3))).create_dataset(water.kpis(ties)).unwrap();
    let edges = NewDataset::new(" ")
        .description("")
        .kpi(NewKpi::new("é").description("").unit("").required(false).sort_order(i64::MAX))
        .kpi(NewKpi::new("\u{1}\u{10ffff}").description("m³ ".repeat(600)).unit("kg CO₂e/m²"));
    second.create_dataset(edges).unwrap();
    first.create_dataset(NewDataset::new("n".repeat(255))).unwrap();
    change(file, &first.acting_as(UserId::from(Uuid::from_u128(4))), &store.organization(Uuid::from_u128(6).into()));
    // The last one continues on other pages.
    let (long, longer) = ("🌊".repeat(255), "m³ ".repeat(2_000));
    let long = (long.as_str(), Some(longer.as_bytes()));
    first.set_properties([("cursor", Some(b"17".as_slice())), ("empty", Some(b"".as_slice())), long]).unwrap();
    second.set_properties([("cursor", Some([0, 255].as_slice()))]).unwrap();
    store
}

/// Makes a dataset for each way in which one can be changed.
fn change(file: &Path, ours: &Organization, with_trash_only: &Organization) {
    let created = |name: &str| {
        let kpis = ["Withdrawal", "Discharge", "Reuse"].map(|kpi| NewKpi::new(kpi).unit("m³"));
        ours.create_dataset(NewDataset::new(name).description("Of the year").kpis(kpis)).unwrap()
    };
    let renamed = |dataset: &Dataset, name: &str| {
        let mut draft = dataset.edit();
        draft.name = name.into();
        ours.save_dataset(&draft).unwrap()
    };

    edit(ours, &created("Edited"));
    let reverted = created("Reverted");
    let mut draft = reverted.edit();
    draft.kpis.remove(1);
    draft.description = None;
    ours.revert_dataset(&ours.save_dataset(&draft).unwrap(), 1).unwrap();

    let deleted = renamed(&created("Deleted"), "Deleted, once renamed");
    ours.delete_dataset(deleted.id).unwrap();
    let restored = created("Restored").id;
    ours.delete_dataset(restored).unwrap();
    ours.acting_as(UserId::from(Uuid::from_u128(5))).restore_dataset(restored).unwrap();
    let purged = created("Purged").id;
    ours.delete_dataset(purged).unwrap();
    ours.purge_dataset(purged).unwrap();

    let accepted = renamed(&created("Accepted"), "Accepted, once renamed").id;
    let by_hand = "UPDATE dataset SET description = 'By hand' WHERE id = ?1";
    plain_sqlite(file).execute(by_hand, [Uuid::from(accepted).as_bytes()]).unwrap();
    ours.accept_dataset(accepted).unwrap();
    let pruned = ["Once", "Twice", "Three times"].iter().fold(created("Pruned"), |last, name| renamed(&last, name));
    ours.prune_history(&HistoryKeep::new().last(2).of(pruned.id)).unwrap();

    let in_trash = with_trash_only.create_dataset(NewDataset::new("In the trash")).unwrap();
    with_trash_only.delete_dataset(in_trash.id).unwrap();
}

/// Changes the dataset by every call, and each of its columns.
fn edit(ours: &Organization, dataset: &Dataset) {
    let mut draft = dataset.edit();
    draft.name = "Edited by a form".into();
    draft.description = Some("Of the last year".to_owned());
    draft.kpis.remove(1);
    draft.kpis.swap(0, 1);
    draft.kpis[0].unit = Some("ℓ".to_owned());
    draft.kpis.insert(1, NewKpi::new("Losses").value_type(ValueType::Percentage).into());
    ours.save_dataset(&draft).unwrap();
    let added = NewKpi::new("Rain").description("Collected").unit("mm").sort_order(1);
    let added = ours.create_kpi(dataset.id, added).unwrap();
    let every_field = KpiPatch::new()
        .name("Rainfall")
        .clear_description()
        .clear_unit()
        .value_type(ValueType::Text)
        .required(false)
        .sort_order(9);
    let patch =
        DatasetPatch::new().clear_description().update_kpi(added.id, every_field).delete_kpi(dataset.kpis[0].id);
    ours.update_dataset(dataset.id, patch.add_kpi(NewKpi::new("Snow"))).unwrap();
}

/// What is read of an organization: its datasets, its trash, the histories of those that were changed, and its
/// properties, in which each byte that is not printable ASCII is escaped.
type Content = (OrganizationId, Vec<Dataset>, Page<DeletedDataset>, Vec<Page<DatasetVersion>>, Vec<(String, String)>);

/// Everything that the public API returns, as JSON.
pub(super) fn read(store: &Store) -> String {
    let organizations = store.organizations().unwrap().into_iter();
    let all: Vec<Content> = organizations.map(|id| content(&store.organization(id))).collect();
    serde_json::to_string_pretty(&all).unwrap() + "\n"
}

fn content(organization: &Organization) -> Content {
    let datasets = listed(organization);
    let history = |dataset: &Dataset| organization.history(dataset.id, &HistoryQuery::new()).unwrap();
    let histories = datasets.iter().map(history).filter(|history| history.items.len() > 1).collect();
    let trash = organization.deleted_datasets(&DatasetQuery::new()).unwrap();
    let property = |key: String| {
        let content = organization.property(&key).unwrap().unwrap();
        (key, content.escape_ascii().to_string())
    };
    let properties = organization.property_keys().unwrap().into_iter().map(property).collect();
    (organization.id(), datasets, trash, histories, properties)
}
