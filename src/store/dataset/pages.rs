//! Reading a listing to its end, page by page.

use super::query::DatasetQuery;
use crate::error::Result;
use crate::model::page::Page;
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
    page: std::vec::IntoIter<Result<T>>,
}

impl<T> Pages<T> {
    pub(super) fn new(organization: &Organization, query: &DatasetQuery, read: Read<T>) -> Self {
        Self { organization: organization.clone(), read, query: Some(query.clone()), page: Vec::new().into_iter() }
    }
}

impl<T> Iterator for Pages<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(item);
            }
            let query = self.query.take()?;
            let page = match (self.read)(&self.organization, &query) {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            self.query = page.next.as_ref().map(|cursor| query.after(cursor));
            self.page = in_order(page).into_iter();
        }
    }
}

/// The intact items and the damaged datasets of a page, in the order of the listing.
fn in_order<T>(page: Page<T>) -> Vec<Result<T>> {
    let mut all: Vec<_> = page.items.into_iter().map(Ok).collect();
    for damage in page.damaged.into_iter().rev() {
        all.insert(damage.index.min(all.len()), Err(damage.into()));
    }
    all
}
