//! Damage in the history: a version that cannot be proved is told as damaged, and none is told that never was.

use std::fs;

use kpi_store::{
    Dataset, DatasetPatch, DatasetVersion, Durability, Error, FindingKind, HistoryQuery, NewDataset, NewKpi,
    Organization, OrganizationId, Page, Store, UserId,
};

use super::types::without_strictness;
use crate::support::{TestFile, organization, plain_sqlite};

const COLUMNS: [&str; 9] =
    ["origin", "changed_at", "changed_by", "revision", "head_digest", "kpi_digest", "replaced", "digest", "change"];

const VALUES: [&str; 14] = [
    "NULL",
    "-9223372036854775808",
    "-1",
    "0",
    "1",
    "2",
    "3",
    "4",
    "9223372036854775807",
    "0.5",
    "'{}'",
    "'{\"dataset\":{\"updated_by\":null,\"updated_at\":null}}'",
    "'{\"dataset\":{'",
    "zeroblob(16)",
];

/// A file with a dataset and its history.
struct Sample {
    file: Vec<u8>,
    organization: OrganizationId,
    dataset: Dataset,
    history: Page<DatasetVersion>,
    /// The numbers of the changes, the newest first.
    changes: Vec<i64>,
}

impl Sample {
    fn new(change: impl FnOnce(&Organization, &Dataset)) -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store).acting_as(UserId::new());
        let dataset = ours.create_dataset(NewDataset::new("1").kpis(["a", "b"].map(NewKpi::new))).unwrap();
        change(&ours, &dataset);
        let (id, history) = (dataset.id, ours.history(dataset.id, &HistoryQuery::new()).unwrap());
        let dataset = ours.dataset(id).unwrap().unwrap();
        store.close().unwrap();
        let plain = plain_sqlite(&file.path);
        let mut statement = plain.prepare("SELECT DISTINCT change FROM dataset_version ORDER BY change DESC").unwrap();
        let changes = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let file = fs::read(&file.path).unwrap();
        Self { file, organization: ours.id(), dataset, history, changes }
    }

    /// Renamed three times: version 1 to 4.
    fn renamed() -> Self {
        Self::new(|ours, dataset| {
            for name in ["2", "3", "4"] {
                ours.update_dataset(dataset.id, DatasetPatch::new().name(name)).unwrap();
            }
        })
    }

    /// Changed in every way.
    fn varied() -> Self {
        Self::new(|ours, dataset| {
            let renamed = ours.update_dataset(dataset.id, DatasetPatch::new().name("2")).unwrap();
            ours.create_kpi(dataset.id, NewKpi::new("c")).unwrap();
            ours.delete_dataset(dataset.id).unwrap();
            ours.restore_dataset(dataset.id).unwrap();
            let patch = DatasetPatch::new().delete_kpi(renamed.kpis[0].id).description("x");
            let patched = ours.update_dataset(dataset.id, patch).unwrap();
            ours.revert_dataset(&patched, 2).unwrap();
        })
    }

    fn altered(&self, sql: &str) -> Option<(TestFile, Store)> {
        let file = TestFile::in_memory();
        fs::write(&file.path, &self.file).unwrap();
        without_strictness(&file, sql).ok()?;
        let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
        Some((file, store))
    }

    /// Checks that the history has nothing that never was, and that what is missing in it is told. Returns the revisions
    /// that it has, and how many damages.
    fn is_told(&self, store: &Store, what: &str) -> (Vec<u64>, usize) {
        let ours = store.organization(self.organization);
        assert_eq!(
            ours.dataset(self.dataset.id).unwrap().as_ref(),
            Some(&self.dataset),
            "{what}: the dataset is whole"
        );
        let history = ours.history(self.dataset.id, &HistoryQuery::new()).unwrap();
        for version in &history.items {
            let is_the_same = |was: &&DatasetVersion| {
                let mut was = (*was).clone();
                was.diff = was.diff.filter(|_| version.diff.is_some());
                was == *version
            };
            assert!(self.history.items.iter().any(|was| is_the_same(&was)), "{what}: {version:?}");
        }
        assert!(!history.damaged.is_empty(), "{what}: {history:#?}");
        assert!(history.damaged.iter().all(|damage| damage.dataset == Some(self.dataset.id)), "{what}");
        for was in &self.history.items {
            match ours.version(self.dataset.id, was.revision) {
                Ok(Some(version)) => assert_eq!(version.dataset, was.dataset, "{what}"),
                Err(Error::Corrupt { .. }) => {}
                found => panic!("{what}: revision {}: {found:?}", was.revision),
            }
        }
        // Pages are told apart by the numbers of the changes.
        if !["change = 9223372036854775807", "change = -9223372036854775808"]
            .iter()
            .any(|extreme| what.contains(extreme))
        {
            let one_by_one = page_by_page(&ours, &self.dataset);
            assert_eq!(one_by_one, (history.items.clone(), history.damaged.len()), "{what}");
        }
        let findings = store.verify().unwrap().findings;
        assert!(findings.iter().any(|finding| finding.kind == FindingKind::History), "{what}: {findings:?}");
        assert!(findings.iter().all(|finding| finding.kind != FindingKind::Dataset), "{what}: {findings:?}");
        (history.items.iter().map(|version| version.revision).collect(), history.damaged.len())
    }
}

impl Sample {
    /// A change without a number ends the history.
    fn cannot_be_read(&self, store: &Store, what: &str) {
        let history = store.organization(self.organization).history(self.dataset.id, &HistoryQuery::new());
        assert!(matches!(history, Err(Error::Corrupt { .. })), "{what}: {history:?}");
        let findings = store.verify().unwrap().findings;
        assert!(findings.iter().any(|finding| finding.kind == FindingKind::History), "{what}: {findings:?}");
    }
}

fn page_by_page(ours: &Organization, dataset: &Dataset) -> (Vec<DatasetVersion>, usize) {
    let (mut items, mut damaged, mut next) = (Vec::new(), 0, Some(HistoryQuery::new().limit(1)));
    while let Some(query) = next {
        let page = ours.history(dataset.id, &query).unwrap();
        assert_eq!(page.items.len() + page.damaged.len(), 1, "{page:?}");
        items.extend(page.items);
        damaged += page.damaged.len();
        next = page.next.map(|cursor| query.after(&cursor));
    }
    (items, damaged)
}

#[test]
fn any_other_value_in_a_row_of_the_history_is_told_as_damage() {
    for sample in [Sample::renamed(), Sample::varied()] {
        let mut count = 0;
        for change in &sample.changes {
            for column in COLUMNS {
                for value in VALUES {
                    let sql = format!(
                        "UPDATE dataset_version SET {column} = {value} WHERE change = {change} AND {column} IS NOT {value}"
                    );
                    let same =
                        format!("SELECT count(*) FROM dataset_version WHERE change = {change} AND {column} IS {value}");
                    let file = TestFile::with(&sample.file);
                    if plain_sqlite(&file.path).query_row(&same, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
                        continue;
                    }
                    let Some((_file, store)) = sample.altered(&sql) else {
                        assert!(column == "change", "{sql}: a key is neither null nor taken");
                        continue;
                    };
                    count += 1;
                    if column == "change" && value.parse::<i64>().is_err() {
                        sample.cannot_be_read(&store, &sql);
                    } else {
                        sample.is_told(&store, &sql);
                    }
                }
            }
        }
        assert!(count > 300, "the control: {count}");
    }
}

#[test]
fn a_history_goes_on_behind_damage_where_a_digest_proves_it() {
    let sample = Sample::renamed();
    let told = [0, 1, 2].map(|index| {
        let sql = format!("UPDATE dataset_version SET digest = ~digest WHERE change = {}", sample.changes[index]);
        let (_file, store) = sample.altered(&sql).unwrap();
        sample.is_told(&store, &sql)
    });
    // A damaged change hides the version that it made and the one before.
    assert_eq!(told, [(vec![2, 1], 2), (vec![4, 1], 2), (vec![4, 3], 2)]);
}

#[test]
fn a_missing_or_foreign_row_of_the_history_is_told() {
    for sample in [Sample::renamed(), Sample::varied()] {
        for change in &sample.changes {
            let sql = format!("DELETE FROM dataset_version WHERE change = {change}");
            let (_file, store) = sample.altered(&sql).unwrap();
            sample.is_told(&store, &sql);
        }
        let more = [
            "DELETE FROM dataset_version",
            "INSERT INTO dataset_version SELECT dataset_seq, change, 1, origin, changed_at, changed_by, revision,
                head_digest, kpi_digest, replaced, digest FROM dataset_version LIMIT 1",
            "INSERT INTO dataset_version SELECT dataset_seq, change + 1000, part, origin, changed_at, changed_by, revision,
                head_digest, kpi_digest, replaced, digest FROM dataset_version",
            // A change of another dataset, which was also renamed.
            "UPDATE dataset_version SET change = -change",
        ];
        for sql in more {
            let (_file, store) = sample.altered(sql).unwrap();
            sample.is_told(&store, sql);
        }
    }
}

#[test]
fn a_missing_part_of_a_change_is_told() {
    let long = |number: usize| NewKpi::new(format!("{number}")).description("🌊".repeat(2_000));
    let sample = Sample::new(|ours, dataset| {
        let mut draft = dataset.edit();
        draft.kpis.extend((0..80).map(|number| long(number).into()));
        let mut draft = ours.save_dataset(&draft).unwrap().edit();
        draft.kpis.truncate(1);
        ours.save_dataset(&draft).unwrap();
    });
    let plain = TestFile::with(&sample.file);
    let parts = "SELECT max(part) FROM dataset_version";
    let last: i64 = plain_sqlite(&plain.path).query_row(parts, [], |row| row.get(0)).unwrap();
    assert!(last >= 1, "the control");
    for part in 0..=last {
        for sql in ["DELETE FROM dataset_version", "UPDATE dataset_version SET replaced = '{}'"] {
            let sql = format!("{sql} WHERE part = {part} AND change = {}", sample.changes[0]);
            let (_file, store) = sample.altered(&sql).unwrap();
            assert_eq!(sample.is_told(&store, &sql).0.first(), (!sql.contains("replaced")).then_some(&3), "{sql}");
        }
    }
}
