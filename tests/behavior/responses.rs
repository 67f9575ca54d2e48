//! Responses, to the byte: keys in the contract's order, null where absent, times as the contract prints them. Reading
//! one back gives an equal value, and accepts what a later server may add. Ids, value types and cursors are strings.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use kpi_store::{
    Cursor, Dataset, DatasetId, DatasetQuery, Kpi, KpiId, NewDataset, NewKpi, OrganizationId, Store, UserId, ValueType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::support;

const DATASET: &str = "0192f0c1-0000-7000-8000-0000000000d1";
const KPIS: [&str; 2] = ["0192f0c1-0000-7000-8000-0000000000a1", "0192f0c1-0000-7000-8000-0000000000a2"];
const ORGANIZATION: &str = "0192f0c1-0000-7000-8000-0000000000c1";
const USER: &str = "0192f0c1-0000-7000-8000-0000000000e1";

/// A response in which nothing is absent; no operation changes a dataset yet.
const FULL: &str = r#"{"id":"0192f0c1-0000-7000-8000-0000000000d1","organization_id":"0192f0c1-0000-7000-8000-0000000000c1","name":"水 \"🌊\"\n","created_at":"2023-11-07T05:31:56Z","description":"","created_by":"0192f0c1-0000-7000-8000-0000000000e1","updated_by":"0192f0c1-0000-7000-8000-0000000000e2","updated_at":"2023-11-08T05:31:56.120000Z","kpis":[{"id":"0192f0c1-0000-7000-8000-0000000000a1","dataset_id":"0192f0c1-0000-7000-8000-0000000000d1","name":"Withdrawal","sort_order":9223372036854775807,"created_at":"0001-01-01T00:00:00Z","description":"Total","unit":"m³","value_type":"percentage","required":false,"updated_at":"9999-12-31T23:59:59.999999Z"}]}"#;

#[test]
fn are_the_contracts_json_to_the_byte() {
    let store = store_at("2023-11-07T05:31:56Z");
    let organization = store.organization(ORGANIZATION.parse().unwrap());
    let bare = NewDataset::new("Water").id(DATASET.parse().unwrap());
    assert_eq!(
        json(&organization.create_dataset(bare.clone()).unwrap()),
        format!(
            r#"{{"id":"{DATASET}","organization_id":"{ORGANIZATION}","name":"Water","created_at":"2023-11-07T05:31:56Z","description":null,"created_by":null,"updated_by":null,"updated_at":null,"kpis":[]}}"#
        )
    );

    let organization = support::organization(&store).acting_as(USER.parse().unwrap());
    let kpi = NewKpi::new("Permit").unit("").value_type(ValueType::Date).required(false).sort_order(1);
    let [first, second] = KPIS.map(|id| id.parse::<KpiId>().unwrap());
    let full = bare.description("a\"b\\c\u{1}水").kpi(kpi.id(second)).kpi(NewKpi::new("Withdrawal").id(first));
    let expected = format!(
        r#"{{"id":"{DATASET}","organization_id":"{}","name":"Water","created_at":"2023-11-07T05:31:56Z","description":"a\"b\\c\u0001水","created_by":"{USER}","updated_by":null,"updated_at":null,"kpis":[{{"id":"{first}","dataset_id":"{DATASET}","name":"Withdrawal","sort_order":0,"created_at":"2023-11-07T05:31:56Z","description":null,"unit":null,"value_type":"number","required":true,"updated_at":null}},{{"id":"{second}","dataset_id":"{DATASET}","name":"Permit","sort_order":1,"created_at":"2023-11-07T05:31:56Z","description":null,"unit":"","value_type":"date","required":false,"updated_at":null}}]}}"#,
        organization.id()
    );
    let created = organization.create_dataset(full).unwrap();
    assert_eq!(json(&created), expected);
    assert_eq!(json(&organization.dataset(created.id).unwrap().unwrap()), expected);
    assert_eq!(serde_json::from_str::<Dataset>(&expected).unwrap(), created);
    let kpi = json(&created.kpis[1]);
    assert!(expected.contains(&kpi), "{kpi}");
    assert_eq!(serde_json::from_str::<Kpi>(&kpi).unwrap(), created.kpis[1]);
}

#[test]
fn read_back_with_every_field_and_whatever_a_later_server_adds() {
    let dataset: Dataset = serde_json::from_str(FULL).unwrap();
    assert_eq!(json(&dataset), FULL);
    assert_eq!(dataset.updated_at, Some("2023-11-08T05:31:56.12Z".parse().unwrap()));
    assert_eq!(dataset.kpis[0].updated_at, Some(DateTime::from_timestamp_micros(253_402_300_799_999_999).unwrap()));
    assert_eq!(dataset.kpis[0].created_at, DateTime::from_timestamp_micros(-62_135_596_800_000_000).unwrap());

    let later = FULL.replace("\"name\":", "\"tags\":[{\"a\":null}],\"name\":");
    assert_eq!(serde_json::from_str::<Dataset>(&later).unwrap(), dataset);
    // In another order, with escapes, and from a reader or a value, from which no text can be borrowed.
    let value: serde_json::Value = serde_json::from_str(FULL).unwrap();
    let sorted = format!("{value:#}").replace('水', "\\u6c34");
    assert_eq!(serde_json::from_str::<Dataset>(&sorted).unwrap(), dataset);
    assert_eq!(serde_json::from_reader::<_, Dataset>(FULL.as_bytes()).unwrap(), dataset);
    assert_eq!(serde_json::from_value::<Dataset>(value).unwrap(), dataset);
}

#[test]
fn show_kpis_by_sort_order_and_ties_in_the_order_of_addition() {
    let store = Store::open_in_memory().unwrap();
    let orders = [7, 0, i64::MAX, 7, 1, 0, i64::MAX, 7, 0];
    // The ids decrease while the KPIs are added: neither they nor the names may decide.
    let kpis = (0..).zip(orders).map(|(index, order)| {
        NewKpi::new(format!("{order}/{index}")).sort_order(order).id(Uuid::from_u128(1_000 - index).into())
    });
    let organization = support::organization(&store);
    let created = organization.create_dataset(NewDataset::new("Water").kpis(kpis)).unwrap();
    let shown: Vec<_> = created.kpis.iter().map(|kpi| kpi.name.as_str()).collect();
    let max = i64::MAX;
    let expected = ["0/1", "0/5", "0/8", "1/4", "7/0", "7/3", "7/7", &format!("{max}/2"), &format!("{max}/6")];
    assert_eq!(shown, expected);
    assert_eq!(organization.dataset(created.id).unwrap(), Some(created.clone()));
    // The order read is the order written: nothing is sorted again.
    let mut turned = created;
    turned.kpis.reverse();
    assert_eq!(serde_json::from_str::<Dataset>(&json(&turned)).unwrap(), turned);
}

#[test]
fn cut_the_clock_to_the_microsecond_and_print_six_digits_or_none() {
    // The time of the clock, and the printed text.
    let table = [
        ("2023-11-07T05:31:56Z", "2023-11-07T05:31:56Z"),
        ("2023-11-07T05:31:56.12Z", "2023-11-07T05:31:56.120000Z"),
        ("2023-11-07T05:31:56.000001Z", "2023-11-07T05:31:56.000001Z"),
        ("2023-11-07T05:31:56.000000999Z", "2023-11-07T05:31:56Z"),
        ("2023-11-07T05:31:56.123456789Z", "2023-11-07T05:31:56.123456Z"),
        ("2023-11-07T05:31:56.999999999Z", "2023-11-07T05:31:56.999999Z"),
        ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z"),
        ("1969-12-31T23:59:59.000000001Z", "1969-12-31T23:59:59Z"),
        ("1900-02-28T01:02:03.000001999Z", "1900-02-28T01:02:03.000001Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00.000000001Z", "0001-01-01T00:00:00Z"),
        ("0999-12-31T23:59:59.5Z", "0999-12-31T23:59:59.500000Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
        // A leap second is stored as the first second of the next minute.
        ("2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.250000Z"),
    ];
    for (clock, printed) in table {
        let organization = support::organization(&store_at(clock));
        let created = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("k"))).unwrap();
        let answer = json(&created);
        assert_eq!(answer.matches(&format!("\"created_at\":\"{printed}\"")).count(), 2, "{clock}: {answer}");
        assert_eq!(organization.dataset(created.id).unwrap().as_ref(), Some(&created), "{clock}");
        assert_eq!(serde_json::from_str::<Dataset>(&answer).unwrap(), created, "{clock}");
    }
}

#[test]
fn print_a_time_that_an_application_set_cut_too_or_not_at_all() {
    let mut dataset: Dataset = serde_json::from_str(FULL).unwrap();
    dataset.created_at = "1969-12-31T23:59:59.999999999Z".parse().unwrap();
    assert!(json(&dataset).contains(r#""created_at":"1969-12-31T23:59:59.999999Z","description":"""#));
    let (first, last) = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z");
    let [first, last] = [first, last].map(|time| time.parse::<DateTime<Utc>>().unwrap());
    let beyond = [first - TimeDelta::nanoseconds(1), last + TimeDelta::microseconds(1), DateTime::<Utc>::MAX_UTC];
    for time in beyond {
        dataset.created_at = time;
        assert!(serde_json::to_string(&dataset).is_err(), "{time}");
    }
}

#[test]
fn read_any_offset_within_the_years_1_to_9999_and_no_time_outside() {
    let read = |time: &str| {
        // Both the time that is always present and the one that may be null.
        let with = |old: &str| serde_json::from_str::<Dataset>(&FULL.replace(old, time));
        let (always, maybe) = (with("2023-11-07T05:31:56Z"), with("2023-11-08T05:31:56.120000Z"));
        assert_eq!(always.as_ref().ok().map(|found| Some(found.created_at)), maybe.ok().map(|found| found.updated_at));
        always.map(|dataset| dataset.created_at).ok()
    };
    let utc = |time: &str| Some(time.parse::<DateTime<Utc>>().unwrap());
    let accepted = [
        ("2023-11-07T06:31:56+01:00", "2023-11-07T05:31:56Z"),
        ("2023-11-06T23:46:56.5-05:45", "2023-11-07T05:31:56.5Z"),
        ("2023-11-07T05:31:56.123456+00:00", "2023-11-07T05:31:56.123456Z"),
        ("2023-11-07T05:31:56-00:00", "2023-11-07T05:31:56Z"),
        ("2023-11-07T05:31:56.123456999Z", "2023-11-07T05:31:56.123456Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T14:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
        ("9999-12-31T11:59:59.999999-12:00", "9999-12-31T23:59:59.999999Z"),
    ];
    for (text, expected) in accepted {
        assert_eq!(read(text), utc(expected), "{text}");
    }
    let refused = [
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "-0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
        "+10000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2023-11-07T05:31:56",
        "2023-11-07",
        "2023-02-29T00:00:00Z",
        "2023-11-07T24:00:00Z",
        "2023-11-07T05:31:56Z ",
        "1699335116",
        "",
    ];
    for text in refused {
        assert_eq!(read(text), None, "{text}");
    }
    assert!(serde_json::from_str::<Dataset>(&FULL.replace("\"2023-11-07T05:31:56Z\"", "1699335116")).is_err());
    assert!(serde_json::from_str::<Dataset>(&FULL.replace("\"2023-11-07T05:31:56Z\"", "null")).is_err());
}

#[test]
fn hold_typed_ids_as_strings() {
    typed_id::<OrganizationId>();
    typed_id::<UserId>();
    typed_id::<DatasetId>();
    typed_id::<KpiId>();
}

fn typed_id<I>()
where
    I: FromStr<Err: Debug> + Display + Debug + Copy + Ord + From<Uuid> + Into<Uuid> + Serialize + DeserializeOwned,
{
    let uuid = Uuid::from_u128(0x0192_F0C1_ABCD_4EF0_8000_0000_0000_00D1);
    let text = "0192f0c1-abcd-4ef0-8000-0000000000d1";
    let id = I::from(uuid);
    assert_eq!((id.to_string().as_str(), id.into()), (text, uuid));
    assert_eq!(json(&id), format!("\"{text}\""));
    assert_eq!(json(&BTreeMap::from([(id, 1)])), format!("{{\"{text}\":1}}"));
    assert_eq!(serde_json::from_str::<BTreeMap<I, i32>>(&json(&BTreeMap::from([(id, 1)]))).unwrap()[&id], 1);
    let braced = format!("{{{text}}}");
    for form in [text, &text.to_uppercase(), &text.replace('-', ""), &braced, &format!("urn:uuid:{text}")] {
        assert_eq!(form.parse::<I>().unwrap(), id, "{form}");
        assert_eq!(serde_json::from_str::<I>(&format!("\"{form}\"")).unwrap(), id, "{form}");
    }
    for wrong in ["", " ", &text[1..], &format!("{text}0"), &format!(" {text}"), &text.replace('f', "g")] {
        assert!(wrong.parse::<I>().is_err() && serde_json::from_str::<I>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
    }
    for wrong in ["1", "null", "[1,146,240,193]", "{}"] {
        assert!(serde_json::from_str::<I>(wrong).is_err(), "{wrong}");
    }
    assert!(I::from(Uuid::nil()) < id && id < I::from(Uuid::max()));
}

#[test]
fn hold_value_types_as_their_names() {
    let names = ["number", "text", "percentage", "date", "boolean"];
    assert_eq!(ValueType::ALL.map(ValueType::as_str), names);
    for (value_type, name) in ValueType::ALL.into_iter().zip(names) {
        assert_eq!((value_type.to_string().as_str(), name.parse()), (name, Ok(value_type)));
        assert_eq!(json(&value_type), format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<ValueType>(&json(&value_type)).unwrap(), value_type);
    }
    for wrong in ["", "Number", "TEXT", " date", "boolean ", "numbers", "0"] {
        assert!(wrong.parse::<ValueType>().is_err(), "{wrong:?}");
        assert!(serde_json::from_str::<ValueType>(&json(&wrong)).is_err(), "{wrong:?}");
    }
    assert!(["0", "null", "true", "{}"].iter().all(|wrong| serde_json::from_str::<ValueType>(wrong).is_err()));
    assert_eq!(ValueType::default(), ValueType::Number);
}

#[test]
fn hold_a_cursor_as_a_short_url_safe_string() {
    let store = Store::open_in_memory().unwrap();
    let organization = support::organization(&store);
    organization.create_datasets(["a", "b"].map(NewDataset::new)).unwrap();
    for query in [DatasetQuery::new().limit(1), DatasetQuery::new().newest_first().limit(1)] {
        let cursor = organization.datasets(&query).unwrap().next.unwrap();
        let text = cursor.to_string();
        assert!(
            text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)),
            "{text}"
        );
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        assert_eq!(json(&cursor), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Cursor>(&json(&cursor)).unwrap(), cursor);
        assert_eq!(serde_json::from_value::<Cursor>(text.clone().into()).unwrap(), cursor);
        assert!(serde_json::from_str::<Cursor>(&format!("\"{text} \"")).is_err());
    }
    assert!(["1", "null", "\"\"", "\"x\"", "{}"].iter().all(|wrong| serde_json::from_str::<Cursor>(wrong).is_err()));
}

fn store_at(time: &str) -> Store {
    let time = time.parse::<DateTime<Utc>>().unwrap();
    Store::options().clock(move || time).open_in_memory().unwrap()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}
