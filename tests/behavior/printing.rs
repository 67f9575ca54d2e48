//! What handles, ids and cursors print in a log, and what reading them from JSON expects.

use std::time::Duration;

use kpi_store::{Cursor, DatasetId, DatasetQuery, Durability, NewDataset, Store, ValueType};

use crate::support::{self, Place};

#[test]
fn a_handle_prints_which_store_it_is_and_nothing_that_is_stored() {
    let place = Place::new();
    let store = Store::open(&place.file).unwrap();
    let organization = support::organization(&store);
    organization.create_dataset(NewDataset::new("s3cr3t")).unwrap();
    let path = format!("Store {{ path: Some({:?}), .. }}", store.path().unwrap());
    assert_eq!(format!("{store:?}"), path);
    let printed = format!("{organization:?}");
    assert!(printed.contains(&path) && printed.contains(&organization.id().to_string()), "{printed}");
}

#[test]
fn options_print_what_was_set_and_setting_one_leaves_the_others() {
    let one_way = Store::options()
        .durability(Durability::Normal)
        .busy_timeout(Duration::from_secs(7))
        .read_only(true)
        .backup_before_upgrade(false);
    let other_way = Store::options()
        .backup_before_upgrade(false)
        .read_only(true)
        .busy_timeout(Duration::from_secs(7))
        .durability(Durability::Normal);
    for options in [one_way, other_way] {
        let printed = format!("{options:?}");
        for set in ["durability: Normal", "busy_timeout: 7s", "read_only: true", "backup_before_upgrade: false"] {
            assert!(printed.contains(set), "{set}: {printed}");
        }
    }
}

#[test]
fn a_cursor_and_an_id_print_as_their_text_with_their_type() {
    let organization = support::organization(&Store::open_in_memory().unwrap());
    organization.create_datasets(["Water", "Waste"].map(NewDataset::new)).unwrap();
    let cursor = organization.datasets(&DatasetQuery::new().limit(1)).unwrap().next.unwrap();
    assert_eq!(format!("{cursor:?}"), format!("Cursor({cursor})"));
    let id = organization.id();
    assert_eq!(format!("{id:?}"), format!("OrganizationId({id})"));
}

#[test]
fn what_is_no_string_in_json_is_refused_saying_that_one_was_expected() {
    let complaints = [
        serde_json::from_str::<DatasetId>("5").unwrap_err(),
        serde_json::from_str::<Cursor>("[]").unwrap_err(),
        serde_json::from_str::<ValueType>("null").unwrap_err(),
    ];
    for complaint in complaints {
        assert!(complaint.to_string().contains("expected a string"), "{complaint}");
    }
}
