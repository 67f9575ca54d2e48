//! The CHECKs of texts, which compare a text with its beginning, refuse exactly what is too long or has U+0000.

use kpi_store::limits::{DESCRIPTION_MAX, NAME_MAX, NAME_MIN, UNIT_MAX};
use rusqlite::ffi::SQLITE_CONSTRAINT_CHECK;

use super::{insert, store_with_one_dataset};
use crate::support::Random;

/// The columns with the lengths that they allow.
const COLUMNS: [(&str, &str, usize, usize); 6] = [
    ("dataset", "name", NAME_MIN, NAME_MAX),
    ("dataset", "description", 0, DESCRIPTION_MAX),
    ("kpi", "name", NAME_MIN, NAME_MAX),
    ("kpi", "description", 0, DESCRIPTION_MAX),
    ("kpi", "unit", 0, UNIT_MAX),
    ("organization_property", "key", NAME_MIN, NAME_MAX),
];

/// Of one to four bytes, among them one that combines with the one before, the largest, and those beside U+0000.
const CHARACTERS: [char; 10] = ['a', ' ', '\u{1}', '\u{7f}', '\u{80}', 'é', '\u{301}', '€', '🌊', '\u{10ffff}'];

/// Bytes that are no UTF-8, alone or after each other: the start of a sequence, its continuation, and others.
const BYTES: [u8; 8] = [b'a', 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xfe, 0xff];

#[test]
fn a_text_is_refused_exactly_if_it_is_too_long_or_too_short_or_has_the_character_nul() {
    const SEED: u64 = 19;
    let (_place, plain) = store_with_one_dataset();
    let mut random = Random::new(SEED);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..600 {
        let (table, column, min, max) = COLUMNS[round % COLUMNS.len()];
        // Around the limits, and up to four times as long as the largest, which is its length in bytes.
        let length = match random.below(4) {
            0 => random.below(4),
            1 => random.below(4 * max + 2),
            _ => max - 1 + random.below(3),
        };
        let mut text: String = (0..length).map(|_| CHARACTERS[random.below(CHARACTERS.len())]).collect();
        let has_nul = random.percent(30);
        if has_nul {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
            text.insert(places[random.below(places.len())], '\0');
        }
        let is_allowed = !has_nul && (min..=max).contains(&length);
        let expected = if is_allowed { Ok(()) } else { Err(SQLITE_CONSTRAINT_CHECK) };
        let what = format!("seed {SEED}, round {round}: {table}.{column}, {length} code points, U+0000: {has_nul}");
        assert_eq!(insert(&plain, table, &[(column, &cast(text.as_bytes()))]), expected, "{what}");
        if is_allowed { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} {refused}");
}

/// Other tools may write texts that are no UTF-8; this crate returns none.
#[test]
fn a_text_that_is_no_utf_8_is_measured_as_the_function_length_does() {
    const SEED: u64 = 20;
    let (_place, plain) = store_with_one_dataset();
    let mut random = Random::new(SEED);
    for round in 0..600 {
        let (table, column, min, max) = COLUMNS[round % COLUMNS.len()];
        let bytes: Vec<u8> = (0..random.below(3 * max)).map(|_| BYTES[random.below(BYTES.len())]).collect();
        let text = cast(&bytes);
        let sql = format!("SELECT length({text})");
        let length = plain.query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
        let expected = if (min..=max).contains(&length) { Ok(()) } else { Err(SQLITE_CONSTRAINT_CHECK) };
        let what = format!("seed {SEED}, round {round}: {table}.{column}, length {length}");
        assert_eq!(insert(&plain, table, &[(column, &text)]), expected, "{what}");
    }
}

/// The text of these bytes, as an expression.
fn cast(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits: String = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect();
    format!("CAST(x'{digits}' AS TEXT)")
}
