//! A page of a listing.

use std::borrow::Cow;

use serde::Serialize;

use super::cursor::Cursor;
use super::ids::DatasetId;

/// A page of a listing: the intact items, the damaged datasets, and the cursor of the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The intact items. Items and damaged datasets together are at most the limit of the query.
    pub items: Vec<T>,
    /// The datasets of this page that cannot be read; empty in an intact file.
    pub damaged: Vec<Damage>,
    /// The cursor of the next page; `None` on the last page. A page of large datasets may have fewer than the limit and
    /// still a next one: it takes at most 64 MiB, unless it is a single dataset. With a filter the next page may be
    /// empty: a full page ends without a search for another match.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Iterates over the intact items.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    /// Iterates over the intact items.
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Page<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    /// Iterates over the intact items.
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A damaged dataset in a listing. It converts to [`Error::Corrupt`](crate::Error::Corrupt).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The number of [`items`](Page::items) that precede it in the listing.
    pub index: usize,
    /// Its id; `None` if the id cannot be read, or if an index is damaged and hides the rest of the listing.
    pub dataset: Option<DatasetId>,
    /// A human-readable description of the damage.
    pub detail: Cow<'static, str>,
}
