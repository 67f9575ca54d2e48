//! Reading the columns of a row: an unexpected value is damage, and is never converted or replaced by a default.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::functions::Context;
use rusqlite::types::ValueRef;

use crate::model::limits::DESCRIPTION_MAX;
use crate::model::time;
use crate::sqlite::failure::UnexpectedValue;

/// The length of the longest text that is ever written: a code point has at most four bytes.
const TEXT_MAX_BYTES: usize = 4 * DESCRIPTION_MAX;

/// A time, and its stored number.
#[derive(Clone, Copy)]
pub(in crate::sqlite) struct StoredTime {
    micros: i64,
    pub(in crate::sqlite) time: DateTime<Utc>,
}

/// A source of the columns of a row.
pub(in crate::sqlite) trait HasColumns {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, UnexpectedValue>;
}

impl HasColumns for Row<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, UnexpectedValue> {
        self.get_ref(column).map_err(|_| UnexpectedValue)
    }
}

/// The arguments of a function that SQLite calls with the columns.
impl HasColumns for Context<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, UnexpectedValue> {
        if column < self.len() { Ok(self.get_raw(column)) } else { Err(UnexpectedValue) }
    }
}

/// A row that is being read.
pub(in crate::sqlite) struct Columns<'a, S = Row<'a>>(pub(in crate::sqlite) &'a S);

impl<'a, S: HasColumns> Columns<'a, S> {
    fn value(&self, column: usize) -> Result<ValueRef<'a>, UnexpectedValue> {
        self.0.value(column)
    }

    pub(in crate::sqlite) fn is_null(&self, column: usize) -> bool {
        matches!(self.value(column), Ok(ValueRef::Null))
    }

    pub(in crate::sqlite) fn integer(&self, column: usize) -> Result<i64, UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Integer(integer) => Ok(integer),
            _ => Err(UnexpectedValue),
        }
    }

    pub(in crate::sqlite) fn optional_integer(&self, column: usize) -> Result<Option<i64>, UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(integer) => Ok(Some(integer)),
            _ => Err(UnexpectedValue),
        }
    }

    pub(in crate::sqlite) fn id<T: From<uuid::Uuid>>(&self, column: usize) -> Result<T, UnexpectedValue> {
        self.optional_id(column)?.ok_or(UnexpectedValue)
    }

    pub(in crate::sqlite) fn optional_id<T: From<uuid::Uuid>>(
        &self,
        column: usize,
    ) -> Result<Option<T>, UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => {
                uuid::Uuid::from_slice(bytes).map(|uuid| Some(uuid.into())).map_err(|_| UnexpectedValue)
            }
            _ => Err(UnexpectedValue),
        }
    }

    pub(in crate::sqlite) fn text(&self, column: usize) -> Result<String, UnexpectedValue> {
        self.optional_text(column)?.ok_or(UnexpectedValue)
    }

    pub(in crate::sqlite) fn optional_text(&self, column: usize) -> Result<Option<String>, UnexpectedValue> {
        match self.optional_json(column)? {
            Some(text) if text.len() > TEXT_MAX_BYTES => Err(UnexpectedValue),
            text => Ok(text.map(str::to_owned)),
        }
    }

    /// The bytes of a text, borrowed from the row. The caller checks that they are UTF-8.
    pub(in crate::sqlite) fn optional_text_bytes(&self, column: usize) -> Result<Option<&'a [u8]>, UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) if bytes.len() <= TEXT_MAX_BYTES => Ok(Some(bytes)),
            _ => Err(UnexpectedValue),
        }
    }

    /// Bytes of any number that are borrowed from the row.
    pub(in crate::sqlite) fn bytes(&self, column: usize) -> Result<&'a [u8], UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(UnexpectedValue),
        }
    }

    /// A text of any length that is borrowed from the row.
    pub(in crate::sqlite) fn optional_json(&self, column: usize) -> Result<Option<&'a str>, UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| UnexpectedValue),
            _ => Err(UnexpectedValue),
        }
    }

    pub(in crate::sqlite) fn time(&self, column: usize) -> Result<StoredTime, UnexpectedValue> {
        let micros = self.integer(column)?;
        Ok(StoredTime { micros, time: time::from_micros(micros).ok_or(UnexpectedValue)? })
    }

    /// A time that usually equals `likely`: comparing two numbers is cheaper than computing a date.
    pub(in crate::sqlite) fn time_likely(
        &self,
        column: usize,
        likely: Option<StoredTime>,
    ) -> Result<StoredTime, UnexpectedValue> {
        match likely {
            Some(likely) if self.integer(column)? == likely.micros => Ok(likely),
            _ => self.time(column),
        }
    }

    pub(in crate::sqlite) fn optional_time(&self, column: usize) -> Result<Option<DateTime<Utc>>, UnexpectedValue> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(micros) => time::from_micros(micros).map(Some).ok_or(UnexpectedValue),
            _ => Err(UnexpectedValue),
        }
    }
}
