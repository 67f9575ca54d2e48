//! Filters and their combinations, against a filter in memory over everything that is listed.

use std::collections::HashMap;

use kpi_store::{
    Dataset, DatasetId, DatasetPatch, DatasetQuery, Error, MatchField, NewDataset, NewKpi, Organization, Store, UserId,
    ValueType,
};

use super::{summary_of, without_matches};
use crate::support::{self, Random, in_a_file_and_in_memory, listed, seed};

/// Words, each with what it is without case and diacritics.
const WORDS: [(&str, &str); 8] = [
    ("Water", "water"),
    ("ENERGÍA", "energia"),
    ("Straße", "strasse"),
    ("Łódź", "lodz"),
    ("gas", "gas"),
    ("m³", "m3"),
    ("ÉNÉ", "ene"),
    ("a", "a"),
];

const SEARCHES: [&str; 9] = ["", "water", "Ene", "s", "lodz GAS", "m3 a energia", "strasse", "zz", "gas gas a"];

/// A few words, and maybe none.
fn text(random: &mut Random, at_least: usize) -> String {
    let count = at_least + random.below(3);
    (0..count).map(|_| WORDS[random.below(WORDS.len())].0).collect::<Vec<_>>().join(" ")
}

fn request(random: &mut Random) -> NewDataset {
    let mut new = NewDataset::new(text(random, 1));
    if random.percent(50) {
        new = new.description(text(random, 0));
    }
    let kpis: Vec<_> = (0..random.below(4))
        .map(|_| {
            let value_type = ValueType::ALL[random.below(5)];
            let kpi = NewKpi::new(text(random, 1)).value_type(value_type).required(random.percent(50));
            let kpi = kpi.sort_order(i64::try_from(random.below(3)).unwrap());
            if random.percent(50) { kpi.unit(text(random, 0)) } else { kpi.description(text(random, 0)) }
        })
        .collect();
    new.kpis(kpis)
}

/// What is in the store, and the number of the last change of each.
struct World {
    users: [UserId; 2],
    ours: Organization,
    clock: u64,
    last_changes: HashMap<DatasetId, u64>,
}

impl World {
    fn new(store: &Store, random: &mut Random) -> Self {
        let ours = support::organization(store);
        let theirs = support::organization(store);
        let users = [UserId::new(), UserId::new()];
        let mut world = Self { users, ours, clock: 0, last_changes: HashMap::new() };
        for _ in 0..60 {
            let whose = random.below(3);
            let ours = users.get(whose).map_or_else(|| world.ours.clone(), |user| world.ours.acting_as(*user));
            let id = ours.create_dataset(request(random)).unwrap().id;
            world.changed(id);
            theirs.acting_as(users[0]).create_dataset(request(random)).unwrap();
        }
        for dataset in listed(&world.ours) {
            if random.percent(40) {
                let patch = DatasetPatch::new().description(text(random, 1)).add_kpi(NewKpi::new(text(random, 1)));
                if world.ours.update_dataset(dataset.id, patch).unwrap() != dataset {
                    world.changed(dataset.id);
                }
            }
            if random.percent(30) {
                world.ours.delete_dataset(dataset.id).unwrap();
                world.changed(dataset.id);
            }
        }
        world
    }

    fn changed(&mut self, id: DatasetId) {
        self.clock += 1;
        self.last_changes.insert(id, self.clock);
    }
}

/// A query with the condition that it states.
type Condition = Box<dyn Fn(&Dataset) -> bool>;

fn queries(users: &[UserId; 2]) -> Vec<(DatasetQuery, &'static str, Condition)> {
    let mut queries: Vec<(DatasetQuery, &'static str, Condition)> = Vec::new();
    for search in SEARCHES {
        for user in [None, Some(users[0]), Some(users[1]), Some(UserId::new())] {
            for value_type in [None, Some(ValueType::Date), Some(ValueType::Number)] {
                let mut query = DatasetQuery::new().matching(search);
                if let Some(user) = user {
                    query = query.created_by(user);
                }
                if let Some(value_type) = value_type {
                    query = query.with_value_type(value_type);
                }
                let condition = move |dataset: &Dataset| {
                    let texts: Vec<_> = texts(dataset).iter().map(|(_, _, text)| folded(text)).collect();
                    folded(search).split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
                        && (user.is_none() || dataset.created_by == user)
                        && value_type.is_none_or(|of| dataset.kpis.iter().any(|kpi| kpi.value_type == of))
                };
                queries.push((query, search, Box::new(condition)));
            }
        }
    }
    queries
}

type Text<'a> = (Option<kpi_store::KpiId>, MatchField, &'a str);

fn texts(dataset: &Dataset) -> Vec<Text<'_>> {
    let mut texts = vec![(None, MatchField::Name, dataset.name.as_str())];
    texts.extend(dataset.description.as_deref().map(|text| (None, MatchField::Description, text)));
    for kpi in &dataset.kpis {
        texts.push((Some(kpi.id), MatchField::Name, &kpi.name));
        texts.extend(kpi.description.as_deref().map(|text| (Some(kpi.id), MatchField::Description, text)));
        texts.extend(kpi.unit.as_deref().map(|text| (Some(kpi.id), MatchField::Unit, text)));
    }
    texts
}

/// The text without case and diacritics, as far as the words here have any.
fn folded(text: &str) -> String {
    let known = |word: &str| WORDS.iter().find(|(written, _)| *written == word).map(|(_, folded)| (*folded).to_owned());
    text.split(' ').map(|word| known(word).unwrap_or_else(|| word.to_lowercase())).collect::<Vec<_>>().join(" ")
}

/// The place of a dataset in an order, from its place in the order of creation and the number of its last change.
type Place = fn((usize, u64)) -> i128;

type Order = fn(DatasetQuery) -> DatasetQuery;

const ORDERS: [(Order, Place); 3] = [
    (DatasetQuery::oldest_first, |(created, _)| created as i128),
    (DatasetQuery::newest_first, |(created, _)| -(created as i128)),
    (DatasetQuery::recently_changed_first, |(_, changed)| -i128::from(changed)),
];

#[test]
fn every_combination_lists_and_counts_what_a_filter_in_memory_finds() {
    let seed = seed();
    in_a_file_and_in_memory(Store::options, |store, _| {
        let mut random = Random::new(seed);
        let world = World::new(store, &mut random);
        let ours = &world.ours;
        let all = listed(ours);
        let trash = ours.deleted_datasets(&DatasetQuery::new().limit(1_000)).unwrap().items;
        assert!(all.len() > 20 && trash.len() > 5, "the control, seed {seed}");
        let (mut some, mut none) = (0, 0);
        for (query, search, condition) in queries(&world.users) {
            for (order, place) in ORDERS {
                let limit = [1, 3, 7, 50, 1_000][random.below(5)];
                let query = order(query.clone()).limit(limit);
                let what = format!("seed {seed}, {query:?}");
                let mut expected: Vec<_> = all.iter().enumerate().filter(|(_, dataset)| condition(dataset)).collect();
                expected.sort_by_key(|(index, dataset)| place((*index, world.last_changes[&dataset.id])));
                let expected: Vec<&Dataset> = expected.into_iter().map(|(_, dataset)| dataset).collect();
                if expected.is_empty() {
                    none += 1;
                } else {
                    some += 1;
                }

                let found: Vec<_> = ours.iter_datasets(&query).map(Result::unwrap).collect();
                assert!(found.iter().eq(expected.iter().copied()), "{what}");
                assert_eq!(ours.count_datasets(&query).unwrap(), expected.len() as u64, "{what}");
                let summaries: Vec<_> = ours.iter_summaries(&query).map(Result::unwrap).collect();
                assert_eq!(summaries.len(), expected.len(), "{what}");
                for (summary, dataset) in summaries.into_iter().zip(&expected) {
                    let words: Vec<_> = search.split(' ').filter(|word| !word.is_empty()).map(folded).collect();
                    let has_word = |(_, _, text): &Text<'_>| words.iter().any(|word| folded(text).contains(word));
                    let of_dataset: Vec<_> = texts(dataset).into_iter().filter(has_word).collect();
                    let told: Vec<_> = summary.matches.iter().map(|m| (m.kpi, m.field, m.text.as_str())).collect();
                    assert_eq!(told, of_dataset, "{what}");
                    for found in &summary.matches {
                        let pieces: String = found.segments().map(|(piece, _)| piece).collect();
                        assert!(pieces == found.text && found.segments().any(|(_, is_found)| is_found), "{what}");
                    }
                    assert_eq!(without_matches(summary), summary_of(dataset), "{what}");
                }

                let page = ours.deleted_datasets(&query.clone().limit(1_000)).unwrap();
                // Without a say, the trash comes with the newest deletion first.
                let is_oldest_first = query == query.clone().oldest_first();
                let mut expected: Vec<_> = trash.iter().filter(|item| condition(&item.dataset)).collect();
                if is_oldest_first {
                    expected.reverse();
                }
                assert!(page.iter().eq(expected.iter().copied()), "{what}");
                assert_eq!(ours.count_deleted(&query).unwrap(), expected.len() as u64, "{what}");
                pages_of_the_trash(ours, &query, expected.len(), &what);
            }
        }
        assert!(some > 50 && none > 20, "the control, seed {seed}: {some}, {none}");
    });
}

/// In pages of the limit, the trash has this many datasets, each once.
fn pages_of_the_trash(ours: &Organization, query: &DatasetQuery, expected: usize, what: &str) {
    let (mut found, mut next) = (Vec::new(), Some(query.clone()));
    while let Some(of_page) = next {
        let page = ours.deleted_datasets(&of_page).unwrap();
        next = page.next.as_ref().map(|cursor| query.clone().after(cursor));
        assert!(!page.items.is_empty() || next.is_none(), "{what}");
        found.extend(page.into_iter().map(|item| item.dataset.id));
    }
    assert_eq!(found.len(), expected, "{what}");
    found.sort();
    found.dedup();
    assert_eq!(found.len(), expected, "{what}");
}

/// Without a filter the end is exact; with one, a full page ends without a search for another match.
#[test]
fn a_full_page_with_a_filter_has_a_next_page_which_may_be_empty() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let user = UserId::new();
        let ours = support::organization(store).acting_as(user);
        let new = || NewDataset::new("Water").kpi(NewKpi::new("k").value_type(ValueType::Date));
        let ids: Vec<_> = ours.create_datasets((0..4).map(|_| new())).unwrap().iter().map(|new| new.id).collect();
        ours.delete_datasets(ids[..2].iter().copied()).unwrap();
        for (filter, has_filter) in [
            (DatasetQuery::new(), false),
            (DatasetQuery::new().matching(" "), false),
            (DatasetQuery::new().matching("water"), true),
            (DatasetQuery::new().created_by(user), true),
            (DatasetQuery::new().with_value_type(ValueType::Date), true),
        ] {
            for (order, _) in ORDERS {
                let query = order(filter.clone());
                let full = query.clone().limit(2);
                let next = ours.datasets(&full).unwrap().next;
                assert_eq!(next, ours.summaries(&full).unwrap().next, "{full:?}");
                assert_eq!(next.is_some(), has_filter, "{full:?}");
                let of_trash = ours.deleted_datasets(&full).unwrap().next;
                assert_eq!(of_trash.is_some(), has_filter, "{full:?}");
                if let (Some(next), Some(of_trash)) = (next, of_trash) {
                    let page = ours.datasets(&full.clone().after(&next)).unwrap();
                    assert_eq!((page.items, page.damaged, page.next), (vec![], vec![], None), "{full:?}");
                    let page = ours.deleted_datasets(&full.clone().after(&of_trash)).unwrap();
                    assert_eq!((page.items, page.damaged, page.next), (vec![], vec![], None), "{full:?}");
                }
                assert_eq!(super::names(&ours, &full), ["Water"; 2], "{full:?}");
                let page = ours.datasets(&query.limit(3)).unwrap();
                assert_eq!((page.items.len(), page.next), (2, None), "a page that is not full is the last");
            }
        }
    });
}

#[test]
fn a_cursor_works_with_the_same_order_and_filters_alone() {
    in_a_file_and_in_memory(Store::options, |store, _| {
        let (user, other) = (UserId::new(), UserId::new());
        let ours = support::organization(store).acting_as(user);
        let new = || NewDataset::new("Water flow").kpi(NewKpi::new("k").value_type(ValueType::Date));
        let ids: Vec<_> = ours.create_datasets((0..8).map(|_| new())).unwrap().iter().map(|new| new.id).collect();
        ours.delete_datasets(ids[..4].iter().copied()).unwrap();
        let base = || DatasetQuery::new().limit(1);
        let filters = [
            base(),
            base().created_by(user),
            base().with_value_type(ValueType::Date),
            base().matching("water"),
            base().matching("flow"),
            base().matching("water flow"),
            base().matching("water").created_by(user),
            base().matching("flow").with_value_type(ValueType::Date),
            base().created_by(user).with_value_type(ValueType::Date),
        ];
        let queries: Vec<_> = filters.iter().flat_map(|query| ORDERS.map(|(order, _)| order(query.clone()))).collect();
        for (at, query) in queries.iter().enumerate() {
            let cursor = ours.datasets(query).unwrap().next.unwrap();
            let of_trash = ours.deleted_datasets(query).unwrap().next.unwrap();
            for (index, with) in queries.iter().enumerate() {
                let (with, of_deleted) = (with.clone().after(&cursor), with.clone().after(&of_trash));
                let answers = [
                    ours.datasets(&with).map(drop),
                    ours.summaries(&with).map(drop),
                    ours.iter_summaries(&with).next().unwrap().map(drop),
                ];
                for answer in answers {
                    let is_refused = matches!(answer, Err(Error::InvalidCursor));
                    assert_eq!(is_refused, at != index, "{query:?} {with:?}: {answer:?}");
                }
                // Of the trash, the last changes are the deletions.
                let is_same = at / 3 == index / 3 && (at % 3 == 0) == (index % 3 == 0);
                let answer = ours.deleted_datasets(&of_deleted);
                assert_eq!(answer.is_ok(), is_same, "{query:?} {of_deleted:?}: {answer:?}");
                assert!(ours.datasets(&of_deleted).is_err() && ours.deleted_datasets(&with).is_err());
            }
            assert_eq!(cursor.to_string().parse::<kpi_store::Cursor>().unwrap(), cursor);
        }
        // The same words, however they are written; and no words are no filter.
        let cursor = ours.datasets(&queries[15]).unwrap().next.unwrap();
        assert!(ours.datasets(&base().matching(" FLOW\u{2003}wäter  flow").after(&cursor)).is_ok());
        let cursor = ours.datasets(&base()).unwrap().next.unwrap();
        assert!(ours.datasets(&base().matching("\t ").after(&cursor)).is_ok());
        let refused = ours.datasets(&base().created_by(other).after(&cursor));
        assert!(matches!(refused, Err(Error::InvalidCursor)));
    });
}

#[test]
fn a_later_filter_replaces_an_earlier_one_of_its_kind() {
    let ours = support::organization(&Store::open_in_memory().unwrap());
    ours.create_datasets(["Water", "Waste"].map(NewDataset::new)).unwrap();
    let query = DatasetQuery::new().matching("water").matching("waste");
    assert_eq!(super::names(&ours, &query), ["Waste"]);
    assert_eq!(super::names(&ours, &query.matching("")), ["Water", "Waste"]);
}
