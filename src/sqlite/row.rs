//! The columns of a row, borrowed, and checked as they are read: what does not fit is damage, never a guess.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::error::{Error, Failure};
use crate::model::limits::DESCRIPTION_MAX;
use crate::model::time;

/// The longest text that is ever written: a code point is at most four bytes.
const TEXT_MAX_BYTES: usize = 4 * DESCRIPTION_MAX;

/// A column holds what this crate never writes there. It has no size, so that a value goes through in registers.
#[derive(Debug)]
pub(super) struct Unfit;

impl From<Unfit> for Error {
    #[cold]
    fn from(Unfit: Unfit) -> Self {
        Error::damaged("a value is not of the kind that was written")
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        Failure(unfit.into())
    }
}

/// A time, and the number that stands for it in the file.
#[derive(Clone, Copy)]
pub(super) struct StoredTime {
    micros: i64,
    pub(super) time: DateTime<Utc>,
}

/// A row that is being read.
pub(super) struct Columns<'a>(pub(super) &'a Row<'a>);

impl<'a> Columns<'a> {
    fn value(&self, column: usize) -> Result<ValueRef<'a>, Unfit> {
        self.0.get_ref(column).map_err(|_| Unfit)
    }

    pub(super) fn integer(&self, column: usize) -> Result<i64, Unfit> {
        match self.value(column)? {
            ValueRef::Integer(integer) => Ok(integer),
            _ => Err(Unfit),
        }
    }

    pub(super) fn id<T: From<uuid::Uuid>>(&self, column: usize) -> Result<T, Unfit> {
        self.optional_id(column)?.ok_or(Unfit)
    }

    pub(super) fn optional_id<T: From<uuid::Uuid>>(&self, column: usize) -> Result<Option<T>, Unfit> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => uuid::Uuid::from_slice(bytes).map(|uuid| Some(uuid.into())).map_err(|_| Unfit),
            _ => Err(Unfit),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<String, Unfit> {
        self.optional_text(column)?.ok_or(Unfit)
    }

    pub(super) fn optional_text(&self, column: usize) -> Result<Option<String>, Unfit> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) if bytes.len() > TEXT_MAX_BYTES => Err(Unfit),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| Unfit),
            _ => Err(Unfit),
        }
    }

    pub(super) fn time(&self, column: usize) -> Result<StoredTime, Unfit> {
        let micros = self.integer(column)?;
        Ok(StoredTime { micros, time: time::from_micros(micros).ok_or(Unfit)? })
    }

    /// A time that mostly is `likely`: to work out a date costs more than to compare a number.
    pub(super) fn time_likely(&self, column: usize, likely: StoredTime) -> Result<DateTime<Utc>, Unfit> {
        match self.integer(column)? {
            micros if micros == likely.micros => Ok(likely.time),
            micros => time::from_micros(micros).ok_or(Unfit),
        }
    }

    pub(super) fn optional_time(&self, column: usize) -> Result<Option<DateTime<Utc>>, Unfit> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(micros) => time::from_micros(micros).map(Some).ok_or(Unfit),
            _ => Err(Unfit),
        }
    }
}
