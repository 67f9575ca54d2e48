//! The list of KPIs, and the fields that every KPI in a body has.

use super::read_item;
use super::scalars::{
    read_description, read_name, read_required, read_rounded_sort_order, read_sort_order, read_unit, read_value_type,
};
use crate::model::new_dataset::NewKpi;
use crate::model::request::json::{Reader, SyntaxError, Value};
use crate::model::request::json_object::{Field, ObjectReader, decode};
use crate::model::request::rule::Rule;
use crate::model::request::validation;
use crate::model::request::violation::Segment;
use crate::model::request::violations_builder::ViolationsBuilder;
use crate::model::value_type::ValueType;

/// The KPIs, at most `max`, each read with `read_kpi`; or the violations of the list or its items. `null` says whether
/// null stands for an empty list.
pub(super) fn read_kpis<'a, T>(
    reader: &mut Reader<'a>,
    null: Result<(), Rule>,
    max: usize,
    mut read_kpi: impl FnMut(&mut Reader<'a>, &mut ViolationsBuilder) -> Result<Option<T>, SyntaxError>,
) -> Result<Result<Vec<T>, ViolationsBuilder>, SyntaxError> {
    let mut violations = ViolationsBuilder::in_body();
    let mut kpis = Vec::new();
    let list = match reader.value()? {
        Value::Null => null,
        Value::Array => violations.within(Segment::key("kpis"), |violations| {
            let mut count = 0;
            while reader.next_item()? {
                if count < max {
                    let read = |violations: &mut _| read_item(reader, violations, &mut read_kpi);
                    kpis.extend(violations.within(Segment::Index(count), read)?);
                } else {
                    let value = reader.value()?;
                    reader.skip_rest(value)?;
                }
                count += 1;
            }
            Ok(validation::check_count(count, max))
        })?,
        Value::String(text) => decode(text).map(|_| Err(Rule::ListType))?,
        value => reader.skip_rest(value).map(|()| Err(Rule::ListType))?,
    };
    if let Err(rule) = list {
        // The only violation then: the server does not validate the items of such a list.
        violations = ViolationsBuilder::in_body();
        violations.add_at(Segment::key("kpis"), rule);
    }
    Ok(if violations.is_empty() { Ok(kpis) } else { Err(violations) })
}

/// The list that was read, `absent` if there is none; adds its violations.
pub(super) fn given_kpis<T>(
    kpis: Field<Vec<T>, ViolationsBuilder>,
    absent: Result<Vec<T>, Rule>,
    violations: &mut ViolationsBuilder,
) -> Option<Vec<T>> {
    match kpis.into_outcome() {
        None => violations.field("kpis", absent),
        Some(Ok(kpis)) => Some(kpis),
        Some(Err(found)) => {
            violations.append(found);
            None
        }
    }
}

/// The fields of a KPI in a request.
pub(super) struct KpiFields {
    name: Field<String>,
    description: Field<Option<String>>,
    unit: Field<Option<String>>,
    value_type: Field<ValueType>,
    required: Field<bool>,
    sort_order: Field<i64>,
}

impl KpiFields {
    /// Reads a `sort_order` that is not saved.
    pub(super) fn read_rounded_sort_order(&mut self, object: &mut ObjectReader<'_, '_>) -> Result<(), SyntaxError> {
        object.field(&mut self.sort_order, read_rounded_sort_order)
    }

    pub(super) fn new() -> Self {
        Self {
            name: Field::new("name"),
            description: Field::new("description"),
            unit: Field::new("unit"),
            value_type: Field::new("value_type"),
            required: Field::new("required"),
            sort_order: Field::new("sort_order"),
        }
    }

    /// Reads the value of `key` if it is one of these fields; whether it is.
    #[inline]
    pub(super) fn read(&mut self, key: &str, object: &mut ObjectReader<'_, '_>) -> Result<bool, SyntaxError> {
        match key {
            "name" => object.field(&mut self.name, read_name)?,
            "description" => object.field(&mut self.description, read_description)?,
            "unit" => object.field(&mut self.unit, read_unit)?,
            "value_type" => object.field(&mut self.value_type, read_value_type)?,
            "required" => object.field(&mut self.required, read_required)?,
            "sort_order" => object.field(&mut self.sort_order, read_sort_order)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The KPI, with the defaults of the contract for absent fields; `None` if a field adds a violation.
    #[inline]
    pub(super) fn finish(self, violations: &mut ViolationsBuilder) -> Option<NewKpi> {
        let name = self.name.required(violations);
        let description = self.description.optional(None, violations);
        let unit = self.unit.optional(None, violations);
        let value_type = self.value_type.optional(ValueType::default(), violations);
        let required = self.required.optional(true, violations);
        let sort_order = self.sort_order.optional(0, violations);
        Some(NewKpi {
            id: None,
            name: name?,
            description: description?,
            unit: unit?,
            value_type: value_type?,
            required: required?,
            sort_order: sort_order?,
        })
    }
}
