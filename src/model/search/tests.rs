//! The rule of the search, and a second implementation of it.

use std::ops::Range;

use super::pattern::Pattern;
use super::searcher::Searcher;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|| panic!("{text:?} has no word"))
}

fn ranges(words: &str, text: &str) -> Vec<Range<usize>> {
    Searcher::new(&pattern(words)).ranges(text)
}

/// The text with brackets around what is found.
fn marked(words: &str, text: &str) -> String {
    let mut marked = String::new();
    let mut from = 0;
    for range in ranges(words, text) {
        marked.extend([&text[from..range.start], "[", &text[range.clone()], "]"]);
        from = range.end;
    }
    marked + &text[from..]
}

#[test]
fn case_and_diacritics_make_no_difference() {
    for (word, text) in [
        ("energia", "Energía"),
        ("ENERGÍA", "energia"),
        ("strasse", "Straße"),
        ("STRASSE", "STRAẞE"),
        ("straße", "Strasse"),
        ("lodz", "Łódź"),
        ("istanbul", "İstanbul"),
        ("diyarbakir", "Diyarbakır"),
    ] {
        assert_eq!(marked(word, text), format!("[{text}]"), "{word}");
    }
}

#[test]
fn each_word_must_be_found_in_some_text_of_a_dataset() {
    let pattern = pattern("water total");
    let mut searcher = Searcher::new(&pattern);
    searcher.begin();
    assert!(!searcher.look("Wastewater"));
    assert!(searcher.look("Totals"));
    searcher.begin();
    assert!(!searcher.look("Totals"), "the words of the dataset before are forgotten");
}

#[test]
fn words_are_counted_once_in_any_order_and_a_search_without_any_is_none() {
    assert_eq!(pattern(" b\u{301}  a\tB ").canonical(), "a b");
    for text in ["", " \u{a0}\n", "\u{301}", "\u{b4}"] {
        assert_eq!(Pattern::new(text), None, "{text:?}");
    }
}
