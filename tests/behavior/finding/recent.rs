//! The order of the last changes.

use kpi_store::{DatasetPatch, DatasetQuery, HistoryKeep, NewDataset, NewKpi, Organization, Store};

use super::names;
use crate::support::{Random, in_a_file_and_in_memory, organization, seed};

fn recent() -> DatasetQuery {
    DatasetQuery::new().recently_changed_first()
}

fn created(ours: &Organization, count: usize) -> Vec<kpi_store::DatasetId> {
    let new = (0..count).map(|index| NewDataset::new(format!("{index}")).kpi(NewKpi::new("k")));
    ours.create_datasets(new).unwrap().iter().map(|dataset| dataset.id).collect()
}

#[test]
fn every_kind_of_change_puts_a_dataset_first() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        let ids = created(&ours, 6);
        created(&theirs, 3);
        assert_eq!(names(&ours, &recent()), ["5", "4", "3", "2", "1", "0"]);
        ours.update_dataset(ids[0], DatasetPatch::new().name("0")).unwrap();
        assert_eq!(names(&ours, &recent()), ["5", "4", "3", "2", "1", "0"], "nothing was changed");
        ours.update_dataset(ids[0], DatasetPatch::new().description("x")).unwrap();
        assert_eq!(names(&ours, &recent()), ["0", "5", "4", "3", "2", "1"]);
        ours.create_kpi(ids[3], NewKpi::new("added")).unwrap();
        assert_eq!(names(&ours, &recent()), ["3", "0", "5", "4", "2", "1"]);
        ours.delete_dataset(ids[4]).unwrap();
        assert_eq!(names(&ours, &recent()), ["3", "0", "5", "2", "1"]);
        ours.restore_dataset(ids[4]).unwrap();
        assert_eq!(names(&ours, &recent()), ["4", "3", "0", "5", "2", "1"]);
        ours.accept_dataset(ids[1]).unwrap();
        assert_eq!(names(&ours, &recent()), ["1", "4", "3", "0", "5", "2"]);
        let now = ours.dataset(ids[0]).unwrap().unwrap();
        ours.revert_dataset(&now, 1).unwrap();
        assert_eq!(names(&ours, &recent()), ["0", "1", "4", "3", "5", "2"]);
        ours.create_dataset(NewDataset::new("new")).unwrap();
        assert_eq!(names(&ours, &recent()), ["new", "0", "1", "4", "3", "5", "2"]);
        ours.prune_history(&HistoryKeep::new()).unwrap();
        assert_eq!(names(&ours, &recent()), ["new", "0", "1", "4", "3", "5", "2"], "pruning changes no dataset");
    });
}

#[test]
fn the_order_agrees_with_a_list_of_the_last_changes() {
    let seed = seed();
    in_a_file_and_in_memory(Store::options, |store, _| {
        let mut random = Random::new(seed);
        let ours = organization(store);
        // The names and ids of the datasets, the last one changed last; and of those in the trash.
        let (mut present, mut deleted) = (Vec::new(), Vec::new());
        for step in 0..400 {
            match random.below(9) {
                0..3 => {
                    let name = format!("{step}");
                    let id = ours.create_dataset(NewDataset::new(name.clone())).unwrap().id;
                    present.push((name, id));
                }
                3..6 if !present.is_empty() => {
                    let dataset = present.remove(random.below(present.len()));
                    ours.update_dataset(dataset.1, DatasetPatch::new().description(format!("{step}"))).unwrap();
                    present.push(dataset);
                }
                6..8 if !present.is_empty() => {
                    let dataset = present.remove(random.below(present.len()));
                    ours.delete_dataset(dataset.1).unwrap();
                    deleted.push(dataset);
                }
                8 if !deleted.is_empty() => {
                    let dataset = deleted.remove(random.below(deleted.len()));
                    ours.restore_dataset(dataset.1).unwrap();
                    present.push(dataset);
                }
                _ => {}
            }
            if step % 20 == 19 {
                let limit = 1 + u32::try_from(random.below(30)).unwrap();
                let expected: Vec<_> = present.iter().rev().map(|(name, _)| name.clone()).collect();
                assert_eq!(names(&ours, &recent().limit(limit)), expected, "seed {seed}, step {step}");
                let trash = ours.deleted_datasets(&recent().limit(1_000)).unwrap();
                let expected = deleted.iter().rev().map(|(name, _)| name);
                assert!(trash.iter().map(|item| &item.dataset.name).eq(expected), "seed {seed}, step {step}");
                assert_eq!(trash, ours.deleted_datasets(&DatasetQuery::new().limit(1_000)).unwrap());
            }
        }
        assert!(present.len() > 20 && deleted.len() > 5, "the control, seed {seed}");
    });
}

#[test]
fn a_change_in_between_moves_a_dataset_to_the_front_and_no_other_one() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let ids = created(&ours, 9);
        let first = ours.summaries(&recent().limit(3)).unwrap();
        let of_page: Vec<_> = first.iter().map(|summary| summary.name.clone()).collect();
        assert_eq!(of_page, ["8", "7", "6"]);
        ours.update_dataset(ids[7], DatasetPatch::new().description("x")).unwrap();
        ours.update_dataset(ids[2], DatasetPatch::new().description("x")).unwrap();
        let rest = recent().limit(3).after(&first.next.unwrap());
        let rest: Vec<_> = ours.iter_summaries(&rest).map(|summary| summary.unwrap().name).collect();
        assert_eq!(rest, ["5", "4", "3", "1", "0"], "the third is at the front now");
        assert_eq!(names(&ours, &recent())[..3], ["2", "7", "8"]);
    });
}
