//! A change of a dataset: from its record and its new content to its new record, the rows to write, and what the change
//! replaced.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::content::{Content, KpiContent};
use super::dataset::{Dataset, Kpi};
use super::digest;
use super::ids::{KpiId, UserId};
use super::limits::KPIS_MAX;
use super::record::Record;
use super::replaced::Replaced;
use super::time;

/// The `updated_at` of the next change of a dataset: the clock's time, or a microsecond after its last change if the clock
/// is behind, so that it rises with every change. `None` past the year 9999.
pub(crate) fn next_token(dataset: &Dataset, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let last = dataset.updated_at.map_or(dataset.created_at, |updated_at| updated_at.max(dataset.created_at));
    let token = now.max(last + TimeDelta::microseconds(1));
    time::to_micros(token).map(|_| token)
}

/// The position in the order of addition of a KPI that is added with this number of the counter: behind those of every
/// KPI that a new dataset can have.
#[expect(clippy::cast_possible_wrap, reason = "10,000")]
pub(crate) fn position(number: i64) -> i64 {
    number.saturating_add(KPIS_MAX as i64)
}

/// A change that is not applied yet.
pub(crate) struct Change {
    content: Content,
    /// For each KPI of the content the index of the stored one, if there is one.
    stored: Vec<Option<usize>>,
    deleted: Vec<usize>,
}

/// A change that was applied to a record.
pub(crate) struct Changed {
    /// What the dataset is then.
    pub(crate) record: Record,
    /// The indexes of its KPIs whose rows differ from the stored ones.
    pub(crate) updated: Vec<usize>,
    /// The indexes of its KPIs that have no row yet.
    pub(crate) added: Vec<usize>,
    pub(crate) deleted: Vec<KpiId>,
    pub(crate) replaced: Replaced,
}

impl Change {
    /// The change that gives this content to the dataset; `None` if it has that content already.
    pub(crate) fn new(before: &Record, content: Content) -> Option<Self> {
        let (stored, deleted) = matched(&before.dataset.kpis, &content.kpis);
        let is_stored = |kpi: &KpiContent, index: Option<usize>| {
            index.is_some_and(|index| {
                before.dataset.kpis.get(index).is_some_and(|stored| has_fields_of(stored, kpi))
                    && kpi.origin.is_none_or(|(position, _)| before.positions.get(index) == Some(&position))
            })
        };
        let changes_nothing = before.dataset.name == content.name
            && before.dataset.description == content.description
            && deleted.is_empty()
            && content.kpis.iter().zip(&stored).all(|(kpi, index)| is_stored(kpi, *index));
        (!changes_nothing).then_some(Self { content, stored, deleted })
    }

    /// How many KPIs need a number for their position.
    pub(crate) fn numbers(&self) -> usize {
        let is_new = |(kpi, stored): &(&KpiContent, &Option<usize>)| stored.is_none() && kpi.origin.is_none();
        self.content.kpis.iter().zip(&self.stored).filter(is_new).count()
    }

    /// Applies the change: `numbers` are those of the positions of added KPIs.
    pub(crate) fn apply(
        self,
        before: &Record,
        token: DateTime<Utc>,
        user: Option<UserId>,
        mut numbers: impl Iterator<Item = i64>,
    ) -> Changed {
        let mut replaced = Replaced::head(&before.dataset, &self.content);
        let mut sum = before.digest.kpis;
        for (kpi, position) in self.deleted.iter().filter_map(|index| before.kpi(*index)) {
            sum = sum.wrapping_sub(digest::kpi(position, kpi));
            replaced.delete(kpi, position);
        }
        let deleted = self.deleted.iter().filter_map(|index| before.kpi(*index)).map(|(kpi, _)| kpi.id).collect();
        let mut kpis = Vec::with_capacity(self.content.kpis.len());
        for (content, stored) in self.content.kpis.into_iter().zip(self.stored) {
            let Some((stored, stored_position)) = stored.and_then(|index| before.kpi(index)) else {
                let (position, created_at) = content.origin.unzip();
                let position = position.or_else(|| numbers.next().map(self::position)).unwrap_or(i64::MAX);
                // A KPI that comes back is as old as it was, and has changed.
                let updated_at = created_at.map(|_| token);
                let kpi = kpi_of(&before.dataset, content, created_at.unwrap_or(token), updated_at);
                sum = sum.wrapping_add(digest::kpi(position, &kpi));
                replaced.add(kpi.id);
                kpis.push((position, kpi, Row::Added));
                continue;
            };
            let position = content.origin.map_or(stored_position, |(position, _)| position);
            let has_same_fields = has_fields_of(stored, &content);
            if has_same_fields && position == stored_position {
                kpis.push((position, stored.clone(), Row::Stored));
                continue;
            }
            let updated_at = if has_same_fields { stored.updated_at } else { Some(token) };
            replaced.change(stored, stored_position, &content, position);
            let kpi = kpi_of(&before.dataset, content, stored.created_at, updated_at);
            sum = sum.wrapping_sub(digest::kpi(stored_position, stored)).wrapping_add(digest::kpi(position, &kpi));
            kpis.push((position, kpi, Row::Updated));
        }
        kpis.sort_by_key(|(position, kpi, _)| (kpi.sort_order, *position));
        let rows = |wanted: Row| {
            kpis.iter().enumerate().filter(|(_, (_, _, row))| *row == wanted).map(|(index, _)| index).collect()
        };
        let (updated, added) = (rows(Row::Updated), rows(Row::Added));
        let (positions, kpis) = kpis.into_iter().map(|(position, kpi, _)| (position, kpi)).unzip();
        let dataset = Dataset {
            name: self.content.name,
            description: self.content.description,
            updated_by: user,
            updated_at: Some(token),
            kpis,
            ..before.head()
        };
        let revision = before.revision.saturating_add(1);
        let head = digest::head(revision, &dataset, dataset.kpis.len());
        let digest = digest::Digest { head, kpis: sum };
        let record = Record { dataset, positions, revision, has_given_id: before.has_given_id, digest };
        Changed { record, updated, added, deleted, replaced }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Row {
    Stored,
    Updated,
    Added,
}

/// For each KPI of the content the index of the stored one, and the indexes of those that the content lacks.
fn matched(stored: &[Kpi], content: &[KpiContent]) -> (Vec<Option<usize>>, Vec<usize>) {
    // Most changes leave most KPIs in their places.
    if stored.len() == content.len() && stored.iter().zip(content).all(|(stored, kpi)| stored.id == kpi.id) {
        return ((0..stored.len()).map(Some).collect(), Vec::new());
    }
    let by_id: HashMap<KpiId, usize> = stored.iter().enumerate().map(|(index, kpi)| (kpi.id, index)).collect();
    let found: Vec<_> = content.iter().map(|kpi| by_id.get(&kpi.id).copied()).collect();
    let kept: HashSet<usize> = found.iter().flatten().copied().collect();
    (found, (0..stored.len()).filter(|index| !kept.contains(index)).collect())
}

fn has_fields_of(stored: &Kpi, content: &KpiContent) -> bool {
    stored.name == content.name
        && stored.description == content.description
        && stored.unit == content.unit
        && stored.value_type == content.value_type
        && stored.required == content.required
        && stored.sort_order == content.sort_order
}

fn kpi_of(dataset: &Dataset, content: KpiContent, created_at: DateTime<Utc>, updated_at: Option<DateTime<Utc>>) -> Kpi {
    Kpi {
        id: content.id,
        dataset_id: dataset.id,
        name: content.name,
        sort_order: content.sort_order,
        created_at,
        description: content.description,
        unit: content.unit,
        value_type: content.value_type,
        required: content.required,
        updated_at,
    }
}
