//! Random queries of listings, as the store is asked, and as the model is.

use kpi_store::{DatasetQuery, limits};

use super::model::listing::{Filter, Order};
use super::requests::{pick, value_type};
use super::support::Random;
use super::world::World;

/// Words as they are compared, each in forms in which it can be asked for.
const WORDS: [(&str, [&str; 3]); 9] = [
    ("a", ["a", "A", "á"]),
    ("aaa", ["aaa", "aAa", "ÀAA"]),
    ("ss", ["ß", "SS", "ẞ"]),
    ("sss", ["sß", "ßS", "SSS"]),
    ("水", ["水", "水", "水"]),
    ("😀", ["😀", "😀", "😀"]),
    // What another tool writes.
    ("changed", ["changed", "CHANGED", "Chánged"]),
    ("gain", ["gain", "GAIN", "gáin"]),
    ("b", ["b", "B", "b"]),
];

/// A query, and what it means.
pub(crate) struct Query {
    pub(crate) asked: DatasetQuery,
    pub(crate) filter: Filter,
    pub(crate) is_valid: bool,
}

impl World {
    pub(crate) fn any_order(&mut self) -> Order {
        [Order::OldestFirst, Order::NewestFirst, Order::RecentlyChanged][self.random.below(3)]
    }

    pub(crate) fn any_filter(&mut self) -> Filter {
        let mut filter = Filter::default();
        if self.random.percent(40) {
            return filter;
        }
        if self.random.percent(25) {
            filter.created_by = Some(self.any_user());
        }
        if self.random.percent(30) {
            filter.value_type = Some(value_type(&mut self.random));
        }
        if self.random.percent(70) {
            let words = 1 + self.random.below(2);
            let word = |_| WORDS[self.random.below(WORDS.len())].0.to_owned();
            filter.words = (0..words).map(word).collect();
        }
        filter
    }

    /// The query with this filter, in one of the forms that mean the same; rarely with a text that is too long.
    pub(crate) fn query(&mut self, order: Order, filter: Filter) -> Query {
        let query = DatasetQuery::new();
        let mut asked = match order {
            Order::OldestFirst if self.random.percent(50) => query.oldest_first(),
            Order::OldestFirst => query,
            Order::NewestFirst => query.newest_first(),
            Order::RecentlyChanged => query.recently_changed_first(),
        };
        asked = filter.created_by.into_iter().fold(asked, DatasetQuery::created_by);
        asked = filter.value_type.into_iter().fold(asked, DatasetQuery::with_value_type);
        let is_valid = !self.random.percent(1);
        if !is_valid {
            asked = asked.matching("a".repeat(limits::SEARCH_MAX + 1));
        } else if !filter.words.is_empty() || self.random.percent(20) {
            asked = asked.matching(search(&mut self.random, &filter));
        }
        Query { asked, filter, is_valid }
    }
}

/// The words of a filter in any order and form, some of them twice.
fn search(random: &mut Random, filter: &Filter) -> String {
    let mut words: Vec<&String> = filter.words.iter().collect();
    if random.percent(50) {
        words.reverse();
    }
    words.extend(pick(random, &words).filter(|_| random.percent(20)));
    let mut search = String::new();
    for word in words {
        let forms = WORDS.iter().find(|(folded, _)| folded == word).map_or([word.as_str(); 3], |(_, forms)| *forms);
        search += [" ", "\t\u{3000}"][random.below(2)];
        search += forms[random.below(3)];
    }
    search + [" ", ""][random.below(2)]
}
