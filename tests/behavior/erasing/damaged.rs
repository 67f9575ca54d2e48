//! Deleting, purging and removing an organization where rows are damaged: it succeeds, or the answer is damage.

use std::fs;

use kpi_store::{Dataset, DatasetId, Error, NewDataset, NewKpi, Organization, OrganizationId, Store, UserId};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::{Random, TestFile, is_long, organization, plain_sqlite, seed};

/// A closed file with datasets of two organizations.
struct Scene {
    file: TestFile,
    ours: OrganizationId,
    /// Those of the first organization; the last two are in the trash.
    datasets: Vec<DatasetId>,
    pristine: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let file = TestFile::in_memory();
        let store = Store::open(&file.path).unwrap();
        let [ours, theirs] = [(); 2].map(|()| organization(&store).acting_as(UserId::new()));
        let mut datasets = Vec::new();
        for round in 0..4 {
            datasets.push(changed_dataset(&ours).id);
            changed_dataset(&theirs);
            if round == 1 {
                let purged = changed_dataset(&ours).id;
                ours.delete_dataset(purged).unwrap();
                ours.purge_dataset(purged).unwrap();
            }
        }
        ours.delete_datasets(datasets[2..].to_vec()).unwrap();
        for organization in [&ours, &theirs] {
            let contents = [0, 1, 2, 3, 4, 5].map(|number| [number; 50]);
            let properties = contents.iter().map(|content| (format!("key {}", content[0]), Some(content.as_slice())));
            organization.set_properties(properties).unwrap();
        }
        let ours = ours.id();
        store.close().unwrap();
        let pristine = fs::read(&file.path).unwrap();
        Self { file, ours, datasets, pristine }
    }

    /// The first bytes of the rows of a table, which are on one page, and how many they are.
    fn rows_of(&self, table: &str) -> std::ops::Range<usize> {
        self.restore(&self.pristine);
        let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let page: u32 = plain_sqlite(&self.file.path).query_row(sql, [table], |row| row.get(0)).unwrap();
        let start = (page as usize - 1) * 4_096;
        assert!(matches!(self.pristine[start], 10 | 13), "{table} has more than one page");
        let first = usize::from(u16::from_be_bytes([self.pristine[start + 5], self.pristine[start + 6]]));
        start + first..start + 4_096
    }

    fn restore(&self, bytes: &[u8]) {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(self.file.with_suffix(suffix));
        }
        fs::write(&self.file.path, bytes).unwrap();
    }
}

fn changed_dataset(ours: &Organization) -> Dataset {
    let kpis = ["Withdrawal", "Discharge", "Rain"].map(|name| NewKpi::new(name).unit("m³"));
    let mut draft = ours.create_dataset(NewDataset::new("Water").kpis(kpis)).unwrap().edit();
    draft.kpis[1].name.push('s');
    draft.kpis.remove(2);
    ours.save_dataset(&draft).unwrap()
}

/// Whether SQLite can read every page of the tables, whatever is in their rows and in whatever order these are.
fn is_readable(plain: &Connection) -> bool {
    let mut check = plain.prepare("PRAGMA quick_check(1000000)").unwrap();
    let Ok(texts) = check.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>() else {
        return false;
    };
    // What it finds wrong with pages comes first, after a line that names the database.
    let pages = texts.iter().filter_map(|text| text.strip_prefix("*** in database main ***")).flat_map(str::lines);
    pages.filter(|line| !line.is_empty()).all(|line| line.contains("out of order"))
        && ["dataset", "kpi", "dataset_version", "purged_dataset", "organization_property"]
            .iter()
            .all(|table| rows(plain, &format!("SELECT * FROM {table} NOT INDEXED")).is_some())
}

/// What tells which datasets there are, and which are in the trash.
const IDENTITIES: &str = "
    SELECT seq, organization_id, id, changed, deleted_at, deleted_by, state_digest FROM dataset NOT INDEXED";

/// `None` if a row cannot be read.
fn rows(plain: &Connection, sql: &str) -> Option<Vec<Vec<Value>>> {
    let mut statement = plain.prepare(sql).ok()?;
    let count = statement.column_count();
    // A text that is not UTF-8 can be read all the same.
    let value = |value: rusqlite::types::ValueRef<'_>| match value {
        rusqlite::types::ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        value => value.try_into().unwrap(),
    };
    let values = |row: &rusqlite::Row<'_>| (0..count).map(|column| Ok(value(row.get_ref(column)?))).collect();
    statement.query_map([], values).ok()?.collect::<Result<_, _>>().ok()
}

#[test]
fn damaged_rows_can_be_deleted_and_purged_unless_their_page_cannot_be_read() {
    let (seed, scene) = (seed(), Scene::new());
    let identities = rows(&plain_sqlite(&scene.file.path), IDENTITIES).unwrap();
    let mut random = Random::new(seed);
    for table in ["dataset", "kpi", "dataset_version", "organization_property"] {
        let place = scene.rows_of(table);
        let flips: Vec<(usize, u8)> = if is_long() {
            place.flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))).collect()
        } else {
            let mut flip = || (place.start + random.below(place.len()), 1 << random.below(8));
            (0..200).map(|_| flip()).collect()
        };
        let (mut purged, mut removed, count) = (0, 0, flips.len());
        for (at, mask) in flips {
            let mut bytes = scene.pristine.clone();
            bytes[at] ^= mask;
            let context = format!("{table}, byte {at} ^ {mask:#x}, seed {seed}");
            scene.restore(&bytes);
            let (is_readable, is_identified) = {
                let plain = plain_sqlite(&scene.file.path);
                (is_readable(&plain), rows(&plain, IDENTITIES).as_ref() == Some(&identities))
            };
            scene.restore(&bytes);
            let store = Store::open(&scene.file.path).unwrap();
            let ours = store.organization(scene.ours);
            for (index, id) in scene.datasets.iter().enumerate() {
                let deleted = if index < 2 { ours.delete_dataset(*id) } else { Ok(()) };
                match deleted.and_then(|()| ours.purge_dataset(*id)) {
                    Ok(()) => purged += 1,
                    Err(Error::Corrupt { .. }) if !is_readable => {}
                    Err(Error::Corrupt { .. } | Error::NotFound { .. }) if !is_identified => {}
                    Err(error) => panic!("{context}: dataset {index}: {error:?}"),
                }
            }
            drop((ours, store));
            scene.restore(&bytes);
            match Store::open(&scene.file.path).unwrap().purge_organization(scene.ours) {
                Ok(()) => {
                    removed += 1;
                    let left = "SELECT count(*) FROM organization_property WHERE +organization_id = ?1";
                    let ours = uuid::Uuid::from(scene.ours).into_bytes();
                    let left = plain_sqlite(&scene.file.path).query_row(left, [ours], |row| row.get::<_, i64>(0));
                    assert_eq!(left.unwrap(), 0, "{context}");
                }
                Err(Error::Corrupt { .. }) if !is_readable => {}
                Err(error) => panic!("{context}: {error:?}"),
            }
        }
        println!("{table}: {count} flips, {purged} datasets purged, {removed} organizations removed, seed {seed}");
        assert!(purged * 10 > count * 4 * 8 && removed * 10 > count * 8, "{table}: {purged}, {removed} of {count}");
    }
}

/// Of the flips of one bit, those that make the foreign key of a deletion by plain SQL fail.
#[test]
fn where_the_foreign_key_of_a_dataset_fails_it_is_purged_with_its_children_and_the_others_are_after_it() {
    let scene = Scene::new();
    let seq = |id: DatasetId| -> i64 {
        let id = uuid::Uuid::from(id).into_bytes();
        let plain = plain_sqlite(&scene.file.path);
        plain.query_row("SELECT seq FROM dataset WHERE id = ?1", [id], |row| row.get(0)).unwrap()
    };
    let (damaged, other) = (scene.datasets[2], scene.datasets[3]);
    let seqs = [damaged, other].map(seq);
    let children = || -> i64 {
        let sql = "SELECT (SELECT count(*) FROM kpi WHERE +dataset_seq IN (?1, ?2)) +
            (SELECT count(*) FROM dataset_version WHERE +dataset_seq IN (?1, ?2))";
        plain_sqlite(&scene.file.path).query_row(sql, seqs, |row| row.get(0)).unwrap()
    };
    for table in ["kpi", "dataset_version"] {
        let mut failed = 0;
        for at in scene.rows_of(table) {
            let mut bytes = scene.pristine.clone();
            bytes[at] ^= 0x20;
            scene.restore(&bytes);
            let by_key = plain_sqlite(&scene.file.path)
                .execute_batch(&format!("PRAGMA foreign_keys = ON; DELETE FROM dataset WHERE seq = {}", seqs[0]));
            let code = by_key.err().and_then(|error| error.sqlite_error_code());
            if code != Some(rusqlite::ErrorCode::ConstraintViolation) {
                continue;
            }
            failed += 1;
            assert!(children() >= 4, "the control");
            let store = Store::open(&scene.file.path).unwrap();
            let ours = store.organization(scene.ours);

            ours.purge_dataset(damaged).unwrap();
            ours.purge_dataset(other).unwrap();

            assert_eq!(children(), 0, "{table}, byte {at}");
        }
        println!("{table}: {failed} flips make a foreign key fail");
        assert!(failed > 0, "the control: {table}");
    }
}

#[test]
fn an_organization_is_removed_where_damage_made_the_ids_of_two_of_its_datasets_equal() {
    for (from, to) in [(0, 1), (1, 0), (2, 0), (0, 3)] {
        let scene = Scene::new();
        let [from, to] = [from, to].map(|index| uuid::Uuid::from(scene.datasets[index]).into_bytes());
        let mut bytes = scene.pristine.clone();
        for at in scene.rows_of("dataset") {
            if bytes[at..].starts_with(&from) {
                bytes[at..at + 16].copy_from_slice(&to);
            }
        }
        scene.restore(&bytes);
        let store = Store::open(&scene.file.path).unwrap();
        assert!(!store.verify().unwrap().is_whole(), "the control");

        store.purge_organization(scene.ours).unwrap();

        assert!(!store.organizations().unwrap().contains(&scene.ours));
        assert!(store.verify().unwrap().is_whole());
    }
}
