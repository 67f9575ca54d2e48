//! Two organizations in one file: no call of one shows or changes data of the other.

mod attacks;
mod damaged_index;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use chrono::{DateTime, Utc};
use kpi_store::{
    ChangeCursor, Cursor, Dataset, DatasetId, DatasetPatch, DatasetQuery, Error, HistoryKeep, HistoryQuery, KpiId,
    LoadOptions, NewDataset, NewKpi, Organization, OrganizationId, Store, UserId,
};

use self::attacks::ATTACKS;
use crate::support::{self, TestFile};

/// The calls of the application, which owns the file: each sees all organizations or none.
const OF_THE_APPLICATION: [&str; 16] = [
    "backup_to",
    "backup_to_with",
    "checkpoint",
    "close",
    "compact",
    "compact_with",
    "open",
    "open_in_memory",
    "options",
    "organization",
    "organizations",
    "path",
    "purge_organization",
    "statistics",
    "verify",
    "verify_with",
];

#[test]
fn every_public_call_is_covered_here() {
    let mut source = String::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    assert_eq!(public_calls(&source, "Store"), BTreeSet::from(OF_THE_APPLICATION));
    assert_eq!(public_calls(&source, "Organization"), BTreeSet::from(ATTACKS.map(|(call, _)| call)));
}

fn read_all(folder: &Path, source: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, source);
        } else {
            *source += &std::fs::read_to_string(path).unwrap();
            *source += "\n";
        }
    }
}

#[test]
fn no_call_tells_or_changes_anything_of_another_organization() {
    for (call, attack) in ATTACKS {
        support::in_a_file_and_in_memory(Store::options, |store, _| {
            let tenants = Tenants::with_ids_of_their_own(store);
            let before = tenants.seen_by_theirs();
            let shown = attack(&tenants);
            for secret in tenants.secrets() {
                assert!(!shown.contains(&secret), "{call} tells {secret}: {shown}");
            }
            assert_eq!(tenants.seen_by_theirs(), before, "{call}");
        });
    }
}

/// The control: the same calls by the other organization show every one of its secrets.
#[test]
fn the_secrets_are_what_the_calls_would_tell() {
    let store = Store::open_in_memory().unwrap();
    let tenants = Tenants::with_ids_of_their_own(&store);
    let seen = tenants.seen_by_theirs();
    for secret in tenants.secrets() {
        assert!(seen.contains(&secret), "{secret}");
    }
}

#[test]
fn a_copy_keeps_organizations_apart() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let tenants = Tenants::with_the_same_ids(&store);
    let copy = file.folder.path().join("copy.db");
    store.backup_to(&copy).unwrap();
    let copy = Store::open(copy).unwrap();
    assert_eq!(all(&copy.organization(tenants.ours.id())), tenants.ours_only);
    assert_eq!(all(&copy.organization(tenants.theirs.id())), tenants.theirs_only);
    assert_eq!(copy.organizations().unwrap().len(), 2);
}

#[test]
fn the_search_for_public_calls_finds_a_new_one() {
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
        tenants.ours.accept_dataset(expected[0].id).unwrap();
        tenants
            .ours
            .set_properties([
                ("shared key", None),
                ("a key of theirs", Some(b"ours".as_slice())),
                ("new", Some(b"".as_slice())),
            ])
            .unwrap();
        change_everything(&tenants, expected[1].id);
        assert_eq!(tenants.seen_by_theirs(), before, "writing");
        assert_ne!(tenants.ours.count_datasets(&DatasetQuery::new()).unwrap(), expected.len() as u64, "the control");
    });
}

/// Changes ours by every call; theirs have the same ids.
fn change_everything(tenants: &Tenants, id: DatasetId) {
    let ours = &tenants.ours;
    let created = ours.create_kpi(id, NewKpi::new("added")).unwrap();
    let renamed = ours.update_dataset(id, DatasetPatch::new().name("renamed").delete_kpi(created.id)).unwrap();
    let mut draft = renamed.edit();
    draft.kpis.clear();
    let emptied = ours.save_dataset(&draft).unwrap();
    ours.revert_dataset(&emptied, 1).unwrap();
    ours.prune_history(&HistoryKeep::new()).unwrap();
    ours.restore_dataset(tenants.deleted[0].id).unwrap();
    ours.delete_datasets([id, tenants.deleted[0].id]).unwrap();
    ours.purge_dataset(id).unwrap();
    assert_eq!(ours.purge_deleted_before(DateTime::<Utc>::MAX_UTC).unwrap(), 1);
}

#[test]
fn a_foreign_id_answers_exactly_as_an_unknown_one() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let tenants = Tenants::with_the_same_ids(store);
        let [foreign, in_trash] =
            [3, 2].map(|kpis| tenants.theirs.create_dataset(support::request_with_kpis(kpis)).unwrap().id);
        tenants.theirs.delete_dataset(in_trash).unwrap();
        let unknown = DatasetId::new();
        let ours = &tenants.ours;
        let answers: [fn(&Organization, DatasetId) -> String; 15] = [
            |organization, id| shown(organization.dataset(id), id),
            |organization, id| shown(organization.accept_dataset(id), id),
            |organization, id| shown(organization.create_kpi(id, NewKpi::new("x")), id),
            |organization, id| shown(organization.update_dataset(id, DatasetPatch::new().name("x")), id),
            |organization, id| shown(organization.delete_dataset(id), id),
            |organization, id| shown(organization.restore_dataset(id), id),
            |organization, id| shown(organization.purge_dataset(id), id),
            |organization, id| shown(organization.history(id, &HistoryQuery::new()), id),
            |organization, id| shown(organization.version(id, 1), id),
            |organization, id| shown(organization.version_at(id, None), id),
            |organization, id| shown(organization.prune_history(&HistoryKeep::new().of(id)), id),
            |organization, id| shown(organization.delete_datasets([id]), id),
            // Creating with the id is another way to ask whether it exists.
            |organization, id| {
                let created = organization.create_dataset(NewDataset::new("x").id(id));
                shown(created.map(|created| (created.name, created.kpis)), id)
            },
            |organization, id| {
                let loaded = organization.load_datasets([NewDataset::new("x").id(id)], LoadOptions::new());
                shown(loaded.map(|loaded| loaded.datasets), id)
            },
            |organization, id| {
                let created = organization.create_datasets([NewDataset::new("y"), NewDataset::new("x").id(id)]);
                shown(created.map(|created| created.len()), id)
            },
        ];
        for (index, answer) in answers.iter().enumerate() {
            // The calls that create do so in an organization of their own.
            let other = support::organization(store);
            let ours = if index < 12 { ours } else { &other };
            let answered = answer(ours, unknown);
            assert_eq!([foreign, in_trash].map(|id| answer(ours, id)), [answered.clone(), answered], "answer {index}");
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
fn ids_collide_within_an_organization_only() {
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
fn organizations_lists_those_that_own_a_dataset_be_it_in_the_trash() {
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
        let last = store.organization(owners[4]);
        for dataset in all(&last) {
            last.delete_dataset(dataset.id).unwrap();
        }
        assert_eq!(store.organizations().unwrap(), owners);
        assert_eq!(last.purge_deleted_before(DateTime::<Utc>::MAX_UTC).unwrap(), 2);
        assert_eq!(store.organizations().unwrap(), owners[..4]);
    });
}

/// Two organizations and what is in each, stored alternately.
struct Tenants {
    ours: Organization,
    theirs: Organization,
    /// The first was renamed.
    ours_only: Vec<Dataset>,
    theirs_only: Vec<Dataset>,
    /// One of ours and one of theirs in the trash.
    deleted: [Dataset; 2],
    cursor_of_theirs: Cursor,
}

impl Tenants {
    /// Other datasets under the same ids, of dataset and KPIs.
    fn with_the_same_ids(store: &Store) -> Self {
        let ids: Vec<_> = (0..6).map(|_| (DatasetId::new(), KpiId::new())).collect();
        Self::with_ids(store, &ids, &ids)
    }

    /// Each with ids that the other does not have.
    fn with_ids_of_their_own(store: &Store) -> Self {
        let ids: Vec<_> = (0..8).map(|_| (DatasetId::new(), KpiId::new())).collect();
        Self::with_ids(store, &ids[..4], &ids[4..])
    }

    fn with_ids(store: &Store, of_ours: &[(DatasetId, KpiId)], of_theirs: &[(DatasetId, KpiId)]) -> Self {
        let [ours, theirs] = [(); 2].map(|()| support::organization(store));
        let theirs = theirs.acting_as(UserId::new());
        let request = |whose: &str, number: usize, (id, kpi): (DatasetId, KpiId)| {
            NewDataset::new(format!("{whose} {number}")).id(id).kpi(NewKpi::new(format!("of {whose}")).id(kpi))
        };
        let (mut ours_only, mut theirs_only) = (Vec::new(), Vec::new());
        for (number, (of_ours, of_theirs)) in of_ours.iter().zip(of_theirs).enumerate() {
            theirs_only.push(theirs.create_dataset(request("theirs", number, *of_theirs)).unwrap());
            ours_only.push(ours.create_dataset(request("ours", number, *of_ours)).unwrap());
        }
        for (organization, datasets) in [(&ours, &mut ours_only), (&theirs, &mut theirs_only)] {
            let renamed = datasets[0].name.clone();
            organization
                .update_dataset(datasets[0].id, DatasetPatch::new().name(format!("formerly {renamed}")))
                .unwrap();
            datasets[0] = organization.update_dataset(datasets[0].id, DatasetPatch::new().name(renamed)).unwrap();
        }
        let deleted = [(&ours, &mut ours_only), (&theirs, &mut theirs_only)].map(|(organization, datasets)| {
            let deleted = datasets.pop().unwrap();
            organization.delete_dataset(deleted.id).unwrap();
            deleted
        });
        for (organization, whose) in [(&ours, "ours"), (&theirs, "theirs")] {
            let own_key = format!("a key of {whose}");
            let own = (own_key.as_str(), Some(b"own content".as_slice()));
            organization.set_properties([("shared key", Some(whose.as_bytes())), own]).unwrap();
        }
        let cursor_of_theirs = theirs.datasets(&DatasetQuery::new().limit(1)).unwrap().next.unwrap();
        Self { ours, theirs, ours_only, theirs_only, deleted, cursor_of_theirs }
    }

    /// First the ids that only they have, then those that only we have.
    fn all_ids(&self) -> impl Iterator<Item = DatasetId> {
        self.theirs_only.iter().chain(&self.deleted).chain(&self.ours_only).map(|dataset| dataset.id)
    }

    /// Texts that only the other organization may be shown.
    fn secrets(&self) -> Vec<String> {
        let theirs = &self.theirs;
        let mut secrets =
            vec![theirs.id().to_string(), theirs.user().unwrap().to_string(), self.cursor_of_theirs.to_string()];
        secrets.extend(["formerly theirs", "a key of theirs"].map(str::to_owned));
        secrets.push(format!("{:?}", b"theirs"));
        for dataset in self.theirs_only.iter().chain(&self.deleted[1..]) {
            secrets.extend([dataset.name.clone(), dataset.kpis[0].name.clone(), dataset.kpis[0].id.to_string()]);
        }
        secrets
    }

    /// Everything that the other organization can see, as text.
    fn seen_by_theirs(&self) -> String {
        let theirs = &self.theirs;
        let query = DatasetQuery::new().limit(1);
        let one_by_one: Vec<_> = self.theirs_only.iter().map(|dataset| theirs.dataset(dataset.id).unwrap()).collect();
        let page = theirs.datasets(&query.clone().newest_first()).unwrap();
        let first = theirs.datasets(&query).unwrap();
        let count = theirs.count_datasets(&query).unwrap();
        let trash = theirs.deleted_datasets(&query).unwrap();
        let changes = theirs.changes_since(&ChangeCursor::start()).unwrap();
        let history = |dataset: &Dataset| theirs.history(dataset.id, &HistoryQuery::new()).unwrap();
        let histories: Vec<_> = self.theirs_only.iter().map(history).collect();
        let all = all(theirs);
        let keys = theirs.property_keys().unwrap();
        let properties: Vec<_> = keys.iter().map(|key| theirs.property(key).unwrap()).collect();
        let seen = format!(
            "{:?}\n{keys:?} {properties:?}\n{one_by_one:#?}\n{all:#?}\n{page:#?}\n{first:#?}\n{count}\n{trash:#?}\n{histories:#?}\n{changes:#?}",
            theirs.user()
        );
        assert!(seen.contains("\"theirs 2\"") && seen.contains("\"of theirs\""), "{seen}");
        assert!(!seen.contains("\"ours") && !seen.contains("of ours"), "{seen}");
        seen
    }
}

/// Answers as text.
fn told(answers: impl Iterator<Item = impl Debug>) -> String {
    format!("{:?}", answers.collect::<Vec<_>>())
}

/// Everything that an organization lists, in small pages.
fn all(organization: &Organization) -> Vec<Dataset> {
    organization.iter_datasets(&DatasetQuery::new().limit(2)).map(Result::unwrap).collect()
}

/// An answer as text, without the id in question and the ids and times made for it.
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
