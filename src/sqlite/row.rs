//! The columns of a row, borrowed, and checked as they are read: what does not fit is damage, never a guess.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::error::Error;
use crate::model::limits::DESCRIPTION_MAX;
use crate::model::time;

/// The longest text that is ever written: a code point is at most four bytes.
const TEXT_MAX_BYTES: usize = 4 * DESCRIPTION_MAX;

/// A row that is being read.
pub(super) struct Columns<'a>(pub(super) &'a Row<'a>);

impl<'a> Columns<'a> {
    fn value(&self, column: usize) -> Result<ValueRef<'a>, Error> {
        self.0.get_ref(column).map_err(|_| unfit())
    }

    pub(super) fn integer(&self, column: usize) -> Result<i64, Error> {
        match self.value(column)? {
            ValueRef::Integer(integer) => Ok(integer),
            _ => Err(unfit()),
        }
    }

    pub(super) fn id<T: From<uuid::Uuid>>(&self, column: usize) -> Result<T, Error> {
        self.optional_id(column)?.ok_or_else(unfit)
    }

    pub(super) fn optional_id<T: From<uuid::Uuid>>(&self, column: usize) -> Result<Option<T>, Error> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => uuid::Uuid::from_slice(bytes).map(|uuid| Some(uuid.into())).map_err(|_| unfit()),
            _ => Err(unfit()),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<String, Error> {
        self.optional_text(column)?.ok_or_else(unfit)
    }

    pub(super) fn optional_text(&self, column: usize) -> Result<Option<String>, Error> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) if bytes.len() > TEXT_MAX_BYTES => Err(unfit()),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| unfit()),
            _ => Err(unfit()),
        }
    }

    pub(super) fn time(&self, column: usize) -> Result<DateTime<Utc>, Error> {
        self.optional_time(column)?.ok_or_else(unfit)
    }

    /// A time that mostly is `likely`: to work out a date costs more than to compare a number.
    pub(super) fn time_likely(&self, column: usize, likely: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
        match self.value(column)? {
            ValueRef::Integer(micros) if micros == likely.timestamp_micros() => Ok(likely),
            _ => self.time(column),
        }
    }

    pub(super) fn optional_time(&self, column: usize) -> Result<Option<DateTime<Utc>>, Error> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(micros) => time::from_micros(micros).map(Some).ok_or_else(unfit),
            _ => Err(unfit()),
        }
    }
}

/// A column holds what this crate never writes there.
pub(super) fn unfit() -> Error {
    Error::damaged("a value is not of the kind that was written")
}
