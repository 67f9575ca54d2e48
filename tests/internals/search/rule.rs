//! Which texts a search finds, and which characters of them.

use std::slice;
use std::time::{Duration, Instant};

use super::{finds_all, is_match, ranges};
use crate::model::search::pattern::Pattern;
use crate::model::search::searcher::Searcher;

/// The text with brackets around what is found.
fn marked(search: &str, text: &str) -> String {
    let mut marked = String::new();
    let mut from = 0;
    for range in ranges(search, text) {
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
        ("istanbul", "İSTANBUL"),
        ("diyarbakir", "Diyarbakır"),
        ("kobenhavn", "København"),
        ("aerosol", "Ærosol"),
        ("thingvellir", "Þingvellir"),
        ("sjaelland", "SJǼLLAND"),
        ("σοφοσ", "Σοφός"),
        ("αδησ", "ᾍδης"),
        ("елка", "Ёлка"),
        ("efficient", "eﬃcient"),
        ("kwh", "ＫＷｈ"),
        ("m3", "m³"),
        ("ألف", "ﺍﻟﻒ"),
        ("ガス", "カ\u{3099}ス"),
        ("한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"),
        ("cafe", "cafe\u{301}"),
    ] {
        assert_eq!(marked(word, text), format!("[{text}]"), "{word}");
        assert_eq!(marked(text, word), format!("[{word}]"), "{text}");
    }
}

#[test]
fn different_letters_stay_different() {
    for (word, text) in [("energía", "enorgia"), ("o", "0"), ("ss", "s"), ("вода", "voda"), ("l", "I"), ("가", "나")]
    {
        assert!(!is_match(word, &[text]), "{word} {text}");
        assert!(ranges(word, text).is_empty(), "{word} {text}");
    }
}

#[test]
fn every_word_must_be_in_some_text_as_a_part_of_a_word() {
    let texts = ["Wastewater", "Total", "m³"];
    for search in ["water", "WATER", "tot wat", "m3 al ste water", "water water"] {
        assert!(is_match(search, &texts), "{search}");
    }
    for search in ["water energy", "total water intake", "alm", "rTotal"] {
        assert!(!is_match(search, &texts), "{search}");
    }
    assert!(!is_match("a", &[]));
    assert!(!is_match("a", &["", "\u{301}", "´"]));
}

#[test]
fn a_dataset_does_not_inherit_the_words_of_the_one_before() {
    let pattern = Pattern::new("water total").unwrap();
    let mut searcher = Searcher::new(&pattern);
    assert!(!finds_all(&mut searcher, &["water"]));
    assert!(finds_all(&mut searcher, &["total"]));
    assert!(finds_all(&mut searcher, &["neither"]), "both words were found");
    searcher.begin();
    assert!(!finds_all(&mut searcher, &["total"]));
    assert!(!searcher.add(b"water").unwrap(), "it is not looked at yet");
    searcher.begin();
    assert!(!finds_all(&mut searcher, &["total"]));
}

#[test]
fn no_word_is_lost_among_many_texts_or_found_across_two() {
    for length in [0, 1, 1_000, 1_022, 1_023, 1_024, 1_025, 8_000] {
        let long = "x".repeat(length);
        for texts in [["wa", &long, "water"], ["water", &long, "wa"], [&long, "water", &long]] {
            assert!(is_match("water x", &texts) == (length > 0), "{length}");
            assert!(!is_match("waterx", &texts) && !is_match("waterwa", &texts), "{length}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    let pattern = Pattern::new("water").unwrap();
    let mut searcher = Searcher::new(&pattern);
    // The first half of a character, and the second one in the next text.
    searcher.add(b"m\xC2").unwrap();
    searcher.add(b"\xB3").unwrap();
    searcher.finds_all().unwrap_err();
}

#[test]
fn words_count_once_and_in_any_order() {
    let canonical = |search| Pattern::new(search).map(|pattern| pattern.canonical().to_owned());
    assert_eq!(canonical(" b\u{301}\u{a0}a\tB\u{3000}Á "), Some("a b".to_owned()));
    assert_eq!(canonical("a´b"), Some("a b".to_owned()), "the accent alone is a space with a mark");
    assert_eq!(canonical("x \u{301} ´"), Some("x".to_owned()));
}

#[test]
fn a_search_without_words_is_none() {
    for search in ["", " ", "\t\n\u{a0}\u{2003}\u{3000}\u{85}", "\u{301}", "\u{20dd}\u{903}", "´ ¨"] {
        assert_eq!(Pattern::new(search), None, "{search:?}");
    }
}

#[test]
fn what_is_found_are_whole_characters_with_their_marks() {
    for (search, text, expected) in [
        ("s", "Straße", "[S]tra[ß]e"),
        ("as", "Straße", "Str[aß]e"),
        ("se", "Straße", "Stra[ße]"),
        ("fic", "eﬃcient", "e[ﬃc]ient"),
        ("a", "Ægir", "[Æ]gir"),
        ("간", "가각간", "가각[간]"),
        ("가", "가각간나", "[가각간]나"),
        ("e", "e\u{301}\u{302}f\u{301}", "[e\u{301}\u{302}]f\u{301}"),
        ("f", "\u{301}e\u{301}f", "\u{301}e\u{301}[f]"),
        ("e", "\u{301}e", "\u{301}[e]"),
        ("ef", "e\u{301}f\u{301} g", "[e\u{301}f\u{301}] g"),
    ] {
        assert_eq!(marked(search, text), expected, "{search}");
    }
}

#[test]
fn all_occurrences_are_found_and_those_that_overlap_or_touch_are_one() {
    for (search, text, expected) in [
        ("aa", "aaa aa a", "[aaa] [aa] a"),
        ("aba", "xababax", "x[ababa]x"),
        ("cd ab", "abcd ab", "[abcd] [ab]"),
        ("water wat", "Water, wattage", "[Water], [wat]tage"),
        ("b", "abcb", "a[b]c[b]"),
        ("total water", "Water in total", "[Water] in [total]"),
        ("x", "abc", "abc"),
    ] {
        assert_eq!(marked(search, text), expected, "{search}");
    }
}

#[test]
fn words_that_are_a_part_of_others_are_found_alone_too() {
    for (search, text, expected) in [
        ("bc abcd cde", "abcde bc xbcx", "[abcde] [bc] x[bc]x"),
        ("abcd bcx c", "abcx abcd", "a[bcx] [abcd]"),
        ("aab ab b", "aaab", "a[aab]"),
        ("abab ba", "ababab xba", "[ababab] x[ba]"),
        ("é éé ééé", "eéE e", "[eéE] [e]"),
        ("ss sst t", "Straße ßt", "S[t]ra[ß]e [ßt]"),
    ] {
        assert_eq!(marked(search, text), expected, "{search}");
    }
}

/// The work is that of one pass, however many occurrences the words have. One after the other, 38 words take about 40
/// times as long as one.
#[test]
fn many_words_that_overlap_everywhere_cost_about_as_much_as_one() {
    let text = "a".repeat(20_000);
    let whole = 0..text.len();
    let many: Vec<_> = (1..=38).map(|length| "a".repeat(length)).collect();
    let fastest = |search: &str| {
        let pattern = Pattern::new(search).unwrap();
        let once = || {
            let started = Instant::now();
            assert_eq!(Searcher::new(&pattern).ranges(&text), slice::from_ref(&whole));
            started.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap_or(Duration::MAX)
    };
    let (one, many) = (fastest("a"), fastest(&many.join(" ")));
    assert!(many < 8 * one, "{many:?}, {one:?}");
}
