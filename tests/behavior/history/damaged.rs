//! What damage or another tool leaves of a history: what cannot be put together is told, never guessed.

use kpi_store::{DatasetPatch, HistoryQuery, Origin, Store};

use crate::support::{TestFile, organization, plain_sqlite, request_with_kpis};

/// A change by another tool leaves one gap, behind which the history goes on where the digests prove it.
#[test]
fn an_accepted_change_leaves_a_gap_of_the_version_that_nobody_knows() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let first = ours.create_dataset(request_with_kpis(2)).unwrap();
    let second = ours.update_dataset(first.id, DatasetPatch::new().name("second")).unwrap();
    plain_sqlite(&file.path).execute("UPDATE dataset SET name = 'by a tool'", []).unwrap();
    assert_eq!(ours.dataset(first.id).unwrap_err().code(), "corrupt");
    let accepted = ours.accept_dataset(first.id).unwrap();
    assert!(accepted.updated_at > second.updated_at);

    let history = ours.history(first.id, &HistoryQuery::new()).unwrap();
    let versions: Vec<_> = history.iter().map(|version| (version.revision, version.origin)).collect();
    assert_eq!(versions, [(3, Origin::Accepted), (1, Origin::Created)]);
    assert_eq!((&history.items[0].dataset, &history.items[0].diff), (&accepted, &None));
    assert_eq!((&history.items[1].dataset, history.damaged.len()), (&first, 0));
    assert_eq!(ours.version(first.id, 2).unwrap(), None);
    assert!(store.verify().unwrap().is_whole(), "{:?}", store.verify().unwrap());
    let reverted = ours.revert_dataset(&accepted, 1).unwrap();
    assert_eq!(reverted.name, first.name);
}

/// Versions before it may differ from what is known in a field that no change after them replaced.
#[test]
fn versions_that_cannot_be_put_together_behind_an_accepted_change_are_no_damage() {
    let (file, copy) = (TestFile::new(), TestFile::new());
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let first = ours.create_dataset(request_with_kpis(2)).unwrap();
    let renamed = ours.update_dataset(first.id, DatasetPatch::new().name("renamed")).unwrap();
    ours.update_dataset(first.id, DatasetPatch::new().description("described")).unwrap();
    plain_sqlite(&file.path).execute("UPDATE dataset SET name = 'by a tool'", []).unwrap();
    ours.accept_dataset(first.id).unwrap();

    let history = ours.history(first.id, &HistoryQuery::new()).unwrap();
    // Of revision 2 the name is not known, which the change to it has replaced in revision 1.
    let versions: Vec<_> = history.iter().map(|version| (version.revision, version.origin)).collect();
    assert_eq!(versions, [(4, Origin::Accepted), (1, Origin::Created)]);
    assert_eq!((&history.items[1].dataset, history.damaged.len()), (&first, 0));
    assert_eq!(ours.version_at(first.id, renamed.updated_at).unwrap(), None);
    assert!(store.verify().unwrap().is_whole(), "{:?}", store.verify().unwrap());
    store.backup_to(&copy.path).unwrap();
}

/// Neither a token nor a revision stands for two versions, whatever the other tool has written.
#[test]
fn an_accepted_change_has_a_later_token_and_revision_than_all_before() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let mut version = ours.create_dataset(request_with_kpis(1)).unwrap();
    let mut tokens = vec![version.updated_at];
    for index in 0..3 {
        version = ours.update_dataset(version.id, DatasetPatch::new().name(format!("{index}"))).unwrap();
        tokens.push(version.updated_at);
    }
    for change in
        ["updated_at = NULL", "updated_at = 0", "revision = 1", "revision = 2, updated_at = 1", "created_at = 0"]
    {
        plain_sqlite(&file.path).execute(&format!("UPDATE dataset SET name = 'tool', {change}"), []).unwrap();
        let accepted = ours.accept_dataset(version.id).unwrap();
        assert!(tokens.iter().all(|token| *token < accepted.updated_at), "{change}: {accepted:?}");
        tokens.push(accepted.updated_at);
        let newest = ours.history(version.id, &HistoryQuery::new().limit(1)).unwrap().items.remove(0);
        assert_eq!(newest.revision, tokens.len() as u64, "{change}");
        assert!(store.verify().unwrap().is_whole(), "{change}: {:?}", store.verify().unwrap());
    }
}

#[test]
fn kpis_with_the_same_position_are_not_accepted() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let id = ours.create_dataset(request_with_kpis(3)).unwrap().id;
    plain_sqlite(&file.path).execute("UPDATE kpi SET position = 1 WHERE position = 2", []).unwrap();
    assert_eq!(ours.accept_dataset(id).unwrap_err().code(), "corrupt");
    plain_sqlite(&file.path).execute("UPDATE kpi SET position = 7 WHERE name = 'KPI 2'", []).unwrap();
    ours.accept_dataset(id).unwrap();
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_damaged_change_hides_no_version_that_the_digests_prove() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let mut versions = vec![ours.create_dataset(request_with_kpis(2)).unwrap()];
    for index in 1..5 {
        let patch = DatasetPatch::new().name(format!("{index}"));
        versions.push(ours.update_dataset(versions[0].id, patch).unwrap());
    }
    let id = versions[0].id;
    // The change from revision 3 to 4.
    let damage = "UPDATE dataset_version SET changed_at = changed_at + 1 WHERE revision = 3";
    plain_sqlite(&file.path).execute(damage, []).unwrap();

    let history = ours.history(id, &HistoryQuery::new()).unwrap();
    let found: Vec<_> = history.iter().map(|version| version.revision).collect();
    // Nobody knows what made revision 4 and whether what it replaced is true. Revision 2 is proven by its own digests.
    assert_eq!(found, [5, 2, 1]);
    for version in &history {
        assert_eq!(version.dataset, versions[usize::try_from(version.revision).unwrap() - 1]);
    }
    assert_eq!(
        history.damaged.iter().map(|damage| (damage.index, damage.dataset)).collect::<Vec<_>>(),
        [(1, Some(id)); 2]
    );
    assert_eq!(ours.version(id, 3).unwrap_err().code(), "corrupt");
    assert_eq!(ours.version(id, 2).unwrap().unwrap().dataset, versions[1]);
    let findings = store.verify().unwrap().findings;
    assert_eq!(
        findings.iter().map(|finding| (finding.kind.as_str(), finding.dataset)).collect::<Vec<_>>(),
        [("history", Some(id))]
    );
    // Pages count what is damaged.
    let mut query = HistoryQuery::new().limit(1);
    let mut seen = Vec::new();
    loop {
        let page = ours.history(id, &query).unwrap();
        assert_eq!(page.items.len() + page.damaged.len(), 1);
        seen.extend(page.iter().map(|version| version.revision));
        let Some(next) = page.next else { break };
        query = query.after(&next);
    }
    assert_eq!(seen, found);
}
