//! Listing the datasets of an organization: all of them or those that match a filter, in the trash or not, in any
//! order.
//!
//! - [`stream`]: all that are not in the trash, in the order of creation, by one statement for a page, or two with
//!   KPIs.
//! - [`walk`]: every other listing, row by row. [`candidates`]: the numbers of the rows, from the indexes;
//!   [`matcher`]: whether a row matches the filter.
//! - [`page`]: the page that both fill.

mod candidates;
mod matcher;
mod page;
mod stream;
mod walk;

pub(super) use self::candidates::DELETED_OLDEST_FIRST;
use self::candidates::Part;
pub(crate) use self::page::RawPage;
use crate::model::cursor::Order;
use crate::model::dataset::Dataset;
use crate::model::filter::Filter;
use crate::model::ids::OrganizationId;
use crate::model::summary::DatasetSummary;
use crate::model::version::DeletedDataset;
use crate::sqlite::failure::Failure;
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::{dataset, trash};

/// The datasets to list.
#[derive(Clone, Copy)]
pub(crate) struct Selection<'a> {
    pub(crate) organization: OrganizationId,
    pub(crate) order: Order,
    pub(crate) filter: &'a Filter,
    /// The number after which the page begins.
    pub(crate) after: Option<i64>,
    pub(crate) limit: u32,
}

impl Selection<'_> {
    fn is_streamed(&self) -> bool {
        self.filter.is_empty() && self.order != Order::RecentlyChanged
    }
}

/// A page of datasets that are not in the trash, with their KPIs.
pub(crate) fn datasets(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<Dataset>, Failure> {
    if selection.is_streamed() {
        return stream::datasets(snapshot, selection);
    }
    walk::page(snapshot, Part::Present, selection, |found| {
        let record = found.record()?;
        Ok((record.bytes(), record.dataset))
    })
}

/// The same without their KPIs.
pub(crate) fn summaries(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<DatasetSummary>, Failure> {
    if selection.is_streamed() {
        return stream::summaries(snapshot, selection);
    }
    walk::page(snapshot, Part::Present, selection, |found| {
        let summary = found.summary()?;
        Ok((summary.bytes(), summary))
    })
}

/// A page of deleted datasets.
pub(crate) fn deleted(snapshot: &Snapshot<'_>, selection: Selection<'_>) -> Result<RawPage<DeletedDataset>, Failure> {
    walk::page(snapshot, Part::Deleted, selection, |found| {
        let record = found.record()?;
        let (deleted_at, deleted_by) = found.deletion()?;
        Ok((record.bytes(), DeletedDataset { dataset: record.dataset, deleted_at, deleted_by }))
    })
}

/// The number of datasets that are not in the trash and match the filter.
pub(crate) fn count(snapshot: &Snapshot<'_>, organization: OrganizationId, filter: &Filter) -> Result<u64, Failure> {
    if filter.is_empty() {
        return dataset::count(snapshot, organization);
    }
    walk::count(snapshot, Part::Present, organization, filter)
}

/// The number of deleted datasets that match the filter.
pub(crate) fn count_deleted(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    filter: &Filter,
) -> Result<u64, Failure> {
    if filter.is_empty() {
        return trash::count(snapshot, organization);
    }
    walk::count(snapshot, Part::Deleted, organization, filter)
}
