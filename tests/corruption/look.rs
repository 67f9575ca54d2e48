//! Reads a file by every call, and compares the answers with what was stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kpi_store::{
    Change, ChangeCursor, ChangeState, Dataset, DatasetId, DatasetQuery, Error, Finding, NewDataset, NewKpi,
    Organization, OrganizationId, Store, ValueType,
};

use super::Stored;

/// What was found in a file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) what: String,
    pub(crate) is_open: bool,
    /// Returned datasets that differ from what was stored.
    pub(crate) wrong: u64,
    /// Errors that reported a damaged dataset.
    pub(crate) corrupt: u64,
    /// Datasets that a read or a complete listing misses without an error.
    pub(crate) hidden: BTreeSet<DatasetId>,
    /// The findings of verify; none if it failed.
    pub(crate) findings: Option<Vec<Finding>>,
    /// How many of the hidden ones verify names.
    pub(crate) named: usize,
    /// Datasets that could still be created, in the first organization.
    pub(crate) created: Vec<Dataset>,
    /// Its first dataset, if that could be accepted: a change, which moves its `updated_at`.
    pub(crate) accepted: Option<Dataset>,
}

/// Reads the file, and writes to it. `what` was done to it is named by every failure.
pub(crate) fn look(path: &Path, stored: &Stored, read_only: bool, what: &str) -> Seen {
    let mut seen = Seen { what: what.to_owned(), ..Seen::default() };
    let folder = path.parent().unwrap();
    let before = contents(folder);
    let store = match Store::options().read_only(read_only).open(path) {
        Ok(store) => store,
        Err(error) => {
            // A file header can require a version that may read it but not write it.
            typed(what, &error, &["corrupt", "not_a_store", "too_new", "read_only"]);
            assert_eq!(contents(folder), before, "{what}: refused, and changed");
            return seen;
        }
    };
    seen.is_open = true;
    seen.by_reading(&store, stored);
    seen.findings = match store.verify() {
        Ok(verification) => Some(verification.findings),
        Err(error) => {
            typed(what, &error, &["corrupt"]);
            None
        }
    };
    let is_named = |id: &DatasetId| seen.findings.iter().flatten().any(|finding| finding.dataset == Some(*id));
    seen.named = seen.hidden.iter().filter(|id| is_named(id)).count();
    if read_only {
        seen.by_copying(&store, &folder.join("copy.db"));
    }
    seen.by_writing(&store, stored, read_only);
    seen
}

impl Seen {
    fn by_reading(&mut self, store: &Store, stored: &Stored) {
        for (id, datasets) in stored {
            let organization = store.organization(*id);
            self.by_id(&organization, datasets);
            self.listed(&organization, datasets, &DatasetQuery::new().limit(7));
            self.listed(&organization, datasets, &DatasetQuery::new().newest_first().limit(7));
            // A search reads all texts.
            let queries = [
                DatasetQuery::new(),
                DatasetQuery::new().matching("no such word"),
                DatasetQuery::new().recently_changed_first().matching("e"),
                DatasetQuery::new().with_value_type(ValueType::Date),
            ];
            for query in queries {
                let counted = organization.count_datasets(&query);
                let _ = counted.map_err(|error| typed(&self.what, &error, &["corrupt"]));
                self.summarized(&organization, datasets, &query.limit(7));
            }
            self.changed(&organization, datasets);
            self.properties(&organization);
        }
        let _ = store.statistics().map_err(|error| typed(&self.what, &error, &["corrupt"]));
        let _ = store.organizations().map_err(|error| typed(&self.what, &error, &["corrupt"]));
    }

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
        let (mut came_to_its_end, mut unnamed) = (true, 0);
        for listed in organization.iter_datasets(query) {
            match listed {
                Ok(listed) => {
                    missing.remove(&listed.id);
                    self.wrong += u64::from(!datasets.contains(&listed));
                }
                Err(error) => {
                    let Error::Corrupt { dataset, .. } = &error else { panic!("{}: {error:?}", self.what) };
                    // Damage without a dataset may be in an index, and hide all that follows.
                    came_to_its_end &= dataset.is_some();
                    unnamed += usize::from(dataset.is_none());
                    missing.retain(|id| Some(*id) != *dataset);
                    self.damaged(&error);
                }
            }
        }
        if came_to_its_end && missing.len() > unnamed {
            self.hidden.extend(missing);
        }
    }

    /// What is told as present was stored. A reader comes to an end, whatever is damaged.
    fn changed(&mut self, organization: &Organization, datasets: &[Dataset]) {
        let mut cursor = ChangeCursor::start();
        for _ in 0..=datasets.len() {
            let changes = match organization.changes_since(&cursor) {
                Ok(changes) => changes,
                Err(error) => return typed(&self.what, &error, &["corrupt"]),
            };
            let is_wrong = |change: &Change| {
                change.state == ChangeState::Present && !datasets.iter().any(|dataset| dataset.id == change.dataset)
            };
            self.wrong += u64::from(changes.items.iter().any(is_wrong));
            cursor = changes.next;
            if !changes.has_more {
                return;
            }
        }
        panic!("{}: the changes have no end", self.what);
    }

    /// A property is what was set, or missing, or an error; damage of properties alone is told by `verify`.
    fn properties(&mut self, organization: &Organization) {
        for number in (0..PROPERTIES).step_by(5) {
            match organization.property(&property_key(number)) {
                Ok(Some(content)) => self.wrong += u64::from(content != property(organization.id(), number)),
                Ok(None) => {}
                Err(error) => typed(&self.what, &error, &["corrupt"]),
            }
        }
        match organization.property_keys() {
            Ok(keys) => assert!(keys.len() < 2 * PROPERTIES, "{}: {} keys", self.what, keys.len()),
            Err(error) => typed(&self.what, &error, &["corrupt"]),
        }
    }

    fn summarized(&mut self, organization: &Organization, datasets: &[Dataset], query: &DatasetQuery) {
        for summary in organization.iter_summaries(query) {
            match summary {
                Ok(summary) => {
                    let is_stored = |dataset: &Dataset| dataset.id == summary.id && dataset.name == summary.name;
                    self.wrong += u64::from(!datasets.iter().any(is_stored));
                }
                Err(error) => self.damaged(&error),
            }
        }
    }

    fn damaged(&mut self, error: &Error) {
        typed(&self.what, error, &["corrupt"]);
        self.corrupt += 1;
    }

    fn by_copying(&mut self, store: &Store, copy: &Path) {
        match store.backup_to(copy) {
            Ok(()) => {
                assert!(Store::open(copy).unwrap().verify().unwrap().is_whole(), "{}: the copy", self.what);
                fs::remove_file(copy).unwrap();
            }
            Err(error) => {
                typed(&self.what, &error, &["corrupt"]);
                let left = contents(copy.parent().unwrap());
                assert!(!left.keys().any(|name| name.contains("copy")), "{}: {:?}", self.what, left.keys());
            }
        }
    }

    /// Writing into a damaged file may fail, and must say so.
    fn by_writing(&mut self, store: &Store, stored: &Stored, read_only: bool) {
        let (id, datasets) = stored.iter().next().unwrap();
        let organization = store.organization(*id);
        let allowed = ["corrupt", "storage", "already_exists", "read_only"];
        // Small, and large enough to take further pages.
        let kpi = |_| NewKpi::new("KPI").description("Water ".repeat(300));
        for kpis in [0, 12] {
            match organization.create_dataset(NewDataset::new("After the damage").kpis((0..kpis).map(kpi))) {
                Ok(created) => self.created.push(created),
                Err(error) => typed(&self.what, &error, &allowed),
            }
        }
        assert!(!read_only || self.created.is_empty());
        let content = property(*id, 1);
        let properties = [(property_key(0), None), (property_key(1), Some(content.as_slice()))];
        if let Err(error) = organization.set_properties(properties) {
            typed(&self.what, &error, &allowed);
        }
        // A damaged dataset would be accepted as it is.
        if matches!(organization.dataset(datasets[0].id), Ok(Some(_))) {
            match organization.accept_dataset(datasets[0].id) {
                Ok(mut accepted) => {
                    self.accepted = Some(accepted.clone());
                    (accepted.updated_by, accepted.updated_at) = (datasets[0].updated_by, datasets[0].updated_at);
                    self.wrong += u64::from(accepted != datasets[0]);
                }
                Err(error) => typed(&self.what, &error, &allowed),
            }
        }
    }
}

/// How many properties each organization may have.
pub(crate) const PROPERTIES: usize = 100;

pub(crate) fn property_key(number: usize) -> String {
    format!("property {number:03}")
}

/// Short and long contents, some in overflow pages.
pub(crate) fn property(organization: OrganizationId, number: usize) -> Vec<u8> {
    let length = if number.is_multiple_of(20) { 9_000 } else { 60 };
    format!("{number} of {organization}; ").into_bytes().into_iter().cycle().take(length).collect()
}

/// The files in a folder by name, without those that SQLite creates to read: shared memory beside a log, and in a
/// read-only file an empty log that it cannot remove again.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&file).unwrap()));
    let is_passing = |name: &str, bytes: &[u8]| name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty();
    named.filter(|(name, bytes)| !is_passing(name, bytes)).collect()
}

fn typed(what: &str, error: &Error, allowed: &[&str]) {
    assert!(allowed.contains(&error.code()), "{what}: {error:?}");
}
