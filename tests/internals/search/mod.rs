//! The text search: its rule, and that a second implementation agrees.

mod agreement;
mod rule;
mod second;

use std::ops::Range;

use crate::model::search::pattern::Pattern;
use crate::model::search::searcher::Searcher;

/// Whether every word is in one of the texts.
fn is_match(search: &str, texts: &[&str]) -> bool {
    Pattern::new(search).is_none_or(|pattern| {
        let mut searcher = Searcher::new(&pattern);
        searcher.begin();
        finds_all(&mut searcher, texts)
    })
}

/// Whether every word is in one of the texts, or in one of those that were added before.
fn finds_all(searcher: &mut Searcher<'_>, texts: &[&str]) -> bool {
    texts.iter().any(|text| searcher.add(text.as_bytes()).unwrap()) || searcher.finds_all().unwrap()
}

fn ranges(search: &str, text: &str) -> Vec<Range<usize>> {
    Pattern::new(search).map_or(Vec::new(), |pattern| Searcher::new(&pattern).ranges(text))
}
