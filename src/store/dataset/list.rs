//! Listing datasets: a page, or all of them one by one.

use std::iter::FusedIterator;

use super::query::DatasetQuery;
use crate::error::{Error, Result};
use crate::model::cursor::Cursor;
use crate::model::dataset::Dataset;
use crate::model::page::Page;
use crate::sqlite::table::listing;
use crate::store::organization::Organization;

impl Organization {
    /// A page of the datasets that the query finds, with their KPIs, as of one moment.
    ///
    /// A damaged dataset hides no other: it is listed as such beside those that are whole.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] at `limit` outside 1 to 1,000; [`Error::InvalidCursor`] if the cursor was given for another
    ///   organization or order.
    /// - [`Error::Closed`], [`Error::Busy`], [`Error::Storage`] as with [`dataset`](Self::dataset).
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
        let after = match &query.after {
            Some(cursor) => Some(cursor.position(self.id, query.order).ok_or(Error::InvalidCursor)?),
            None => None,
        };
        let access = self.store.access();
        let page = access.read(|snapshot| listing::page(snapshot, self.id, query.order, after, query.limit))?;
        let listing::RawPage { items, damaged, next } = page;
        Ok(Page { items, damaged, next: next.map(|seq| Cursor::new(self.id, query.order, seq)) })
    }

    /// All datasets that the query finds, one by one to the end, read in pages of its limit.
    ///
    /// It holds no snapshot and blocks no writer: each page is as of its moment, and what is created meanwhile may come at
    /// the end. A damaged dataset is the error [`Corrupt`](Error::Corrupt) in its place, and the iteration goes on behind it;
    /// any other error ends it.
    ///
    /// # Errors
    ///
    /// Each item is an error where [`datasets`](Self::datasets) would give one, or list a dataset as damaged.
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
    #[must_use = "an iterator reads nothing before its first item is asked for"]
    pub fn iter_datasets(&self, query: &DatasetQuery) -> Datasets {
        Datasets { organization: self.clone(), query: Some(query.clone()), page: Vec::new().into_iter() }
    }
}

/// All datasets that a query finds, from [`Organization::iter_datasets`].
#[derive(Debug)]
pub struct Datasets {
    organization: Organization,
    /// The query of the next page; none at the end.
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

/// What is whole and what is damaged, in the order of the listing.
fn in_order(page: Page<Dataset>) -> Vec<Result<Dataset>> {
    let mut all: Vec<_> = page.items.into_iter().map(Ok).collect();
    for damage in page.damaged.into_iter().rev() {
        all.insert(damage.index.min(all.len()), Err(damage.into()));
    }
    all
}
