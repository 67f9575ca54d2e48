//! Listing datasets: a page, or all of them one by one.

use std::iter::FusedIterator;

use super::query::DatasetQuery;
use crate::error::{Error, Result};
use crate::model::cursor::{Cursor, Listing};
use crate::model::dataset::Dataset;
use crate::model::page::Page;
use crate::sqlite::table::listing;
use crate::store::organization::Organization;

impl Organization {
    /// A page of the datasets that match the query, with their KPIs, read from one snapshot.
    ///
    /// A damaged dataset does not make the call fail: it is listed in [`Page::damaged`], and the intact ones in
    /// [`Page::items`].
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] if the limit is outside 1 to 1,000.
    /// - [`Error::InvalidCursor`] if the cursor belongs to another organization or order.
    /// - Those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_datasets(["Water", "Waste", "Energy"].map(NewDataset::new))?;
    /// let page = organization.datasets(&DatasetQuery::new().limit(2))?;
    /// assert_eq!(page.items.len(), 2);
    /// assert!(page.damaged.is_empty());
    /// assert!(page.next.is_some());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn datasets(&self, query: &DatasetQuery) -> Result<Page<Dataset>> {
        query.check()?;
        let order = query.order.unwrap_or_default();
        let after = self.place(query.after.as_ref(), Listing::Datasets(order))?;
        let access = self.store.access();
        let page = access.read(|snapshot| listing::page(snapshot, self.id, order, after, query.limit))?;
        let listing::RawPage { items, damaged, next } = page;
        Ok(Page { items, damaged, next: self.cursor(Listing::Datasets(order), next) })
    }

    /// The number after which a listing continues.
    pub(super) fn place(&self, after: Option<&Cursor>, listing: Listing) -> Result<Option<i64>> {
        after.map(|cursor| cursor.number(self.id, listing).ok_or(Error::InvalidCursor)).transpose()
    }

    /// The cursor after the item with this number.
    pub(super) fn cursor(&self, listing: Listing, number: Option<i64>) -> Option<Cursor> {
        number.map(|number| Cursor::new(self.id, listing, number))
    }

    /// Iterates over all datasets that match the query, read in pages of its limit.
    ///
    /// The iterator holds no snapshot and blocks no writer. Each page is read from its own snapshot, so with the oldest
    /// first the iterator may also return datasets that are created meanwhile.
    ///
    /// # Errors
    ///
    /// - [`Corrupt`](Error::Corrupt) as the item of a damaged dataset; the iterator then continues after it.
    /// - Those of [`datasets`](Self::datasets) as the last item; they end the iterator.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// let names: Vec<String> = organization
    ///     .iter_datasets(&DatasetQuery::new())
    ///     .map(|dataset| dataset.map(|dataset| dataset.name))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(names, ["Water", "Waste"]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    #[must_use = "iterators are lazy: nothing is read before the first call of `next`"]
    pub fn iter_datasets(&self, query: &DatasetQuery) -> Datasets {
        Datasets { organization: self.clone(), query: Some(query.clone()), page: Vec::new().into_iter() }
    }
}

/// An iterator over all datasets that match a query; see [`Organization::iter_datasets`].
#[derive(Debug)]
pub struct Datasets {
    organization: Organization,
    /// The query of the next page; `None` at the end.
    query: Option<DatasetQuery>,
    page: std::vec::IntoIter<Result<Dataset>>,
}

impl Iterator for Datasets {
    type Item = Result<Dataset>;

    fn next(&mut self) -> Option<Result<Dataset>> {
        loop {
            if let Some(dataset) = self.page.next() {
                return Some(dataset);
            }
            let query = self.query.take()?;
            let page = match self.organization.datasets(&query) {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            self.query = page.next.as_ref().map(|cursor| query.after(cursor));
            self.page = in_order(page).into_iter();
        }
    }
}

impl FusedIterator for Datasets {}

/// The intact and the damaged datasets of a page, in the order of the listing.
fn in_order(page: Page<Dataset>) -> Vec<Result<Dataset>> {
    let mut all: Vec<_> = page.items.into_iter().map(Ok).collect();
    for damage in page.damaged.into_iter().rev() {
        all.insert(damage.index.min(all.len()), Err(damage.into()));
    }
    all
}
