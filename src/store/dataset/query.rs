//! The query of a listing.

use crate::error::Result;
use crate::model::cursor::{Cursor, Order};
use crate::model::limits::{PAGE_DEFAULT, PAGE_MAX, PAGE_MIN};
use crate::model::request::rule::Rule;
use crate::model::request::violation::{Segment, Violations};

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
}

impl Default for DatasetQuery {
    fn default() -> Self {
        Self { order: None, limit: PAGE_DEFAULT, after: None }
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

    /// At most this many datasets per page: 1 to 1,000, by default 50. Out-of-range values are rejected when the query
    /// runs. A page also ends before it takes more than 64 MiB in memory, though not before its first dataset.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Only datasets after this cursor, which must come from a listing of the same organization in the same order.
    pub fn after(mut self, cursor: &Cursor) -> Self {
        self.after = Some(cursor.clone());
        self
    }

    pub(in crate::store) fn check(&self) -> Result<()> {
        check_limit(self.limit)
    }
}

/// Fails if a page must not have this many items.
pub(in crate::store) fn check_limit(limit: u32) -> Result<()> {
    let rule = match limit {
        ..PAGE_MIN => Rule::GreaterThanEqual { ge: PAGE_MIN.into() },
        PAGE_MIN..=PAGE_MAX => return Ok(()),
        _ => Rule::LessThanEqual { le: PAGE_MAX.into() },
    };
    Err(Violations::one(vec![Segment::key("query"), Segment::key("limit")], rule).into())
}
