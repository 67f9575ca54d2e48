//! Properties: what an application keeps beside the datasets of an organization. Round trips, limits, atomicity, other
//! handles and processes, threads.

use kpi_store::limits::{PROPERTY_CONTENT_MAX, PROPERTY_KEY_MAX};
use kpi_store::{DatasetQuery, Error, NewDataset, OrganizationId, Store};

use crate::support::child::{self, Child};
use crate::support::{TestFile, in_a_file_and_in_memory, organization, paths, plain_sqlite};

#[test]
fn what_was_set_is_read_until_it_is_replaced_or_removed() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        assert_eq!(ours.property_keys().unwrap(), [""; 0]);
        assert_eq!(ours.property("cursor").unwrap(), None);
        ours.set_properties([("cursor", Some(b"17".as_slice())), ("map", None), ("empty", Some(b"".as_slice()))])
            .unwrap();
        assert_eq!(ours.property("cursor").unwrap().as_deref(), Some(b"17".as_slice()));
        assert_eq!(ours.property("map").unwrap(), None);
        assert_eq!(ours.property("empty").unwrap(), Some(Vec::new()), "no content is not the same as no property");
        assert_eq!(ours.property_keys().unwrap(), ["cursor", "empty"]);

        ours.set_properties([("cursor", Some(b"18".as_slice())), ("empty", None), ("map", Some(b"{}".as_slice()))])
            .unwrap();
        assert_eq!(ours.property("cursor").unwrap().as_deref(), Some(b"18".as_slice()));
        assert_eq!(ours.property_keys().unwrap(), ["cursor", "map"]);
        ours.set_properties([("cursor", None), ("map", None), ("never there", None)]).unwrap();
        assert_eq!(ours.property_keys().unwrap(), [""; 0]);
        assert!(store.verify().unwrap().is_whole());
    });
}

#[test]
fn the_last_one_wins_where_a_key_is_repeated() {
    let ours = organization(&Store::open_in_memory().unwrap());
    ours.set_properties([
        ("a", Some(b"1".as_slice())),
        ("a", None),
        ("a", Some(b"2".as_slice())),
        ("b", Some(b"3".as_slice())),
        ("b", None),
    ])
    .unwrap();
    assert_eq!(ours.property("a").unwrap().as_deref(), Some(b"2".as_slice()));
    assert_eq!(ours.property_keys().unwrap(), ["a"]);
    ours.set_properties(std::iter::empty::<(String, _)>()).unwrap();
    assert_eq!(ours.property_keys().unwrap(), ["a"]);
}

#[test]
fn keys_are_compared_and_sorted_byte_by_byte() {
    let ours = organization(&Store::open_in_memory().unwrap());
    let keys = ["e\u{301}", "é", "B", "a", "aa", "a ", " a", "A", "ß", "ss", "🌊", "\u{ffff}", "\u{1}"];
    ours.set_properties(keys.map(|key| (key, Some(key.as_bytes())))).unwrap();
    let mut sorted = keys.map(str::to_owned);
    sorted.sort();
    assert_eq!(ours.property_keys().unwrap(), sorted);
    for key in keys {
        assert_eq!(ours.property(key).unwrap().as_deref(), Some(key.as_bytes()));
    }
}

#[test]
fn every_limit_holds_and_what_is_past_one_is_named_with_all_others() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        let long = "🌊".repeat(PROPERTY_KEY_MAX);
        let most: Vec<u8> = (0..PROPERTY_CONTENT_MAX).map(|index| u8::try_from(index % 251).unwrap()).collect();
        ours.set_properties([(long.as_str(), Some(most.as_slice())), ("k", Some([0, 255].as_slice()))]).unwrap();
        assert_eq!(ours.property(&long).unwrap().as_ref(), Some(&most));
        assert_eq!(ours.property("k").unwrap(), Some(vec![0, 255]));

        let refused = [
            (String::new(), Some(vec![0; PROPERTY_CONTENT_MAX + 1])),
            ("k".to_owned(), Some(b"changed".to_vec())),
            (format!("{long}x"), None),
            ("a\0b".to_owned(), Some(vec![0; PROPERTY_CONTENT_MAX])),
            ("k".to_owned(), None),
            ("much".to_owned(), Some(vec![7; 10 * PROPERTY_CONTENT_MAX])),
        ];
        let error = ours.set_properties(refused.iter().map(|(key, content)| (key, content.as_deref()))).unwrap_err();
        let expected = [
            "properties[0].key",
            "properties[0].content",
            "properties[2].key",
            "properties[3].key",
            "properties[5].content",
        ];
        assert_eq!(paths(&error), expected);
        let Error::Invalid(violations) = &error else { panic!("{error:?}") };
        let codes: Vec<_> = violations.iter().map(kpi_store::Violation::code).collect();
        assert_eq!(codes, ["string_too_short", "bytes_too_long", "string_too_long", "string_nul", "bytes_too_long"]);
        assert_eq!(violations.as_slice()[1].message(), "Data should have at most 65536 bytes");
        let json = serde_json::to_value(&violations.as_slice()[1]).unwrap();
        assert_eq!(json["ctx"], serde_json::json!({"max_length": 65_536}));
        assert_eq!(json["loc"], serde_json::json!(["body", "properties", 0, "content"]));
        // One that is invalid among many: nothing was written.
        assert_eq!(ours.property("k").unwrap(), Some(vec![0, 255]));
        assert_eq!(ours.property_keys().unwrap().len(), 2);
        for key in ["", "a\0b", &format!("{long}x")] {
            assert_eq!(ours.property(key).unwrap(), None, "no property can have this key");
        }
    });
}

#[test]
fn properties_make_no_dataset_no_change_and_no_owner() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, onlooker) = (organization(store), organization(store));
        let dataset = ours.create_dataset(NewDataset::new("Water")).unwrap();
        for organization in [&ours, &onlooker] {
            organization.set_properties([("a", Some(b"1".as_slice()))]).unwrap();
        }
        assert_eq!(store.organizations().unwrap(), [ours.id()]);
        assert_eq!(onlooker.count_datasets(&DatasetQuery::new()).unwrap(), 0);
        assert_eq!(ours.dataset(dataset.id).unwrap(), Some(dataset));
        store.purge_organization(ours.id()).unwrap();
        assert_eq!(ours.property_keys().unwrap(), [""; 0]);
        assert_eq!(onlooker.property_keys().unwrap(), ["a"]);
    });
}

#[test]
fn organizations_have_properties_of_their_own_under_the_same_keys() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (organization(store), organization(store));
        ours.set_properties([("a", Some(b"ours".as_slice())), ("only ours", Some(b"".as_slice()))]).unwrap();
        theirs.set_properties([("a", Some(b"theirs".as_slice()))]).unwrap();
        assert_eq!(ours.property("a").unwrap().as_deref(), Some(b"ours".as_slice()));
        assert_eq!(theirs.property("only ours").unwrap(), None);
        ours.set_properties([("a", None)]).unwrap();
        assert_eq!(theirs.property("a").unwrap().as_deref(), Some(b"theirs".as_slice()));
        assert_eq!((ours.property_keys().unwrap().len(), theirs.property_keys().unwrap().len()), (1, 1));
    });
}

#[test]
fn a_backup_and_a_reopened_file_have_them() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let ours = organization(&store);
    let contents = (0..50).map(|number| vec![number; usize::from(number) * 99]).collect::<Vec<_>>();
    let keys = (0..50).map(|number| format!("{number:02}"));
    ours.set_properties(keys.zip(contents.iter().map(|content| Some(content.as_slice())))).unwrap();
    let copy = file.folder.path().join("copy.db");
    store.backup_to(&copy).unwrap();
    store.close().unwrap();
    assert!(matches!(ours.property("00"), Err(Error::Closed)));
    assert!(matches!(ours.set_properties([("a", Some(b"1".as_slice()))]), Err(Error::Closed)));
    for path in [&copy, &file.path] {
        let ours = Store::open(path).unwrap().organization(ours.id());
        assert_eq!(ours.property_keys().unwrap().len(), 50);
        for number in 0..50 {
            let content = ours.property(&format!("{number:02}")).unwrap();
            assert_eq!(content, Some(vec![number; usize::from(number) * 99]));
        }
    }
}

/// Both properties are set together, so no reader ever sees two that differ.
#[test]
fn another_handle_and_another_process_see_all_of_a_call_or_none() {
    const TEST: &str = "properties::another_handle_and_another_process_see_all_of_a_call_or_none";
    let id = OrganizationId::from_u128(7);
    if let Some(task) = child::task() {
        let ours = Store::open(&task.file).unwrap().organization(id);
        for number in 0..200 {
            let content = number.to_string();
            ours.set_properties(['a', 'b'].map(|key| (key, Some(content.as_bytes())))).unwrap();
            child::send([content]);
        }
        return;
    }
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let reader = Store::options().read_only(true).open(&file.path).unwrap().organization(id);
    let plain = plain_sqlite(&file.path);
    let mut pair = plain.prepare("SELECT content FROM organization_property").unwrap();
    let mut other = Child::start(TEST, "set", &file.path, 0);
    let mut seen = 0;
    while let Some(set) = other.receive() {
        let pair: Vec<Vec<u8>> = pair.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(pair.len() == 2 && pair[0] == pair[1], "{pair:?}");
        let read = String::from_utf8(reader.property("a").unwrap().unwrap()).unwrap();
        assert!(read.parse::<u32>().unwrap() >= set.parse().unwrap(), "{read} after {set}");
        seen += 1;
    }
    other.wait().unwrap();
    assert_eq!(seen, 200);
    assert_eq!(reader.property("a").unwrap().as_deref(), Some(b"199".as_slice()));
    assert_eq!(store.organization(id).property_keys().unwrap(), ["a", "b"]);
}

#[test]
fn threads_that_set_properties_and_create_datasets_at_once_all_get_what_they_asked_for() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let ours = organization(store);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let ours = &ours;
                scope.spawn(move || {
                    for number in 0..10 {
                        ours.set_properties([(format!("{thread}"), Some(number.to_string().as_bytes()))]).unwrap();
                        ours.create_dataset(NewDataset::new("Water")).unwrap();
                        // Longer than what shares a transaction.
                        let long = vec![number; 60_000];
                        let parts = [0, 1].map(|part| (format!("{thread}, {part}"), Some(long.as_slice())));
                        ours.set_properties(parts).unwrap();
                        ours.set_properties([("", Some(b"refused".as_slice()))]).unwrap_err();
                    }
                });
            }
        });
        assert_eq!(ours.property_keys().unwrap().len(), 24);
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 80);
        for thread in 0..8 {
            assert_eq!(ours.property(&format!("{thread}")).unwrap().as_deref(), Some(b"9".as_slice()));
            assert_eq!(ours.property(&format!("{thread}, 1")).unwrap(), Some(vec![9; 60_000]));
        }
        assert!(store.verify().unwrap().is_whole());
    });
}
