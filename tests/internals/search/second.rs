//! A second implementation of the search: by whole texts, with other tables of Unicode, as slow as it is plain.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::LazyLock;

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Letters without a decomposition before the plain ones they become.
const PLAIN: [(&str, &str); 29] = [
    ("ᶏⱥ", "a"),
    ("æ", "ae"),
    ("ƀƃɓᵬᶀꞗ", "b"),
    ("ƈȼɕꞓꞔ", "c"),
    ("ðđƌȡɖɗᵭᶁᶑꟈ", "d"),
    ("ɇᶒⱸꬴ", "e"),
    ("ƒᵮᶂꞙ", "f"),
    ("ǥɠᶃꞡ", "g"),
    ("ħɦⱨꞕ", "h"),
    ("ıɨᶖ", "i"),
    ("ȷɉʝ", "j"),
    ("ƙᶄⱪꝁꝃꝅꞣ", "k"),
    ("łƚȴɫɬɭᶅⱡꝉꞎꬷꬸꬹ", "l"),
    ("ɱᵯᶆꬺ", "m"),
    ("ŋƞȵɲɳᵰᶇꞑꞥꬻ", "n"),
    ("øɵⱺꝋꝍ", "o"),
    ("œ", "oe"),
    ("ƥᵱᵽᶈꝑꝓꝕ", "p"),
    ("ĸɋʠꝗꝙ", "q"),
    ("ɍɼɽɾᵲᵳᶉꞧꭉ", "r"),
    ("ȿʂᵴᶊẜẝꞩꟊꟍ", "s"),
    ("ŧƫƭȶʈᵵⱦ", "t"),
    ("þ", "th"),
    ("ʉᶙꞹꭎꭒ", "u"),
    ("ʋᶌⱱⱴꝟ", "v"),
    ("ⱳ", "w"),
    ("ᶍꭖꭗꭘꭙ", "x"),
    ("ƴɏỿꭚ", "y"),
    ("ƶȥɀʐʑᵶᶎⱬ", "z"),
];

/// [`PLAIN`] by letter.
static PLAIN_OF: LazyLock<HashMap<char, &str>> = LazyLock::new(|| {
    PLAIN.iter().flat_map(|&(letters, plain)| letters.chars().map(move |letter| (letter, plain))).collect()
});

/// The whole text, folded.
pub(super) fn fold(text: &str) -> String {
    let unmarked: String = text.nfkd().filter(|&c| !is_combining_mark(c)).collect();
    let mut folded = String::new();
    for c in UniCase::unicode(unmarked).to_folded_case().chars() {
        match PLAIN_OF.get(&c) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(c),
        }
    }
    folded
}

/// The folded words of a search.
pub(super) fn words(search: &str) -> BTreeSet<String> {
    fold(search).split_whitespace().map(str::to_owned).collect()
}

/// Whether each word is in one of the texts.
pub(super) fn matches(search: &str, texts: &[&str]) -> bool {
    words(search).iter().all(|word| texts.iter().any(|text| fold(text).contains(word)))
}

/// The bytes of the characters that words were found in. A character folds to what it adds to the text before it, and
/// one that adds nothing belongs to that text's last.
pub(super) fn ranges(search: &str, text: &str) -> Vec<Range<usize>> {
    let folded = fold(text);
    let mut found = vec![false; folded.len()];
    for word in words(search) {
        for start in (0..folded.len()).filter(|&start| folded.as_bytes()[start..].starts_with(word.as_bytes())) {
            found[start..start + word.len()].fill(true);
        }
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let (mut is_found, mut before) = (false, 0);
    for (offset, c) in text.char_indices() {
        let end = offset + c.len_utf8();
        let after = fold(&text[..end]).len();
        if before < after {
            is_found = found[before..after].contains(&true);
            before = after;
        }
        match ranges.last_mut() {
            Some(last) if is_found && last.end == offset => last.end = end,
            _ if is_found => ranges.push(offset..end),
            _ => {}
        }
    }
    ranges
}
