//! A dataset without its KPIs, as a list shows it.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::ids::{DatasetId, KpiId, OrganizationId, UserId};
use super::search::searcher::Searcher;
use super::search::text_match::{Match, MatchField};
use super::time;

/// A stored dataset without its KPIs: what a list shows of it.
///
/// As JSON it has the keys of a [`Dataset`] in the same order, but `kpi_count`, `required_count` and `matches` instead
/// of `kpis`. Deserializing that JSON returns an equal value, and accepts unknown keys and any UTC offset.
///
/// # Examples
///
/// ```
/// # use kpi_store::{DatasetQuery, NewDataset, NewKpi, OrganizationId, Store};
/// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
/// let kpis = [NewKpi::new("Withdrawal"), NewKpi::new("Notes").required(false)];
/// let water = organization.create_dataset(NewDataset::new("Water").kpis(kpis))?;
///
/// let summary = organization.summaries(&DatasetQuery::new())?.items.remove(0);
/// assert_eq!((summary.id, summary.name), (water.id, water.name));
/// assert_eq!((summary.kpi_count, summary.required_count), (2, 1));
/// # Ok::<(), kpi_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetSummary {
    /// Identifies the dataset within its organization.
    pub id: DatasetId,
    /// The organization that owns it.
    pub organization_id: OrganizationId,
    /// 1 to 255 code points; need not be unique.
    pub name: String,
    /// When it was created: UTC, whole microseconds.
    #[serde(with = "time::utc")]
    pub created_at: DateTime<Utc>,
    /// At most 2,000 code points.
    pub description: Option<String>,
    /// The user that the handle [acted as](crate::Organization::acting_as) when it created the dataset.
    pub created_by: Option<UserId>,
    /// The user of the last change; `None` until the first change.
    pub updated_by: Option<UserId>,
    /// When it was last changed: UTC, whole microseconds; `None` until the first change.
    #[serde(default, with = "time::utc_or_null")]
    pub updated_at: Option<DateTime<Utc>>,
    /// How many KPIs it has.
    pub kpi_count: u32,
    /// How many of them are required.
    pub required_count: u32,
    /// The texts in which [searched](crate::DatasetQuery::matching) words were found: name and description of the
    /// dataset, then name, description and unit of each KPI in display order. Empty if the query searches no text.
    #[serde(default)]
    pub matches: Vec<Match>,
}

impl DatasetSummary {
    /// The summary of a dataset that has these numbers of KPIs: in all, and required ones.
    #[inline]
    pub(crate) fn new(dataset: Dataset, (kpi_count, required_count): (u32, u32), matches: Vec<Match>) -> Self {
        Self {
            id: dataset.id,
            organization_id: dataset.organization_id,
            name: dataset.name,
            created_at: dataset.created_at,
            description: dataset.description,
            created_by: dataset.created_by,
            updated_by: dataset.updated_by,
            updated_at: dataset.updated_at,
            kpi_count,
            required_count,
            matches,
        }
    }

    /// The approximate number of bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let matched = |found: &Match| {
            size_of::<Match>() + found.text.capacity() + found.ranges.capacity() * size_of::<Range<usize>>()
        };
        let description = self.description.as_ref().map_or(0, String::capacity);
        size_of::<Self>() + self.name.capacity() + description + self.matches.iter().map(matched).sum::<usize>()
    }
}

/// The texts of a dataset in which words of a search are found.
pub(crate) fn matches(searcher: &mut Searcher<'_>, dataset: &Dataset) -> Vec<Match> {
    let mut matches = Vec::new();
    let mut search = |kpi: Option<KpiId>, field: MatchField, text: Option<&str>| {
        let Some(text) = text else { return };
        let ranges = searcher.ranges(text);
        if !ranges.is_empty() {
            matches.push(Match { kpi, field, text: text.to_owned(), ranges });
        }
    };
    search(None, MatchField::Name, Some(&dataset.name));
    search(None, MatchField::Description, dataset.description.as_deref());
    for kpi in &dataset.kpis {
        search(Some(kpi.id), MatchField::Name, Some(&kpi.name));
        search(Some(kpi.id), MatchField::Description, kpi.description.as_deref());
        search(Some(kpi.id), MatchField::Unit, kpi.unit.as_deref());
    }
    matches
}
