//! Two organisations in one file know nothing of each other: whatever one calls, the other's data neither shows nor changes.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use kpi_store::{
    Dataset, DatasetId, DatasetQuery, Error, KpiId, LoadOptions, NewDataset, NewKpi, Organization, OrganizationId,
    Store, UserId,
};

use crate::support;

/// Every public call, by the type it is a method of. Whoever adds one adds it here, and to the tests below if it reads
/// or writes.
const CALLS: [(&str, &[&str]); 2] = [
    (
        "Store",
        &[
            "backup_to",
            "backup_to_with",
            "close",
            "open",
            "open_in_memory",
            "options",
            "organization",
            "organizations",
            "path",
            "verify",
            "verify_with",
        ],
    ),
    (
        "Organization",
        &[
            "accept_dataset",
            "acting_as",
            "count_datasets",
            "create_dataset",
            "create_datasets",
            "dataset",
            "datasets",
            "id",
            "iter_datasets",
            "load_datasets",
            "user",
        ],
    ),
];

#[test]
fn every_public_call_is_known_here() {
    let mut source = String::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            source += &std::fs::read_to_string(path).unwrap();
            source += "\n";
        }
    }
    for (of_type, calls) in CALLS {
        assert_eq!(public_calls(&source, of_type), calls.iter().copied().collect(), "of {of_type}");
    }
}

#[test]
fn the_look_for_public_calls_finds_a_new_one() {
    let source = "impl Store {\n    pub fn one(&self) {}\n    fn private(&self) {}\n    pub(super) fn inner(&self) {}\n}\n\
                  impl<'a> Store {\n    #[must_use]\n    pub const fn two<T>(self) {}\n}\n\
                  impl Other {\n    pub fn three() {}\n}\nimpl fmt::Debug for Store {\n    fn fmt() {}\n}\n";
    assert_eq!(public_calls(source, "Store"), BTreeSet::from(["one", "two"]));
}

#[test]
fn no_call_of_one_shows_or_changes_anything_of_the_other() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let tenants = Tenants::with_the_same_ids(store);
        let (before, expected) = (tenants.seen_by_theirs(), tenants.ours_only.clone());

        assert!(tenants.ours.iter_datasets(&DatasetQuery::new().limit(2)).map(Result::unwrap).eq(expected.clone()));
        assert_eq!(tenants.ours.datasets(&DatasetQuery::new()).unwrap().items, expected);
        assert_eq!(tenants.ours.count_datasets(&DatasetQuery::new()).unwrap(), expected.len() as u64);
        for dataset in &expected {
            assert_eq!(tenants.ours.dataset(dataset.id).unwrap().as_ref(), Some(dataset));
        }
        assert_eq!(tenants.seen_by_theirs(), before, "reading");

        tenants.ours.create_dataset(support::request_with_kpis(3)).unwrap();
        tenants.ours.acting_as(UserId::new()).create_datasets((0..9).map(support::request_with_kpis)).unwrap();
        tenants.ours.create_datasets((0..9).map(support::request_with_kpis).chain([NewDataset::new("")])).unwrap_err();
        for batch in [LoadOptions::new(), LoadOptions::new().in_batches_of(2)] {
            tenants.ours.load_datasets((0..9).map(support::request_with_kpis), batch).unwrap();
        }
        let taken = [NewDataset::new("one"), NewDataset::new("again").id(expected[0].id)];
        tenants.ours.load_datasets(taken, LoadOptions::new().in_batches_of(1)).unwrap_err();
        tenants.ours.create_dataset(NewDataset::new("again").id(expected[0].id)).unwrap_err();
        tenants.ours.accept_dataset(expected[0].id).unwrap().unwrap();
        assert_eq!(tenants.seen_by_theirs(), before, "writing");
        assert_ne!(tenants.ours.count_datasets(&DatasetQuery::new()).unwrap(), expected.len() as u64, "the control");
    });
}

#[test]
fn a_foreign_id_answers_exactly_as_an_unknown_one() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let tenants = Tenants::with_the_same_ids(store);
        let foreign = tenants.theirs.create_dataset(support::request_with_kpis(3)).unwrap().id;
        let unknown = DatasetId::new();
        let ours = &tenants.ours;
        let answers: [fn(&Organization, DatasetId) -> String; 4] = [
            |organization, id| shown(organization.dataset(id), id),
            |organization, id| shown(organization.accept_dataset(id), id),
            // Creating with the id is the other way of asking whether it is there.
            |organization, id| {
                let created = organization.create_dataset(NewDataset::new("x").id(id));
                shown(created.map(|created| (created.name, created.kpis)), id)
            },
            |organization, id| {
                let loaded = organization.load_datasets([NewDataset::new("x").id(id)], LoadOptions::new());
                shown(loaded.map(|loaded| loaded.datasets), id)
            },
        ];
        for answer in answers {
            assert_eq!(answer(ours, foreign), answer(ours, unknown));
        }
        assert_ne!(answers[0](&tenants.theirs, foreign), answers[0](&tenants.theirs, unknown), "the control");
        assert_eq!(tenants.theirs.dataset(foreign).unwrap().unwrap().kpis.len(), 3, "ours was another one");
    });
}

#[test]
fn cursors_do_not_cross() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let tenants = Tenants::with_the_same_ids(store);
        for order in [DatasetQuery::oldest_first, DatasetQuery::newest_first] {
            let query = order(DatasetQuery::new()).limit(1);
            let mut of_theirs = query.clone();
            while let Some(cursor) = tenants.theirs.datasets(&of_theirs).unwrap().next {
                let crossing = tenants.ours.datasets(&query.clone().after(&cursor));
                assert!(matches!(crossing, Err(Error::InvalidCursor)), "{crossing:?}");
                let mut iterated = tenants.ours.iter_datasets(&query.clone().after(&cursor));
                assert!(matches!(iterated.next(), Some(Err(Error::InvalidCursor))));
                of_theirs = query.clone().after(&cursor);
            }
        }
    });
}

#[test]
fn ids_collide_within_an_organisation_only() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let tenants = Tenants::with_the_same_ids(store);
        let taken = tenants.ours_only[0].id;
        for organization in [&tenants.ours, &tenants.theirs] {
            let again = organization.create_dataset(NewDataset::new("again").id(taken));
            assert!(matches!(again, Err(Error::AlreadyExists { dataset, kpi: None, .. }) if dataset == taken));
        }
        support::organization(store).create_dataset(NewDataset::new("a third").id(taken)).unwrap();
        let kpi = tenants.ours_only[0].kpis[0].id;
        let elsewhere = tenants.ours.create_dataset(NewDataset::new("x").kpi(NewKpi::new("the same KPI id").id(kpi)));
        assert_eq!(elsewhere.unwrap().kpis[0].id, kpi, "a KPI is identified within its dataset");
    });
}

#[test]
fn organizations_lists_those_that_own_a_dataset() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        assert_eq!(store.organizations().unwrap(), []);
        let mut owners: Vec<_> = (0..5).map(|_| OrganizationId::new()).collect();
        for owner in owners.iter().rev().chain(&owners) {
            store.organization(*owner).create_dataset(NewDataset::new("Water")).unwrap();
        }
        let onlooker = support::organization(store);
        assert_eq!(onlooker.count_datasets(&DatasetQuery::new()).unwrap(), 0);
        onlooker.create_dataset(NewDataset::new("")).unwrap_err();
        onlooker.create_datasets([]).unwrap();
        owners.sort();
        assert_eq!(store.organizations().unwrap(), owners);
    });
}

/// Two organisations with other datasets under the same ids, of dataset and KPIs, stored alternately.
struct Tenants {
    ours: Organization,
    theirs: Organization,
    ours_only: Vec<Dataset>,
    ids: Vec<DatasetId>,
}

impl Tenants {
    fn with_the_same_ids(store: &Store) -> Self {
        let [ours, theirs] = [(); 2].map(|()| support::organization(store));
        let (mut ours_only, mut ids) = (Vec::new(), Vec::new());
        for number in 0..5 {
            let (id, kpi) = (DatasetId::new(), KpiId::new());
            let request = |whose: &str| {
                NewDataset::new(format!("{whose} {number}")).id(id).kpi(NewKpi::new(format!("of {whose}")).id(kpi))
            };
            theirs.create_dataset(request("theirs")).unwrap();
            ours_only.push(ours.create_dataset(request("ours")).unwrap());
            ids.push(id);
        }
        Self { ours, theirs, ours_only, ids }
    }

    /// All that the other organisation can see, in every way, as text.
    fn seen_by_theirs(&self) -> String {
        let theirs = &self.theirs;
        let query = DatasetQuery::new().limit(2);
        let one_by_one: Vec<_> = self.ids.iter().map(|id| theirs.dataset(*id).unwrap()).collect();
        let all: Vec<_> = theirs.iter_datasets(&query).map(Result::unwrap).collect();
        let page = theirs.datasets(&query.clone().newest_first()).unwrap();
        let count = theirs.count_datasets(&query).unwrap();
        let seen = format!("{one_by_one:#?}\n{all:#?}\n{page:#?}\n{count}");
        assert!(seen.contains("\"theirs 4\"") && seen.contains("\"of theirs\""), "{seen}");
        assert!(!seen.contains("\"ours") && !seen.contains("of ours"), "{seen}");
        seen
    }
}

/// An answer as text, without the id that was asked for and the ids and times made for it.
fn shown(answer: impl Debug, asked: DatasetId) -> String {
    format!("{answer:#?}").replace(&asked.to_string(), "<asked>")
}

/// The names of the public methods in the `impl` blocks of a type, in formatted source.
fn public_calls<'a>(source: &'a str, of_type: &str) -> BTreeSet<&'a str> {
    let mut calls = BTreeSet::new();
    let mut inside = false;
    for line in source.lines() {
        if let Some(header) = line.strip_prefix("impl") {
            inside = !header.contains(" for ") && header.trim_end_matches(" {").ends_with(&format!(" {of_type}"));
        }
        if let Some(declaration) = line.strip_prefix("    pub ").filter(|_| inside) {
            let name = declaration.split_once("fn ").map(|(_, rest)| rest.split(['(', '<']).next().unwrap());
            calls.extend(name);
        }
    }
    calls
}
