//! Changes since a cursor, with any value in any column that decides what is told: what is told is true, a damaged
//! dataset is told once and hides no other, and a reader hears everything that is changed afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use kpi_store::{
    ChangeCursor, ChangeState, Changes, Damage, DatasetId, DatasetPatch, Durability, Error, NewDataset, Organization,
    OrganizationId, Store, UserId,
};

use super::types::without_strictness;
use crate::support::{TestFile, organization, plain_sqlite, request_with_kpis};

use ChangeState::{Deleted, Present, Purged};

/// Of every type, at the boundaries of what a column may have and beyond, and numbers that were given or will be.
const VALUES: [&str; 20] = [
    "NULL",
    "-9223372036854775808",
    "-1",
    "0",
    "1",
    "5",
    "10",
    "12",
    "20",
    "64",
    "65",
    "4294967299",
    "9223372036854775807",
    "0.5",
    "10.5",
    "''",
    "CAST(x'ff' AS TEXT)",
    "zeroblob(15)",
    "zeroblob(16)",
    "randomblob(16)",
];

const OF_A_DATASET: [&str; 16] = [
    "id",
    "organization_id",
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
    "changed",
    "deleted_at",
    "deleted_by",
    "state_digest",
];
const OF_A_PURGE: [&str; 4] = ["organization_id", "change", "id", "digest"];

/// Columns by which an index finds the row. What has no place in an index any more is not told.
const OF_AN_INDEX: [&str; 4] = ["organization_id", "changed", "deleted_at", "change"];

/// A file with datasets in every state.
struct Sample {
    file: Vec<u8>,
    organization: OrganizationId,
    /// In the order of the last changes.
    states: Vec<(DatasetId, ChangeState)>,
    /// Before each of the changes, with the number of the states before it that are the last ones of their datasets.
    cursors: Vec<(ChangeCursor, usize)>,
}

impl Sample {
    fn new() -> Self {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store).acting_as(UserId::new());
        let new = (0..7).map(|_| NewDataset::new("Water").description("Of the year"));
        let ids: Vec<_> = ours.create_datasets(new).unwrap().iter().map(|dataset| dataset.id).collect();
        let mut cursors = vec![(ours.change_cursor().unwrap(), 2)];
        let edit = |id| drop(ours.update_dataset(id, DatasetPatch::new().name("Lakes")).unwrap());
        let mut done = |last| cursors.push((ours.change_cursor().unwrap(), last));
        edit(ids[1]);
        done(3);
        ours.delete_datasets([ids[3], ids[4]]).unwrap();
        ours.delete_dataset(ids[2]).unwrap();
        done(4);
        ours.purge_dataset(ids[3]).unwrap();
        done(5);
        ours.purge_dataset(ids[4]).unwrap();
        edit(ids[5]);
        done(7);
        let states = [(0, Present), (6, Present), (1, Present), (2, Deleted), (3, Purged), (4, Purged), (5, Present)];
        let states = states.map(|(index, state)| (ids[index], state)).to_vec();
        store.close().unwrap();
        Self { file: fs::read(&file.path).unwrap(), organization: ours.id(), states, cursors }
    }

    /// Calls `check` with each damaged dataset, a store, the column and the change, for each value in each column.
    fn damaged(&self, check: impl Fn(DatasetId, &Organization, &str, &str)) -> usize {
        let mut count = 0;
        for (id, state) in &self.states {
            let (table, columns) = match state {
                Purged => ("purged_dataset", &OF_A_PURGE[..]),
                _ => ("dataset", &OF_A_DATASET[..]),
            };
            for (column, value) in columns.iter().flat_map(|column| VALUES.map(|value| (*column, value))) {
                let change =
                    format!("UPDATE {table} SET {column} = {value} WHERE id = x'{}'", uuid::Uuid::from(*id).simple());
                let file = TestFile::in_memory();
                fs::write(&file.path, &self.file).unwrap();
                // A part of a primary key is not null, and no two are equal.
                if without_strictness(&file, &change).is_ok() {
                    let store = Store::options().durability(Durability::Normal).open(&file.path).unwrap();
                    check(*id, &store.organization(self.organization), column, &change);
                    count += 1;
                }
            }
        }
        count
    }
}

fn pairs(changes: &Changes) -> Vec<(DatasetId, ChangeState)> {
    changes.items.iter().map(|change| (change.dataset, change.state)).collect()
}

#[test]
fn any_value_in_any_column_is_told_once_as_damage_and_hides_no_other_change() {
    let sample = Sample::new();
    let count = sample.damaged(|id, ours, column, what| {
        let from_start = ours.changes_since(&ChangeCursor::start()).unwrap();
        let told = tells_the_rest(&sample, &from_start, id, 0, what);
        assert!(told || OF_AN_INDEX.contains(&column), "{what}: it is told neither as changed nor as damaged");
        for (cursor, first) in &sample.cursors {
            match ours.changes_since(cursor) {
                Ok(changes) => drop(tells_the_rest(&sample, &changes, id, *first, what)),
                // Its change was the last one, or seems to be.
                Err(error) => {
                    assert!(matches!(error, Error::InvalidCursor), "{what}: {error:?}");
                    assert!(id == sample.states[6].0 && *first == 7 && OF_AN_INDEX.contains(&column), "{what}");
                }
            }
        }
        tells_what_follows(&sample, ours, &from_start, id, what);
    });
    assert!(count > 1_500, "{count}");
}

/// Whether the damaged dataset is told; the others must be.
fn tells_the_rest(sample: &Sample, changes: &Changes, damaged: DatasetId, first: usize, what: &str) -> bool {
    let told = pairs(changes);
    let others: Vec<_> = told.iter().copied().filter(|(id, _)| *id != damaged).collect();
    let expected: Vec<_> = sample.states[first..].iter().copied().filter(|(id, _)| *id != damaged).collect();
    assert_eq!(others, expected, "{what}: after {first}");
    let of_it: Vec<_> = told.iter().filter(|(id, _)| *id == damaged).collect();
    assert!(of_it.iter().all(|told| sample.states.contains(told)), "{what}: {of_it:?}");
    // If its id is lost, nothing shows that its creation and its change are those of one dataset.
    let is_nameless = changes.damaged.iter().all(|damage| damage.dataset.is_none());
    let max = 1 + usize::from(is_nameless);
    assert!(of_it.len() <= 1 && of_it.len() + changes.damaged.len() <= max, "{what}: {changes:?}");
    let names_another = |damage: &Damage| damage.dataset.is_some_and(|id| others.iter().any(|(other, _)| *other == id));
    assert!(!changes.damaged.iter().any(names_another), "{what}: {changes:?}");
    assert!(!changes.has_more, "{what}");
    !of_it.is_empty() || !changes.damaged.is_empty()
}

/// Nothing is told twice, and what is changed next is told.
fn tells_what_follows(sample: &Sample, ours: &Organization, before: &Changes, damaged: DatasetId, what: &str) {
    let again = ours.changes_since(&before.next).unwrap();
    assert_eq!((&again.items[..], &again.next), (&[][..], &before.next), "{what}");
    // A number that was never given is reported by each call: those of later damage are smaller.
    let is_never_given = ["= 65 ", "= 4294967299 ", "= 9223372036854775807 "].iter().any(|value| what.contains(value));
    assert!(again.damaged.is_empty() || (is_never_given && again.damaged.len() == 1), "{what}: {again:?}");
    let now = ours.change_cursor().unwrap();
    assert_eq!(now, before.next, "{what}");
    let created = ours.create_dataset(request_with_kpis(1)).unwrap().id;
    let edited = sample.states.iter().find(|(id, state)| *id != damaged && *state == Present).unwrap().0;
    ours.update_dataset(edited, DatasetPatch::new().name("Rivers")).unwrap();
    ours.delete_dataset(created).unwrap();
    match ours.purge_dataset(created) {
        // The number of a purge is larger than those of the purges before, of which one cannot be read.
        Err(error) if what.contains("change = ") => return assert_eq!(error.code(), "corrupt", "{what}"),
        purged => purged.unwrap(),
    }
    let next = ours.changes_since(&before.next).unwrap();
    assert_eq!(pairs(&next), [(edited, Present), (created, Purged)], "{what}");
    assert!(next.damaged.is_empty() || is_never_given, "{what}: {next:?}");
    assert_eq!(next.next, ours.change_cursor().unwrap(), "{what}");
}

/// A flipped bit makes the number of a change larger than all that will be given soon.
#[test]
fn a_number_that_was_never_given_hides_no_damage_that_follows() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let ids: Vec<_> = (0..3).map(|_| ours.create_dataset(request_with_kpis(1)).unwrap().id).collect();
    ours.update_dataset(ids[0], DatasetPatch::new().name("Rivers")).unwrap();
    plain_sqlite(&file.path).execute_batch("UPDATE dataset SET changed = 9000000000000 WHERE seq = 1").unwrap();
    let damaged = |changes: &Changes| changes.damaged.iter().filter_map(|damage| damage.dataset).collect::<Vec<_>>();
    let first = ours.changes_since(&ChangeCursor::start()).unwrap();
    assert_eq!((pairs(&first), damaged(&first)), (vec![(ids[1], Present), (ids[2], Present)], vec![ids[0]]));
    let now = ours.change_cursor().unwrap();
    for (cursor, name) in [(first.next, "Lakes"), (now, "Seas")] {
        let mut watch = ours.watch(cursor.clone()).unwrap();
        assert_eq!(damaged(&watch.wait(Duration::ZERO).unwrap()), [ids[0]]);
        assert!(watch.wait(Duration::ZERO).unwrap().damaged.is_empty(), "a watch reports it once");
        ours.update_dataset(ids[1], DatasetPatch::new().name(name)).unwrap();
        plain_sqlite(&file.path).execute_batch("UPDATE dataset SET state_digest = 0 WHERE seq = 2").unwrap();
        let next = ours.changes_since(&cursor).unwrap();
        assert_eq!((pairs(&next), damaged(&next)), (vec![], vec![ids[1], ids[0]]));
        assert_eq!(damaged(&watch.wait(Duration::ZERO).unwrap()), [ids[1], ids[0]]);
        ours.accept_dataset(ids[1]).unwrap_err();
        ours.delete_dataset(ids[1]).unwrap();
        ours.restore_dataset(ids[1]).unwrap();
    }
}

/// Damage that is the last that there is to tell does not end a reader that asks again and again.
#[test]
fn a_thousand_damaged_datasets_are_told_once_each() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..2_100).map(|_| request_with_kpis(0))).unwrap();
    plain_sqlite(&file.path).execute("UPDATE dataset SET revision = 2 WHERE seq > 50", []).unwrap();
    let (mut cursor, mut told, mut damaged) = (ChangeCursor::start(), 0, Vec::new());
    for expected in [true, true, false] {
        let changes = ours.changes_since(&cursor).unwrap();
        told += changes.items.len();
        damaged.extend(changes.damaged.iter().filter_map(|damage| damage.dataset));
        assert_eq!(changes.has_more, expected);
        cursor = changes.next;
    }
    assert_eq!(told, 50);
    assert_eq!(damaged, created[50..].iter().map(|dataset| dataset.id).collect::<Vec<_>>());
    assert_eq!(cursor, ours.change_cursor().unwrap());
    assert_eq!(cursor.to_string().parse::<ChangeCursor>().unwrap(), cursor);
    // A damaged dataset that is accepted is a changed one.
    ours.accept_dataset(created[60].id).unwrap();
    let changes = ours.changes_since(&cursor).unwrap();
    assert_eq!((pairs(&changes), changes.damaged.len()), (vec![(created[60].id, Present)], 0));
}

/// More of them than a call returns must not make a reader ask for the rest for ever.
#[test]
fn numbers_that_were_never_given_do_not_keep_a_reader() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let created = ours.create_datasets((0..1_100).map(|_| request_with_kpis(0))).unwrap();
    let plain = plain_sqlite(&file.path);
    plain.execute("UPDATE dataset SET changed = 9000000000000 + seq, state_digest = 0", []).unwrap();
    let (mut cursor, mut damaged) = (ChangeCursor::start(), BTreeSet::new());
    for call in 0.. {
        assert!(call < 5, "it has no end");
        let changes = ours.changes_since(&cursor).unwrap();
        assert!(changes.items.is_empty());
        damaged.extend(changes.damaged.iter().filter_map(|damage| damage.dataset));
        cursor = changes.next;
        if !changes.has_more {
            break;
        }
    }
    assert_eq!(damaged, created.iter().map(|dataset| dataset.id).collect());
}

/// A counter that another tool has set back gives numbers of before: the reader starts over and then hears everything.
#[test]
fn a_counter_that_was_set_back_makes_a_reader_start_over_and_miss_nothing() {
    for last in [0, 1, 40, 90] {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store);
        let dataset = ours.create_dataset(request_with_kpis(1)).unwrap();
        for round in 0..100 {
            ours.update_dataset(dataset.id, DatasetPatch::new().name(format!("{round}"))).unwrap();
        }
        let cursor = ours.change_cursor().unwrap();
        store.close().unwrap();
        plain_sqlite(&file.path).execute("UPDATE counter SET last = ?1", [last]).unwrap();
        let ours = Store::open(&file.path).unwrap().organization(ours.id());
        assert!(matches!(ours.changes_since(&cursor), Err(Error::InvalidCursor)), "{last}");
        let start = ours.changes_since(&ChangeCursor::start()).unwrap();
        assert_eq!((start.items.len(), start.damaged.len()), (0, 1), "{last}: its number was not given yet");
        assert_eq!(start.damaged[0].dataset, Some(dataset.id));
        let mut cursor = start.next;
        for _ in 0..150 {
            let created = ours.create_dataset(request_with_kpis(0)).unwrap().id;
            let changes = ours.changes_since(&cursor).unwrap();
            assert!(changes.damaged.is_empty(), "{last}: {changes:?}");
            assert!(pairs(&changes).contains(&(created, Present)), "{last}: {changes:?}");
            cursor = changes.next;
        }
        assert!(ours.changes_since(&cursor).unwrap().items.is_empty());
        assert_eq!(ours.changes_since(&ChangeCursor::start()).unwrap().items.len(), 151);
    }
}

#[test]
fn a_generation_that_cannot_be_read_is_damage_that_a_verification_finds() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    ours.create_dataset(request_with_kpis(1)).unwrap();
    let cursor = ours.change_cursor().unwrap();
    let plain = plain_sqlite(&file.path);
    for damage in [
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'counter';
         PRAGMA writable_schema = RESET;
         UPDATE counter SET generation = 'first';
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE name = 'counter';
         PRAGMA writable_schema = RESET",
        "DELETE FROM counter",
    ] {
        plain.execute_batch(damage).unwrap();
        assert_eq!(ours.change_cursor().unwrap_err().code(), "corrupt", "{damage}");
        for cursor in [&cursor, &ChangeCursor::start()] {
            assert_eq!(ours.changes_since(cursor).unwrap_err().code(), "corrupt", "{damage}");
        }
        let findings = store.verify().unwrap().findings;
        assert!(findings.iter().any(|finding| finding.kind.as_str() == "count"), "{damage}: {findings:?}");
    }
}

/// A page of an index that cannot be read is damage that is told once; the other changes are told.
#[test]
fn an_index_that_cannot_be_read_is_told_once_and_ends_no_reader() {
    for (index, hidden) in [("dataset_by_organization", 0), ("dataset_by_change", 1)] {
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let ours = organization(&store);
        let ids: Vec<_> =
            ours.create_datasets((0..2).map(request_with_kpis)).unwrap().iter().map(|new| new.id).collect();
        ours.update_dataset(ids[1], DatasetPatch::new().name("Lakes")).unwrap();
        store.close().unwrap();
        let page: i64 = plain_sqlite(&file.path)
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [index], |row| row.get(0))
            .unwrap();
        let mut bytes = fs::read(&file.path).unwrap();
        bytes[usize::try_from(page - 1).unwrap() * 4_096] = 0xFF;
        fs::write(&file.path, bytes).unwrap();

        let ours = Store::options().read_only(true).open(&file.path).unwrap().organization(ours.id());
        let changes = ours.changes_since(&ChangeCursor::start()).unwrap();
        assert_eq!(pairs(&changes), [(ids[1 - hidden], Present)], "{index}");
        assert_eq!(changes.damaged.iter().map(|damage| damage.dataset).collect::<Vec<_>>(), [None], "{index}");
        // It is told again at the place to which the reader came, and not a third time.
        let second = ours.changes_since(&changes.next).unwrap();
        let third = ours.changes_since(&second.next).unwrap();
        assert_eq!((second.items.len(), &third.items[..], &third.damaged[..]), (0, &[][..], &[][..]), "{index}");
        assert!(ours.changes_since(&ours.change_cursor().unwrap()).unwrap().items.is_empty(), "{index}");
    }
}
