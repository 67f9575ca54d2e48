//! Applying the limits of the contract. `validate` checks requests that were built in code; the JSON reader calls the
//! same checks while it reads.

use super::rule::Rule;
use super::violation::{Segment, Violations};
use super::violations_builder::ViolationsBuilder;
use crate::model::limits::{
    DESCRIPTION_MAX, KPIS_MAX, NAME_MAX, NAME_MIN, PROPERTY_CONTENT_MAX, PROPERTY_KEY_MAX, PROPERTY_KEY_MIN,
    SORT_ORDER_MIN, UNIT_MAX,
};
use crate::model::new_dataset::{NewDataset, NewKpi};

impl NewDataset {
    /// Checks every limit of the contract without storing anything.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, in the same order as [`from_json`](Self::from_json).
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{NewDataset, NewKpi};
    ///
    /// let violations = NewDataset::new("").kpi(NewKpi::new("Waste").sort_order(-1)).validate().unwrap_err();
    /// let paths: Vec<_> = violations.iter().map(|violation| violation.path()).collect();
    /// assert_eq!(paths, ["name", "kpis[0].sort_order"]);
    /// ```
    pub fn validate(&self) -> Result<(), Violations> {
        let mut violations = ViolationsBuilder::in_body();
        violations.field("name", check_name(&self.name));
        violations.field("description", check_description(self.description.as_deref()));
        if violations.field("kpis", check_count(self.kpis.len(), KPIS_MAX)).is_some() {
            violations.within(Segment::key("kpis"), |violations| {
                for (index, kpi) in self.kpis.iter().enumerate() {
                    violations.within(Segment::Index(index), |violations| validate_kpi(kpi, violations));
                }
            });
        }
        violations.finish()
    }
}

impl NewKpi {
    /// Checks every limit of the contract without storing anything.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, in the same order as [`from_json`](Self::from_json).
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::NewKpi;
    ///
    /// assert!(NewKpi::new("Waste").validate().is_ok());
    /// let violations = NewKpi::new("").sort_order(-1).validate().unwrap_err();
    /// let paths: Vec<_> = violations.iter().map(|violation| violation.path()).collect();
    /// assert_eq!(paths, ["name", "sort_order"]);
    /// ```
    pub fn validate(&self) -> Result<(), Violations> {
        let mut violations = ViolationsBuilder::in_body();
        validate_kpi(self, &mut violations);
        violations.finish()
    }
}

pub(crate) fn validate_kpi(kpi: &NewKpi, violations: &mut ViolationsBuilder) {
    violations.field("name", check_name(&kpi.name));
    violations.field("description", check_description(kpi.description.as_deref()));
    violations.field("unit", check_unit(kpi.unit.as_deref()));
    violations.field("sort_order", check_sort_order(kpi.sort_order));
}

pub(crate) fn check_name(name: &str) -> Result<(), Rule> {
    if name.is_empty() {
        return Err(Rule::StringTooShort { min: NAME_MIN });
    }
    check_text(name, NAME_MAX)
}

pub(crate) fn check_description(description: Option<&str>) -> Result<(), Rule> {
    description.map_or(Ok(()), |description| check_text(description, DESCRIPTION_MAX))
}

pub(crate) fn check_unit(unit: Option<&str>) -> Result<(), Rule> {
    unit.map_or(Ok(()), |unit| check_text(unit, UNIT_MAX))
}

pub(crate) fn check_sort_order(sort_order: i64) -> Result<(), Rule> {
    if sort_order < SORT_ORDER_MIN { Err(Rule::GreaterThanEqual { ge: SORT_ORDER_MIN }) } else { Ok(()) }
}

/// Too many KPIs are a single violation; the items are not validated then.
pub(crate) fn check_count(count: usize, max: usize) -> Result<(), Rule> {
    if count > max { Err(Rule::ListTooLong { max, actual: count }) } else { Ok(()) }
}

/// The same for the KPIs that a dataset would have after a change.
pub(crate) fn check_total(count: usize) -> Result<(), Violations> {
    check_count(count, KPIS_MAX).map_err(|rule| Violations::one(vec![Segment::key("body"), Segment::key("kpis")], rule))
}

pub(crate) fn check_property_key(key: &str) -> Result<(), Rule> {
    if key.is_empty() {
        return Err(Rule::StringTooShort { min: PROPERTY_KEY_MIN });
    }
    check_text(key, PROPERTY_KEY_MAX)
}

pub(crate) fn check_property_content(content: Option<&[u8]>) -> Result<(), Rule> {
    match content {
        Some(content) if content.len() > PROPERTY_CONTENT_MAX => Err(Rule::BytesTooLong { max: PROPERTY_CONTENT_MAX }),
        _ => Ok(()),
    }
}

fn check_text(text: &str, max: usize) -> Result<(), Rule> {
    // A code point is at most four bytes, so most texts need no counting.
    if text.len() > max && text.chars().count() > max {
        return Err(Rule::StringTooLong { max });
    }
    if memchr::memchr(0, text.as_bytes()).is_some() { Err(Rule::StringNul) } else { Ok(()) }
}
