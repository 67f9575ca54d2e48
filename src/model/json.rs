//! A strict reader of JSON (RFC 8259): it hands out one value at a time and checks all that it passes over.
//!
//! Nothing is read twice and nothing is kept but the brackets that are open. A number keeps its text, since a float would
//! lose which integer was written. Whatever is skipped is checked as if it were read: syntax, depth, escapes.

use std::borrow::Cow;

use super::limits::JSON_DEPTH_MAX;

/// The text is no JSON, as far as this crate reads JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The byte that cannot stand where it does; the length of the text if it ends too early.
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// A value, or the start of one that holds others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// The text of the literal.
    Number(&'a str),
    String(Text<'a>),
    /// Its bracket was read; [`Reader::next_item`] or [`Reader::skip_rest`] goes on.
    Array,
    /// Its brace was read; [`Reader::next_key`] or [`Reader::skip_rest`] goes on.
    Object,
}

/// A string as it stands between its quotes, with escapes that are well formed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    is_escaped: bool,
    /// The byte of its opening quote.
    pub(crate) offset: usize,
}

impl<'a> Text<'a> {
    /// What the string says, borrowed where it has no escapes; `None` if one half of a surrogate pair stands alone in it,
    /// which is no Unicode.
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        if !self.is_escaped {
            return Some(Cow::Borrowed(self.raw));
        }
        let mut decoded = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            let (char, behind) = unescape(escape)?;
            decoded.push_str(plain);
            decoded.push(char);
            rest = behind;
        }
        decoded.push_str(rest);
        Some(Cow::Owned(decoded))
    }
}

/// The character that an escape stands for, and what follows; `escape` begins behind the backslash.
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

/// The character of four hexadecimal digits, or of two such escapes that are a surrogate pair.
fn unescape_utf16(digits: &str) -> Option<(char, &str)> {
    let unit = |digits: &str| u16::from_str_radix(digits, 16).ok();
    let (first, behind) = digits.split_at_checked(4)?;
    let first = unit(first)?;
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, behind));
    }
    let (second, behind) = behind.strip_prefix("\\u")?.split_at_checked(4)?;
    let char = char::decode_utf16([first, unit(second)?]).next()?.ok()?;
    Some((char, behind))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// Reads one text from its start to its end.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// The byte that is read next.
    offset: usize,
    /// What is open, the innermost last.
    open: Vec<Container>,
    /// Whether the innermost was opened by what was read last: no comma stands before its first element.
    is_at_first: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, offset: 0, open: Vec::new(), is_at_first: false }
    }

    /// The next value, where one must stand.
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

    /// The next key of the innermost object, whose value is to be read next; `None` at the end of the object.
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

    /// Whether the innermost array has another item, which is to be read next.
    pub(crate) fn next_item(&mut self) -> Result<bool, SyntaxError> {
        self.has_next(b']', "expected ',' or ']'")
    }

    /// Reads to the end of the array or object that `value` opened, and nothing if it is another value.
    pub(crate) fn skip_rest(&mut self, value: Value<'_>) -> Result<(), SyntaxError> {
        let (Value::Array | Value::Object) = value else { return Ok(()) };
        let depth = self.open.len();
        // Not by recursion: the depth of the text is not the caller's stack.
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

    /// Checks that nothing but white space follows.
    pub(crate) fn finish(mut self) -> Result<(), SyntaxError> {
        if self.peek().is_some() { Err(self.error("text behind the end of the JSON")) } else { Ok(()) }
    }

    /// The next byte that is no white space.
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

    /// The byte that is read next cannot stand there.
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

    /// Reads up to the next element of what is innermost, or over its end.
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
                return Err(self.error("a number with a zero before it"));
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

    /// Whether the next byte is one of these; it is then read.
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
