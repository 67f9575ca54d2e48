//! Letters that look like a plain one with a stroke, hook or tail, but have no decomposition in Unicode.

/// The plain letters for a folded one, if it has no decomposition that leads to them.
///
/// These are the letters of the Basic Multilingual Plane whose name is `LATIN SMALL LETTER <letter> WITH ...` and that
/// do not decompose, `LONG S` being an s, and of those without such a name the ones that alphabets in use have: ae, oe,
/// eth, thorn, eng, kra, dotless i and j, barred o and u. Capitals are small letters by now.
pub(super) fn plain(folded: char) -> Option<&'static str> {
    let letters = match folded {
        'ᶏ' | 'ⱥ' => "a",
        'æ' => "ae",
        'ƀ' | 'ƃ' | 'ɓ' | 'ᵬ' | 'ᶀ' | 'ꞗ' => "b",
        'ƈ' | 'ȼ' | 'ɕ' | 'ꞓ' | 'ꞔ' => "c",
        'ð' | 'đ' | 'ƌ' | 'ȡ' | 'ɖ' | 'ɗ' | 'ᵭ' | 'ᶁ' | 'ᶑ' | 'ꟈ' => "d",
        'ɇ' | 'ᶒ' | 'ⱸ' | 'ꬴ' => "e",
        'ƒ' | 'ᵮ' | 'ᶂ' | 'ꞙ' => "f",
        'ǥ' | 'ɠ' | 'ᶃ' | 'ꞡ' => "g",
        'ħ' | 'ɦ' | 'ⱨ' | 'ꞕ' => "h",
        'ı' | 'ɨ' | 'ᶖ' => "i",
        'ȷ' | 'ɉ' | 'ʝ' => "j",
        'ƙ' | 'ᶄ' | 'ⱪ' | 'ꝁ' | 'ꝃ' | 'ꝅ' | 'ꞣ' => "k",
        'ł' | 'ƚ' | 'ȴ' | 'ɫ' | 'ɬ' | 'ɭ' | 'ᶅ' | 'ⱡ' | 'ꝉ' | 'ꞎ' | 'ꬷ' | 'ꬸ' | 'ꬹ' => "l",
        'ɱ' | 'ᵯ' | 'ᶆ' | 'ꬺ' => "m",
        'ŋ' | 'ƞ' | 'ȵ' | 'ɲ' | 'ɳ' | 'ᵰ' | 'ᶇ' | 'ꞑ' | 'ꞥ' | 'ꬻ' => "n",
        'ø' | 'ɵ' | 'ⱺ' | 'ꝋ' | 'ꝍ' => "o",
        'œ' => "oe",
        'ƥ' | 'ᵱ' | 'ᵽ' | 'ᶈ' | 'ꝑ' | 'ꝓ' | 'ꝕ' => "p",
        'ĸ' | 'ɋ' | 'ʠ' | 'ꝗ' | 'ꝙ' => "q",
        'ɍ' | 'ɼ' | 'ɽ' | 'ɾ' | 'ᵲ' | 'ᵳ' | 'ᶉ' | 'ꞧ' | 'ꭉ' => "r",
        'ȿ' | 'ʂ' | 'ᵴ' | 'ᶊ' | 'ẜ' | 'ẝ' | 'ꞩ' | 'ꟊ' | 'ꟍ' => "s",
        'ŧ' | 'ƫ' | 'ƭ' | 'ȶ' | 'ʈ' | 'ᵵ' | 'ⱦ' => "t",
        'þ' => "th",
        'ʉ' | 'ᶙ' | 'ꞹ' | 'ꭎ' | 'ꭒ' => "u",
        'ʋ' | 'ᶌ' | 'ⱱ' | 'ⱴ' | 'ꝟ' => "v",
        'ⱳ' => "w",
        'ᶍ' | 'ꭖ' | 'ꭗ' | 'ꭘ' | 'ꭙ' => "x",
        'ƴ' | 'ɏ' | 'ỿ' | 'ꭚ' => "y",
        'ƶ' | 'ȥ' | 'ɀ' | 'ʐ' | 'ʑ' | 'ᵶ' | 'ᶎ' | 'ⱬ' => "z",
        _ => return None,
    };
    Some(letters)
}
