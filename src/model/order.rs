//! The `sort_order` of KPIs that are given a display order.

use std::collections::HashMap;

use super::dataset::Dataset;
use super::ids::KpiId;

/// The place of a stored KPI in display order: its `sort_order` and its index, which breaks ties.
pub(crate) type Place = (i64, usize);

/// The place of each KPI of a dataset.
pub(crate) fn places(dataset: &Dataset) -> HashMap<KpiId, Place> {
    dataset.kpis.iter().enumerate().map(|(index, kpi)| (kpi.id, (kpi.sort_order, index))).collect()
}

/// A `sort_order` for each KPI of a list in display order; a KPI without a place is to be added.
///
/// KPIs that have a place keep their `sort_order` if the list agrees with it, and each KPI appended to them gets the
/// previous plus one. Otherwise all become 0, 1, 2, and so on.
pub(crate) fn sort_orders(list: &[Option<Place>]) -> Vec<i64> {
    kept(list).unwrap_or_else(|| (0..).take(list.len()).collect())
}

/// `None` if the list does not agree with the places.
fn kept(list: &[Option<Place>]) -> Option<Vec<i64>> {
    let mut sort_orders = Vec::with_capacity(list.len());
    let mut previous: Option<Place> = None;
    let mut is_appending = false;
    for place in list.iter().copied() {
        let is_added = place.is_none();
        let place = match (place, previous) {
            // A KPI that is added comes behind every other with the same `sort_order`, so it can only be appended.
            (Some(_), _) if is_appending => return None,
            (Some(place), Some(previous)) if place < previous => return None,
            (Some(place), _) => place,
            (None, None) => (0, 0),
            (None, Some((sort_order, index))) => (sort_order.checked_add(1)?, index),
        };
        is_appending = is_added;
        sort_orders.push(place.0);
        previous = Some(place);
    }
    Some(sort_orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_agrees_keeps_its_sort_orders_and_any_other_is_numbered() {
        let at = |sort_order, index| Some((sort_order, index));
        let table: [(&[Option<Place>], &[i64]); 13] = [
            (&[], &[]),
            (&[None], &[0]),
            (&[None, None], &[0, 1]),
            (&[at(5, 0), at(7, 1)], &[5, 7]),
            (&[at(5, 0), at(7, 2)], &[5, 7]),
            (&[at(7, 1), at(5, 0)], &[0, 1]),
            // Ties: as they stood, and exchanged.
            (&[at(5, 0), at(5, 1)], &[5, 5]),
            (&[at(5, 1), at(5, 0)], &[0, 1]),
            // Appended, put in between, and put first.
            (&[at(5, 0), at(7, 1), None, None], &[5, 7, 8, 9]),
            (&[at(5, 0), None, at(7, 1)], &[0, 1, 2]),
            (&[None, at(5, 0)], &[0, 1]),
            // There is nothing after the largest.
            (&[at(5, 0), at(i64::MAX - 1, 1), None], &[5, i64::MAX - 1, i64::MAX]),
            (&[at(5, 0), at(i64::MAX - 1, 1), None, None], &[0, 1, 2, 3]),
        ];
        for (list, expected) in table {
            assert_eq!(sort_orders(list), expected, "{list:?}");
        }
    }
}
