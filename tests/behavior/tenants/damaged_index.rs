//! An index that leads one organization to the rows of another: these are not shown, changed or named.

use chrono::{DateTime, Utc};
use kpi_store::{
    ChangeCursor, Dataset, DatasetId, DatasetPatch, DatasetQuery, Error, HistoryKeep, HistoryQuery, NewKpi,
    Organization, OrganizationId, Store, ValueType,
};

use super::Tenants;
use crate::support::{TestFile, plain_sqlite};

/// An index.
struct Index {
    name: &'static str,
    /// What makes a false one, with the organizations exchanged.
    false_one: &'static str,
    /// How plain SQL reads through it, and which of theirs it then finds first.
    read: (&'static str, &'static str),
}

const INDEXES: [Index; 4] = [
    Index {
        name: "dataset_by_organization",
        false_one: "INDEX dataset_by_organization ON made (organization_id, seq, deleted_at) WHERE deleted_at IS NULL",
        read: ("deleted_at IS NULL ORDER BY seq", "theirs 0"),
    },
    Index {
        name: "dataset_by_change",
        false_one: "INDEX dataset_by_change ON made (organization_id, changed, deleted_at) WHERE changed IS NOT NULL",
        read: ("changed IS NOT NULL ORDER BY changed", "theirs 0"),
    },
    Index {
        name: "dataset_in_trash",
        false_one: "INDEX dataset_in_trash ON made (organization_id, changed, deleted_at) WHERE deleted_at IS NOT NULL",
        read: ("deleted_at IS NOT NULL ORDER BY changed", "theirs 3"),
    },
    Index {
        name: "sqlite_autoindex_dataset_1",
        false_one: "UNIQUE INDEX false_one ON made (organization_id, id)",
        read: ("TRUE ORDER BY seq", "theirs 0"),
    },
];

#[test]
fn an_index_that_leads_to_anothers_rows_shows_changes_and_names_none() {
    for damaged in [&INDEXES[..1], &INDEXES[1..2], &INDEXES[2..3], &INDEXES[3..], &INDEXES] {
        let what: Vec<_> = damaged.iter().map(|index| index.name).collect();
        let what = format!("{what:?}");
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let tenants = Tenants::with_ids_of_their_own(&store);
        let theirs = tenants.theirs_only[0].organization_id;
        store.close().unwrap();
        for index in damaged {
            exchange(&file, index);
            let seen = seen_through(&file, index, tenants.ours_only[0].organization_id);
            assert_eq!(seen, [index.read.1], "the control: {} leads there", index.name);
        }
        let before = rows_of(&file, theirs);

        let organization = Store::open(&file.path).unwrap().organization(tenants.ours_only[0].organization_id);
        for dataset in tenants.theirs_only.iter().chain(&tenants.deleted[1..]) {
            tells_nothing_of(&organization, dataset, &what);
        }
        shows_ours_or_damage(&organization, &tenants, &what);
        organization.prune_history(&HistoryKeep::new()).unwrap();
        // Ours in the trash is purged, unless SQLite misses it in an index.
        let purged = organization.purge_deleted_before(DateTime::<Utc>::MAX_UTC);
        assert!(matches!(purged, Ok(0 | 1) | Err(Error::Corrupt { .. })), "{what}: {purged:?}");
        assert_eq!(rows_of(&file, theirs), before, "{what}");
    }
}

/// Every call answers about a dataset of the other organization that there is none, or damage.
fn tells_nothing_of(ours: &Organization, theirs: &Dataset, what: &str) {
    let id = theirs.id;
    let reads = [
        ours.dataset(id).map(|found| found.is_none()),
        ours.version(id, 1).map(|found| found.is_none()),
        ours.version_at(id, None).map(|found| found.is_none()),
    ];
    for read in reads {
        assert!(matches!(read, Ok(true) | Err(Error::Corrupt { .. })), "{what}: {read:?}");
    }
    let mut draft = theirs.edit();
    draft.name = "taken".into();
    let calls = [
        ours.accept_dataset(id).map(drop),
        ours.update_dataset(id, DatasetPatch::new().name("taken")).map(drop),
        ours.save_dataset(&draft).map(drop),
        ours.revert_dataset(theirs, 1).map(drop),
        ours.create_kpi(id, NewKpi::new("taken")).map(drop),
        ours.history(id, &HistoryQuery::new()).map(drop),
        ours.prune_history(&HistoryKeep::new().of(id)).map(drop),
        ours.delete_dataset(id),
        ours.restore_dataset(id).map(drop),
        ours.purge_dataset(id),
    ];
    for (number, answer) in calls.into_iter().enumerate() {
        assert!(
            matches!(answer, Err(Error::NotFound { .. } | Error::Corrupt { .. })),
            "{what}: call {number}: {answer:?}"
        );
    }
}

/// Every way of reading returns datasets of ours, or an error that names none of theirs.
fn shows_ours_or_damage(organization: &Organization, tenants: &Tenants, what: &str) {
    let mut answers: Vec<_> = tenants.ours_only.iter().map(|dataset| organization.dataset(dataset.id)).collect();
    for query in [DatasetQuery::new().limit(2), DatasetQuery::new().newest_first()] {
        answers.extend(organization.iter_datasets(&query).map(|dataset| dataset.map(Some)));
    }
    let changes = organization.changes_since(&ChangeCursor::start()).unwrap();
    let is_ours_by_id = |id: DatasetId| tenants.ours_only.iter().chain(&tenants.deleted[..1]).any(|ours| ours.id == id);
    assert!(changes.items.iter().all(|change| is_ours_by_id(change.dataset)), "{what}: {changes:?}");
    answers.extend(changes.damaged.into_iter().map(|damage| Err(damage.into())));
    let now = organization.change_cursor().unwrap();
    assert!(organization.changes_since(&now).unwrap().items.is_empty(), "{what}");
    let new = DatasetQuery::new;
    for query in [
        new().recently_changed_first(),
        new().recently_changed_first().limit(1),
        new().matching("theirs"),
        new().matching("s").newest_first(),
        new().created_by(tenants.theirs.user().unwrap()),
        new().with_value_type(ValueType::Number),
    ] {
        answers.extend(organization.iter_datasets(&query).map(|dataset| dataset.map(Some)));
        for summary in organization.iter_summaries(&query) {
            match summary {
                Ok(summary) => assert!(tenants.ours_only.iter().any(|ours| ours.id == summary.id), "{what}"),
                Err(error) => answers.push(Err(error)),
            }
        }
        let count = organization.count_datasets(&query);
        assert!(matches!(count, Ok(..=4) | Err(Error::Corrupt { .. })), "{what}: {count:?}");
    }
    for query in [new().limit(1), new().oldest_first(), new().matching("theirs")] {
        let page = organization.deleted_datasets(&query).unwrap();
        let damages = page.damaged.into_iter().map(|damage| Err(damage.into()));
        answers.extend(page.items.into_iter().map(|deleted| Ok(Some(deleted.dataset))).chain(damages));
    }
    let is_ours = |dataset: &Dataset| tenants.ours_only.contains(dataset) || *dataset == tenants.deleted[0];
    for answer in answers {
        match answer {
            Ok(dataset) => assert!(dataset.as_ref().is_none_or(is_ours), "{what}"),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert_eq!(error.code(), "corrupt", "{what}: {shown}");
                for theirs in tenants.theirs_only.iter().chain(&tenants.deleted[1..]) {
                    assert!(!shown.contains(&theirs.id.to_string()), "{what}: {shown}");
                    assert!(!shown.contains(&theirs.name), "{what}: {shown}");
                }
            }
        }
    }
}

/// Replaces an index by the false one; the schema is to the letter as before.
fn exchange(file: &TestFile, Index { name, false_one, .. }: &Index) {
    let replace = if false_one.contains("false_one") {
        format!(
            "CREATE {false_one};
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'false_one')
                WHERE name = '{name}';
             DELETE FROM sqlite_schema WHERE name = 'false_one'"
        )
    } else {
        format!(
            "DROP INDEX {name};
             CREATE {false_one};
             UPDATE sqlite_schema SET (tbl_name, sql) = (SELECT tbl_name, sql FROM entry) WHERE name = '{name}'"
        )
    };
    plain_sqlite(&file.path)
        .execute_batch(&format!(
            "PRAGMA writable_schema = ON;
             CREATE TEMP TABLE entry AS SELECT * FROM sqlite_schema WHERE name = '{name}';
             CREATE TEMP TABLE o AS SELECT min(organization_id) AS one, max(organization_id) AS other FROM dataset NOT INDEXED;
             CREATE TABLE made (seq INTEGER PRIMARY KEY, id BLOB, organization_id BLOB, changed INTEGER, deleted_at INTEGER);
             INSERT INTO made SELECT seq, id, iif(organization_id = one, other, one), changed, deleted_at
                FROM dataset NOT INDEXED, o;
             {replace};
             DELETE FROM sqlite_schema WHERE name = 'made'"
        ))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// The first name that plain SQLite shows through the index where it looks for the organization.
fn seen_through(file: &TestFile, Index { name, read: (rest, _), .. }: &Index, of: OrganizationId) -> Vec<String> {
    let sql = format!("SELECT name FROM dataset INDEXED BY {name} WHERE organization_id = ?1 AND {rest} LIMIT 1");
    let plain = plain_sqlite(&file.path);
    let mut statement = plain.prepare(&sql).unwrap();
    statement.query_map([uuid::Uuid::from(of).as_bytes()], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Everything of the organization that a call could change, without the help of an index.
fn rows_of(file: &TestFile, organization: OrganizationId) -> String {
    let sql = "SELECT group_concat(concat_ws(' ', name, revision, changed, deleted_at,
            (SELECT count(*) FROM kpi WHERE dataset_seq = seq),
            (SELECT count(replaced) FROM dataset_version WHERE dataset_seq = seq)))
        FROM dataset NOT INDEXED WHERE organization_id = ?1";
    let id = uuid::Uuid::from(organization);
    let rows: String = plain_sqlite(&file.path).query_row(sql, [id.as_bytes()], |row| row.get(0)).unwrap();
    assert!(rows.contains("theirs 0 3") && rows.contains("theirs 3 1"), "the control: {rows}");
    rows
}
