//! Validation of a patch, independent of the dataset that it will be applied to.

use std::collections::HashSet;

use super::{DatasetPatch, KpiPatch};
use crate::model::ids::KpiId;
use crate::model::limits::KPIS_MAX;
use crate::model::request::rule::Rule;
use crate::model::request::validation::{
    check_count, check_description, check_name, check_sort_order, check_unit, validate_kpi,
};
use crate::model::request::violation::{Segment, Violations};
use crate::model::request::violations_builder::ViolationsBuilder;

impl DatasetPatch {
    /// Checks everything that does not depend on the dataset, without storing anything.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first. The limits of the contract have the codes of
    /// [`NewDataset::validate`](crate::NewDataset::validate), at `name`, `description`, `add_kpis[0].unit` and
    /// `update_kpis[1].name`, where the index counts the calls. Further codes:
    ///
    /// - `duplicate_id`: a KPI is updated or deleted twice, updated and deleted (at `delete_kpis[0]`), added with the
    ///   id of another that is added or deleted (at `add_kpis[1].id`), or listed twice in the order (at
    ///   `order_kpis[2]`).
    /// - `ambiguous_order`: a `sort_order` is set together with the order, at `update_kpis[1].sort_order`, or at
    ///   `add_kpis[0].sort_order` if it is not 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{DatasetPatch, KpiId, KpiPatch};
    ///
    /// let id = KpiId::new();
    /// let violations =
    ///     DatasetPatch::new().update_kpi(id, KpiPatch::new().name("")).delete_kpi(id).validate().unwrap_err();
    /// let found: Vec<_> = violations.iter().map(|violation| (violation.path(), violation.code())).collect();
    /// assert_eq!(found, [
    ///     ("update_kpis[0].name".to_owned(), "string_too_short"),
    ///     ("delete_kpis[0]".to_owned(), "duplicate_id"),
    /// ]);
    /// ```
    pub fn validate(&self) -> Result<(), Violations> {
        let mut violations = ViolationsBuilder::in_body();
        let description = self.description.as_ref().and_then(Option::as_deref);
        violations.field("name", self.name.as_deref().map_or(Ok(()), check_name));
        violations.field("description", check_description(description));
        self.validate_added(&mut violations);
        self.validate_updated(&mut violations);
        self.validate_deleted(&mut violations);
        self.validate_order(&mut violations);
        violations.finish()
    }

    fn validate_added(&self, violations: &mut ViolationsBuilder) {
        if violations.field("add_kpis", check_count(self.added.len(), KPIS_MAX)).is_none() {
            return;
        }
        let mut ids: HashSet<KpiId> = self.deleted.iter().copied().collect();
        each("add_kpis", &self.added, violations, |kpi, violations| {
            violations.field("id", kpi.id.map_or(Ok(()), |id| check_first(&mut ids, id)));
            validate_kpi(kpi, violations);
            if kpi.sort_order > 0 {
                violations.field("sort_order", self.check_no_order());
            }
        });
    }

    fn validate_updated(&self, violations: &mut ViolationsBuilder) {
        let mut ids = HashSet::new();
        each("update_kpis", &self.updated, violations, |(id, patch), violations| {
            violations.field("id", check_first(&mut ids, *id));
            patch.validate(violations);
            if patch.sort_order.is_some_and(|sort_order| sort_order >= 0) {
                violations.field("sort_order", self.check_no_order());
            }
        });
    }

    fn validate_deleted(&self, violations: &mut ViolationsBuilder) {
        let mut ids = self.updated.iter().map(|(id, _)| *id).collect();
        each("delete_kpis", &self.deleted, violations, |id, violations| {
            if let Err(rule) = check_first(&mut ids, *id) {
                violations.add(rule);
            }
        });
    }

    fn validate_order(&self, violations: &mut ViolationsBuilder) {
        let mut ids = HashSet::new();
        each("order_kpis", self.order.iter().flatten(), violations, |id, violations| {
            if let Err(rule) = check_first(&mut ids, *id) {
                violations.add(rule);
            }
        });
    }

    fn check_no_order(&self) -> Result<(), Rule> {
        if self.order.is_some() { Err(Rule::AmbiguousOrder) } else { Ok(()) }
    }
}

impl KpiPatch {
    fn validate(&self, violations: &mut ViolationsBuilder) {
        violations.field("name", self.name.as_deref().map_or(Ok(()), check_name));
        violations.field("description", check_description(self.description.as_ref().and_then(Option::as_deref)));
        violations.field("unit", check_unit(self.unit.as_ref().and_then(Option::as_deref)));
        violations.field("sort_order", self.sort_order.map_or(Ok(()), check_sort_order));
    }
}

/// Validates each item of the list `key`.
fn each<T>(
    key: &'static str,
    items: impl IntoIterator<Item = T>,
    violations: &mut ViolationsBuilder,
    mut validate: impl FnMut(T, &mut ViolationsBuilder),
) {
    violations.within(Segment::key(key), |violations| {
        for (index, item) in items.into_iter().enumerate() {
            violations.within(Segment::Index(index), |violations| validate(item, violations));
        }
    });
}

fn check_first(ids: &mut HashSet<KpiId>, id: KpiId) -> Result<(), Rule> {
    if ids.insert(id) { Ok(()) } else { Err(Rule::DuplicateId) }
}
