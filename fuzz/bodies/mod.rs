//! The bodies of the fuzz targets: what they do with an input, and what must hold for every input. The tests replay the
//! stored corpus with the same bodies (`tests/fuzz_corpus/`).
#![allow(dead_code, reason = "each target uses one of them")]

mod files;
#[path = "../../tests/corruption/look.rs"]
mod look;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use kpi_store::{
    ChangeCursor, Cursor, Dataset, DatasetQuery, Error, NewDataset, NewKpi, Organization, OrganizationId, Segment,
    Store, StoreOptions, ValueType,
};
use uuid::Uuid;

use self::files::Made;

/// The stored datasets by organization, in the order of creation.
pub(crate) type Stored = BTreeMap<OrganizationId, Vec<Dataset>>;

/// Bytes as the body of a request: an accepted request is valid and serializes to JSON that reads back equal; a refusal
/// has violations.
pub(crate) fn request_json(input: &[u8]) {
    match NewDataset::from_json(input) {
        Ok(request) => {
            request.validate().unwrap();
            let json = serde_json::to_vec(&request).unwrap();
            assert_eq!(NewDataset::from_json(json), Ok(request));
        }
        Err(violations) => {
            assert!(violations.len() > 0);
            let is_cut = violations.total() > violations.len();
            assert_eq!(violations.to_string().lines().count(), violations.len() + usize::from(is_cut));
            for violation in &violations {
                assert_eq!(violation.loc()[0], Segment::Key("body".into()), "{violation}");
                assert!(
                    violation.path().is_empty() == (violation.loc().len() == 1 || violation.code() == "json_invalid")
                );
                assert!(!violation.message().is_empty() && !violation.code().is_empty());
            }
            serde_json::to_string(&violations).unwrap();
        }
    }
}

/// Text as a cursor of a listing or of changes: a parsed cursor prints as the same text, and is continued or refused.
pub(crate) fn cursor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(cursor) = text.parse::<ChangeCursor>() {
        assert_eq!(cursor.to_string(), text);
        match organization_in_memory().changes_since(&cursor) {
            Ok(changes) => assert_eq!(changes.items.len(), 3),
            Err(error) => assert!(matches!(error, Error::InvalidCursor), "{error:?}"),
        }
    }
    let Ok(cursor) = text.parse::<Cursor>() else { return };
    assert_eq!(cursor.to_string(), text);
    let organization = organization_in_memory();
    for query in [DatasetQuery::new(), DatasetQuery::new().newest_first()] {
        match organization.datasets(&query.after(&cursor)) {
            Ok(page) => assert!(page.items.iter().all(|item| item.organization_id == organization.id())),
            Err(error) => assert!(matches!(error, Error::InvalidCursor), "{error:?}"),
        }
    }
}

/// A whole file; the input says which bytes are altered and where the file is cut.
pub(crate) fn database(input: &[u8]) {
    let made = whole();
    let Some((how, edits)) = input.split_first() else { return };
    let mut file = made.file.clone();
    files::edit(&mut file, edits);
    if how >> 1 > 0 {
        file.truncate(usize::from(how >> 1) * 512);
    }
    answers_nothing_wrong(&file, None, how & 1 == 1, &made.stored);
}

/// A whole file with a log; the input says which bytes of the log are altered, where it is cut, and whether its
/// checksums are corrected afterwards.
pub(crate) fn wal(input: &[u8]) {
    let made = whole();
    let Some((how, edits)) = input.split_first() else { return };
    let mut log = made.log.clone();
    files::edit(&mut log, edits);
    if how >> 2 > 0 {
        log.truncate(usize::from(how >> 2) * 1_030);
    }
    if how & 2 == 2 {
        files::make_checksums_right(&mut log);
    }
    answers_nothing_wrong(&made.file, Some(&log), how & 1 == 1, &made.with_log);
}

/// Reads everything: no panic, no hang, and every dataset that is returned equals a stored one.
pub(crate) fn answers_nothing_wrong(file: &[u8], log: Option<&[u8]>, read_only: bool, stored: &Stored) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kpis.db");
    std::fs::write(&path, file).unwrap();
    if let Some(log) = log {
        std::fs::write(folder.path().join("kpis.db-wal"), log).unwrap();
    }
    let seen = look::look(&path, stored, read_only, "the input");
    assert_eq!(seen.wrong, 0, "wrong datasets");
}

/// The same file for every input and in every run: ids are counted, and the time is fixed.
pub(crate) fn whole() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(Made::new)
}

fn counting(from: u64) -> StoreOptions {
    let ids = AtomicU64::new(from);
    let clock = || chrono::DateTime::UNIX_EPOCH;
    Store::options().clock(clock).ids(move || Uuid::from_u64_pair(7, ids.fetch_add(1, Ordering::Relaxed)))
}

fn organization_in_memory() -> &'static Organization {
    static ORGANIZATION: OnceLock<Organization> = OnceLock::new();
    ORGANIZATION.get_or_init(|| {
        let organization = counting(1).open_in_memory().unwrap().organization(Uuid::from_u128(1).into());
        organization.create_datasets((0..3).map(request)).unwrap();
        organization
    })
}

/// Few and many KPIs, short and long texts.
fn request(number: usize) -> NewDataset {
    let kpi = |kpi: usize| {
        NewKpi::new(format!("KPI {kpi} of {number}"))
            .description("Water ".repeat(if kpi == 3 { 120 } else { kpi }))
            .unit("m³")
            .value_type(ValueType::ALL[kpi % 5])
            .required(kpi.is_multiple_of(2))
            .sort_order(i64::try_from(kpi / 2).unwrap())
    };
    NewDataset::new(format!("Dataset {number}")).description("Waste").kpis((0..number % 5).map(kpi))
}
