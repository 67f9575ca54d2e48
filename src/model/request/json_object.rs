//! Reading a JSON object field by field, and collecting its unexpected keys.

use std::borrow::Cow;
use std::collections::HashSet;

use super::json::{Reader, SyntaxError, Text, Value};
use super::rule::Rule;
use super::violation::Segment;
use super::violations_builder::ViolationsBuilder;
use crate::model::limits::VIOLATIONS_MAX;

/// A field of an object: absent until its key was read, then its value or the rule that the value breaks.
pub(crate) struct Field<T, E = Rule> {
    key: &'static str,
    outcome: Option<Result<T, E>>,
}

impl<T, E> Field<T, E> {
    pub(crate) fn new(key: &'static str) -> Self {
        Self { key, outcome: None }
    }

    pub(crate) fn into_outcome(self) -> Option<Result<T, E>> {
        self.outcome
    }
}

impl<T> Field<T> {
    /// The value; adds a violation if it breaks a rule or is absent.
    pub(crate) fn required(self, violations: &mut ViolationsBuilder) -> Option<T> {
        violations.field(self.key, self.outcome.unwrap_or(Err(Rule::Missing)))
    }

    /// The value, `default` if it is absent; adds a violation if it breaks a rule.
    pub(crate) fn optional(self, default: T, violations: &mut ViolationsBuilder) -> Option<T> {
        violations.field(self.key, self.outcome.unwrap_or(Ok(default)))
    }

    /// The value, `None` if it is absent; adds a violation if it breaks a rule.
    pub(crate) fn given(self, violations: &mut ViolationsBuilder) -> Option<T> {
        violations.field(self.key, self.outcome?)
    }
}

/// Reads one object; its opening brace was read before.
pub(crate) struct ObjectReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    unexpected: UnexpectedKeys<'a>,
}

impl<'r, 'a> ObjectReader<'r, 'a> {
    pub(crate) fn new(reader: &'r mut Reader<'a>) -> Self {
        Self { reader, unexpected: UnexpectedKeys::default() }
    }

    /// Reads the next key; the caller then reads its value. `None` at the end of the object.
    pub(crate) fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, SyntaxError> {
        let Some(key) = self.reader.next_key()? else { return Ok(None) };
        decode(key).map(Some)
    }

    /// Reads the value of `field`, a scalar, with `read`.
    #[inline]
    pub(crate) fn field<T>(
        &mut self,
        field: &mut Field<T>,
        read: fn(Value<'_>) -> Result<T, Rule>,
    ) -> Result<(), SyntaxError> {
        self.field_with(field, |reader| {
            let value = reader.value()?;
            reader.skip_rest(value)?;
            Ok(read(value))
        })
    }

    /// Reads the value of `field` with `read`.
    ///
    /// Of a repeated key the server uses only the last value. All values are validated here, so that whatever the
    /// server rejects is rejected with the same code; the violation of the field is the first one found.
    #[inline]
    pub(crate) fn field_with<T, E>(
        &mut self,
        field: &mut Field<T, E>,
        read: impl FnOnce(&mut Reader<'a>) -> Result<Result<T, E>, SyntaxError>,
    ) -> Result<(), SyntaxError> {
        let outcome = read(self.reader)?;
        if field.outcome.is_some() {
            self.unexpected.add_duplicate(Cow::Borrowed(field.key));
        }
        if field.outcome.is_none() || matches!((&field.outcome, &outcome), (Some(Ok(_)), Err(_))) {
            field.outcome = Some(outcome);
        }
        Ok(())
    }

    /// Skips the value of `key` if it is one of these fields, which are known but not read; whether it is.
    pub(crate) fn ignored(&mut self, fields: &mut [Field<()>], key: &str) -> Result<bool, SyntaxError> {
        let Some(field) = fields.iter_mut().find(|field| field.key == key) else { return Ok(false) };
        self.field(field, |_| Ok(())).map(|()| true)
    }

    /// Records an unknown key and skips its value.
    pub(crate) fn unexpected(&mut self, key: Cow<'a, str>) -> Result<(), SyntaxError> {
        let value = self.reader.value()?;
        self.unexpected.add_unknown(key);
        self.reader.skip_rest(value)
    }

    /// Adds the unexpected keys in the order of the input, after the violations of the fields, as the server does.
    pub(crate) fn finish(self, violations: &mut ViolationsBuilder) {
        self.unexpected.add_to(violations);
    }
}

/// Decodes a key, or a string where no string is allowed: a lone surrogate there makes the body invalid JSON.
pub(crate) fn decode(text: Text<'_>) -> Result<Cow<'_, str>, SyntaxError> {
    text.decode().ok_or(SyntaxError { offset: text.offset, reason: "lone surrogate in a string" })
}

/// The unknown and repeated keys of an object.
///
/// At most [`VIOLATIONS_MAX`] are kept; further ones are only counted.
#[derive(Default)]
struct UnexpectedKeys<'a> {
    kept: Vec<(Cow<'a, str>, Rule)>,
    unknown: HashSet<Cow<'a, str>>,
    omitted: usize,
}

impl<'a> UnexpectedKeys<'a> {
    fn add_unknown(&mut self, key: Cow<'a, str>) {
        if self.has_room() {
            let is_new = self.unknown.insert(key.clone());
            self.kept.push((key, if is_new { Rule::ExtraForbidden } else { Rule::DuplicateKey }));
        }
    }

    fn add_duplicate(&mut self, key: Cow<'a, str>) {
        if self.has_room() {
            self.kept.push((key, Rule::DuplicateKey));
        }
    }

    /// Whether another key can be kept; if not, counts it.
    fn has_room(&mut self) -> bool {
        let has_room = self.kept.len() < VIOLATIONS_MAX;
        self.omitted += usize::from(!has_room);
        has_room
    }

    fn add_to(self, violations: &mut ViolationsBuilder) {
        // Frees the second copy of keys that have escapes before the paths are built.
        drop(self.unknown);
        for (key, rule) in self.kept {
            violations.add_at(Segment::Key(Cow::Owned(key.into_owned())), rule);
        }
        violations.omit(self.omitted);
    }
}
