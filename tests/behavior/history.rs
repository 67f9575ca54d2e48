//! History: every version as it was, reverting to any, pruning; what another tool or damage leaves of it.

mod damaged;
mod pruning;

use kpi_store::{
    Dataset, DatasetDiff, DatasetPatch, DatasetVersion, Error, HistoryQuery, KpiPatch, NewDataset, NewKpi,
    Organization, Origin, Store,
};

use crate::support::{Random, TestFile, in_a_file_and_in_memory, organization, request_with_kpis, seed};

fn seeds() -> std::ops::Range<u64> {
    let first = seed();
    first..first + 10
}

/// All versions, the newest first, read in pages of this size.
fn history_in_pages(organization: &Organization, dataset: &Dataset, limit: u32) -> Vec<DatasetVersion> {
    let (mut versions, mut query) = (Vec::new(), HistoryQuery::new().limit(limit));
    loop {
        let page = organization.history(dataset.id, &query).unwrap();
        assert!(page.damaged.is_empty(), "{:?}", page.damaged);
        versions.extend(page.items);
        let Some(next) = page.next else { return versions };
        query = query.after(&next);
    }
}

/// A change of any kind, made at random.
fn change_at_random(organization: &Organization, dataset: &Dataset, random: &mut Random, name: &str) -> Dataset {
    let mut draft = dataset.edit();
    match random.below(6) {
        0 => draft.name = name.into(),
        1 => draft.description = if random.percent(30) { None } else { Some(name.into()) },
        2 => draft.kpis.insert(random.below(draft.kpis.len() + 1), NewKpi::new(name).into()),
        3 if !draft.kpis.is_empty() => drop(draft.kpis.remove(random.below(draft.kpis.len()))),
        4 if draft.kpis.len() > 1 => draft.kpis.rotate_left(1),
        _ => {
            if let Some(kpi) = dataset.kpis.first() {
                let patch = KpiPatch::new().unit(name).sort_order(random.below(5).try_into().unwrap());
                return organization.update_dataset(dataset.id, DatasetPatch::new().update_kpi(kpi.id, patch)).unwrap();
            }
            organization.create_kpi(dataset.id, NewKpi::new(name)).unwrap();
            return organization.dataset(dataset.id).unwrap().unwrap();
        }
    }
    organization.save_dataset(&draft).unwrap()
}

/// Versions of a dataset that was changed at random, the oldest first.
fn versions_at_random(organization: &Organization, seed: u64, changes: usize) -> Vec<Dataset> {
    let mut random = Random::new(seed);
    let mut versions = vec![organization.create_dataset(request_with_kpis(random.below(5))).unwrap()];
    for index in 0..changes {
        let last = versions.last().unwrap();
        let next = change_at_random(organization, last, &mut random, &format!("change {index}"));
        if next != *last {
            versions.push(next);
        }
    }
    versions
}

#[test]
fn every_version_is_found_as_it_was() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        for seed in seeds() {
            let ours = organization(store);
            let versions = versions_at_random(&ours, seed, 20);
            let last = versions.last().unwrap();
            for limit in [1, 3, 50] {
                let found: Vec<_> = history_in_pages(&ours, last, limit).into_iter().rev().collect();
                let datasets: Vec<_> = found.iter().map(|version| version.dataset.clone()).collect();
                assert_eq!(datasets, versions, "seed {seed}");
                let revisions: Vec<_> = found.iter().map(|version| version.revision).collect();
                assert_eq!(revisions, (1..=versions.len() as u64).collect::<Vec<_>>(), "seed {seed}");
                for (version, pair) in found.iter().skip(1).zip(versions.windows(2)) {
                    assert_eq!(version.diff, Some(DatasetDiff::between(&pair[0], &pair[1])), "seed {seed}");
                    assert_eq!((version.origin, Some(version.changed_at)), (Origin::Edited, pair[1].updated_at));
                }
                assert_eq!((found[0].origin, found[0].diff.as_ref()), (Origin::Created, None));
            }
            for (version, revision) in versions.iter().zip(1..) {
                let by_revision = ours.version(last.id, revision).unwrap().unwrap();
                let by_token = ours.version_at(last.id, version.updated_at).unwrap().unwrap();
                assert_eq!((&by_revision.dataset, &by_token), (version, &by_revision), "seed {seed}");
            }
            assert_eq!(ours.version(last.id, 0).unwrap(), None);
            assert_eq!(ours.version(last.id, versions.len() as u64 + 1).unwrap(), None);
        }
        assert!(store.verify().unwrap().is_whole());
    });
}

/// A thousand times in all.
#[test]
fn a_dataset_is_reverted_to_any_of_its_versions() {
    in_a_file_and_in_memory(Store::options, |store, file| {
        let first = seed();
        for seed in first..first + if file.is_some() { 10 } else { 80 } {
            let ours = organization(store);
            let versions = versions_at_random(&ours, seed, 12);
            let mut current = versions.last().unwrap().clone();
            for (then, revision) in versions.iter().zip(1..) {
                let reverted = ours.revert_dataset(&current, revision).unwrap();
                assert_eq!(content(&reverted), content(then), "seed {seed}, revision {revision}");
                let created = |dataset: &Dataset| dataset.kpis.iter().map(|kpi| kpi.created_at).collect::<Vec<_>>();
                if created(&current) == created(then) {
                    assert_eq!(created(&reverted), created(then), "seed {seed}, revision {revision}");
                }
                assert_eq!(ours.dataset(then.id).unwrap().as_ref(), Some(&reverted));
                if reverted != current {
                    let newest = ours.history(then.id, &HistoryQuery::new().limit(1)).unwrap().items.remove(0);
                    assert_eq!((newest.origin, newest.dataset), (Origin::Reverted, reverted.clone()));
                }
                current = reverted;
            }
        }
        assert!(store.verify().unwrap().is_whole());
    });
}

/// KPIs are inserted many at once, and those of a statement have the same times.
#[test]
fn a_revert_gives_each_kpi_its_own_time_back() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let kpis = |odd: i64| (0..25).map(move |index| NewKpi::new("Rain").sort_order(2 * index + odd));
        let created = ours.create_dataset(NewDataset::new("Water").kpis(kpis(0))).unwrap();
        let patch = kpis(1).fold(DatasetPatch::new(), DatasetPatch::add_kpi);
        let before = ours.update_dataset(created.id, patch).unwrap();
        let times: Vec<_> = before.kpis.iter().map(|kpi| kpi.created_at).collect();
        assert_eq!(times.chunk_by(|one, next| one == next).count(), 50);

        let patch = before.kpis.iter().fold(DatasetPatch::new(), |patch, kpi| patch.delete_kpi(kpi.id));
        let without = ours.update_dataset(created.id, patch).unwrap();
        let reverted = ours.revert_dataset(&without, 2).unwrap();

        assert_eq!(reverted.kpis.iter().map(|kpi| kpi.created_at).collect::<Vec<_>>(), times);
        assert_eq!(ours.dataset(created.id).unwrap(), Some(reverted));
    });
}

/// What a revert gives back: everything but the times of changes and the users.
fn content(dataset: &Dataset) -> Dataset {
    let mut content = dataset.clone();
    (content.updated_at, content.updated_by) = (None, None);
    for kpi in &mut content.kpis {
        kpi.updated_at = None;
        kpi.created_at = dataset.created_at;
    }
    content
}

#[test]
fn a_revert_is_refused_like_a_save() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let first = ours.create_dataset(request_with_kpis(1)).unwrap();
        let second = ours.update_dataset(first.id, DatasetPatch::new().name("x")).unwrap();
        assert_eq!(ours.revert_dataset(&first, 1).unwrap_err().code(), "conflict");
        // A conflict is judged before the revision is looked for.
        assert_eq!(ours.revert_dataset(&first, 9).unwrap_err().code(), "conflict");
        let unknown = ours.revert_dataset(&second, 9).unwrap_err();
        assert!(
            matches!(unknown, Error::NotFound { dataset, kpi: None, revision: Some(9), .. } if dataset == first.id),
            "{unknown:?}"
        );
        assert_eq!(ours.dataset(first.id).unwrap(), Some(second));
    });
}

#[test]
fn a_history_is_the_same_in_a_backup_and_after_reopening() {
    let (file, copy) = (TestFile::new(), TestFile::new());
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let versions = versions_at_random(&ours, seed(), 15);
    let last = versions.last().unwrap();
    let expected = history_in_pages(&ours, last, 50);
    store.backup_to(&copy.path).unwrap();
    store.close().unwrap();
    for path in [&file.path, &copy.path] {
        let store = Store::open(path).unwrap();
        assert_eq!(history_in_pages(&store.organization(ours.id()), last, 4), expected);
        assert!(store.verify().unwrap().is_whole());
    }
}

#[test]
fn a_history_is_readable_by_any_sql_tool() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let first = ours.create_dataset(request_with_kpis(1)).unwrap();
    ours.update_dataset(first.id, DatasetPatch::new().name("Waste")).unwrap();
    let replaced: String = crate::support::plain_sqlite(&file.path)
        .query_one("SELECT replaced ->> '$.dataset.name' FROM dataset_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(replaced, "Water");
}
