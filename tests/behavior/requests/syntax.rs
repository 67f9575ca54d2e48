//! Bodies that are no JSON, too deep or very large: refused where they break, in time, with the stack left whole.

use std::time::{Duration, Instant};

use kpi_store::{NewDataset, Segment, Violations};

use super::codes;

/// Bodies in which `¦` marks the character that cannot stand there.
const BROKEN: [&str; 26] = [
    "¦\u{feff}{\"name\":\"Water\"}",
    "¦\u{feff}",
    "¦\u{a0}{\"name\":\"Water\"}",
    "¦x=Water",
    "¦// {}",
    "¦NaN",
    "{\"name\":\"Water\"}¦x",
    "{\"name\":\"水🌊é\"} ¦{\"name\":\"Water\"}",
    "{\n\"name\":\"水\"\n}\n\n ¦// end",
    "{\"name\":\"水\"¦// end\n}",
    "{\"name\":\"水🌊é\",¦}",
    "{\"name\":\"水\" ¦\"kpis\":[]}",
    "{\"name\" ¦\"水\"}",
    "{¦'name':1}",
    "{\"é\":\n\n¦}",
    "{\"é\":1\n, \"name\":¦NaN}",
    "{\"é\":[1,¦Infinity]}",
    "{\"é\":¦+1}",
    "{\"kpis\":[{\"name\":\"é\",\n\"unit\":\"水\",¦}]}",
    "{\"kpis\":[{\"name\":\"é\"},\n{\"é\":1} ¦\"x\"]}",
    "{\"kpis\":[{\"name\":\"é\",\r\n\"unit\":\"水\"},¦]}",
    "{\"kpis\":[{\"é\":{\"é\":[\n\n1 ¦2]}}]}",
    "[¦\u{feff}]",
    "[1,\n\n\n\"水\" ¦2]",
    "\"水\"¦\"",
    "{\"é\":\"水\\¦x\"}",
];

#[test]
fn names_the_character_at_which_broken_json_breaks() {
    for marked in BROKEN {
        let (before, after) = marked.split_once('¦').unwrap();
        let violations = NewDataset::from_json(format!("{before}{after}")).unwrap_err();
        assert_json_invalid(&violations, before.chars().count(), marked);
    }
}

/// Bodies that end too early, hold a control character in a text, or a word that is no literal; `¦` as above, which is
/// where the stored answers of the server have it.
const BROKEN_WHERE_THE_PARSER_HAS_READ_ON: [&str; 12] = [
    "  ¦",
    "\n¦",
    "{¦",
    "{\"name\":¦",
    "{\"name\":\"水\"¦",
    "{\"name\":\"水\",\"kpis\":[¦",
    "{\"name\":\"水¦\t\"}",
    "{\"name\":\"水¦\n\"}",
    "{\"name\":\"水¦\0\"}",
    "¦name=Water",
    "{\"name\":¦nan}",
    "{\"name\":¦tru}",
];

#[test]
fn names_the_place_at_which_the_server_sees_json_break() {
    let mut wrong = Vec::new();
    for marked in BROKEN_WHERE_THE_PARSER_HAS_READ_ON {
        let (before, after) = marked.split_once('¦').unwrap();
        let violations = NewDataset::from_json(format!("{before}{after}")).unwrap_err();
        let loc = violations.iter().next().unwrap().loc();
        if loc != [Segment::Key("body".into()), Segment::Index(before.chars().count())] {
            wrong.push(format!("{marked:?}: {loc:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn refuses_invalid_utf_8_at_any_position() {
    // Latin-1, an overlong slash, half a character, a surrogate, a code point beyond the last.
    for wrong in [&b"\xe9"[..], b"\xc0\xaf", b"\xe6\xb0", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        for before in
            ["{\"name\":\"水", "{\"name\":\"水\",\"x\":\"", "{\"name\":\"水\",\"", "{\"name\":\"水\",\"x\":[\n\"", ""]
        {
            let body = [before.as_bytes(), wrong, b"\"}"].concat();
            assert_json_invalid(&NewDataset::from_json(body).unwrap_err(), before.chars().count(), before);
        }
    }
    let utf16 = |order: fn(u16) -> [u8; 2]| "{\"name\":\"Water\"}".encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
    assert_json_invalid(&NewDataset::from_json([b"\xff\xfe", &*little].concat()).unwrap_err(), 0, "with a mark");
    assert_json_invalid(&NewDataset::from_json([b"\xfe\xff", &*big].concat()).unwrap_err(), 0, "with a mark");
    assert_json_invalid(&NewDataset::from_json(little).unwrap_err(), 1, "the NUL after the brace");
    assert_json_invalid(&NewDataset::from_json(big).unwrap_err(), 0, "the NUL before the brace");
}

#[test]
fn accepts_a_depth_of_a_hundred_and_refuses_one_more_at_its_bracket() {
    let nested = |before: &str, levels: usize, after: &str| {
        NewDataset::from_json(format!("{before}{}{}{after}", "[".repeat(levels), "]".repeat(levels)))
    };
    // The text before, the levels that it opens, the text after, and the answer where the depth is allowed.
    let table = [
        ("{\"name\":\"水\",\"x\":", 1, "}", "extra_forbidden"),
        ("{\"name\":\"水\",\"description\":", 1, "}", "string_type"),
        ("{\"name\":\"水\",\"kpis\":[{\"name\":\"é\",\n\"sort_order\":", 3, "}]}", "int_type"),
        ("{\"name\":\"水\",\"kpis\":[1,", 2, "]}", "model_attributes_type"),
        ("", 0, "", "model_attributes_type"),
    ];
    for (before, levels, after, code) in table {
        let allowed = nested(before, 100 - levels, after).unwrap_err();
        assert!(codes(&allowed).iter().all(|found| *found == code), "{before}: {allowed}");
        let refused = nested(before, 101 - levels, after).unwrap_err();
        assert_json_invalid(&refused, before.chars().count() + 100 - levels, before);
    }
    // Those that close in a text close nothing.
    for (text, opens) in [("\"]\",", "["), ("\"}\":", "{")] {
        let levels = format!("{opens}{text}").repeat(101);
        let refused = NewDataset::from_json(&levels).unwrap_err();
        assert_json_invalid(&refused, 100 * (1 + text.len()), text);
    }
    // Brackets in a text nest nothing, whatever quotes and backslashes stand before them.
    for text in [r#""[[["#, r#""\"[[["#, r#""\\\"{{{"#] {
        let body = format!(r#"{{"name":"Water","a":"\\","x":{}"}}"#, text.replace("[[[", &"[".repeat(1_000)));
        assert_eq!(codes(&NewDataset::from_json(body).unwrap_err()), ["extra_forbidden"; 2]);
    }
}

#[test]
fn refuses_bottomless_nesting_on_a_small_stack() {
    let befores =
        ["", "{\"x\":", "{\"name\":", "{\"kpis\":", "{\"kpis\":[{\"name\":", "{\"name\":\"Water\",\"kpis\":[{\"x\":"];
    let check = move || {
        for before in befores {
            for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("[", ""), ("{\"a\":", "")] {
                let body = format!("{before}{}1{}", open.repeat(100_000), close.repeat(100_000));
                assert_eq!(codes(&NewDataset::from_json(body).unwrap_err()), ["json_invalid"], "{before}{open}");
            }
        }
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(check).unwrap().join().unwrap();
}

#[test]
fn takes_megabytes_of_white_space_and_refuses_megabytes_of_text() {
    let megabytes = 10 << 20;
    let space = "\n \t\r".repeat(megabytes / 12);
    let padded = format!("{space}{{\"name\":{space}\"Water\"}}{space}");
    assert_eq!(NewDataset::from_json(padded), Ok(NewDataset::new("Water")));

    let long = "é".repeat(megabytes / 2);
    let refused = |body: String| codes(&NewDataset::from_json(body).unwrap_err());
    assert_eq!(refused(format!("{{\"name\":\"{long}\"}}")), ["string_too_long"]);
    assert_eq!(refused(format!("{{\"name\":\"Water\",\"x\":\"{long}\"}}")), ["extra_forbidden"]);
    assert_eq!(refused(format!("{{\"name\":\"Water\",\"{long}\":1}}")), ["extra_forbidden"]);
    let item = "{\"name\":\"Withdrawal\"}";
    let kpis = vec![item; megabytes / item.len()].join(",");
    assert_eq!(refused(format!("{{\"name\":\"Water\",\"kpis\":[{kpis}]}}")), ["too_long"]);
}

#[test]
fn reads_a_hundred_thousand_keys_in_linear_time() {
    let keys = |key: fn(usize) -> String| {
        (0..100_000).map(|index| format!(",\"{}\":1", key(index))).collect::<Vec<_>>().concat()
    };
    // Looking each key up among all the others would take minutes.
    let in_time = |entries: &str, code: &str| {
        let begun = Instant::now();
        let bodies = [
            format!("{{\"name\":\"Water\"{entries}}}"),
            format!("{{\"name\":\"Water\",\"kpis\":[{{\"name\":\"Withdrawal\"{entries}}}]}}"),
        ];
        for body in bodies {
            let violations = NewDataset::from_json(body).unwrap_err();
            assert!(violations.total() >= 100_000, "{code}: {}", violations.total());
            let found = codes(&violations);
            assert!(found[1..].iter().all(|found| *found == code), "{code}: {found:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{code}: {:?}", begun.elapsed());
    };
    in_time(&keys(|index| format!("key {index}")), "extra_forbidden");
    in_time(&keys(|_| "key".to_owned()), "duplicate_key");
    in_time(&keys(|_| "name".to_owned()), "duplicate_key");
}

#[test]
fn invalid_json_is_named_with_line_column_and_reason() {
    let table = [
        ("{\"name\":\"水\",}", "trailing comma at line 1, column 13"),
        ("{\n\"name\":\"水\"\n}\n\n // end", "text after the end of the JSON at line 5, column 2"),
        ("{\"é\":\r\n\r\n\"水\" 1}", "expected ',' or '}' at line 3, column 5"),
        ("[1,\n 2", "unexpected end at line 2, column 3"),
        ("[1 2]", "expected ',' or ']' at line 1, column 4"),
        ("  ", "unexpected end at line 1, column 3"),
        ("{a:1}", "expected a key in double quotes at line 1, column 2"),
        ("{\"a\" 1}", "expected ':' after the key at line 1, column 6"),
        ("[nul]", "expected a value at line 1, column 2"),
        ("[01]", "leading zero in a number at line 1, column 3"),
        ("[1.]", "expected a digit at line 1, column 4"),
        ("[\"a\nb\"]", "unescaped control character in a string at line 1, column 4"),
        ("[\"\\u12x4\"]", "invalid escape in a string at line 1, column 7"),
        ("\n\"\\ud800\"", "lone surrogate in a string at line 2, column 1"),
    ];
    for (body, reason) in table {
        let violations = NewDataset::from_json(body).unwrap_err();
        assert_eq!(violations.to_string(), format!("JSON decode error: {reason}"), "{body:?}");
    }
    let too_deep = NewDataset::from_json("[\n".repeat(101)).unwrap_err();
    assert_eq!(too_deep.to_string(), "JSON decode error: nesting too deep at line 101, column 1");
    let no_utf8 = NewDataset::from_json(b"{\n\"\xff").unwrap_err();
    assert_eq!(no_utf8.to_string(), "JSON decode error: invalid UTF-8 at line 2, column 2");
}

#[test]
fn names_the_encoding_of_a_byte_order_mark() {
    let table: [(&[u8], &str); 5] = [
        (b"\xef\xbb\xbf{}", "UTF-8"),
        (b"\xff\xfe{\0}\0", "UTF-16"),
        (b"\xfe\xff\0{\0}", "UTF-16"),
        (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
        (b"\0\0\xfe\xff\0\0\0{", "UTF-32"),
    ];
    for (body, encoding) in table {
        let violations = NewDataset::from_json(body).unwrap_err();
        assert_json_invalid(&violations, 0, encoding);
        let message = violations.to_string();
        let mark = format!("JSON decode error: a {encoding} byte order mark;");
        assert!(message.starts_with(&mark) && message.ends_with(" at line 1, column 1"), "{message}");
    }
}

#[test]
fn takes_an_empty_body_for_none_and_white_space_for_broken_json() {
    let violations = NewDataset::from_json("").unwrap_err();
    assert_eq!(codes(&violations), ["missing"]);
    assert_eq!(violations.as_slice()[0].loc(), [Segment::Key("body".into())]);
    for space in [" ", "\n", "\t\r\n "] {
        assert_json_invalid(&NewDataset::from_json(space).unwrap_err(), space.len(), space);
    }
}

fn assert_json_invalid(violations: &Violations, offset: usize, about: &str) {
    assert_eq!(codes(violations), ["json_invalid"], "{about:?}");
    let loc = violations.iter().next().unwrap().loc();
    assert_eq!(loc, [Segment::Key("body".into()), Segment::Index(offset)], "{about:?}: {violations}");
}
