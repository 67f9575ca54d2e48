//! The search agrees with a second implementation, for every character and for texts made at random.
//!
//! Each run takes other texts. A failure names its seed; `KPI_STORE_TEST_SEED` repeats it.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use kpi_store_test_support::{is_long, seed};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{finds_all, is_match, ranges, second};
use crate::model::search::pattern::Pattern;
use crate::model::search::searcher::Searcher;

/// What is special in some way, and what is found in it: accents, marks of several classes in both orders, letters
/// without a decomposition, expansions, Greek with an iota subscript, the dotted and the dotless I, sigmas, ligatures,
/// full width, Arabic presentation forms, Hangul whole and in parts, kana, white space, and code points not assigned.
const PARTS: &str = "a A b ab aa aaa aba e E i I s S ss ff 3 é É ǘ ệ ß ẞ Ł ø Æ ǽ Đ ı İ ŉ ſ Σ ς ᾳ ᾼ ᾷ ΐ ﬀ ﬃ Ａ ｂ ﻼ ﷺ \
    가 각 が か ½ Ё ´ ¨ \u{301} \u{323} \u{323}\u{301} \u{345} \u{20dd} \u{fe0f} \u{1100}\u{1161} \u{11a8} \
    \u{ff9e} \u{378} \u{10ffff}";

/// What the parts are apart from: white space of several kinds.
const SPACES: [&str; 4] = [" ", "  ", "\u{a0}", "\u{3000}"];

fn runner(seed: u64, cases: u32) -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes().repeat(2));
    TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng)
}

/// Mostly the parts above, so that texts have something in common, and any other character.
fn text() -> impl Strategy<Value = String> {
    let parts: Vec<&str> = PARTS.split(' ').chain(SPACES).collect();
    let part = prop_oneof![4 => select(parts).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// A search and the texts of a dataset. The words are pieces of the texts, written in another way, or any text.
fn case() -> impl Strategy<Value = (String, Vec<String>)> {
    let piece = (any::<Index>(), any::<Index>(), any::<Index>(), 0..4_usize);
    (vec(text(), 1..4), vec(piece, 0..4), prop_oneof![3 => Just(String::new()), 1 => text()]).prop_map(
        |(texts, pieces, other)| {
            let words = pieces.into_iter().map(|(of, from, to, way)| {
                let chars: Vec<char> = of.get(&texts).chars().collect();
                let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
                let piece: String = chars[from.min(to)..from.max(to)].iter().collect();
                match way {
                    0 => piece.to_uppercase(),
                    1 => piece.to_lowercase(),
                    2 => second::fold(&piece),
                    _ => piece,
                }
            });
            let words: Vec<String> = words.chain([other]).collect();
            (words.join(" "), texts)
        },
    )
}

/// Compares the two on texts made at random; the first is given, so that a wrong one can be tried.
fn compare(
    seed: u64,
    is_match: impl Fn(&str, &[&str]) -> bool,
    ranges: impl Fn(&str, &str) -> Vec<Range<usize>>,
) -> Result<(u32, u32), String> {
    let (found, missed) = (Cell::new(0), Cell::new(0));
    let agrees = |(search, texts): (String, Vec<String>)| {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let expected = second::matches(&search, &texts);
        prop_assert_eq!(is_match(&search, &texts), expected);
        for text in texts {
            prop_assert_eq!(ranges(&search, text), second::ranges(&search, text), "in {:?}", text);
        }
        let count = if expected { &found } else { &missed };
        count.set(count.get() + 1);
        Ok(())
    };
    let cases = if is_long() { 100_000 } else { 3_000 };
    runner(seed, cases).run(&case(), agrees).map_err(|error| format!("seed {seed}: {error}"))?;
    Ok((found.get(), missed.get()))
}

#[test]
fn a_second_implementation_agrees_on_texts_made_at_random() {
    let seed = seed();
    let (found, missed) = compare(seed, is_match, ranges).unwrap_or_else(|error| panic!("{error}"));
    assert!(found > 500 && missed > 500, "seed {seed}: {found} to {missed}");
}

#[test]
fn one_searcher_for_all_texts_finds_what_one_for_each_does() {
    let seed = seed();
    let pattern = Pattern::new("a s ﷺ").unwrap();
    let searcher = RefCell::new(Searcher::new(&pattern));
    runner(seed, 2_000)
        .run(&text(), |text| {
            let mut searcher = searcher.borrow_mut();
            prop_assert_eq!(searcher.ranges(&text), ranges("a s ﷺ", &text));
            searcher.begin();
            prop_assert_eq!(finds_all(&mut searcher, &[&text]), is_match("a s ﷺ", &[&text]));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

#[test]
fn the_comparison_notices_a_wrong_rule() {
    let seed = seed();
    let only_case = |search: &str, texts: &[&str]| {
        second::words(search).iter().all(|word| texts.iter().any(|text| text.to_lowercase().contains(word)))
    };
    let any_word = |search: &str, texts: &[&str]| {
        let words = second::words(search);
        words.is_empty() || words.iter().any(|word| is_match(word, texts))
    };
    let without_marks = |search: &str, text: &str| {
        let mut ranges = ranges(search, text);
        for range in &mut ranges {
            range.end = range.start + text[range.clone()].trim_end_matches('\u{301}').len();
        }
        ranges
    };
    let first_alone = |search: &str, text: &str| ranges(search, text).into_iter().take(1).collect();
    for (is_noticed, wrong) in [
        (compare(seed, only_case, ranges).is_err(), "case alone"),
        (compare(seed, any_word, ranges).is_err(), "any word"),
        (compare(seed, is_match, without_marks).is_err(), "without marks"),
        (compare(seed, is_match, first_alone).is_err(), "the first alone"),
    ] {
        assert!(is_noticed, "seed {seed}: {wrong}");
    }
}

/// `Cargo.lock` has both sets of tables in the same version of Unicode. If only one is updated, new letters may differ.
#[test]
fn every_character_folds_as_in_the_second_tables() {
    // Of the planes without letters, a hundredth will do.
    let is_looked_at = |c: &char| matches!(u32::from(*c), 0..0x4_0000 | 0xE_0000..0xE_0200) || u32::from(*c) % 97 == 0;
    let chars: Vec<char> = (char::MIN..=char::MAX).filter(is_looked_at).collect();
    for chars in chars.chunks(256) {
        let text: String = chars.iter().collect();
        let expected: Vec<String> = second::words(&text).into_iter().collect();
        let pattern = Pattern::new(&text);
        let canonical = pattern.as_ref().map_or("", Pattern::canonical);
        assert_eq!(canonical, expected.join(" "), "U+{:04X} and those after it", u32::from(chars[0]));
    }
}
