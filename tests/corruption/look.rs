//! Every way of reading a file, held against what was stored.

use std::collections::BTreeSet;
use std::path::Path;

use kpi_store::{Dataset, DatasetId, DatasetQuery, Error, Finding, NewDataset, Organization, Store};

use crate::Stored;

/// What a look saw.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) what: String,
    pub(crate) is_open: bool,
    /// Datasets that were returned and are not what was stored.
    pub(crate) wrong: u64,
    /// Answers that said that a dataset is damaged.
    pub(crate) corrupt: u64,
    /// Datasets that a read or a listing that came to its end misses without an error.
    pub(crate) hidden: BTreeSet<DatasetId>,
    /// What verify found; none if it could not look.
    pub(crate) findings: Option<Vec<Finding>>,
    /// How many of the hidden ones verify names.
    pub(crate) named: usize,
    /// Those that it does not name, though a plain scan of the table finds them: an index hides them.
    pub(crate) unnamed: Vec<DatasetId>,
}

/// `what` was done to the file stands in every complaint.
pub(crate) fn look(path: &Path, stored: &Stored, what: &str) -> Seen {
    let mut seen = Seen { what: what.to_owned(), ..Seen::default() };
    let store = match Store::open(path) {
        Ok(store) => store,
        Err(error) => {
            typed(what, &error, &["corrupt", "not_a_store", "too_new"]);
            return seen;
        }
    };
    seen.is_open = true;
    for (id, datasets) in stored {
        let organization = store.organization(*id);
        seen.by_id(&organization, datasets);
        seen.listed(&organization, datasets, &DatasetQuery::new().limit(7));
        seen.listed(&organization, datasets, &DatasetQuery::new().newest_first().limit(7));
        let _ = organization.count_datasets(&DatasetQuery::new()).map_err(|error| typed(what, &error, &["corrupt"]));
    }
    let _ = store.organizations().map_err(|error| typed(what, &error, &["corrupt"]));
    seen.findings = match store.verify() {
        Ok(verification) => Some(verification.findings),
        Err(error) => {
            typed(what, &error, &["corrupt"]);
            None
        }
    };
    let is_named = |id: &DatasetId| seen.findings.iter().flatten().any(|finding| finding.dataset == Some(*id));
    let (named, unnamed): (Vec<DatasetId>, Vec<_>) = seen.hidden.iter().copied().partition(is_named);
    seen.named = named.len();
    if seen.findings.is_some() && !unnamed.is_empty() {
        let in_table = ids_in_the_table(path);
        seen.unnamed = unnamed.into_iter().filter(|id| in_table.contains(id)).collect();
    }
    // Writing into a damaged file may fail, and must say so.
    let organization = store.organization(*stored.keys().next().unwrap());
    let _ = organization.create_dataset(NewDataset::new("After the damage")).map_err(|error| {
        typed(what, &error, &["corrupt", "storage", "already_exists"]);
    });
    seen
}

impl Seen {
    fn by_id(&mut self, organization: &Organization, datasets: &[Dataset]) {
        for dataset in datasets {
            match organization.dataset(dataset.id) {
                Ok(Some(read)) => self.wrong += u64::from(read != *dataset),
                Ok(None) => {
                    self.hidden.insert(dataset.id);
                }
                Err(error) => self.damaged(&error),
            }
        }
    }

    fn listed(&mut self, organization: &Organization, datasets: &[Dataset], query: &DatasetQuery) {
        let mut missing: BTreeSet<DatasetId> = datasets.iter().map(|dataset| dataset.id).collect();
        let mut came_to_its_end = true;
        for listed in organization.iter_datasets(query) {
            match listed {
                Ok(listed) => {
                    missing.remove(&listed.id);
                    self.wrong += u64::from(!datasets.contains(&listed));
                }
                Err(error) => {
                    let Error::Corrupt { dataset, next, .. } = &error else { panic!("{}: {error:?}", self.what) };
                    came_to_its_end &= next.is_some() && dataset.is_some();
                    missing.retain(|id| Some(*id) != *dataset);
                    self.damaged(&error);
                }
            }
        }
        if came_to_its_end {
            self.hidden.extend(missing);
        }
    }

    fn damaged(&mut self, error: &Error) {
        typed(&self.what, error, &["corrupt"]);
        self.corrupt += 1;
    }
}

fn typed(what: &str, error: &Error, allowed: &[&str]) {
    assert!(allowed.contains(&error.code()), "{what}: {error:?}");
}

/// What a plain scan of the table finds, by no index, as far as it gets.
fn ids_in_the_table(path: &Path) -> BTreeSet<DatasetId> {
    let plain = rusqlite::Connection::open(path).unwrap();
    let mut statement = plain.prepare("SELECT id FROM dataset NOT INDEXED").unwrap();
    let ids = statement.query_map([], |row| row.get::<_, [u8; 16]>(0)).unwrap();
    ids.map_while(Result::ok).map(|id| uuid::Uuid::from_bytes(id).into()).collect()
}

/// How many rows plain SQLite returns that are not what was stored, without an error: the control.
pub(crate) fn wrong_rows_of_plain_sqlite(path: &Path, stored: &Stored) -> u64 {
    let rows = || -> rusqlite::Result<Vec<(String, Option<String>)>> {
        let copy = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement = copy.prepare(
            "SELECT d.name || coalesce(d.description, ''), k.name || coalesce(k.description, '')
             FROM dataset d LEFT JOIN kpi k ON k.dataset_seq = d.seq",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let text =
        |name: &str, description: &Option<String>| format!("{name}{}", description.as_deref().unwrap_or_default());
    let expected: BTreeSet<(String, Option<String>)> = stored
        .values()
        .flatten()
        .flat_map(|dataset| {
            let of_dataset = text(&dataset.name, &dataset.description);
            let kpis = dataset.kpis.iter().map(|kpi| Some(text(&kpi.name, &kpi.description)));
            let none = dataset.kpis.is_empty().then_some(None);
            kpis.chain(none).map(move |kpi| (of_dataset.clone(), kpi)).collect::<Vec<_>>()
        })
        .collect();
    let found = rows().unwrap_or_default();
    found.iter().filter(|row| !expected.contains(*row)).count() as u64
}
