//! The limits of the contract, applied: to requests built in code here, to requests read from JSON as they are read.

use super::limits::{DESCRIPTION_MAX, KPIS_MAX, NAME_MAX, NAME_MIN, SORT_ORDER_MIN, UNIT_MAX};
use super::new_dataset::{NewDataset, NewKpi};
use super::violation::{Rule, Segment, Violation, Violations};

impl NewDataset {
    /// Checks every limit of the contract without storing anything.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, in the order in which
    /// [`from_json`](Self::from_json) gives them.
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
        let mut findings = Findings::in_body();
        findings.field("name", check_name(&self.name));
        findings.field("description", check_description(self.description.as_deref()));
        if findings.field("kpis", check_count(self.kpis.len())).is_some() {
            findings.within(Segment::key("kpis"), |findings| {
                for (index, kpi) in self.kpis.iter().enumerate() {
                    findings.within(Segment::Index(index), |findings| validate_kpi(kpi, findings));
                }
            });
        }
        findings.finish()
    }
}

/// Collects violations while walking an input: it knows the place and what was found.
pub(crate) struct Findings {
    place: Vec<Segment>,
    found: Vec<Violation>,
}

impl Findings {
    /// At the root of a request body.
    pub(crate) fn in_body() -> Self {
        Self { place: vec![Segment::key("body")], found: Vec::new() }
    }

    /// Walks into `segment`, does `walk` there and comes back.
    pub(crate) fn within<T>(&mut self, segment: Segment, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.place.push(segment);
        let result = walk(self);
        self.place.pop();
        result
    }

    /// Notes that the place breaks `rule`.
    pub(crate) fn here(&mut self, rule: Rule) {
        self.found.push(Violation::new(self.place.clone(), rule));
    }

    /// The value of `field` of the place; if it broke a rule, notes that.
    pub(crate) fn field<T>(&mut self, field: &'static str, value: Result<T, Rule>) -> Option<T> {
        value.map_err(|rule| self.within(Segment::key(field), |findings| findings.here(rule))).ok()
    }

    /// How many violations were found so far.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn finish(self) -> Result<(), Violations> {
        Violations::check(self.found)
    }
}

fn validate_kpi(kpi: &NewKpi, findings: &mut Findings) {
    findings.field("name", check_name(&kpi.name));
    findings.field("description", check_description(kpi.description.as_deref()));
    findings.field("unit", check_unit(kpi.unit.as_deref()));
    findings.field("sort_order", check_sort_order(kpi.sort_order));
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

/// More KPIs than the limit are one violation; the items are not looked at.
pub(crate) fn check_count(count: usize) -> Result<(), Rule> {
    if count > KPIS_MAX { Err(Rule::ListTooLong { max: KPIS_MAX, actual: count }) } else { Ok(()) }
}

fn check_text(text: &str, max: usize) -> Result<(), Rule> {
    // A code point is at most four bytes, so most texts need no counting.
    if text.len() > max && text.chars().count() > max {
        return Err(Rule::StringTooLong { max });
    }
    if text.as_bytes().contains(&0) { Err(Rule::StringNul) } else { Ok(()) }
}
