//! An index that leads one organization to the rows of another: these are not shown, changed or named.

use kpi_store::{Dataset, DatasetQuery, Error, Organization, Store};

use super::Tenants;
use crate::support::{TestFile, plain_sqlite};

/// For each index a false one, with the organizations exchanged, which replaces the true one.
const DAMAGES: [(&str, &str); 2] = [
    (
        "dataset_by_organization",
        "DROP INDEX dataset_by_organization;
         CREATE INDEX dataset_by_organization ON made (organization_id, seq);
         UPDATE sqlite_schema SET (tbl_name, sql) = (SELECT tbl_name, sql FROM entry) WHERE name = 'dataset_by_organization'",
    ),
    (
        "sqlite_autoindex_dataset_1",
        "CREATE UNIQUE INDEX false_one ON made (organization_id, id);
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'false_one')
            WHERE name = 'sqlite_autoindex_dataset_1';
         DELETE FROM sqlite_schema WHERE name = 'false_one'",
    ),
];

#[test]
fn an_index_that_leads_to_anothers_rows_shows_changes_and_names_none() {
    for damaged in [&DAMAGES[..1], &DAMAGES[1..], &DAMAGES] {
        let what: Vec<_> = damaged.iter().map(|(index, _)| index).collect();
        let file = TestFile::new();
        let store = Store::open(&file.path).unwrap();
        let tenants = Tenants::with_ids_of_their_own(&store);
        let (ours, theirs) = (tenants.ours_only.clone(), tenants.theirs_only.clone());
        store.close().unwrap();
        for (index, sql) in damaged {
            exchange(&file, index, sql);
            assert_eq!(seen_through(&file, index, &ours[0]), ["theirs 0"], "the control: {index} leads there");
        }

        let organization = Store::open(&file.path).unwrap().organization(ours[0].organization_id);
        for dataset in &theirs {
            let read = organization.dataset(dataset.id);
            assert!(matches!(read, Ok(None) | Err(Error::Corrupt { .. })), "{what:?}: {read:?}");
            let accepted = organization.accept_dataset(dataset.id);
            assert!(matches!(accepted, Err(Error::NotFound { .. } | Error::Corrupt { .. })), "{what:?}: {accepted:?}");
        }
        shows_ours_or_damage(&organization, &tenants, &format!("{what:?}"));
        let theirs_now = "SELECT group_concat(name || revision) FROM dataset NOT INDEXED WHERE organization_id = ?1";
        let id = uuid::Uuid::from(theirs[0].organization_id).into_bytes();
        let now: String = plain_sqlite(&file.path).query_row(theirs_now, [id], |row| row.get(0)).unwrap();
        assert_eq!(now, "theirs 01,theirs 11,theirs 21", "{what:?}");
    }
}

/// Every way of reading returns datasets of ours, or an error that names none of theirs.
fn shows_ours_or_damage(organization: &Organization, tenants: &Tenants, what: &str) {
    let mut answers: Vec<_> = tenants.ours_only.iter().map(|dataset| organization.dataset(dataset.id)).collect();
    for query in [DatasetQuery::new().limit(2), DatasetQuery::new().newest_first()] {
        answers.extend(organization.iter_datasets(&query).map(|dataset| dataset.map(Some)));
    }
    for answer in answers {
        match answer {
            Ok(dataset) => assert!(dataset.is_none_or(|dataset| tenants.ours_only.contains(&dataset)), "{what}"),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert_eq!(error.code(), "corrupt", "{what}: {shown}");
                for theirs in &tenants.theirs_only {
                    assert!(!shown.contains(&theirs.id.to_string()), "{what}: {shown}");
                    assert!(!shown.contains(&theirs.name), "{what}: {shown}");
                }
            }
        }
    }
}

/// Replaces an index by a false one; the schema is to the letter as before.
fn exchange(file: &TestFile, index: &str, sql: &str) {
    plain_sqlite(&file.path)
        .execute_batch(&format!(
            "PRAGMA writable_schema = ON;
             CREATE TEMP TABLE entry AS SELECT * FROM sqlite_schema WHERE name = '{index}';
             CREATE TEMP TABLE o AS SELECT min(organization_id) AS one, max(organization_id) AS other FROM dataset NOT INDEXED;
             CREATE TABLE made (seq INTEGER PRIMARY KEY, id BLOB, organization_id BLOB);
             INSERT INTO made SELECT seq, id, iif(organization_id = one, other, one) FROM dataset NOT INDEXED, o;
             {sql};
             DELETE FROM sqlite_schema WHERE name = 'made'"
        ))
        .unwrap_or_else(|error| panic!("{index}: {error}"));
}

/// The first name that plain SQLite shows through the index where it looks for the organization of `dataset`.
fn seen_through(file: &TestFile, index: &str, dataset: &Dataset) -> Vec<String> {
    let sql = format!("SELECT name FROM dataset INDEXED BY {index} WHERE organization_id = ?1 ORDER BY seq LIMIT 1");
    let plain = plain_sqlite(&file.path);
    let mut statement = plain.prepare(&sql).unwrap();
    let id = uuid::Uuid::from(dataset.organization_id).into_bytes();
    statement.query_map([id], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
