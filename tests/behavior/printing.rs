//! What handles, ids and cursors print in a log, what reading them expects, and a stored dataset as a request.

use std::time::Duration;

use kpi_store::{
    Cursor, DatasetId, DatasetQuery, Durability, Error, KpiId, NewDataset, NewKpi, OrganizationId, ParseCursorError,
    ParseIdError, ParseValueTypeError, Store, UserId, ValueType,
};

use crate::support::{self, TestFile};

#[test]
fn a_handle_prints_which_store_it_is_and_nothing_that_is_stored() {
    let file = TestFile::new();
    let store = Store::open(&file.path).unwrap();
    let organization = support::organization(&store);
    organization.create_dataset(NewDataset::new("s3cr3t")).unwrap();
    let path = format!("Store {{ path: Some({:?}), .. }}", store.path().unwrap());
    assert_eq!(format!("{store:?}"), path);
    let printed = format!("{organization:?}");
    assert!(printed.contains(&path) && printed.contains(&organization.id().to_string()), "{printed}");
}

#[test]
fn options_print_what_was_set_in_any_order() {
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
fn a_json_value_other_than_a_string_is_refused_with_the_expected_type() {
    let complaints = [
        serde_json::from_str::<DatasetId>("5").unwrap_err(),
        serde_json::from_str::<Cursor>("[]").unwrap_err(),
        serde_json::from_str::<ValueType>("null").unwrap_err(),
    ];
    for complaint in complaints {
        assert!(complaint.to_string().contains("expected a string"), "{complaint}");
    }
}

#[test]
fn what_cannot_be_parsed_is_refused_with_an_error_of_its_own_type() {
    fn check<E: std::error::Error + Copy + PartialEq + Send + Sync + 'static>(error: E, text: &str) {
        let copy = error;
        assert!(copy == error && error.source().is_none());
        assert_eq!(error.to_string(), text);
    }
    for text in ["", "1", "018bcfe5-6800-7000-8000-00000000000", "g18bcfe5-6800-7000-8000-000000000000"] {
        let id: ParseIdError = text.parse::<DatasetId>().unwrap_err();
        check(id, "expected a UUID");
        assert_eq!(Err(id), text.parse::<KpiId>());
        assert_eq!(Err(id), text.parse::<UserId>());
        assert_eq!(Err(id), text.parse::<OrganizationId>());
        let cursor: ParseCursorError = text.parse::<Cursor>().unwrap_err();
        check(cursor, "expected a cursor from an earlier page");
        assert!(matches!(Error::from(cursor), Error::InvalidCursor));
        let value_type: ParseValueTypeError = text.parse::<ValueType>().unwrap_err();
        check(value_type, "expected 'number', 'text', 'percentage', 'date' or 'boolean'");
        let json = serde_json::to_string(text).unwrap();
        assert!(serde_json::from_str::<DatasetId>(&json).unwrap_err().to_string().starts_with("expected a UUID"));
    }
}

#[test]
fn an_id_can_be_a_constant() {
    const ORGANIZATION: OrganizationId = OrganizationId::from_u128(1);
    const IDS: (UserId, DatasetId, KpiId) =
        (UserId::from_u128(2), DatasetId::from_u128(3), KpiId::from_u128(u128::MAX));
    let printed = [ORGANIZATION.to_string(), IDS.0.to_string(), IDS.1.to_string(), IDS.2.to_string()];
    let expected = [1, 2, 3, u128::MAX].map(|bits| uuid::Uuid::from_u128(bits).to_string());
    assert_eq!(printed, expected);
}

#[test]
fn a_stored_dataset_as_a_request_has_its_content_in_display_order_and_no_ids() {
    let file = TestFile::new();
    let organization = support::organization(&Store::open(&file.path).unwrap());
    let late = NewKpi::new("late").description("d").unit("").value_type(ValueType::Date).required(false).sort_order(7);
    let early = NewKpi::new("early").sort_order(3);
    let asked = NewDataset::new("Water").description("").id(DatasetId::new()).kpi(late.clone().id(KpiId::new()));
    let dataset = organization.create_dataset(asked.kpi(early.clone())).unwrap();

    let request = NewDataset::from(&dataset);
    assert_eq!(request, NewDataset::new("Water").description("").kpi(early).kpi(late.clone()));
    assert_eq!(NewKpi::from(&dataset.kpis[1]), late);
    let copy = organization.create_dataset(request.clone()).unwrap();
    assert!(copy.id != dataset.id && copy.kpis.iter().all(|kpi| dataset.kpi(kpi.id).is_none()));
    assert_eq!(NewDataset::from(&copy), request);
}
