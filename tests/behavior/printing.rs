//! What handles, ids and cursors print in a log, and what reading them from JSON expects.

use kpi_store::{Cursor, DatasetId, DatasetQuery, NewDataset, Store, ValueType};

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
    assert!(format!("{:?}", Store::options().read_only(true)).contains("read_only: true"));
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
