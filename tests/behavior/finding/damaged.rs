//! Damage: what a filter cannot judge is listed as damaged, what it can is judged, and nothing intact is hidden.

use std::fs;

use kpi_store::{
    Dataset, DatasetPatch, DatasetQuery, Error, NewDataset, NewKpi, Organization, Store, UserId, ValueType,
};

use crate::support::{TestFile, organization, plain_sqlite};

/// A closed file with five datasets of a user. The first was changed last, and the last one is in the trash.
struct Scene {
    file: TestFile,
    user: UserId,
    all: Vec<Dataset>,
}

impl Scene {
    fn new() -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let user = UserId::new();
        let ours = organization(&store).acting_as(user);
        let new = |index| {
            let kpi = NewKpi::new(format!("kpi {index}")).unit("m³").value_type(ValueType::Date);
            NewDataset::new(format!("Water {index}")).description("of the year").kpi(kpi)
        };
        let mut all = ours.create_datasets((0..5).map(new)).unwrap();
        all[0] = ours.update_dataset(all[0].id, DatasetPatch::new().description("edited")).unwrap();
        ours.delete_dataset(all[4].id).unwrap();
        store.close().unwrap();
        Self { file, user, all }
    }

    /// The organization in the file, after this change of the dataset with that `seq` and of its KPIs.
    fn altered(&self, changes: &str) -> Organization {
        let plain = plain_sqlite(&self.file.path);
        plain.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        plain.execute_batch(changes).unwrap_or_else(|error| panic!("{changes}: {error}"));
        Store::open(&self.file.path).unwrap().organization(self.all[0].organization_id)
    }

    /// What a query lists: the indexes of the datasets, with whether each is damaged.
    fn summaries(&self, ours: &Organization, query: &DatasetQuery) -> Vec<(usize, bool)> {
        let index = |id| self.all.iter().position(|dataset| Some(dataset.id) == id).unwrap();
        let mut listed = Vec::new();
        for summary in ours.iter_summaries(&query.clone().limit(2)) {
            listed.push(match summary {
                Ok(summary) => (index(Some(summary.id)), false),
                Err(Error::Corrupt { dataset, .. }) => (index(dataset), true),
                Err(error) => panic!("{error:?}"),
            });
        }
        let page = ours.summaries(query).unwrap();
        assert_eq!(page.items.len() + page.damaged.len(), listed.len());
        assert_eq!(ours.count_datasets(query).unwrap(), listed.len() as u64, "{query:?}");
        listed
    }

    /// A query of each kind; every intact dataset matches each of them.
    fn queries(&self) -> [DatasetQuery; 6] {
        let new = DatasetQuery::new;
        [
            new(),
            new().recently_changed_first().oldest_first(),
            new().created_by(self.user),
            new().with_value_type(ValueType::Date),
            new().matching("water"),
            new().matching("m3 WATER").created_by(self.user).with_value_type(ValueType::Date),
        ]
    }
}

#[test]
fn a_dataset_with_a_damaged_head_is_listed_as_damaged_by_every_query() {
    for change in [
        "name = 'Oil'",
        "name = 'Water 2'",
        "name = CAST(x'ff' AS TEXT)",
        "description = NULL",
        "created_by = NULL",
        "created_by = zeroblob(16)",
        "created_by = zeroblob(15)",
        "kpi_count = 9",
        "required_count = 0",
        "kpi_count = 4294967297",
        "revision = 7",
        "head_digest = 0",
        "created_at = created_at + 1",
        "changed = 100, state_digest = 0",
        "state_digest = 0",
        "deleted_by = zeroblob(16)",
        "description = printf('%.*c', 2000000, 'x')",
    ] {
        let scene = Scene::new();
        let ours = scene.altered(&format!("UPDATE dataset SET {change} WHERE seq = 2"));
        for query in scene.queries() {
            let expected = [(0, false), (1, true), (2, false), (3, false)];
            assert_eq!(scene.summaries(&ours, &query), expected, "{change}: {query:?}");
        }
        // One that looks changed may have another place, but comes once.
        let mut recent = scene.summaries(&ours, &DatasetQuery::new().recently_changed_first());
        assert_eq!(recent.iter().find(|(_, is_damaged)| !is_damaged), Some(&(0, false)), "{change}");
        recent.sort_unstable();
        assert_eq!(recent, [(0, false), (1, true), (2, false), (3, false)], "{change}");
    }
}

#[test]
fn damage_to_kpis_is_found_where_they_are_read() {
    let (intact, damaged) =
        ([(0, false), (1, false), (2, false), (3, false)], [(0, false), (1, true), (2, false), (3, false)]);
    let left_out = [(0, false), (2, false), (3, false)];
    let new = DatasetQuery::new;
    for (change, query, expected) in [
        // A summary reads none, unless the filter does: then those of a dataset that matches are all checked.
        ("name = 'other'", new(), &intact[..]),
        ("name = 'other'", new().recently_changed_first().oldest_first(), &intact),
        ("name = 'other'", new().with_value_type(ValueType::Date), &damaged),
        ("name = 'other'", new().matching("water"), &damaged),
        ("name = 'other'", new().matching("kpi"), &left_out),
        ("unit = x'ff'", new().matching("m3"), &damaged),
        ("unit = x'ff'", new().matching("water"), &damaged),
        ("unit = x'ff'", new().with_value_type(ValueType::Date), &damaged),
        // Readable, though another one.
        ("value_type = 0", new().with_value_type(ValueType::Date), &left_out),
        ("value_type = 0", new().with_value_type(ValueType::Number), &[(1, true)]),
        ("value_type = 0", new().with_value_type(ValueType::Number).matching("water"), &[(1, true)]),
        ("value_type = 5", new().with_value_type(ValueType::Date), &damaged),
        ("value_type = 5", new().with_value_type(ValueType::Text).matching("kpi 1"), &[(1, true)]),
        ("id = zeroblob(15)", new().with_value_type(ValueType::Date), &damaged),
    ] {
        let scene = Scene::new();
        let change =
            if change.contains("x'ff'") { change.replace("x'ff'", "CAST(x'ff' AS TEXT)") } else { change.to_owned() };
        let ours = scene.altered(&format!("UPDATE kpi SET {change} WHERE dataset_seq = 2"));
        assert_eq!(scene.summaries(&ours, &query), expected, "{change}: {query:?}");
        // Listed whole, no damaged dataset passes for an intact one. With a filter on KPIs both lists have the same.
        if expected != intact {
            let whole = ours.iter_datasets(&query).map(|dataset| dataset.is_err());
            assert!(whole.eq(expected.iter().map(|(_, is_damaged)| *is_damaged)), "{change}: {query:?}");
        }
        for dataset in ours.iter_datasets(&query).flatten() {
            assert!(scene.all.contains(&dataset), "{change}: {query:?}");
        }
    }
}

#[test]
fn a_damaged_dataset_in_the_trash_is_listed_whatever_the_filter() {
    for change in ["name = 'Oil'", "created_by = NULL", "deleted_by = zeroblob(16)", "kpi_count = 2"] {
        let scene = Scene::new();
        let ours = scene.altered(&format!("UPDATE dataset SET {change} WHERE seq = 5"));
        for query in scene.queries() {
            let page = ours.deleted_datasets(&query).unwrap();
            assert_eq!((page.items.len(), page.damaged.len()), (0, 1), "{change}: {query:?}");
            assert_eq!(page.damaged[0].dataset, Some(scene.all[4].id), "{change}");
            assert_eq!(ours.count_deleted(&query).unwrap(), 1, "{change}: {query:?}");
        }
    }
}

/// The index of changes has whether a dataset is in the trash, and may be wrong about it.
#[test]
fn a_deleted_dataset_that_the_index_of_changes_has_as_present_is_damaged() {
    let scene = Scene::new();
    let plain = plain_sqlite(&scene.file.path);
    plain
        .execute_batch(
            "CREATE TEMP TABLE kept AS SELECT deleted_at, deleted_by FROM dataset WHERE seq = 5;
             UPDATE dataset SET deleted_at = NULL, deleted_by = NULL WHERE seq = 5;
             PRAGMA writable_schema = ON;
             CREATE TEMP TABLE entry AS SELECT * FROM sqlite_schema WHERE name = 'dataset_by_change';
             DELETE FROM sqlite_schema WHERE name = 'dataset_by_change';
             PRAGMA writable_schema = RESET;
             UPDATE dataset SET (deleted_at, deleted_by) = (SELECT deleted_at, deleted_by FROM kept) WHERE seq = 5;
             PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema SELECT * FROM entry;
             PRAGMA writable_schema = RESET",
        )
        .unwrap();
    let ours = Store::open(&scene.file.path).unwrap().organization(scene.all[0].organization_id);
    let recent = DatasetQuery::new().recently_changed_first();
    let page = ours.datasets(&recent).unwrap();
    let found: Vec<_> = page.iter().map(|dataset| dataset.id).collect();
    assert_eq!(found, [0, 3, 2, 1].map(|index| scene.all[index].id));
    assert_eq!(page.damaged.iter().map(|damage| damage.dataset).collect::<Vec<_>>(), [Some(scene.all[4].id)]);
    assert_eq!(ours.datasets(&DatasetQuery::new()).unwrap().damaged, []);
}

/// The entries of an index, exchanged or in the place of others: a listing goes forward only, and ends.
#[test]
fn a_listing_through_an_index_out_of_order_ends_and_returns_nothing_twice() {
    let mut missed = 0;
    for index in ["dataset_by_organization", "dataset_by_change"] {
        for (one, other) in [(0, 1), (1, 0), (0, 3), (3, 1), (2, 3)] {
            for exchange in [true, false] {
                let scene = Scene::new();
                let store = Store::open(&scene.file.path).unwrap();
                let ours = store.organization(scene.all[0].organization_id);
                for dataset in &scene.all[..4] {
                    ours.update_dataset(dataset.id, DatasetPatch::new().description("again")).unwrap();
                }
                let present: Vec<_> = ours.iter_datasets(&DatasetQuery::new()).map(Result::unwrap).collect();
                store.close().unwrap();
                with_entries(&scene.file, index, |entries| {
                    if exchange { entries.swap(one, other) } else { entries[other] = entries[one] }
                });
                let ours = Store::open(&scene.file.path).unwrap().organization(present[0].organization_id);
                for query in scene.queries().into_iter().chain([DatasetQuery::new().recently_changed_first()]) {
                    let query = query.limit(2);
                    let found: Vec<_> = ours.iter_summaries(&query).take(20).flatten().map(|found| found.id).collect();
                    let mut once = found.clone();
                    once.sort();
                    once.dedup();
                    assert!(
                        once.len() == found.len() && found.len() <= 4,
                        "{index} {one} {other}: {query:?}: {found:?}"
                    );
                    assert!(found.iter().all(|id| present.iter().any(|dataset| dataset.id == *id)));
                    missed += 4 - found.len();
                }
            }
        }
    }
    assert!(missed > 0, "the control: something was out of order");
}

/// Changes the cell pointers of an index, all on one page.
fn with_entries(file: &TestFile, index: &str, change: impl FnOnce(&mut [[u8; 2]])) {
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: u16 = plain_sqlite(&file.path).query_row(root, [index], |row| row.get(0)).unwrap();
    let mut bytes = fs::read(&file.path).unwrap();
    let page = &mut bytes[usize::from(root - 1) * 4_096..][..4_096];
    assert!(page[0] == 10 && page[4] >= 4, "a leaf with all entries");
    change(page[8..16].as_chunks_mut().0);
    fs::write(&file.path, bytes).unwrap();
}
