//! A page of a listing.

use std::borrow::Cow;

use serde::Serialize;

use super::cursor::Cursor;
use super::ids::DatasetId;

/// A page of a listing: what is whole, what is damaged, and where the listing goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is whole. With the damaged ones at most as many as the query's limit.
    pub items: Vec<T>,
    /// What cannot be read, though it belongs here; empty in a file that is whole.
    pub damaged: Vec<Damage>,
    /// Where the listing goes on; none at its end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The items that are whole.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    /// The items that are whole.
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Page<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    /// The items that are whole.
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A damaged dataset in a listing. As an [`Error`](crate::Error), which it becomes by `?`, it is
/// [`Corrupt`](crate::Error::Corrupt).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// How many items of the page come before it.
    pub index: usize,
    /// Its id; none if that cannot be read, or if the damage is in an index and hides all that follows.
    pub dataset: Option<DatasetId>,
    /// A sentence for a person.
    pub detail: Cow<'static, str>,
}
