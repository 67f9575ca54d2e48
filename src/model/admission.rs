//! From what is asked for to what is stored: the only way to a new [`Dataset`].

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::dataset::{Dataset, Kpi};
use super::ids::{Ids, KpiId, OrganizationId, UserId};
use super::new_dataset::{NewDataset, NewKpi};
use super::violation::Violations;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) organization: OrganizationId,
    pub(crate) user: Option<UserId>,
    /// Whole microseconds within the years allowed.
    pub(crate) now: DateTime<Utc>,
}

/// A dataset that may be stored.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) dataset: Dataset,
    /// For each KPI of the dataset, which are in display order, its place in the order of addition.
    pub(crate) positions: Vec<i64>,
}

impl Admitted {
    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let texts = |kpi: &Kpi| kpi.name.capacity() + text(&kpi.description) + text(&kpi.unit);
        let kpis = self.dataset.kpis.iter().map(|kpi| size_of::<(Kpi, i64)>() + texts(kpi)).sum::<usize>();
        size_of::<Self>() + self.dataset.name.capacity() + text(&self.dataset.description) + kpis
    }

    /// An id that two KPIs of the dataset have.
    pub(crate) fn repeated_kpi(&self) -> Option<KpiId> {
        let mut seen = HashSet::new();
        self.dataset.kpis.iter().map(|kpi| kpi.id).find(|id| !seen.insert(*id))
    }
}

/// As many ids as a request needs at most.
pub(crate) fn ids_max(new: &NewDataset) -> usize {
    1 + new.kpis.len()
}

/// Checks a request and gives it its ids, time and display order.
pub(crate) fn admit(new: NewDataset, author: Author, ids: &mut Ids<'_>) -> Result<Admitted, Violations> {
    new.validate()?;
    let id = new.id.unwrap_or_else(|| ids.next());
    let kpi = |kpi: NewKpi| Kpi {
        id: kpi.id.unwrap_or_else(|| ids.next()),
        dataset_id: id,
        name: kpi.name,
        sort_order: kpi.sort_order,
        created_at: author.now,
        description: kpi.description,
        unit: kpi.unit,
        value_type: kpi.value_type,
        required: kpi.required,
        updated_at: None,
    };
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
    Ok(Admitted { dataset, positions })
}

/// The KPIs in display order, each with its place in the order of addition, which ties keep.
fn in_display_order(kpis: Vec<Kpi>) -> (Vec<i64>, Vec<Kpi>) {
    // As most requests have it.
    if kpis.is_sorted_by_key(|kpi| kpi.sort_order) {
        return ((0..).take(kpis.len()).collect(), kpis);
    }
    let mut placed: Vec<(i64, Kpi)> = (0..).zip(kpis).collect();
    placed.sort_by_key(|(_, kpi)| kpi.sort_order);
    placed.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::IdSource;
    use crate::model::time;

    /// A load that took a request for smaller than it is would hold more of its input in memory than it says.
    #[test]
    fn every_text_counts_in_the_memory_that_a_request_takes() {
        let author = Author { organization: OrganizationId::new(), user: None, now: time::system_clock() };
        let bytes = |new: NewDataset| admit(new, author, &mut IdSource::Fresh.ids(3)).unwrap().bytes();
        let empty = NewDataset::new("Water");
        let kpi = NewKpi::new("Withdrawal");
        let without = bytes(empty.clone());
        let with_kpi = bytes(empty.clone().kpi(kpi.clone()));
        assert_eq!(without, size_of::<Admitted>() + 5);
        assert_eq!(bytes(empty.clone().description("of the year")), without + 11);
        assert_eq!(with_kpi, without + size_of::<(Kpi, i64)>() + 10);
        assert_eq!(bytes(empty.clone().kpi(kpi.clone().description("in all").unit("m3"))), with_kpi + 8);
        assert_eq!(bytes(empty.kpis([kpi.clone(), kpi])), 2 * with_kpi - without);
    }
}
