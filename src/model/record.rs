//! Records: a dataset together with its stored metadata, and the only function that turns a request into one.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::dataset::{Dataset, Kpi};
use super::digest::{Digest, digest};
use super::id_source::IdSource;
use super::ids::{DatasetId, KpiId, OrganizationId, UserId};
use super::limits::KPIS_MAX;
use super::new_dataset::{NewDataset, NewKpi};
use super::request::validation::{check_description, check_name, check_sort_order, check_unit};
use super::request::violation::Violations;

/// The revision of a dataset that was never changed.
pub(crate) const FIRST_REVISION: i64 = 1;

/// The organization, user and time of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) organization: OrganizationId,
    pub(crate) user: Option<UserId>,
    /// Whole microseconds, within the years 0001 to 9999.
    pub(crate) now: DateTime<Utc>,
}

/// A dataset with the stored metadata that the API never returns.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// With its KPIs in display order.
    pub(crate) dataset: Dataset,
    /// The position of each KPI in the order of addition, which breaks ties of `sort_order`.
    pub(crate) positions: Vec<i64>,
    /// 1 when created, incremented by every change.
    pub(crate) revision: i64,
    /// False if the id is a fresh one, which cannot be that of a purged dataset.
    pub(crate) has_given_id: bool,
    /// The stored digests; [`is_intact`](Self::is_intact) compares them with the content.
    pub(crate) digest: Digest,
}

impl Kpi {
    /// The KPI that a request creates.
    pub(crate) fn new(id: KpiId, new: NewKpi, dataset_id: DatasetId, created_at: DateTime<Utc>) -> Self {
        Self {
            id,
            dataset_id,
            name: new.name,
            sort_order: new.sort_order,
            created_at,
            description: new.description,
            unit: new.unit,
            value_type: new.value_type,
            required: new.required,
            updated_at: None,
        }
    }
}

impl Record {
    /// Validates a request and assigns ids, time, display order and digest.
    pub(crate) fn prepare(new: NewDataset, author: Author, ids: &IdSource) -> Result<Self, Violations> {
        new.validate()?;
        let mut ids = ids.ids(1 + new.kpis.len());
        let has_given_id = new.id.is_some() || ids.are_given();
        let id = new.id.unwrap_or_else(|| ids.next());
        let kpi = |kpi: NewKpi| Kpi::new(kpi.id.unwrap_or_else(|| ids.next()), kpi, id, author.now);
        let (positions, kpis) = in_display_order(new.kpis.into_iter().map(kpi).collect());
        let dataset = Dataset {
            id,
            organization_id: author.organization,
            name: new.name,
            created_at: author.now,
            description: new.description,
            created_by: author.user,
            updated_by: None,
            updated_at: None,
            kpis,
        };
        let digest = digest(FIRST_REVISION, &dataset, &positions);
        Ok(Self { dataset, positions, revision: FIRST_REVISION, has_given_id, digest })
    }

    /// Whether the digests match the content.
    pub(crate) fn is_intact(&self) -> bool {
        self.digest == digest(self.revision, &self.dataset, &self.positions)
    }

    /// A KPI and its position in the order of addition.
    pub(crate) fn kpi(&self, index: usize) -> Option<(&Kpi, i64)> {
        self.dataset.kpis.get(index).zip(self.positions.get(index).copied())
    }

    /// Puts the KPIs into display order. Returns whether they were in another one.
    pub(crate) fn arrange(&mut self) -> bool {
        if self.dataset.kpis.iter().map(|kpi| kpi.sort_order).zip(&self.positions).is_sorted() {
            return false;
        }
        let mut kpis: Vec<(i64, Kpi)> =
            std::mem::take(&mut self.positions).into_iter().zip(std::mem::take(&mut self.dataset.kpis)).collect();
        kpis.sort_by_key(|(position, kpi)| (kpi.sort_order, *position));
        (self.positions, self.dataset.kpis) = kpis.into_iter().unzip();
        true
    }

    /// Whether every value is one that this crate writes: the CHECKs of the schema can be switched off, and SQLite does
    /// not evaluate them on a connection that cannot write.
    pub(crate) fn is_within_limits(&self) -> bool {
        let Dataset { name, description, kpis, .. } = &self.dataset;
        let is_allowed = |kpi: &Kpi| {
            let texts = check_name(&kpi.name).and_then(|()| check_description(kpi.description.as_deref()));
            texts.and_then(|()| check_unit(kpi.unit.as_deref())).and_then(|()| check_sort_order(kpi.sort_order)).is_ok()
        };
        check_name(name).and_then(|()| check_description(description.as_deref())).is_ok()
            && self.revision >= FIRST_REVISION
            && kpis.len() <= KPIS_MAX
            && self.positions.iter().all(|position| *position >= 0)
            && kpis.iter().all(is_allowed)
    }

    /// Whether two KPIs have the same position in the order of addition.
    pub(crate) fn has_repeated_position(&self) -> bool {
        // In nearly every dataset the positions rise.
        if self.positions.is_sorted_by(|one, next| one < next) {
            return false;
        }
        let mut seen = HashSet::new();
        !self.positions.iter().all(|position| seen.insert(position))
    }

    /// The same content as the revision after `last`, with new digests.
    pub(crate) fn accepted(mut self, last: i64, token: DateTime<Utc>, user: Option<UserId>) -> Self {
        (self.dataset.updated_at, self.dataset.updated_by) = (Some(token), user);
        self.revision = last.saturating_add(1);
        self.digest = digest(self.revision, &self.dataset, &self.positions);
        self
    }

    /// The approximate number of bytes that it takes in memory, and that inserting it writes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let texts = |kpi: &Kpi| kpi.name.capacity() + text(&kpi.description) + text(&kpi.unit);
        let kpis = self.dataset.kpis.iter().map(|kpi| size_of::<(Kpi, i64)>() + texts(kpi)).sum::<usize>();
        size_of::<Self>() + self.dataset.name.capacity() + text(&self.dataset.description) + kpis
    }

    /// The first id that two KPIs of the dataset share.
    pub(crate) fn repeated_kpi(&self) -> Option<KpiId> {
        let mut seen = HashSet::new();
        self.dataset.kpis.iter().map(|kpi| kpi.id).find(|id| !seen.insert(*id))
    }
}

/// The KPIs in display order, each with its position in the order of addition.
fn in_display_order(kpis: Vec<Kpi>) -> (Vec<i64>, Vec<Kpi>) {
    // Most requests are already in display order.
    if kpis.is_sorted_by_key(|kpi| kpi.sort_order) {
        return ((0..).take(kpis.len()).collect(), kpis);
    }
    let mut positioned: Vec<(i64, Kpi)> = (0..).zip(kpis).collect();
    positioned.sort_by_key(|(_, kpi)| kpi.sort_order);
    positioned.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time;

    /// A load that underestimated requests would keep more of its input in memory than documented.
    #[test]
    fn every_text_counts_in_the_memory_that_a_request_takes() {
        let author = Author { organization: OrganizationId::new(), user: None, now: time::system_clock() };
        let bytes = |new: NewDataset| Record::prepare(new, author, &IdSource::Fresh).unwrap().bytes();
        let empty = NewDataset::new("Water");
        let kpi = NewKpi::new("Withdrawal");
        let without = bytes(empty.clone());
        let with_kpi = bytes(empty.clone().kpi(kpi.clone()));
        assert_eq!(without, size_of::<Record>() + 5);
        assert_eq!(bytes(empty.clone().description("of the year")), without + 11);
        assert_eq!(with_kpi, without + size_of::<(Kpi, i64)>() + 10);
        assert_eq!(bytes(empty.clone().kpi(kpi.clone().description("in all").unit("m3"))), with_kpi + 8);
        assert_eq!(bytes(empty.kpis([kpi.clone(), kpi])), 2 * with_kpi - without);
    }
}
