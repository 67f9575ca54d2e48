//! Errors: stable codes, complete sources, and no stored value in any text.

use std::error::Error as _;
use std::fs;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kpi_store::{Cursor, DatasetId, DatasetQuery, Error, KpiId, NewDataset, NewKpi, OrganizationId, Store};

use crate::support::{self, TestFile};

/// Part of every text that is stored or requested; no error may contain it.
const MARK: &str = "s3cr3t";

#[test]
fn every_error_has_its_code_and_only_waiting_and_room_are_worth_a_retry() {
    for (code, error) in provoked() {
        assert_eq!(error.code(), code, "{error:?}");
        assert_eq!(error.is_retryable(), ["busy", "storage_full"].contains(&code), "{code}");
    }
}

#[test]
fn no_text_of_an_error_carries_a_stored_value() {
    for (code, error) in provoked() {
        for text in texts(&error) {
            assert!(!text.contains(MARK), "{code}: {text}");
        }
    }
    // The control: the search finds the mark.
    let request = NewDataset::new(MARK).kpi(marked_kpi());
    assert!(format!("{request:?}").contains(MARK));
}

#[test]
fn messages_are_short_sentences_that_do_not_repeat_their_source() {
    for (code, error) in provoked() {
        let message = error.to_string();
        assert!(!message.ends_with('.'), "{code}: {message}");
        if code != "invalid" {
            let first = message.chars().next().unwrap();
            assert!(first.is_lowercase() || message.starts_with("KPI") || message.starts_with("SQLite"), "{message}");
        }
        let mut source = error.source();
        while let Some(cause) = source {
            assert!(!message.contains(&cause.to_string()), "{code}: {message} repeats {cause}");
            source = cause.source();
        }
    }
}

#[test]
fn the_error_of_sqlite_is_the_source() {
    for (of, said) in [("busy", "locked"), ("not_a_store", "not a database")] {
        let (_, error) = provoked().into_iter().find(|(code, _)| *code == of).unwrap();
        assert!(error.source().unwrap().to_string().contains(said), "{error:?}");
    }
}

#[test]
fn errors_are_shared_and_go_to_any_thread() {
    fn assert<T: Clone + Send + Sync + std::error::Error + 'static>() {}
    assert::<Error>();
}

fn marked_kpi() -> NewKpi {
    NewKpi::new(format!("{MARK} name")).description(format!("{MARK} description")).unit(format!("{MARK} unit"))
}

/// Every text of an error: itself in every form, and each of its sources.
fn texts(error: &Error) -> Vec<String> {
    let mut texts = vec![error.to_string(), format!("{error:?}"), format!("{error:#?}")];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.extend([cause.to_string(), format!("{cause:?}")]);
        source = cause.source();
    }
    texts
}

/// One error of every kind that occurs without system faults, with its code. All stores and requests contain the mark.
fn provoked() -> Vec<(&'static str, Error)> {
    let mut errors = of_requests();
    errors.extend(of_paths_and_files());
    errors.extend(of_damage());
    errors
}

fn of_requests() -> Vec<(&'static str, Error)> {
    let file = TestFile::new();
    let store = Store::options().busy_timeout(Duration::from_millis(5)).open(&file.path).unwrap();
    let organization = support::organization(&store);
    let marked = || NewDataset::new(MARK).description(MARK).kpi(marked_kpi()).kpi(marked_kpi());
    let kept = organization.create_dataset(marked()).unwrap();
    let cursor = organization.create_datasets([marked(), marked()]).unwrap();
    let cursor_text = organization.datasets(&DatasetQuery::new().limit(1)).unwrap().next.unwrap().to_string();

    let too_long = NewDataset::new(MARK.repeat(100)).kpi(marked_kpi().unit(MARK.repeat(20)).sort_order(-1));
    let json = format!(r#"{{"name": ["{MARK}"], "kpis": [{{"name": "{MARK}\u0000", "value_type": "{MARK}"}}]}}"#);
    let broken = format!(r#"{{"name": "{MARK}" "{MARK}""#);
    let repeated = marked().kpi(marked_kpi().id(kpi_id())).kpi(marked_kpi().id(kpi_id()));
    let mut errors = vec![
        ("invalid", organization.create_dataset(too_long).unwrap_err()),
        ("invalid", NewDataset::from_json(json).unwrap_err().into()),
        ("invalid", NewDataset::from_json(broken).unwrap_err().into()),
        ("invalid", organization.datasets(&DatasetQuery::new().limit(0)).unwrap_err()),
        ("already_exists", organization.create_dataset(marked().id(kept.id)).unwrap_err()),
        ("already_exists", organization.create_dataset(repeated).unwrap_err()),
        ("invalid_cursor", format!("{MARK}{cursor_text}").parse::<Cursor>().unwrap_err().into()),
    ];
    let foreign = store.organization(OrganizationId::new());
    let foreign_cursor = DatasetQuery::new().after(&cursor_text.parse().unwrap());
    errors.push(("invalid_cursor", foreign.datasets(&foreign_cursor).unwrap_err()));

    let writer = support::plain_sqlite(&file.path);
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    errors.push(("busy", organization.create_dataset(marked()).unwrap_err()));
    drop(writer);
    store.close().unwrap();
    errors.push(("closed", organization.dataset(cursor[0].id).unwrap_err()));

    let late = Store::options().clock(|| DateTime::<Utc>::MAX_UTC).open_in_memory().unwrap();
    errors.push(("clock_out_of_range", support::organization(&late).create_dataset(marked()).unwrap_err()));
    errors
}

fn kpi_id() -> KpiId {
    uuid::Uuid::from_u128(7).into()
}

fn of_paths_and_files() -> Vec<(&'static str, Error)> {
    let file = TestFile::new();
    let opened = |content: &[u8]| {
        fs::write(&file.path, content).unwrap();
        Store::open(&file.path).unwrap_err()
    };
    let mut errors = vec![
        ("invalid_path", Store::open("").unwrap_err()),
        ("invalid_path", Store::open(file.folder.path()).unwrap_err()),
        ("invalid_path", Store::open(file.folder.path().join("missing/kpis.db")).unwrap_err()),
        ("not_a_store", opened(MARK.repeat(1_000).as_bytes())),
    ];
    fs::remove_file(&file.path).unwrap();
    drop(Store::open(&file.path).unwrap());
    support::plain_sqlite(&file.path).execute_batch("PRAGMA user_version = 99").unwrap();
    errors.push(("too_new", Store::open(&file.path).unwrap_err()));
    support::plain_sqlite(&file.path)
        .execute_batch("PRAGMA user_version = 1; CREATE VIEW extra AS SELECT name FROM dataset")
        .unwrap();
    errors.push(("corrupt", Store::open(&file.path).unwrap_err()));
    errors
}

fn of_damage() -> Vec<(&'static str, Error)> {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let organization = support::organization(&store);
    let id = DatasetId::new();
    organization.create_dataset(NewDataset::new(MARK).id(id).kpi(marked_kpi())).unwrap();
    let damaged = |sql: &str| {
        support::plain_sqlite(&file.path).execute_batch(sql).unwrap();
        let read = organization.dataset(id).unwrap_err();
        let listed = organization.datasets(&DatasetQuery::new()).unwrap().damaged.remove(0).into();
        [read, listed]
    };
    let mut errors = Vec::new();
    errors.extend(damaged("UPDATE kpi SET name = 's3cr3t other'"));
    errors.extend(damaged("UPDATE dataset SET description = CAST(x'ff' || 's3cr3t' AS TEXT)"));
    errors.extend(damaged("UPDATE dataset SET description = NULL; UPDATE kpi SET unit = CAST(x'fe' AS TEXT)"));
    errors.into_iter().map(|error| ("corrupt", error)).collect()
}

#[test]
fn a_source_can_be_downcast_to_the_error_of_sqlite_or_the_system() {
    let of = |of: &str| provoked().into_iter().find(|(code, _)| *code == of).unwrap().1;
    for code in ["busy", "not_a_store"] {
        let error = of(code);
        let source = error.source().unwrap().downcast_ref::<rusqlite::Error>();
        assert!(source.and_then(rusqlite::Error::sqlite_error_code).is_some(), "{error:?}");
    }
    let missing = Store::open(TestFile::new().folder.path().join("missing/kpis.db")).unwrap_err();
    let source = missing.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn an_error_serializes_with_the_fields_that_a_front_end_acts_on() {
    let (dataset, kpi) = (DatasetId::from_u128(1), KpiId::from_u128(2));
    let time = |micros| DateTime::from_timestamp_micros(micros);
    let of = |error: Error| {
        let json = serde_json::to_value(&error).unwrap();
        assert_eq!((json["code"].as_str(), json["message"].as_str()), (Some(error.code()), Some(&*error.to_string())));
        let mut fields = json.as_object().unwrap().clone();
        fields.retain(|key, _| !["code", "message"].contains(&key.as_str()));
        serde_json::Value::from(fields)
    };
    let id = dataset.to_string();
    assert_eq!(
        of(Error::conflict(dataset, None, time(1_500_000))),
        serde_json::json!({ "dataset": id, "expected": null, "found": "1970-01-01T00:00:01.500000Z" })
    );
    assert_eq!(
        of(Error::kpi_not_found(dataset, kpi)),
        serde_json::json!({ "dataset": id, "kpi": kpi, "revision": null })
    );
    assert_eq!(
        of(Error::revision_not_found(dataset, 7)),
        serde_json::json!({ "dataset": id, "kpi": null, "revision": 7 })
    );
    assert_eq!(of(Error::already_exists(dataset, None)), serde_json::json!({ "dataset": id, "kpi": null }));
    assert_eq!(of(Error::corrupt(Some(dataset), "x")), serde_json::json!({ "dataset": id }));
    assert_eq!(
        of(Error::outcome_unknown([dataset], time(0))),
        serde_json::json!({ "ids": [id], "updated_at": "1970-01-01T00:00:00Z" })
    );
    assert_eq!(of(Error::Closed), serde_json::json!({}));
    let busy = Error::busy(Duration::from_millis(5));
    let expected = serde_json::json!({ "code": "busy", "message": "the store was busy for 5 ms" });
    assert_eq!(serde_json::to_value(&busy).unwrap(), expected);

    let invalid = Error::from(NewDataset::new("").validate().unwrap_err());
    let expected = serde_json::json!({
        "code": "invalid",
        "message": "name: String should have at least 1 character",
        "violations": [{
            "type": "string_too_short",
            "loc": ["body", "name"],
            "msg": "String should have at least 1 character",
            "ctx": { "min_length": 1 },
        }],
    });
    assert_eq!(serde_json::to_value(&invalid).unwrap(), expected);
}

/// The variants with fields cannot be written down outside of the crate.
#[test]
fn an_application_can_construct_every_error_that_it_handles() {
    let id = DatasetId::new();
    let made = [
        (Error::already_exists(id, Some(kpi_id())), "already_exists"),
        (Error::not_found(id), "not_found"),
        (Error::InvalidCursor, "invalid_cursor"),
        (Error::clock_out_of_range(DateTime::<Utc>::MAX_UTC), "clock_out_of_range"),
        (Error::busy(Duration::ZERO), "busy"),
        (Error::storage_full(), "storage_full"),
        (Error::read_only(), "read_only"),
        (Error::Closed, "closed"),
        (Error::Cancelled, "cancelled"),
        (Error::invalid_path("kpis.db", "it is a folder"), "invalid_path"),
        (Error::not_a_store("not a SQLite database"), "not_a_store"),
        (Error::too_new(2, 1), "too_new"),
        (Error::corrupt(Some(id), "it does not match its digest"), "corrupt"),
        (Error::outcome_unknown([id], None), "outcome_unknown"),
        (Error::storage(std::io::Error::other("gone")), "storage"),
    ];
    for (error, code) in made {
        assert_eq!(error.code(), code);
    }
    assert!(Error::storage(std::io::Error::other("gone")).source().unwrap().is::<std::io::Error>());
}

/// `?` in a function that reads a request and stores it, whatever its error type.
#[test]
fn violations_and_cursors_become_errors_by_the_question_mark() {
    fn create(body: &str) -> kpi_store::Result<NewDataset> {
        Ok(NewDataset::from_json(body)?)
    }
    fn load(body: &str) -> Result<NewDataset, kpi_store::LoadError> {
        Ok(NewDataset::from_json(body)?)
    }
    fn list(text: &str) -> kpi_store::Result<Cursor> {
        Ok(text.parse()?)
    }
    assert_eq!(create("{}").unwrap_err().code(), "invalid");
    let stopped = load("{}").unwrap_err();
    assert_eq!((stopped.stored, stopped.code()), (0, "invalid"));
    assert_eq!(list("x").unwrap_err().code(), "invalid_cursor");
}
