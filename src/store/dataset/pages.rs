//! Reading a listing to its end, page by page.

use std::iter::Peekable;
use std::vec;

use super::query::DatasetQuery;
use crate::error::Result;
use crate::model::page::{Damage, Page};
use crate::store::organization::Organization;

/// Reads a page of a listing.
type Read<T> = fn(&Organization, &DatasetQuery) -> Result<Page<T>>;

/// An iterator over all items of a listing; damaged datasets are errors in their places. A page that cannot be read is
/// the last item.
#[derive(Debug)]
pub(super) struct Pages<T> {
    organization: Organization,
    read: Read<T>,
    /// The query of the next page; `None` at the end.
    query: Option<DatasetQuery>,
    /// The rest of the present page.
    items: vec::IntoIter<T>,
    damaged: Peekable<vec::IntoIter<Damage>>,
    /// The index of the next item in its page.
    index: usize,
}

impl<T> Pages<T> {
    pub(super) fn new(organization: &Organization, query: &DatasetQuery, read: Read<T>) -> Self {
        Self {
            organization: organization.clone(),
            read,
            query: Some(query.clone()),
            items: Vec::new().into_iter(),
            damaged: Vec::new().into_iter().peekable(),
            index: 0,
        }
    }

    fn next_of_page(&mut self) -> Option<Result<T>> {
        if let Some(damage) = self.damaged.next_if(|damage| damage.index <= self.index) {
            return Some(Err(damage.into()));
        }
        self.index += 1;
        self.items.next().map(Ok)
    }
}

impl<T> Iterator for Pages<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(next) = self.next_of_page() {
                return Some(next);
            }
            let query = self.query.take()?;
            let page = match (self.read)(&self.organization, &query) {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            self.query = page.next.as_ref().map(|cursor| query.after(cursor));
            (self.items, self.damaged, self.index) = (page.items.into_iter(), page.damaged.into_iter().peekable(), 0);
        }
    }
}
