//! Erasing: what is purged, pruned or edited away is in no byte of the file or its log after a compaction, and
//! everything else is as it was.

mod bytes;
mod compacting;
mod damaged;
mod interrupted;
mod organizations;
mod scene;

use std::collections::BTreeSet;

use kpi_store::{HistoryKeep, NewDataset, NewKpi, Store};

use self::bytes::{Marker, markers_beside};
use self::scene::Scene;
use crate::support::{Random, TestFile, is_long, organization, plain_sqlite, seed};

#[test]
fn no_byte_is_left_of_what_was_removed_and_every_other_text_is_there() {
    let (seed, scenes) = (seed(), if is_long() { 200 } else { 12 });
    let (mut gone, mut left_before) = (0, 0);
    for number in 0..scenes {
        let scene = Scene::play(seed.wrapping_add(number));
        gone += scene.gone.len();
        left_before += scene.compact_and_check().len();
    }
    println!("erasing: {scenes} scenes, seed {seed}: {gone} texts gone, {left_before} of them left before compacting");
    assert!(gone > 20 * 12, "seed {seed}: {gone}");
    assert!(left_before > 0, "the control: without a compaction something is left, seed {seed}");
}

/// The control: the same without `secure_delete`, by another tool.
#[test]
fn more_is_left_where_what_is_deleted_is_not_overwritten() {
    let mut left = [true, false].map(|overwrites| {
        let file = TestFile::in_memory();
        let store = Store::open(&file.path).unwrap();
        let (ours, mut random) = (organization(&store), Random::new(7));
        let mut make = |number: u32| {
            let kpi = NewKpi::new(Marker(number + 1_000).text(&mut random, 200));
            NewDataset::new(Marker(number).text(&mut random, 200)).kpi(kpi)
        };
        let created: Vec<_> = (0..200).map(|number| ours.create_dataset(make(number)).unwrap().id).collect();
        let removed: Vec<_> = created.iter().copied().step_by(2).collect();
        if overwrites {
            ours.delete_datasets(removed.iter().copied()).unwrap();
            for id in &removed {
                ours.purge_dataset(*id).unwrap();
            }
            store.close().unwrap();
        } else {
            store.close().unwrap();
            let plain = plain_sqlite(&file.path);
            plain.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = OFF").unwrap();
            for id in removed {
                let id = uuid::Uuid::from(id).into_bytes();
                assert_eq!(plain.execute("DELETE FROM dataset WHERE id = ?1", [id]).unwrap(), 1);
            }
        }
        markers_beside(&file.path).iter().filter(|marker| marker.0 % 2 == 0).count()
    });
    println!("erasing: of 200 texts {left:?} are left with and without secure_delete");
    left.reverse();
    assert!(left[0] > left[1], "{left:?}");
}

/// Pruned and edited away, one by one.
#[test]
fn every_field_of_an_edited_dataset_is_erased_with_its_history() {
    let file = TestFile::in_memory();
    let store = Store::open(&file.path).unwrap();
    let (ours, mut random) = (organization(&store), Random::new(8));
    let mut text = |number| Marker(number).text(&mut random, 50);
    let kpis = [(2, 3, 4), (5, 6, 7)]
        .map(|(name, description, unit)| NewKpi::new(text(name)).description(text(description)).unit(text(unit)));
    let created = ours.create_dataset(NewDataset::new(text(0)).description(text(1)).kpis(kpis)).unwrap();
    let mut draft = created.edit();
    draft.name = text(10);
    draft.description = None;
    draft.kpis.remove(1);
    draft.kpis[0].name = text(12);
    draft.kpis[0].description = Some(text(13));
    draft.kpis[0].unit = None;
    ours.save_dataset(&draft).unwrap();
    store.compact().unwrap();
    let all = BTreeSet::from([0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 13].map(Marker));
    assert_eq!(markers_beside(&file.path), all, "the history has them");

    ours.prune_history(&HistoryKeep::new().last(1)).unwrap();
    store.compact().unwrap();
    assert_eq!(markers_beside(&file.path), BTreeSet::from([10, 12, 13].map(Marker)));
}
