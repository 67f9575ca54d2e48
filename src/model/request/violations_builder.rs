//! Collecting the violations of an input while it is validated.

use super::rule::Rule;
use super::violation::{Segment, Violation, Violations};
use crate::model::limits::VIOLATIONS_MAX;

/// Collects violations: the first [`VIOLATIONS_MAX`] are kept, further ones only counted.
#[derive(Debug)]
pub(crate) struct ViolationsBuilder {
    /// The path of the current value.
    loc: Vec<Segment>,
    list: Vec<Violation>,
    omitted: usize,
}

impl ViolationsBuilder {
    /// At the root of a request body.
    pub(crate) fn in_body() -> Self {
        Self { loc: vec![Segment::key("body")], list: Vec::new(), omitted: 0 }
    }

    /// At the root of a query.
    pub(crate) fn in_query() -> Self {
        Self { loc: vec![Segment::key("query")], list: Vec::new(), omitted: 0 }
    }

    /// Runs `validate` with the path extended by `segment`.
    pub(crate) fn within<T>(&mut self, segment: Segment, validate: impl FnOnce(&mut Self) -> T) -> T {
        self.loc.push(segment);
        let result = validate(self);
        self.loc.pop();
        result
    }

    /// The current value breaks `rule`.
    pub(crate) fn add(&mut self, rule: Rule) {
        self.push(|loc| Violation::new(loc.to_vec(), rule));
    }

    /// The element `segment` of the current value breaks `rule`.
    pub(crate) fn add_at(&mut self, segment: Segment, rule: Rule) {
        self.push(|loc| {
            let mut loc = loc.to_vec();
            loc.push(segment);
            Violation::new(loc, rule)
        });
    }

    /// The value of the field `key` of the current value; adds a violation if it breaks a rule.
    pub(crate) fn field<T>(&mut self, key: &'static str, value: Result<T, Rule>) -> Option<T> {
        value.map_err(|rule| self.add_at(Segment::key(key), rule)).ok()
    }

    /// Adds the violations of item `index` of a batch.
    pub(crate) fn item(&mut self, index: usize, violations: Violations) {
        self.omit(violations.total() - violations.len());
        for violation in violations.in_item(index) {
            self.push(|_| violation);
        }
    }

    /// Adds the violations that another builder collected from the same input.
    pub(crate) fn append(&mut self, other: Self) {
        self.omit(other.omitted);
        for violation in other.list {
            self.push(|_| violation);
        }
    }

    /// Counts violations without listing them.
    pub(crate) fn omit(&mut self, count: usize) {
        self.omitted += count;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The violations as a result: an error if there are any.
    pub(crate) fn finish(self) -> Result<(), Violations> {
        if self.list.is_empty() { Ok(()) } else { Err(Violations::new(self.list, self.omitted)) }
    }

    /// Adds a violation, or only counts it if the list is full.
    fn push(&mut self, violation: impl FnOnce(&[Segment]) -> Violation) {
        if self.list.len() < VIOLATIONS_MAX {
            self.list.push(violation(&self.loc));
        } else {
            self.omitted += 1;
        }
    }
}
