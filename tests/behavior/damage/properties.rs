//! Damaged properties: an error for the one that is read, none for the others, and nothing of another organization.

use std::fs;

use kpi_store::{Error, FindingKind, NewDataset, Organization, OrganizationId, Store};

use super::types::without_strictness;
use crate::support::{Random, TestFile, is_long, plain_sqlite, seed};

const OURS: OrganizationId = OrganizationId::from_u128(5);
const THEIRS: OrganizationId = OrganizationId::from_u128(6);

/// Of both organizations, with the same keys.
const KEYS: [&str; 4] = ["a", "cursor", "map", "z"];

/// The content of a property: longer for longer keys, so that one continues on other pages.
fn content(organization: OrganizationId, key: &str) -> Vec<u8> {
    let whose = if organization == OURS { "ours" } else { "theirs" };
    let times = if key == "map" { 2_000 } else { 3 };
    format!("{whose} at {key}; ").repeat(times).into_bytes()
}

fn original() -> Vec<u8> {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    for id in [THEIRS, OURS] {
        store.organization(id).create_dataset(NewDataset::new("Water")).unwrap();
        let properties = KEYS.map(|key| (key, content(id, key)));
        let properties = properties.iter().map(|(key, content)| (*key, Some(content.as_slice())));
        store.organization(id).set_properties(properties).unwrap();
    }
    store.close().unwrap();
    fs::read(&file.path).unwrap()
}

type Read = Result<Option<Vec<u8>>, &'static str>;

/// What a read of a property tells: the content, or the code of the error, which has nothing of what is stored.
fn read(organization: &Organization, key: &str) -> Read {
    organization.property(key).map_err(|error| {
        let told = format!("{error} {error:?}");
        assert!(KEYS.iter().all(|key| !told.contains(&format!(" {key};"))), "{told}");
        assert!(!told.contains("ours at") && !told.contains("theirs at"), "{told}");
        error.code()
    })
}

/// Changes of the property `cursor` of ours, and what a read of it says then.
const CHANGES: [(&str, Read); 12] = [
    ("organization_id = zeroblob(16)", Ok(None)),
    ("organization_id = zeroblob(3)", Ok(None)),
    ("key = 'b'", Ok(None)),
    ("key = ''", Ok(None)),
    ("key = x'637572736f72'", Ok(None)),
    ("content = x''", Err("corrupt")),
    ("content = zeroblob(70000)", Err("corrupt")),
    ("content = CAST(content AS TEXT)", Err("corrupt")),
    ("content = NULL", Err("corrupt")),
    ("digest = digest + 1", Err("corrupt")),
    ("digest = 0.5", Err("corrupt")),
    ("digest = NULL", Err("corrupt")),
];

#[test]
fn a_damaged_column_is_an_error_of_its_property_which_can_be_set_or_removed_again() {
    let original = original();
    for (change, expected) in CHANGES {
        for removed in [true, false] {
            let file = TestFile::with(&original);
            let row = "WHERE organization_id = x'00000000000000000000000000000005' AND key = 'cursor'";
            without_strictness(&file, &format!("UPDATE organization_property SET {change} {row}")).unwrap();
            let store = Store::open(&file.path).unwrap();
            let (ours, theirs) = (store.organization(OURS), store.organization(THEIRS));
            assert_eq!(read(&ours, "cursor"), expected, "{change}");
            for (organization, key) in KEYS.map(|key| (&ours, key)).into_iter().chain(KEYS.map(|key| (&theirs, key))) {
                if key != "cursor" || organization.id() == THEIRS {
                    assert_eq!(read(organization, key), Ok(Some(content(organization.id(), key))), "{change}");
                }
            }
            let findings = store.verify().unwrap().findings;
            let found = findings.iter().any(|finding| finding.kind == FindingKind::Property);
            assert!(found, "{change}: {findings:?}");
            let copied = store.backup_to(file.folder.path().join("copy.db"));
            assert!(matches!(copied, Err(Error::Corrupt { .. })), "{change}: {copied:?}");

            // A damaged key is listed as it stands, unless it is no text.
            match ours.property_keys() {
                Ok(keys) => {
                    let is_listed = keys.iter().any(|key| !KEYS.contains(&key.as_str()) || key == "cursor");
                    assert_eq!(is_listed, !change.starts_with("organization_id"), "{change}: {keys:?}");
                }
                Err(error) => assert_eq!((error.code(), change), ("corrupt", "key = x'637572736f72'")),
            }
            assert_eq!(theirs.property_keys().unwrap(), KEYS, "{change}");
            let new = (!removed).then_some(b"new".as_slice());
            ours.set_properties([("cursor", new), ("b", None)]).unwrap();
            assert_eq!(read(&ours, "cursor"), Ok(new.map(<[u8]>::to_vec)), "{change}");
            // What has lost its organization, or its key to one that no property can have, stays without any harm.
            let is_lost = change.starts_with("organization_id");
            let is_mended = !is_lost && !matches!(change, "key = ''" | "key = x'637572736f72'");
            assert_eq!(store.verify().unwrap().is_whole(), is_mended, "{change}");
            store.purge_organization(OURS).unwrap();
            assert_eq!(store.verify().unwrap().is_whole(), !is_lost, "{change}");
            assert_eq!(theirs.property_keys().unwrap(), KEYS, "{change}");
        }
    }
}

/// Bits of the page with the properties, one at a time.
#[test]
fn no_flipped_bit_gives_a_wrong_content_or_one_of_another_organization() {
    let (original, seed) = (original(), seed());
    let mut random = Random::new(seed);
    let root: i64 = {
        let file = TestFile::with(&original);
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'organization_property'";
        plain_sqlite(&file.path).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let (mut corrupt, mut hidden, mut intact) = (0, 0, 0);
    for number in 0..if is_long() { 20_000 } else { 150 } {
        // The header, the pointers and the first cells, or the cells at the end of the page.
        let at = if random.percent(20) { random.below(60) } else { 4_096 - 1 - random.below(1_500) };
        let mask = 1 << random.below(8);
        let what = format!("seed {seed}, number {number}: byte {at} ^ {mask:#x}");
        let mut bytes = original.clone();
        bytes[(usize::try_from(root).unwrap() - 1) * 4_096 + at] ^= mask;
        let file = TestFile::with(&bytes);
        let store = Store::open(&file.path).unwrap();
        let (ours, theirs) = (store.organization(OURS), store.organization(THEIRS));
        let mut is_damaged = false;
        for organization in [&ours, &theirs] {
            for key in KEYS {
                match read(organization, key) {
                    Ok(Some(found)) => assert!(found == content(organization.id(), key), "{what}: {key}"),
                    Ok(None) => (hidden, is_damaged) = (hidden + 1, true),
                    Err(code) => {
                        assert_eq!(code, "corrupt", "{what}");
                        (corrupt, is_damaged) = (corrupt + 1, true);
                    }
                }
            }
            match organization.property_keys() {
                Ok(keys) => assert!(keys.is_sorted() && keys.len() <= 4, "{what}: {keys:?}"),
                Err(error) => assert_eq!(error.code(), "corrupt", "{what}"),
            }
        }
        intact += u32::from(!is_damaged);
        assert!(!is_damaged || store.verify().is_ok_and(|found| !found.is_whole()), "{what}: verify finds nothing");
        for new in [Some(b"new".as_slice()), None] {
            match ours.set_properties([("cursor", new), ("map", new)]) {
                // A search may meet a row that is out of order, or one that stands there twice, or not.
                Ok(()) => match read(&ours, "cursor") {
                    Ok(Some(found)) => assert!(found == b"new" || found == content(OURS, "cursor"), "{what}"),
                    Ok(None) => {}
                    Err(code) => assert_eq!(code, "corrupt", "{what}"),
                },
                Err(error) => assert!(matches!(error.code(), "corrupt" | "storage"), "{what}: {error:?}"),
            }
        }
    }
    println!("properties: {corrupt} reads corrupt, {hidden} hidden, {intact} files without any, seed {seed}");
    assert!(corrupt > 20 && hidden > 0, "the control: {corrupt} {hidden}");
}
