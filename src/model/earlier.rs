//! Earlier versions of a dataset: one record, in which the values that each change replaced are put back, from the
//! newest change to the oldest.

use std::collections::HashMap;

use super::dataset::{Counts, Dataset, Kpi};
use super::digest::{self, Digest};
use super::ids::KpiId;
use super::record::Record;

/// A dataset of which one change after the other is undone. The cost of that depends on the change, and not on the
/// number of KPIs: they are sorted only when a version is asked for, and their numbers and the sum of their digests are
/// kept up to date.
pub(crate) struct Earlier {
    /// With its KPIs in any order. `digest.kpis` is always the sum for the present KPIs, even if they never were a
    /// version.
    record: Record,
    counts: Counts,
    /// The index of each KPI; `None` until one is looked for, and after they were sorted.
    indexes: Option<HashMap<KpiId, usize>>,
}

impl Earlier {
    /// Begins with an intact record.
    pub(crate) fn new(now: Record) -> Self {
        Self { counts: Counts::of(&now.dataset.kpis), record: now, indexes: None }
    }

    /// The record, with its KPIs in any order.
    pub(crate) fn unordered(&self) -> &Record {
        &self.record
    }

    /// The record, with its KPIs in display order.
    pub(crate) fn in_display_order(&mut self) -> &Record {
        if self.record.arrange() {
            self.indexes = None;
        }
        &self.record
    }

    /// Whether the record is the version with this revision and these digests. If so, it gets both.
    pub(crate) fn is_version(&mut self, revision: i64, digest: Digest) -> bool {
        let head = digest::head(revision, &self.record.dataset, self.counts);
        let is_version = digest == Digest { head, kpis: self.record.digest.kpis };
        if is_version {
            (self.record.revision, self.record.digest) = (revision, digest);
        }
        is_version
    }

    /// The fields of the dataset itself: the KPIs have functions of their own.
    pub(super) fn head(&mut self) -> &mut Dataset {
        &mut self.record.dataset
    }

    /// Changes a KPI and its position. Returns false if the dataset has no such KPI.
    pub(super) fn change_kpi(&mut self, id: KpiId, change: impl FnOnce(&mut Kpi, &mut i64)) -> bool {
        let index = self.indexes().get(&id).copied();
        let Record { dataset, positions, digest, .. } = &mut self.record;
        let found = index.and_then(|index| dataset.kpis.get_mut(index).zip(positions.get_mut(index)));
        let Some((kpi, position)) = found else { return false };
        digest.kpis = digest.kpis.wrapping_sub(digest::kpi(*position, kpi));
        self.counts = self.counts.without(kpi);
        change(kpi, position);
        self.counts = self.counts.with(kpi);
        digest.kpis = digest.kpis.wrapping_add(digest::kpi(*position, kpi));
        true
    }

    /// Removes a KPI, if the dataset has it.
    pub(super) fn remove_kpi(&mut self, id: KpiId) {
        let indexes = Self::indexes_of(&mut self.indexes, &self.record);
        let Record { dataset: Dataset { kpis, .. }, positions, digest, .. } = &mut self.record;
        let index = indexes.remove(&id).filter(|index| *index < kpis.len().min(positions.len()));
        let Some(index) = index else { return };
        let (kpi, position) = (kpis.swap_remove(index), positions.swap_remove(index));
        digest.kpis = digest.kpis.wrapping_sub(digest::kpi(position, &kpi));
        self.counts = self.counts.without(&kpi);
        if let Some(moved) = kpis.get(index) {
            indexes.insert(moved.id, index);
        }
    }

    /// Adds a KPI. It replaces one with the same id, which another tool may have added again.
    pub(super) fn put_kpi(&mut self, kpi: Kpi, position: i64) {
        self.remove_kpi(kpi.id);
        let index = self.record.dataset.kpis.len();
        self.indexes().insert(kpi.id, index);
        let Record { dataset, positions, digest, .. } = &mut self.record;
        digest.kpis = digest.kpis.wrapping_add(digest::kpi(position, &kpi));
        self.counts = self.counts.with(&kpi);
        dataset.kpis.push(kpi);
        positions.push(position);
    }

    fn indexes(&mut self) -> &mut HashMap<KpiId, usize> {
        Self::indexes_of(&mut self.indexes, &self.record)
    }

    fn indexes_of<'a>(
        indexes: &'a mut Option<HashMap<KpiId, usize>>,
        record: &Record,
    ) -> &'a mut HashMap<KpiId, usize> {
        indexes.get_or_insert_with(|| record.dataset.kpis.iter().map(|kpi| kpi.id).zip(0..).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id_source::IdSource;
    use crate::model::ids::OrganizationId;
    use crate::model::new_dataset::{NewDataset, NewKpi};
    use crate::model::record::Author;
    use crate::model::time;

    fn record(sort_orders: &[i64]) -> Record {
        let author = Author { organization: OrganizationId::new(), user: None, now: time::system_clock() };
        let kpis = sort_orders.iter().map(|sort_order| NewKpi::new(sort_order.to_string()).sort_order(*sort_order));
        Record::prepare(NewDataset::new("Water").kpis(kpis), author, &IdSource::Fresh).unwrap()
    }

    /// A history of a dataset of 10,000 KPIs takes seconds if each of its changes hashes all of them.
    #[test]
    fn only_the_kpis_of_a_change_are_hashed() {
        let now = record(&[0, 1, 2]);
        let mut earlier = Earlier::new(now.clone());
        earlier.record.dataset.kpis[0].name.push_str(", altered without its digest");
        let name = now.dataset.kpis[1].name.clone();
        assert!(earlier.change_kpi(now.dataset.kpis[1].id, |kpi, _| kpi.name.push('!')));
        assert!(!earlier.is_version(now.revision, now.digest));
        assert!(earlier.change_kpi(now.dataset.kpis[1].id, |kpi, _| kpi.name = name));
        assert!(earlier.is_version(now.revision, now.digest));
        assert!(!earlier.unordered().is_intact(), "the control");
    }

    #[test]
    fn the_digest_and_the_places_of_the_kpis_stay_exact() {
        let now = record(&[0, 1, 2, 3]);
        let ids: Vec<KpiId> = now.dataset.kpis.iter().map(|kpi| kpi.id).collect();
        let kpi = |index: usize| now.dataset.kpis[index].clone();
        let mut earlier = Earlier::new(now.clone());
        let has = |earlier: &Earlier, expected: &[(usize, i64)]| {
            let Record { dataset, positions, revision, digest, .. } = earlier.unordered();
            assert_eq!(digest.kpis, digest::digest(*revision, dataset, positions).kpis);
            assert_eq!(earlier.counts, Counts::of(&dataset.kpis));
            let mut found: Vec<_> = dataset.kpis.iter().map(|kpi| kpi.id).zip(positions.iter().copied()).collect();
            found.sort_unstable();
            let mut expected: Vec<_> = expected.iter().map(|(index, position)| (ids[*index], *position)).collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
        };
        earlier.remove_kpi(ids[0]);
        has(&earlier, &[(1, 1), (2, 2), (3, 3)]);
        // This one now stands in the place of the one before.
        assert!(earlier.change_kpi(ids[3], |_, position| *position = 9));
        has(&earlier, &[(1, 1), (2, 2), (3, 9)]);
        assert!(earlier.change_kpi(ids[2], |kpi, _| kpi.required = false));
        has(&earlier, &[(1, 1), (2, 2), (3, 9)]);
        assert!(earlier.change_kpi(ids[2], |kpi, _| kpi.required = true));
        assert!(!earlier.change_kpi(ids[0], |_, _| ()));
        earlier.remove_kpi(ids[0]);
        earlier.put_kpi(kpi(0), 7);
        has(&earlier, &[(0, 7), (1, 1), (2, 2), (3, 9)]);
        // It is there already.
        earlier.put_kpi(kpi(1), 5);
        has(&earlier, &[(0, 7), (1, 5), (2, 2), (3, 9)]);
        let ordered: Vec<KpiId> = earlier.in_display_order().dataset.kpis.iter().map(|kpi| kpi.id).collect();
        assert_eq!(ordered, ids);
        for (index, position) in (0..).zip([0, 1, 2, 3]) {
            assert!(earlier.change_kpi(ids[index], |_, then| *then = position));
        }
        assert!(earlier.is_version(now.revision, now.digest) && earlier.in_display_order().is_intact());
    }
}
