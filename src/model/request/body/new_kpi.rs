//! The body of a *Create Kpi* request.

use super::kpis::KpiFields;
use super::read;
use crate::model::new_dataset::NewKpi;
use crate::model::request::json::{Reader, SyntaxError};
use crate::model::request::json_object::ObjectReader;
use crate::model::request::violation::Violations;
use crate::model::request::violations_builder::ViolationsBuilder;

impl NewKpi {
    /// Reads the JSON body of a *Create Kpi* request (`POST /v1/custom-kpi-datasets/{dataset_id}/kpis`).
    ///
    /// Fields, limits, defaults and codes are those of an element of `kpis` in the request of a dataset
    /// ([`NewDataset::from_json`](crate::NewDataset::from_json)); paths begin at the KPI: `unit`.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, in the order of the fields. A body that is not JSON
    /// has the single violation `json_invalid`, an empty body the single violation `missing`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::{NewKpi, ValueType};
    ///
    /// let kpi = NewKpi::from_json(r#"{"name": "Share of recycled water", "value_type": "percentage"}"#)?;
    /// assert_eq!(kpi, NewKpi::new("Share of recycled water").value_type(ValueType::Percentage));
    ///
    /// let violations = NewKpi::from_json(r#"{"name": "Withdrawal", "unit": 3}"#).unwrap_err();
    /// assert_eq!(violations.to_string(), "unit: Input should be a valid string");
    /// # Ok::<(), kpi_store::Violations>(())
    /// ```
    pub fn from_json(body: impl AsRef<[u8]>) -> Result<Self, Violations> {
        read(body.as_ref(), read_kpi)
    }
}

/// Reads a KPI; its opening brace was read before.
pub(super) fn read_kpi(
    reader: &mut Reader<'_>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<NewKpi>, SyntaxError> {
    let mut fields = KpiFields::new();
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        if !fields.read(&key, &mut object)? {
            object.unexpected(key)?;
        }
    }
    let kpi = fields.finish(violations);
    object.finish(violations);
    Ok(kpi)
}
