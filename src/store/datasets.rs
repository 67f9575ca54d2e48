//! Listing datasets: a page, or all of them one by one.

use super::organization::Organization;
use super::query::{DatasetQuery, Page};
use crate::error::{Error, Result};
use crate::model::cursor::{Cursor, Order};
use crate::model::dataset::Dataset;
use crate::sqlite;
use crate::sqlite::dataset::Stretch;

impl Organization {
    /// A page of the datasets that the query finds, with their KPIs, as of one moment.
    ///
    /// A page ends early before a damaged dataset, so that a listing gives everything that is whole; the next page is
    /// then the error, whose `next` leads on behind it.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] at `limit` outside 1 to 1,000; [`Error::InvalidCursor`] if the cursor was given for another
    ///   organization or order.
    /// - [`Error::Corrupt`] if the first dataset of the page is damaged; its `next` leads on.
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
    /// assert!(page.next.is_some());
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn datasets(&self, query: &DatasetQuery) -> Result<Page<Dataset>> {
        query.check()?;
        let after = query.after.as_ref().map(|cursor| cursor.place(self.id, query.order)).transpose()?;
        let page = |connection: &mut _| {
            let stretch = sqlite::dataset::list(connection, self.id, query.order, after, query.limit)?;
            Ok(self.page_of(stretch, query.order)?)
        };
        self.store.read(page)
    }

    fn page_of(&self, stretch: Stretch, order: Order) -> Result<Page<Dataset>> {
        let cursor = |place| Cursor::new(self.id, order, place);
        let last = stretch.items.last().map(|(place, _)| cursor(*place));
        let next = match (stretch.damage, last) {
            (Some((Some(place), damage)), None) => return Err(damage.leading_to(cursor(place))),
            (Some((None, damage)), None) => return Err(damage),
            (Some(_), last) => last,
            (None, last) => last.filter(|_| stretch.has_more),
        };
        Ok(Page { items: stretch.items.into_iter().map(|(_, dataset)| dataset).collect(), next })
    }

    /// All datasets that the query finds, one by one to the end, read in pages of its limit.
    ///
    /// It holds no snapshot and blocks nobody: each page is as of its moment, and what is created meanwhile may come at
    /// the end. A damaged dataset is an error in its place, and the iteration goes on behind it; any other error ends
    /// it.
    ///
    /// # Errors
    ///
    /// Each item is an error where [`datasets`](Self::datasets) would give one.
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
    pub fn iter_datasets(&self, query: &DatasetQuery) -> impl Iterator<Item = Result<Dataset>> + Send + use<> {
        Datasets { organization: self.clone(), next: Some(query.clone()), page: Vec::new().into_iter() }
    }
}

/// All datasets that a query finds, page by page.
struct Datasets {
    organization: Organization,
    /// The query of the next page; none at the end.
    next: Option<DatasetQuery>,
    page: std::vec::IntoIter<Dataset>,
}

impl Iterator for Datasets {
    type Item = Result<Dataset>;

    fn next(&mut self) -> Option<Result<Dataset>> {
        loop {
            if let Some(dataset) = self.page.next() {
                return Some(Ok(dataset));
            }
            let query = self.next.take()?;
            match self.organization.datasets(&query) {
                Ok(page) => {
                    self.next = page.next.map(|cursor| query.after(&cursor));
                    self.page = page.items.into_iter();
                }
                Err(error) => {
                    if let Error::Corrupt { next: Some(cursor), .. } = &error {
                        self.next = Some(query.after(cursor));
                    }
                    return Some(Err(error));
                }
            }
        }
    }
}
