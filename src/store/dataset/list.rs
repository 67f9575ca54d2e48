//! Listing datasets, with their KPIs or without: a page, or all of them one by one.

use std::iter::FusedIterator;

use super::pages::Pages;
use super::query::DatasetQuery;
use crate::access::Access;
use crate::error::{Error, Result};
use crate::model::cursor::{Cursor, Listing};
use crate::model::dataset::Dataset;
use crate::model::page::Page;
use crate::model::summary::DatasetSummary;
use crate::sqlite::table::listing::{self, RawPage, Selection};
use crate::store::organization::Organization;

impl Organization {
    /// A page of the datasets that match the query, with their KPIs, read from one snapshot.
    ///
    /// A damaged dataset does not make the call fail: it is listed in [`Page::damaged`], and the intact ones in
    /// [`Page::items`]. If the query has filters, that includes each dataset that is damaged outside its KPIs, since
    /// nobody knows whether it matches. Damage to a KPI is reported if the filter looks at the KPI and cannot read it, or
    /// if the dataset still matches; a dataset that no longer matches because of the damage is left out.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] if the limit is outside 1 to 1,000, or the text of a search is too long.
    /// - [`Error::InvalidCursor`] if the cursor belongs to another organization or order, or to other filters.
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
        self.page(query, |access, selection| access.read(|snapshot| listing::datasets(snapshot, selection)))
    }

    /// A page of the datasets that match the query, without their KPIs, read from one snapshot.
    ///
    /// The cost does not depend on how many KPIs the datasets have, unless the query has a filter on KPIs. It lists the
    /// same datasets as [`datasets`](Self::datasets) in the same order, and each of the two calls accepts the cursors
    /// of the other. Damage to KPIs is found only where they are read: here if the query has a filter on KPIs,
    /// [`matching`](DatasetQuery::matching) or [`with_value_type`](DatasetQuery::with_value_type).
    ///
    /// # Errors
    ///
    /// Those of [`datasets`](Self::datasets).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
    /// let page = organization.summaries(&DatasetQuery::new())?;
    /// assert_eq!((page.items[0].name.as_str(), page.items[0].kpi_count), ("Water", 1));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn summaries(&self, query: &DatasetQuery) -> Result<Page<DatasetSummary>> {
        self.page(query, |access, selection| access.read(|snapshot| listing::summaries(snapshot, selection)))
    }

    /// A page of datasets that are not in the trash.
    fn page<T>(
        &self,
        query: &DatasetQuery,
        read: impl FnOnce(&Access, Selection<'_>) -> Result<RawPage<T>>,
    ) -> Result<Page<T>> {
        let (filter, order) = (query.filter()?, query.order.unwrap_or_default());
        let listing = Listing::Datasets(order, &filter);
        let after = self.place(query.after.as_ref(), listing)?;
        let selection = Selection { organization: self.id, order, filter: &filter, after, limit: query.limit };
        let RawPage { items, damaged, next, .. } = read(self.store.access(), selection)?;
        Ok(Page { items, damaged, next: self.cursor(listing, next) })
    }

    /// The number after which a listing continues.
    pub(super) fn place(&self, after: Option<&Cursor>, listing: Listing<'_>) -> Result<Option<i64>> {
        after.map(|cursor| cursor.number(self.id, listing).ok_or(Error::InvalidCursor)).transpose()
    }

    /// The cursor after the item with this number.
    pub(super) fn cursor(&self, listing: Listing<'_>, number: Option<i64>) -> Option<Cursor> {
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
        Datasets(Pages::new(self, query, Self::datasets))
    }

    /// Iterates over the [`summaries`](Self::summaries) of all datasets that match the query, read in pages of its
    /// limit.
    ///
    /// Like [`iter_datasets`](Self::iter_datasets), it holds no snapshot and blocks no writer.
    ///
    /// # Errors
    ///
    /// Those of [`iter_datasets`](Self::iter_datasets), in the same places.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_datasets(["Water", "Waste"].map(NewDataset::new))?;
    /// let names: Vec<String> = organization
    ///     .iter_summaries(&DatasetQuery::new().newest_first())
    ///     .map(|summary| summary.map(|summary| summary.name))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(names, ["Waste", "Water"]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    #[must_use = "iterators are lazy: nothing is read before the first call of `next`"]
    pub fn iter_summaries(&self, query: &DatasetQuery) -> Summaries {
        Summaries(Pages::new(self, query, Self::summaries))
    }
}

/// An iterator over all datasets that match a query; see [`Organization::iter_datasets`].
#[derive(Debug)]
pub struct Datasets(Pages<Dataset>);

impl Iterator for Datasets {
    type Item = Result<Dataset>;

    fn next(&mut self) -> Option<Result<Dataset>> {
        self.0.next()
    }
}

impl FusedIterator for Datasets {}

/// An iterator over the summaries of all datasets that match a query; see [`Organization::iter_summaries`].
#[derive(Debug)]
pub struct Summaries(Pages<DatasetSummary>);

impl Iterator for Summaries {
    type Item = Result<DatasetSummary>;

    fn next(&mut self) -> Option<Result<DatasetSummary>> {
        self.0.next()
    }
}

impl FusedIterator for Summaries {}
