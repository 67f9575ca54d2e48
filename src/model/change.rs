//! A change of a dataset: makes from the record and the new content the new record, the rows to write, and the values
//! that the change replaced.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::content::{Content, KpiContent};
use super::dataset::{Counts, Dataset, Kpi};
use super::digest;
use super::ids::{KpiId, UserId};
use super::limits::KPIS_MAX;
use super::record::Record;
use super::replaced::Replaced;
use super::time;

/// The `updated_at` of the next change of a dataset: the clock's time, or a microsecond after its last change if the
/// clock is behind, so that it rises with every change. Past the year 9999 it is an error.
pub(crate) fn next_token(dataset: &Dataset, now: DateTime<Utc>) -> Result<DateTime<Utc>, DateTime<Utc>> {
    let last = dataset.updated_at.map_or(dataset.created_at, |updated_at| updated_at.max(dataset.created_at));
    let token = now.max(last + TimeDelta::microseconds(1));
    time::to_micros(token).map(|_| token).ok_or(token)
}

/// The position, in the order of addition, of a KPI that is added with this number of the counter. It is larger than
/// that of every KPI that a new dataset can have.
#[expect(clippy::cast_possible_wrap, reason = "10,000")]
pub(crate) fn position(number: i64) -> i64 {
    number.saturating_add(KPIS_MAX as i64)
}

/// A change that is not applied yet: only what differs from the stored dataset.
pub(crate) struct Edit {
    name: Option<String>,
    #[expect(clippy::option_option, reason = "`None` keeps it, `Some(None)` clears it")]
    description: Option<Option<String>>,
    changed: Vec<ChangedKpi>,
    added: Vec<AddedKpi>,
    /// The indexes of the stored KPIs that the content lacks.
    deleted: Vec<usize>,
}

struct ChangedKpi {
    /// The index of the stored KPI.
    index: usize,
    position: i64,
    has_same_fields: bool,
    /// The KPI as it will be stored, apart from its `updated_at`.
    kpi: Kpi,
}

struct AddedKpi {
    /// Its position and the time of its creation, if it is a KPI of an earlier version.
    origin: Option<(i64, DateTime<Utc>)>,
    /// The KPI as it will be stored, apart from its times.
    kpi: Kpi,
}

/// A change that was applied to a record.
pub(crate) struct Changed {
    /// The dataset after the change.
    pub(crate) record: Record,
    /// The indexes of its KPIs whose rows differ from the stored ones.
    pub(crate) updated: Vec<usize>,
    /// The indexes of its KPIs that have no row yet.
    pub(crate) added: Vec<usize>,
    pub(crate) deleted: Vec<KpiId>,
    pub(crate) replaced: Replaced,
}

impl Edit {
    /// The change that gives this content to the dataset; `None` if it has that content already.
    pub(crate) fn new(before: &Record, content: Content<'_>) -> Option<Self> {
        let dataset = &before.dataset;
        let (stored, deleted) = matched(&dataset.kpis, &content.kpis);
        let (mut changed, mut added) = (Vec::new(), Vec::new());
        for (kpi, index) in content.kpis.into_iter().zip(stored) {
            let Some((index, (stored, stored_position))) = index.and_then(|index| Some((index, before.kpi(index)?)))
            else {
                added.push(AddedKpi { origin: kpi.origin, kpi: kpi_of(dataset, kpi, dataset.created_at, None) });
                continue;
            };
            let position = kpi.origin.map_or(stored_position, |(position, _)| position);
            let has_same_fields = has_fields_of(stored, &kpi);
            if !has_same_fields || position != stored_position {
                let kpi = kpi_of(dataset, kpi, stored.created_at, stored.updated_at);
                changed.push(ChangedKpi { index, position, has_same_fields, kpi });
            }
        }
        let name = (dataset.name != content.name).then(|| content.name.to_owned());
        let description =
            (dataset.description.as_deref() != content.description).then(|| content.description.map(str::to_owned));
        let changes_nothing =
            name.is_none() && description.is_none() && changed.is_empty() && added.is_empty() && deleted.is_empty();
        (!changes_nothing).then_some(Self { name, description, changed, added, deleted })
    }

    /// How many KPIs need a number for their position.
    pub(crate) fn numbers(&self) -> usize {
        self.added.iter().filter(|added| added.origin.is_none()).count()
    }

    /// Whether it changes a text of the dataset itself.
    pub(crate) fn has_texts(&self) -> bool {
        self.name.is_some() || self.description.is_some()
    }

    /// Applies the change: `numbers` are those of the positions of added KPIs.
    pub(crate) fn apply(
        self,
        before: Record,
        token: DateTime<Utc>,
        user: Option<UserId>,
        mut numbers: impl Iterator<Item = i64>,
    ) -> Changed {
        let mut replaced = Replaced::times(&before.dataset);
        let Record { mut dataset, mut positions, revision, has_given_id, digest } = before;
        replaced.texts(
            self.name.map(|name| std::mem::replace(&mut dataset.name, name)),
            self.description.map(|description| std::mem::replace(&mut dataset.description, description)),
        );
        let mut sum = digest.kpis;
        let mut rows = vec![Row::Stored; dataset.kpis.len()];
        for ChangedKpi { index, position, has_same_fields, kpi } in self.changed {
            let stored = dataset.kpis.get_mut(index).zip(positions.get_mut(index)).zip(rows.get_mut(index));
            let Some(((stored, stored_position), row)) = stored else { continue };
            sum = sum.wrapping_sub(digest::kpi(*stored_position, stored));
            let before = (std::mem::replace(stored, kpi), std::mem::replace(stored_position, position));
            if !has_same_fields {
                stored.updated_at = Some(token);
            }
            sum = sum.wrapping_add(digest::kpi(position, stored));
            replaced.change(before, (stored, position));
            *row = Row::Updated;
        }
        for index in &self.deleted {
            if let Some(row) = rows.get_mut(*index) {
                *row = Row::Deleted;
            }
        }
        for AddedKpi { origin, mut kpi } in self.added {
            let (position, created_at) = origin.unzip();
            let position = position.or_else(|| numbers.next().map(self::position)).unwrap_or(i64::MAX);
            // A KPI of an earlier version keeps its time of creation, and counts as updated now.
            (kpi.created_at, kpi.updated_at) = (created_at.unwrap_or(token), created_at.map(|_| token));
            sum = sum.wrapping_add(digest::kpi(position, &kpi));
            replaced.add(kpi.id);
            dataset.kpis.push(kpi);
            positions.push(position);
            rows.push(Row::Added);
        }
        let mut deleted = Vec::with_capacity(self.deleted.len());
        let places = dataset.kpis.iter().map(|kpi| kpi.sort_order).zip(&positions);
        if !self.deleted.is_empty() || !places.is_sorted() {
            (positions, (dataset.kpis, rows)) = arranged(dataset.kpis, positions, rows, |kpi, position| {
                sum = sum.wrapping_sub(digest::kpi(position, &kpi));
                deleted.push(kpi.id);
                replaced.delete(kpi, position);
            });
        }
        let indexes =
            |wanted: Row| (0..).zip(&rows).filter(|(_, row)| **row == wanted).map(|(index, _)| index).collect();
        let (updated, added) = (indexes(Row::Updated), indexes(Row::Added));
        (dataset.updated_by, dataset.updated_at) = (user, Some(token));
        let revision = revision.saturating_add(1);
        let head = digest::head(revision, &dataset, Counts::of(&dataset.kpis));
        let digest = digest::Digest { head, kpis: sum };
        let record = Record { dataset, positions, revision, has_given_id, digest };
        Changed { record, updated, added, deleted, replaced }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Row {
    Stored,
    Updated,
    Added,
    Deleted,
}

/// The KPIs in display order, without the deleted ones, which are given to `delete`.
fn arranged(
    kpis: Vec<Kpi>,
    positions: Vec<i64>,
    rows: Vec<Row>,
    mut delete: impl FnMut(Kpi, i64),
) -> (Vec<i64>, (Vec<Kpi>, Vec<Row>)) {
    let mut kept = Vec::with_capacity(kpis.len());
    for ((kpi, position), row) in kpis.into_iter().zip(positions).zip(rows) {
        if row == Row::Deleted {
            delete(kpi, position);
        } else {
            kept.push((position, (kpi, row)));
        }
    }
    kept.sort_by_key(|(position, (kpi, _))| (kpi.sort_order, *position));
    kept.into_iter().unzip()
}

/// For each KPI of the content the index of the stored one, and the indexes of those that the content lacks.
fn matched(stored: &[Kpi], content: &[KpiContent<'_>]) -> (Vec<Option<usize>>, Vec<usize>) {
    // Most changes leave most KPIs in their places.
    if stored.len() == content.len() && stored.iter().zip(content).all(|(stored, kpi)| stored.id == kpi.id) {
        return ((0..stored.len()).map(Some).collect(), Vec::new());
    }
    let by_id: HashMap<KpiId, usize> = stored.iter().enumerate().map(|(index, kpi)| (kpi.id, index)).collect();
    let found: Vec<_> = content.iter().map(|kpi| by_id.get(&kpi.id).copied()).collect();
    let kept: HashSet<usize> = found.iter().flatten().copied().collect();
    (found, (0..stored.len()).filter(|index| !kept.contains(index)).collect())
}

fn has_fields_of(stored: &Kpi, content: &KpiContent<'_>) -> bool {
    stored.name == content.name
        && stored.description.as_deref() == content.description
        && stored.unit.as_deref() == content.unit
        && stored.value_type == content.value_type
        && stored.required == content.required
        && stored.sort_order == content.sort_order
}

fn kpi_of(
    dataset: &Dataset,
    content: KpiContent<'_>,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
) -> Kpi {
    Kpi {
        id: content.id,
        dataset_id: dataset.id,
        name: content.name.to_owned(),
        sort_order: content.sort_order,
        created_at,
        description: content.description.map(str::to_owned),
        unit: content.unit.map(str::to_owned),
        value_type: content.value_type,
        required: content.required,
        updated_at,
    }
}
