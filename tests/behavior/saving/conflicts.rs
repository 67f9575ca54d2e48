//! Conflicts: a change that was made for another version is refused, and the user's work is not lost.

use chrono::{DateTime, SubsecRound, Utc};
use kpi_store::{DatasetDraft, DatasetPatch, Error, NewKpi, Store};

use crate::support::{TestFile, in_a_file_and_in_memory, organization, request_with_kpis};

#[test]
fn a_draft_of_an_older_version_is_refused_and_can_be_merged_and_saved() {
    let file = TestFile::new();
    let [one, other] = [Store::open(&file.path).unwrap(), Store::open(&file.path).unwrap()];
    let ours = organization(&one);
    let theirs = other.organization(ours.id());
    let base = ours.create_dataset(request_with_kpis(3)).unwrap();

    let mut draft = base.edit();
    draft.kpis[0].unit = Some("hm³".into());
    draft.kpis.push(NewKpi::new("Ours").into());
    let mut theirs_draft = base.edit();
    theirs_draft.name = "Theirs".into();
    theirs_draft.kpis[1].required = false;
    let current = theirs.save_dataset(&theirs_draft).unwrap();

    let refused = draft.clone();
    let error = ours.save_dataset(&draft).unwrap_err();
    assert!(
        matches!(error, Error::Conflict { dataset, expected: None, found, .. } if dataset == base.id && found == current.updated_at),
        "{error:?}"
    );
    assert_eq!(draft, refused);
    let found = ours.version_at(base.id, draft.updated_at()).unwrap().unwrap().dataset;
    assert_eq!(found, base);
    let merge = draft.merge(&found, &current);
    assert!(merge.is_clean());
    let saved = ours.save_dataset(&merge.draft).unwrap();
    assert_eq!((saved.name.as_str(), saved.kpis.len()), ("Theirs", 4));
    assert_eq!((saved.kpis[0].unit.as_deref(), saved.kpis[1].required), (Some("hm³"), false));
    assert_eq!(theirs.dataset(base.id).unwrap(), Some(saved));
}

#[test]
fn a_patch_with_a_condition_is_refused_after_a_change_and_one_without_is_not() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let base = ours.create_dataset(request_with_kpis(1)).unwrap();
        let current = ours.update_dataset(base.id, DatasetPatch::new().name("Other")).unwrap();
        for (patch, is_refused) in [
            (DatasetPatch::new().description("x").if_unchanged(&base), true),
            (DatasetPatch::new().description("x").if_updated_at(None), true),
            // Even if it changes nothing.
            (DatasetPatch::new().if_unchanged(&base), true),
            (DatasetPatch::new().if_unchanged(&current), false),
            (DatasetPatch::new().if_updated_at(current.updated_at), false),
            (DatasetPatch::new().description("x"), false),
        ] {
            let answer = ours.update_dataset(base.id, patch.clone());
            assert_eq!(answer.as_ref().map_err(Error::code).err(), is_refused.then_some("conflict"), "{patch:?}");
        }
    });
}

#[test]
fn an_updated_at_that_went_through_a_javascript_date_is_named_as_the_cause() {
    let clock = || DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
    let store = Store::options().clock(clock).open_in_memory().unwrap();
    let ours = organization(&store);
    let base = ours.create_dataset(request_with_kpis(1)).unwrap();
    let current = ours.update_dataset(base.id, DatasetPatch::new().name("Other")).unwrap();
    let cut = |time: DateTime<Utc>| time.trunc_subsecs(3);

    let json = serde_json::to_string(&current.edit()).unwrap();
    let as_string = DatasetDraft::from_json(&json).unwrap();
    assert_eq!(as_string.updated_at(), current.updated_at);
    let through_a_date = json.replace("123457", "123").replace("123456", "123");
    assert_ne!(through_a_date, json);
    let mut draft = DatasetDraft::from_json(through_a_date).unwrap();
    assert_eq!(draft.updated_at(), current.updated_at.map(cut));
    draft.name = "x".into();
    let told = ours.save_dataset(&draft).unwrap_err().to_string();
    assert!(told.contains("cut to milliseconds"), "{told}");
    // The control: a conflict with another change says nothing of the kind.
    let mut stale = base.edit();
    stale.name = "x".into();
    let told = ours.save_dataset(&stale).unwrap_err().to_string();
    assert!(!told.contains("milliseconds"), "{told}");
}
