//! Datasets of up to 10,000 KPIs: in one save, and one KPI at a time.

use kpi_store::{DatasetPatch, NewDataset, NewKpi, Store, limits::KPIS_MAX};

use crate::support::{TestFile, organization, paths, request_with_kpis};

#[test]
fn a_sheet_of_150_rows_pastes_in_one_save() {
    let file = TestFile::new();
    let ours = organization(&Store::open(&file.path).unwrap());
    let mut draft = ours.create_dataset(request_with_kpis(10)).unwrap().edit();
    draft.kpis.extend((0..150).map(|row| NewKpi::new(format!("Row {row}")).into()));
    let saved = ours.save_dataset(&draft).unwrap();
    assert_eq!((saved.kpis.len(), saved.kpis[159].name.as_str()), (160, "Row 149"));
    assert_eq!(ours.dataset(saved.id).unwrap(), Some(saved));
}

#[test]
fn a_dataset_has_at_most_10_000_kpis() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let too_many = NewDataset::new("Water").kpis((0..=KPIS_MAX).map(|_| NewKpi::new("x")));
    assert_eq!(paths(&ours.create_dataset(too_many).unwrap_err()), ["kpis"]);

    let full = ours.create_dataset(request_with_kpis(KPIS_MAX)).unwrap();
    assert_eq!(ours.dataset(full.id).unwrap().as_ref(), Some(&full));
    let one_more = NewKpi::new("one more");
    assert_eq!(paths(&ours.create_kpi(full.id, one_more.clone()).unwrap_err()), ["kpis"]);
    let patch = DatasetPatch::new().add_kpi(one_more.clone());
    assert_eq!(paths(&ours.update_dataset(full.id, patch.clone()).unwrap_err()), ["kpis"]);
    let mut draft = full.edit();
    draft.kpis.push(one_more.into());
    assert_eq!(paths(&ours.save_dataset(&draft).unwrap_err()), ["kpis"]);
    // In place of another it fits.
    let patched = ours.update_dataset(full.id, patch.delete_kpi(full.kpis[5_000].id)).unwrap();
    assert_eq!(patched.kpis.len(), KPIS_MAX);
    assert!(store.verify().unwrap().is_whole());
}

/// What a change of everything replaced is longer than any value that a connection of this crate reads or writes.
#[test]
fn a_change_of_10_000_long_kpis_has_its_place_in_the_history() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let kpis = (0..2_000).map(|index| NewKpi::new(format!("{index}")).description("\u{1}水".repeat(1_000)));
    let first = ours.create_dataset(NewDataset::new("Water").kpis(kpis)).unwrap();
    let mut draft = first.edit();
    draft.kpis.clear();
    let empty = ours.save_dataset(&draft).unwrap();
    assert_eq!(ours.version(first.id, 1).unwrap().map(|version| version.dataset).as_ref(), Some(&first));
    let back = ours.revert_dataset(&empty, 1).unwrap();
    assert_eq!(kpi_store::DatasetDiff::between(&first, &back).to_string(), "");
    assert!(store.verify().unwrap().is_whole());
}
