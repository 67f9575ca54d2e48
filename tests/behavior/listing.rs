//! Listing: every dataset once and in order at any limit, and cursors that work only where they come from.

mod large;

use kpi_store::{Cursor, Dataset, DatasetId, DatasetQuery, Error, NewDataset, Organization, OrganizationId, Store};
use uuid::Uuid;

use crate::support;

const LIMITS: [u32; 5] = [1, 2, 50, 999, 1_000];

#[test]
fn pages_give_every_dataset_once_and_in_order() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        for count in [0, 1, 2, 49, 50, 51, 100, 1_000, 1_001] {
            let organization = filled(store, count);
            let mut expected: Vec<_> =
                organization.iter_datasets(&DatasetQuery::new()).map(|one| one.unwrap().id).collect();
            assert_eq!(expected.len(), count);
            assert!(expected.is_sorted(), "created in the order of their ids");
            for order in [DatasetQuery::oldest_first, DatasetQuery::newest_first] {
                for limit in LIMITS {
                    let (pages, datasets) = all_pages(&organization, &order(DatasetQuery::new()).limit(limit), |_| {});
                    assert!(ids(&datasets).eq(expected.iter().copied()), "{count} datasets, limit {limit}");
                    assert_eq!(pages, count.div_ceil(limit as usize).max(1), "{count} datasets, limit {limit}");
                }
                expected.reverse();
            }
        }
    });
}

#[test]
fn datasets_created_meanwhile_come_at_the_end_or_not_at_all() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        for limit in LIMITS {
            let organization = filled(store, 1_203);
            // Another thread creates one after each of the first pages.
            let create_one = |page: usize| {
                let create = || organization.create_dataset(NewDataset::new("later")).unwrap();
                if page < 9 {
                    std::thread::scope(|scope| scope.spawn(create).join()).unwrap();
                }
            };
            let before = ids_in_store(&organization);

            let newest = all_pages(&organization, &DatasetQuery::new().newest_first().limit(limit), create_one).1;
            assert!(ids(&newest).eq(before.iter().rev().copied()), "limit {limit}: nothing later");

            let oldest = all_pages(&organization, &DatasetQuery::new().limit(limit), create_one).1;
            let after = ids_in_store(&organization);
            assert!(after.len() > before.len() + 2 && after.starts_with(&before), "limit {limit}");
            // Datasets created after the last page cannot be in it.
            assert!(
                oldest.len() > before.len() && ids(&oldest).eq(after[..oldest.len()].iter().copied()),
                "limit {limit}"
            );
        }
    });
}

#[test]
fn a_page_has_50_datasets_by_default() {
    let organization = filled(&Store::open_in_memory().unwrap(), 60);
    assert_eq!(DatasetQuery::new(), DatasetQuery::default());
    assert_eq!(DatasetQuery::new(), DatasetQuery::new().limit(50));
    let page = organization.datasets(&DatasetQuery::new()).unwrap();
    assert_eq!(organization.datasets(&DatasetQuery::new().newest_first().oldest_first()).unwrap(), page);
    assert_eq!(page.items.len(), 50);
    let next = page.next.clone().unwrap();
    assert!(page.items.clone().into_iter().eq(page), "a page is its items");
    let rest = organization.datasets(&DatasetQuery::new().after(&next)).unwrap();
    assert_eq!((rest.items.len(), rest.next), (10, None));
}

#[test]
fn the_last_order_given_applies_and_changes_nothing_else() {
    let organization = filled(&Store::open_in_memory().unwrap(), 5);
    let page = |query: DatasetQuery| organization.datasets(&query).unwrap();
    let first = page(DatasetQuery::new().limit(2));
    let again = page(DatasetQuery::new().limit(2).newest_first().oldest_first());
    assert_eq!((again.items.len(), &again.items), (2, &first.items));
    let next = first.next.unwrap();
    let rest = page(DatasetQuery::new().after(&next).newest_first().oldest_first());
    assert_eq!(rest.items.len(), 3);
}

#[test]
fn a_limit_outside_1_to_1000_is_refused_at_limit() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = filled(store, 3);
        for (limit, code) in [(0, "greater_than_equal"), (1_001, "less_than_equal"), (u32::MAX, "less_than_equal")] {
            let query = DatasetQuery::new().limit(limit);
            let listed = organization.datasets(&query).unwrap_err();
            let mut iterator = organization.iter_datasets(&query);
            let iterated = iterator.next().unwrap().unwrap_err();
            assert!(iterator.next().is_none(), "the error ends it");
            for error in [listed, iterated] {
                let Error::Invalid(violations) = error else { panic!("{limit}: {error:?}") };
                let found: Vec<_> = violations.iter().map(|found| (found.path(), found.code())).collect();
                assert_eq!(found, [("limit".to_owned(), code)]);
            }
        }
    });
}

#[test]
fn counting_ignores_limit_order_and_cursor() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = filled(store, 7);
        let cursor = organization.datasets(&DatasetQuery::new().limit(3)).unwrap().next.unwrap();
        let strange = filled(store, 2).datasets(&DatasetQuery::new().limit(1)).unwrap().next.unwrap();
        for query in [
            DatasetQuery::new(),
            DatasetQuery::new().limit(1),
            DatasetQuery::new().limit(0),
            DatasetQuery::new().limit(u32::MAX).newest_first(),
            DatasetQuery::new().after(&cursor),
            DatasetQuery::new().newest_first().after(&strange),
        ] {
            assert_eq!(organization.count_datasets(&query).unwrap(), 7, "{query:?}");
        }
    });
}

#[test]
fn an_iterator_reads_on_to_the_end_and_lives_on_its_own() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = filled(store, 20);
        for order in [DatasetQuery::oldest_first, DatasetQuery::newest_first] {
            let query = order(DatasetQuery::new()).limit(7);
            let expected = all_pages(&organization, &query, |_| {}).1;
            // It borrows nothing, so that another thread can run it.
            let iterator = { organization.clone().iter_datasets(&query.clone()) };
            let found = std::thread::spawn(move || iterator.collect::<kpi_store::Result<Vec<_>>>()).join().unwrap();
            assert_eq!(found.unwrap(), expected);
        }
        let mut iterator = organization.iter_datasets(&DatasetQuery::new().limit(7));
        assert_eq!(iterator.by_ref().take(20).map(Result::unwrap).count(), 20);
        assert!(iterator.next().is_none() && iterator.next().is_none(), "the end is the end");
    });
}

#[test]
fn an_iterator_sees_what_was_created_after_its_position_and_blocks_no_writer() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let organization = filled(store, 10);
        let mut iterator = organization.iter_datasets(&DatasetQuery::new().limit(3));
        iterator.next().unwrap().unwrap();
        let later = organization.create_dataset(NewDataset::new("later")).unwrap();
        assert_eq!(iterator.map(Result::unwrap).last(), Some(later));
    });
}

#[test]
fn after_close_an_iterator_gives_what_it_holds_then_closed_once() {
    let file = support::TestFile::new();
    for store in [Store::open(&file.path).unwrap(), Store::open_in_memory().unwrap()] {
        let organization = filled(&store, 10);
        let mut iterator = organization.iter_datasets(&DatasetQuery::new().limit(3));
        let mut unbegun = organization.iter_datasets(&DatasetQuery::new());
        iterator.next().unwrap().unwrap();
        store.close().unwrap();
        assert_eq!(iterator.by_ref().take(2).map(Result::unwrap).count(), 2, "the rest of its page");
        for iterator in [&mut iterator as &mut dyn Iterator<Item = _>, &mut unbegun] {
            assert!(matches!(iterator.next(), Some(Err(Error::Closed))));
            assert!(iterator.next().is_none() && iterator.next().is_none());
        }
    }
}

#[test]
fn a_cursor_survives_as_text_in_urls_and_json_and_in_another_store() {
    let file = support::TestFile::new();
    let organization = filled(&Store::open(&file.path).unwrap(), 300);
    for order in [DatasetQuery::oldest_first, DatasetQuery::newest_first] {
        let query = order(DatasetQuery::new());
        let all = all_pages(&organization, &query, |_| {}).1;
        for limit in [1, 9, 10, 15, 16, 17, 255, 256, 299] {
            let cursor = organization.datasets(&query.clone().limit(limit)).unwrap().next.unwrap();
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{text}");
            assert!(text.len() <= 32, "{text}");
            assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
            assert_eq!(serde_json::to_value(&cursor).unwrap(), *text);
            assert_eq!(serde_json::from_value::<Cursor>(text.clone().into()).unwrap(), cursor);

            let other_store = Store::open(&file.path).unwrap().organization(organization.id());
            let page = other_store.datasets(&query.clone().limit(1_000).after(&text.parse().unwrap())).unwrap();
            assert_eq!(page.items, all[limit as usize..], "{text}");
        }
    }
}

#[test]
fn a_cursor_of_another_organization_or_order_is_refused() {
    support::in_a_file_and_in_memory(Store::options, |store, _| {
        let (ours, theirs) = (filled(store, 5), filled(store, 5));
        let (oldest, newest) = (DatasetQuery::new().limit(2), DatasetQuery::new().newest_first().limit(2));
        let of_oldest = ours.datasets(&oldest).unwrap().next.unwrap();
        let of_newest = ours.datasets(&newest).unwrap().next.unwrap();
        for (organization, query, cursor, is_ours) in [
            (&ours, &oldest, &of_oldest, true),
            (&ours, &newest, &of_newest, true),
            (&ours, &newest, &of_oldest, false),
            (&ours, &oldest, &of_newest, false),
            (&theirs, &oldest, &of_oldest, false),
            (&theirs, &newest, &of_newest, false),
        ] {
            let query = query.clone().after(cursor);
            let answer = organization.datasets(&query);
            assert!(if is_ours { answer.is_ok() } else { matches!(answer, Err(Error::InvalidCursor)) }, "{answer:?}");
            let mut iterator = organization.iter_datasets(&query);
            assert_eq!(matches!(iterator.next(), Some(Err(Error::InvalidCursor))), !is_ours);
            assert_eq!(iterator.next().is_none(), !is_ours);
        }
    });
}

#[test]
fn a_cursor_that_was_altered_anywhere_is_refused() {
    // A fixed organization: the same checks in every run.
    let organization = Store::open_in_memory().unwrap().organization(OrganizationId::from(Uuid::from_u128(7)));
    organization.create_datasets((0..300).map(|index| NewDataset::new(format!("{index}")))).unwrap();
    let mut altered_cursors = 0;
    for (order, limit) in [
        (DatasetQuery::oldest_first as fn(_) -> _, 1),
        (DatasetQuery::newest_first, 1),
        (DatasetQuery::oldest_first, 270),
    ] {
        let query = order(DatasetQuery::new());
        let cursor = organization.datasets(&query.clone().limit(limit)).unwrap().next.unwrap();
        let is_refused = |text: &str| {
            let answer = text
                .parse()
                .map_err(Error::from)
                .and_then(|cursor| organization.datasets(&query.clone().after(&cursor)));
            let read_by_serde = serde_json::from_value::<Cursor>(text.into()).is_ok();
            assert_eq!(read_by_serde, text.parse::<Cursor>().is_ok(), "{text:?}: serde and FromStr agree");
            matches!(answer, Err(Error::InvalidCursor))
        };
        assert!(!is_refused(&cursor.to_string()), "the control: unaltered, it is accepted");
        for text in alterations(&cursor.to_string()) {
            assert!(is_refused(&text), "{text:?}, made from {cursor}");
            altered_cursors += 1;
        }
    }
    assert!(altered_cursors > 2_000, "{altered_cursors}");
}

/// The text cut at every length, with every character removed, replaced and preceded by others, and in other spellings.
fn alterations(text: &str) -> Vec<String> {
    let mut altered: Vec<String> = (0..text.len()).map(|length| text[..length].to_owned()).collect();
    for place in 0..=text.len() {
        let (before, after) = text.split_at(place);
        let others = ('0'..='9').chain('a'..='z').chain("AFON-_+ \0\u{e9}\u{666}\u{ff11}\u{1f600}".chars());
        for other in others {
            altered.push(format!("{before}{other}{after}"));
            altered.extend(after.get(1..).map(|after| format!("{before}{other}{after}")));
        }
        altered.push(before.to_owned() + after.get(1..).unwrap_or_default());
        altered.push(format!("{after}{before}"));
    }
    altered.extend([
        text.to_uppercase(),
        text.repeat(2),
        format!("1o{}", "f".repeat(24)),
        "1".to_owned() + &"0".repeat(400),
    ]);
    altered.extend(["\u{1f600}".repeat(5), "1o\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}".to_owned(), "null".to_owned()]);
    altered.retain(|altered| altered != text);
    altered
}

fn filled(store: &Store, count: usize) -> Organization {
    let organization = support::organization(store);
    organization.create_datasets((0..count).map(|index| support::request_with_kpis(index % 2))).unwrap();
    organization
}

/// Reads all pages, and calls `between` with their number after each. Returns the number of pages, and the datasets.
fn all_pages(organization: &Organization, query: &DatasetQuery, between: impl Fn(usize)) -> (usize, Vec<Dataset>) {
    let (mut pages, mut datasets, mut next) = (0, Vec::new(), Some(query.clone()));
    while let Some(of_page) = next {
        let page = organization.datasets(&of_page).unwrap();
        next = page.next.as_ref().map(|cursor| query.clone().after(cursor));
        datasets.extend(page);
        between(pages);
        pages += 1;
    }
    (pages, datasets)
}

fn ids(datasets: &[Dataset]) -> impl Iterator<Item = DatasetId> {
    datasets.iter().map(|dataset| dataset.id)
}

fn ids_in_store(organization: &Organization) -> Vec<DatasetId> {
    organization.iter_datasets(&DatasetQuery::new().limit(1_000)).map(|dataset| dataset.unwrap().id).collect()
}

#[test]
fn a_page_iterates_by_reference_and_serializes() {
    let store = Store::open_in_memory().unwrap();
    let organization = filled(&store, 3);
    let page = organization.datasets(&DatasetQuery::new().limit(2)).unwrap();
    let by_reference: Vec<_> = (&page).into_iter().map(|dataset| dataset.id).collect();
    assert_eq!(by_reference, page.iter().map(|dataset| dataset.id).collect::<Vec<_>>());
    let json = serde_json::to_value(&page).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 2);
    assert_eq!(json["damaged"], serde_json::json!([]));
    assert_eq!(json["next"], page.next.as_ref().unwrap().to_string());
    assert_eq!(page.into_iter().count(), 2);
}

#[test]
fn the_iterator_over_datasets_can_be_named_printed_and_asked_beyond_its_end() {
    fn fused<T: std::iter::FusedIterator + std::fmt::Debug + Send>(iterator: T) -> T {
        iterator
    }
    let store = Store::open_in_memory().unwrap();
    let mut datasets: kpi_store::Datasets = fused(filled(&store, 2).iter_datasets(&DatasetQuery::new().limit(1)));
    assert!(format!("{datasets:?}").starts_with("Datasets"));
    assert_eq!(datasets.by_ref().count(), 2);
    assert!(datasets.next().is_none() && datasets.next().is_none());
}
