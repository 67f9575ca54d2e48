//! A strict pull parser for JSON (RFC 8259): it returns one value at a time and validates everything that it skips.
//!
//! No byte is parsed twice, and the only state is the stack of open arrays and objects. A number keeps its text,
//! because a float cannot represent every integer. Skipped values are validated like the others: syntax, depth,
//! escapes.

use std::borrow::Cow;

use crate::model::limits::JSON_DEPTH_MAX;

/// The text is not JSON, or its nesting is too deep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The offset of the unexpected byte; the length of the text if the text ends too early.
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// A value, or the start of an array or object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// The text of the literal.
    Number(&'a str),
    String(Text<'a>),
    /// Its bracket was read; [`Reader::next_item`] or [`Reader::skip_rest`] continues.
    Array,
    /// Its brace was read; [`Reader::next_key`] or [`Reader::skip_rest`] continues.
    Object,
}

/// The raw text between the quotes of a string; its escapes are well formed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    is_escaped: bool,
    /// The offset of its opening quote.
    pub(crate) offset: usize,
}

impl<'a> Text<'a> {
    /// The decoded string, borrowed if it has no escapes; `None` if it contains a lone surrogate, which is not Unicode.
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        if !self.is_escaped {
            return Some(Cow::Borrowed(self.raw));
        }
        let mut decoded = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            let (char, after) = unescape(escape)?;
            decoded.push_str(plain);
            decoded.push(char);
            rest = after;
        }
        decoded.push_str(rest);
        Some(Cow::Owned(decoded))
    }
}

/// The character of an escape, and the text after it; `escape` begins after the backslash.
fn unescape(escape: &str) -> Option<(char, &str)> {
    let mut chars = escape.chars();
    let char = match chars.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unescape_utf16(chars.as_str()),
        itself => itself,
    };
    Some((char, chars.as_str()))
}

/// The character of a `\u` escape, or of two that form a surrogate pair, and the text after it.
fn unescape_utf16(digits: &str) -> Option<(char, &str)> {
    let unit = |digits: &str| u16::from_str_radix(digits, 16).ok();
    let (first, after) = digits.split_at_checked(4)?;
    let first = unit(first)?;
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, after));
    }
    let (second, after) = after.strip_prefix("\\u")?.split_at_checked(4)?;
    let char = char::decode_utf16([first, unit(second)?]).next()?.ok()?;
    Some((char, after))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// Parses one text from start to end.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// The offset of the next byte to read.
    offset: usize,
    /// The open arrays and objects, the innermost last.
    open: Vec<Container>,
    /// Whether the innermost container was just opened: no comma precedes its first element.
    is_at_first: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, offset: 0, open: Vec::new(), is_at_first: false }
    }

    /// Reads a value, which must follow.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, SyntaxError> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.open(Container::Object).map(|()| Value::Object),
            Some(b'[') => self.open(Container::Array).map(|()| Value::Array),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.literal("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.literal("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.literal("null").map(|()| Value::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Reads the next key of the innermost object; the caller then reads its value. `None` at the end of the object.
    pub(crate) fn next_key(&mut self) -> Result<Option<Text<'a>>, SyntaxError> {
        if !self.has_next(b'}', "expected ',' or '}'")? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key in double quotes"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.error("expected ':' after the key"));
        }
        self.offset += 1;
        Ok(Some(key))
    }

    /// Whether the innermost array has another item, which the caller then reads.
    pub(crate) fn next_item(&mut self) -> Result<bool, SyntaxError> {
        self.has_next(b']', "expected ',' or ']'")
    }

    /// Reads to the end of the array or object that `value` opened; does nothing for other values.
    pub(crate) fn skip_rest(&mut self, value: Value<'_>) -> Result<(), SyntaxError> {
        let (Value::Array | Value::Object) = value else { return Ok(()) };
        let depth = self.open.len();
        // Without recursion, so that a deeply nested text cannot overflow the caller's stack.
        while let Some(innermost) = self.open.get(depth - 1..).and_then(<[_]>::last) {
            let has_value = match innermost {
                Container::Array => self.next_item()?,
                Container::Object => self.next_key()?.is_some(),
            };
            if has_value {
                self.value()?;
            }
        }
        Ok(())
    }

    /// Checks that only white space follows.
    pub(crate) fn finish(mut self) -> Result<(), SyntaxError> {
        if self.peek().is_some() { Err(self.error("text after the end of the JSON")) } else { Ok(()) }
    }

    /// Skips white space and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.offset += 1,
                byte => return byte,
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    /// An error at the next byte.
    fn error(&self, reason: &'static str) -> SyntaxError {
        let reason = if self.offset == self.text.len() { "unexpected end" } else { reason };
        SyntaxError { offset: self.offset, reason }
    }

    fn open(&mut self, container: Container) -> Result<(), SyntaxError> {
        if self.open.len() == JSON_DEPTH_MAX {
            return Err(self.error("nesting too deep"));
        }
        self.offset += 1;
        self.open.push(container);
        self.is_at_first = true;
        Ok(())
    }

    /// Moves to the next element of the innermost container; at its end, reads the closing byte and returns false.
    fn has_next(&mut self, end: u8, otherwise: &'static str) -> Result<bool, SyntaxError> {
        let is_at_first = std::mem::take(&mut self.is_at_first);
        match self.peek() {
            Some(byte) if byte == end => {
                self.offset += 1;
                self.open.pop();
                Ok(false)
            }
            _ if is_at_first => Ok(true),
            Some(b',') => {
                self.offset += 1;
                if self.peek() == Some(end) { Err(self.error("trailing comma")) } else { Ok(true) }
            }
            _ => Err(self.error(otherwise)),
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), SyntaxError> {
        if !self.rest().starts_with(literal.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.offset += literal.len();
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.offset..).unwrap_or_default()
    }

    fn string(&mut self) -> Result<Text<'a>, SyntaxError> {
        let offset = self.offset;
        let mut is_escaped = false;
        self.offset += 1;
        loop {
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
            self.offset += self.rest().iter().position(is_special).unwrap_or(self.rest().len());
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.error("unescaped control character in a string")),
            }
        }
        self.offset += 1;
        // Both quotes are one byte long.
        let raw = self.text.get(offset + 1..self.offset - 1).unwrap_or_default();
        Ok(Text { raw, is_escaped, offset })
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        self.offset += 1;
        let digits = match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(self.error("invalid escape in a string")),
        };
        self.offset += 1;
        for _ in 0..digits {
            if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.error("invalid escape in a string"));
            }
            self.offset += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.offset;
        self.skip_one(b"-");
        if self.skip_one(b"0") {
            if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(self.error("leading zero in a number"));
            }
        } else {
            self.digits()?;
        }
        if self.skip_one(b".") {
            self.digits()?;
        }
        if self.skip_one(b"eE") {
            self.skip_one(b"+-");
            self.digits()?;
        }
        Ok(self.text.get(start..self.offset).unwrap_or_default())
    }

    /// Reads the next byte if it is one of these; whether it was.
    fn skip_one(&mut self, bytes: &[u8]) -> bool {
        let is_one = self.byte().is_some_and(|byte| bytes.contains(&byte));
        self.offset += usize::from(is_one);
        is_one
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.offset += count;
        if count == 0 { Err(self.error("expected a digit")) } else { Ok(()) }
    }
}
