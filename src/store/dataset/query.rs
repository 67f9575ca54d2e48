//! The query of a listing.

use crate::error::Result;
use crate::model::cursor::{Cursor, Order};
use crate::model::filter::Filter;
use crate::model::ids::UserId;
use crate::model::limits::{PAGE_DEFAULT, PAGE_MAX, PAGE_MIN, SEARCH_MAX};
use crate::model::request::rule::Rule;
use crate::model::request::violations_builder::ViolationsBuilder;
use crate::model::search::pattern::Pattern;
use crate::model::value_type::ValueType;

/// Which datasets of an organization to list, in which order, and how many per page.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// organization.create_datasets(["Water", "Waste", "Energy"].map(NewDataset::new))?;
///
/// let query = DatasetQuery::new().newest_first().limit(2);
/// let first = organization.datasets(&query)?;
/// assert_eq!(first.items[0].name, "Energy");
///
/// let second = organization.datasets(&query.after(&first.next.unwrap()))?;
/// assert_eq!(second.items[0].name, "Water");
/// assert_eq!(second.next, None);
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct DatasetQuery {
    /// `None`: that of the listing.
    pub(in crate::store) order: Option<Order>,
    pub(in crate::store) limit: u32,
    pub(in crate::store) after: Option<Cursor>,
    created_by: Option<UserId>,
    value_type: Option<ValueType>,
    matching: Option<String>,
}

impl Default for DatasetQuery {
    fn default() -> Self {
        Self { order: None, limit: PAGE_DEFAULT, after: None, created_by: None, value_type: None, matching: None }
    }
}

impl DatasetQuery {
    /// All datasets, 50 per page: the oldest first; of deleted ones the newest deletion first.
    pub fn new() -> Self {
        Self::default()
    }

    /// In the order of their creation in this file; of deleted datasets in the order of the deletions.
    pub fn oldest_first(mut self) -> Self {
        self.order = Some(Order::OldestFirst);
        self
    }

    /// In the reverse order.
    pub fn newest_first(mut self) -> Self {
        self.order = Some(Order::NewestFirst);
        self
    }

    /// In the order of the last changes, the newest first: changes of the content, deletions and restorations alike.
    /// For a dataset that was never changed, its creation counts. In the trash this is the order of the deletions.
    ///
    /// A dataset that is changed meanwhile moves to the first page, so a listing that continues from a cursor can miss
    /// it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetPatch, DatasetQuery, NewDataset, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let created = organization.create_datasets(["Water", "Waste", "Energy"].map(NewDataset::new))?;
    /// organization.update_dataset(created[0].id, DatasetPatch::new().description("Of the year"))?;
    ///
    /// let page = organization.summaries(&DatasetQuery::new().recently_changed_first())?;
    /// let names: Vec<_> = page.iter().map(|summary| summary.name.as_str()).collect();
    /// assert_eq!(names, ["Water", "Energy", "Waste"]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn recently_changed_first(mut self) -> Self {
        self.order = Some(Order::RecentlyChanged);
        self
    }

    /// Only datasets in which every word of this text is found: in the name or description of the dataset, or in the
    /// name, description or unit of one of its KPIs.
    ///
    /// White space separates words. Each may be found in another text, and as a part of a word. Case and diacritics do
    /// not matter, nor do other forms of the same letters: "energia" finds "Energía", "strasse" finds "Straße", "lodz"
    /// finds "Łódź". A text of white space alone filters nothing. The text has at most
    /// [`SEARCH_MAX`] code points; a longer one is rejected when the query runs. A second
    /// call replaces the text of the first.
    ///
    /// There is no index: the datasets are read in the order of the listing until the page is full, and all of them if
    /// few match. [`DatasetSummary::matches`](crate::DatasetSummary::matches) has the texts and where in them the words
    /// were found.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.create_dataset(NewDataset::new("Energía").kpi(NewKpi::new("Consumo").unit("kWh")))?;
    ///
    /// let found = organization.summaries(&DatasetQuery::new().matching("ENERGIA kwh"))?.items.remove(0);
    /// let texts: Vec<_> = found.matches.iter().map(|found| (found.field.as_str(), found.text.as_str())).collect();
    /// assert_eq!(texts, [("name", "Energía"), ("unit", "kWh")]);
    /// assert_eq!(organization.count_datasets(&DatasetQuery::new().matching("water"))?, 0);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn matching(mut self, text: impl Into<String>) -> Self {
        self.matching = Some(text.into());
        self
    }

    /// Only datasets that this user created: those whose [`created_by`](crate::DatasetSummary::created_by) it is.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, OrganizationId, Store, UserId};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let user = UserId::new();
    /// organization.acting_as(user).create_dataset(NewDataset::new("Water"))?;
    /// organization.create_dataset(NewDataset::new("Waste"))?;
    ///
    /// assert_eq!(organization.count_datasets(&DatasetQuery::new().created_by(user))?, 1);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn created_by(mut self, user: UserId) -> Self {
        self.created_by = Some(user);
        self
    }

    /// Only datasets with at least one KPI of this type.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetQuery, NewDataset, NewKpi, OrganizationId, Store, ValueType};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let share = NewKpi::new("Share of recycled water").value_type(ValueType::Percentage);
    /// organization.create_dataset(NewDataset::new("Water").kpi(share))?;
    /// organization.create_dataset(NewDataset::new("Waste").kpi(NewKpi::new("Total")))?;
    ///
    /// let query = DatasetQuery::new().with_value_type(ValueType::Percentage);
    /// assert_eq!(organization.count_datasets(&query)?, 1);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn with_value_type(mut self, value_type: ValueType) -> Self {
        self.value_type = Some(value_type);
        self
    }

    /// At most this many datasets per page: 1 to 1,000, by default 50. Out-of-range values are rejected when the query
    /// runs. A page also ends before it takes more than 64 MiB in memory, though not before its first dataset.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Only datasets after this cursor, which must come from a listing of the same organization in the same order and
    /// with the same filters.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.after = Some(cursor.clone());
        self
    }

    /// The filter of the query. Fails if a value of the query is outside its limits.
    pub(in crate::store) fn filter(&self) -> Result<Filter> {
        let mut violations = ViolationsBuilder::in_query();
        violations.field("limit", limit_in_range(self.limit));
        self.filter_with(violations)
    }

    /// The same for a count, which ignores the limit.
    pub(in crate::store) fn filter_of_count(&self) -> Result<Filter> {
        self.filter_with(ViolationsBuilder::in_query())
    }

    fn filter_with(&self, mut violations: ViolationsBuilder) -> Result<Filter> {
        let matching = self.matching.as_deref().unwrap_or_default();
        violations.field("matching", check_search(matching));
        violations.finish()?;
        let pattern = Pattern::new(matching);
        Ok(Filter { created_by: self.created_by, value_type: self.value_type, pattern })
    }
}

/// Fails if a page must not have this many items.
pub(in crate::store) fn check_limit(limit: u32) -> Result<()> {
    let mut violations = ViolationsBuilder::in_query();
    violations.field("limit", limit_in_range(limit));
    Ok(violations.finish()?)
}

fn check_search(text: &str) -> Result<(), Rule> {
    if text.chars().nth(SEARCH_MAX).is_some() { Err(Rule::StringTooLong { max: SEARCH_MAX }) } else { Ok(()) }
}

fn limit_in_range(limit: u32) -> Result<(), Rule> {
    match limit {
        ..PAGE_MIN => Err(Rule::GreaterThanEqual { ge: PAGE_MIN.into() }),
        PAGE_MIN..=PAGE_MAX => Ok(()),
        _ => Err(Rule::LessThanEqual { le: PAGE_MAX.into() }),
    }
}
