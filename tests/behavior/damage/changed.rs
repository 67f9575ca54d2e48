//! Datasets that were changed, deleted and restored, with any value in any column: a deleted dataset does not come back, a
//! damaged one is neither changed nor restored, and every damaged one can be deleted and purged.

use std::fs;

use kpi_store::{
    Dataset, DatasetPatch, DatasetQuery, Durability, Error, NewDataset, NewKpi, Organization, OrganizationId, Store,
    UserId,
};

use super::types::without_strictness;
use crate::support::{TestFile, organization};

/// Of every type, at the boundaries of what a column may have and beyond.
const VALUES: [&str; 17] = [
    "NULL",
    "-9223372036854775808",
    "-62135596800000001",
    "-1",
    "0",
    "1",
    "4294967299",
    "9223372036854775807",
    "0.5",
    "''",
    "char(0)",
    "printf('%.*c', 2001, 'x')",
    "CAST(x'ff' AS TEXT)",
    "x''",
    "zeroblob(15)",
    "zeroblob(16)",
    "'sixteen letters!'",
];

/// Every column of a dataset but its number and the ids by which it is found.
const OF_THE_DATASET: [&str; 15] = [
    "name",
    "description",
    "created_at",
    "created_by",
    "updated_by",
    "updated_at",
    "revision",
    "kpi_count",
    "required_count",
    "head_digest",
    "kpi_digest",
    "changed",
    "deleted_at",
    "deleted_by",
    "state_digest",
];

const OF_A_KPI: [&str; 10] = [
    "id",
    "position",
    "name",
    "description",
    "unit",
    "value_type",
    "required",
    "sort_order",
    "created_at",
    "updated_at",
];

/// A file with a dataset that was never changed, an edited one, and one in the trash.
struct Sample {
    file: Vec<u8>,
    organization: OrganizationId,
    unchanged: Dataset,
    edited: Dataset,
    deleted: Dataset,
}

impl Sample {
    fn new() -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store).acting_as(UserId::new());
        let water = |_| NewDataset::new("Water").description("Of the year").kpis(["a", "b"].map(NewKpi::new));
        let [unchanged, edited, deleted] = ours.create_datasets((0..3).map(water)).unwrap().try_into().unwrap();
        let edit = |dataset: &Dataset| ours.update_dataset(dataset.id, DatasetPatch::new().name("Waste")).unwrap();
        let (edited, deleted) = (edit(&edited), edit(&deleted));
        ours.delete_dataset(deleted.id).unwrap();
        store.close().unwrap();
        Self { file: fs::read(&file.path).unwrap(), organization: ours.id(), unchanged, edited, deleted }
    }

    /// Calls `check` with a copy of the file for each value in each column of the dataset with this `seq` and of its first
    /// KPI. Returns how many there were.
    fn damaged(&self, seq: i64, check: impl Fn(&Store, &Organization, &str)) -> usize {
        let of_the_dataset = OF_THE_DATASET.map(|column| ("dataset", column, format!("seq = {seq}")));
        let of_a_kpi = OF_A_KPI.map(|column| ("kpi", column, format!("dataset_seq = {seq} AND position = 0")));
        let mut count = 0;
        for (table, column, row) in of_the_dataset.into_iter().chain(of_a_kpi) {
            for value in VALUES {
                let change = format!("UPDATE {table} SET {column} = {value} WHERE {row}");
                let file = TestFile::in_memory();
                fs::write(&file.path, &self.file).unwrap();
                if without_strictness(&file, &change).is_err() {
                    assert_eq!((column, value), ("id", "NULL"));
                    continue;
                }
                let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
                check(&store, &store.organization(self.organization), &change);
                count += 1;
            }
        }
        count
    }
}

#[test]
fn no_value_in_any_column_brings_a_deleted_dataset_back() {
    let sample = Sample::new();
    let deleted = &sample.deleted;
    let count = sample.damaged(3, |store, ours, change| {
        let read = ours.dataset(deleted.id);
        assert!(matches!(read, Ok(None) | Err(Error::Corrupt { .. })), "{change}: {read:?}");
        assert!(ours.iter_datasets(&DatasetQuery::new()).flatten().all(|dataset| dataset.id != deleted.id), "{change}");
        shows_each_once(ours, change);
        for query in [DatasetQuery::new(), DatasetQuery::new().oldest_first()] {
            let trash = ours.deleted_datasets(&query).unwrap();
            assert!(trash.items.iter().all(|item| item.dataset == *deleted), "{change}: {trash:?}");
        }
        let updated = ours.update_dataset(deleted.id, DatasetPatch::new().name("x"));
        assert!(matches!(updated, Err(Error::NotFound { .. } | Error::Corrupt { .. })), "{change}: {updated:?}");
        let is_whole = store.verify().unwrap().is_whole();
        match ours.restore_dataset(deleted.id) {
            Ok(restored) => assert!(is_whole && restored == *deleted, "{change}: {restored:?}"),
            Err(Error::Corrupt { .. }) => assert!(!is_whole, "{change}"),
            error => panic!("{change}: {error:?}"),
        }
        can_be_purged(store, ours, deleted, change);
    });
    assert!(count > 400, "the control: {count}");
}

#[test]
fn a_damaged_dataset_cannot_be_changed_or_restored_but_deleted_and_purged() {
    let sample = Sample::new();
    for (seq, present) in [(1, &sample.unchanged), (2, &sample.edited)] {
        let count = sample.damaged(seq, |store, ours, change| {
            shows_each_once(ours, change);
            let read = ours.dataset(present.id);
            if read.as_ref().is_ok_and(|read| read.as_ref() == Some(present)) {
                assert!(store.verify().unwrap().is_whole(), "{change}");
                return;
            }
            assert!(!store.verify().unwrap().is_whole(), "{change}");
            let mut draft = present.edit();
            draft.name = "x".into();
            let answers = [
                read.map(drop),
                ours.save_dataset(&draft).map(drop),
                ours.update_dataset(present.id, DatasetPatch::new().name("x")).map(drop),
                ours.revert_dataset(present, 1).map(drop),
            ];
            for answer in answers {
                assert!(
                    matches!(answer, Err(Error::Corrupt { dataset: Some(id), .. }) if id == present.id),
                    "{change}: {answer:?}"
                );
            }
            let state_columns = ["changed", "deleted_at", "deleted_by", "state_digest"];
            let is_in_the_state =
                state_columns.iter().any(|column| change.starts_with(&format!("UPDATE dataset SET {column} ")));

            ours.delete_dataset(present.id).unwrap_or_else(|error| panic!("{change}: {error:?}"));

            assert_eq!(ours.dataset(present.id).unwrap(), None, "{change}");
            assert_eq!(ours.count_deleted(&DatasetQuery::new()).unwrap(), 2, "{change}");
            shows_each_once(ours, change);
            match ours.restore_dataset(present.id) {
                // The content was intact and the state is a new one, or a value of another type made way for one that
                // is what the digest proves.
                Ok(restored) => assert_eq!(restored, *present, "{change}"),
                Err(Error::Corrupt { .. }) => assert!(!is_in_the_state, "{change}"),
                error => panic!("{change}: {error:?}"),
            }
            can_be_purged(store, ours, present, change);
        });
        assert!(count > 400, "the control: {count}");
    }
}

/// Adding a KPI reads only the head, so that damage to KPIs stays as it was.
#[test]
fn adding_a_kpi_does_not_mend_a_damaged_dataset() {
    let sample = Sample::new();
    sample.damaged(2, |_, ours, change| {
        let id = sample.edited.id;
        let was_damaged = ours.dataset(id).is_err();
        let added = ours.create_kpi(id, NewKpi::new("added"));
        assert!(was_damaged || added.is_ok(), "{change}: {added:?}");
        assert_eq!(ours.dataset(id).is_err(), was_damaged, "{change}: {added:?}");
    });
}

/// Lists and trash together have each of the three datasets once, and their counts agree. A deletion without a number has
/// no place in the trash.
fn shows_each_once(ours: &Organization, change: &str) {
    let has_no_place = ["NULL", "''", "char(0)", "printf", "CAST", "x''", "zeroblob", "'sixteen"]
        .iter()
        .any(|value| change.starts_with(&format!("UPDATE dataset SET changed = {value}")))
        || change.starts_with("UPDATE dataset SET deleted_at") && change.ends_with("seq = 1");
    let mut total = 0;
    let query = DatasetQuery::new();
    // All match the search.
    let queries =
        [query.clone(), query.clone().newest_first(), query.clone().recently_changed_first(), query.matching("a")];
    for query in queries {
        let (listed, trash) = (ours.datasets(&query).unwrap(), ours.deleted_datasets(&query).unwrap());
        let (listed, trash) = (listed.items.len() + listed.damaged.len(), trash.items.len() + trash.damaged.len());
        let counts = (ours.count_datasets(&query).unwrap(), ours.count_deleted(&query).unwrap());
        assert_eq!((listed as u64, trash as u64), counts, "{change}");
        total += listed + trash;
    }
    assert!(total == 12 || has_no_place && total == 8, "{change}: {total}");
}

/// Deleting again, if it is not known whether it is deleted, and purging leaves nothing of the damage.
fn can_be_purged(store: &Store, ours: &Organization, dataset: &Dataset, change: &str) {
    match ours.purge_dataset(dataset.id) {
        Ok(()) => {}
        Err(Error::NotFound { .. } | Error::Corrupt { .. }) => {
            ours.delete_dataset(dataset.id).unwrap_or_else(|error| panic!("{change}: {error:?}"));
            ours.purge_dataset(dataset.id).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        }
        Err(error) => panic!("{change}: {error:?}"),
    }
    let verification = store.verify().unwrap();
    assert!(verification.is_whole() && verification.datasets == 2, "{change}: {verification:?}");
    let again = ours.create_dataset(NewDataset::new("again").id(dataset.id));
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{change}: {again:?}");
}
