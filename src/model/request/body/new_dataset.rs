//! The body of a *Create Dataset* request.

use super::kpis::{given_kpis, read_kpis};
use super::new_kpi::read_kpi;
use super::read;
use super::scalars::{read_description, read_name};
use crate::model::limits::KPIS_IN_REQUEST_MAX;
use crate::model::new_dataset::NewDataset;
use crate::model::request::json::{Reader, SyntaxError};
use crate::model::request::json_object::{Field, ObjectReader};
use crate::model::request::violation::Violations;
use crate::model::request::violations_builder::ViolationsBuilder;

impl NewDataset {
    /// Reads the JSON body of a *Create Dataset* request.
    ///
    /// The server accepts every body that this function accepts. Whatever the server rejects, this function rejects at
    /// the same path, with the code of pydantic's strict mode. It is stricter than the server where the stored value
    /// would differ from the request: it also rejects unknown and repeated keys, numbers in strings, and U+0000.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first: in the order of the fields, depth first, KPIs by
    /// index. A body that is not JSON has the single violation `json_invalid`, an empty body the single violation
    /// `missing`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::NewDataset;
    ///
    /// let request = NewDataset::from_json(r#"{"name": "Water", "kpis": [{"name": "Withdrawal", "unit": "m³"}]}"#)?;
    /// assert_eq!(request.kpis[0].unit.as_deref(), Some("m³"));
    ///
    /// let violations = NewDataset::from_json(r#"{"kpis": [{"name": "", "sort_order": "1"}]}"#).unwrap_err();
    /// let found: Vec<_> = violations.iter().map(|violation| (violation.path(), violation.code())).collect();
    /// assert_eq!(found, [
    ///     ("name".to_owned(), "missing"),
    ///     ("kpis[0].name".to_owned(), "string_too_short"),
    ///     ("kpis[0].sort_order".to_owned(), "int_type"),
    /// ]);
    /// # Ok::<(), kpi_store::Violations>(())
    /// ```
    pub fn from_json(body: impl AsRef<[u8]>) -> Result<Self, Violations> {
        read(body.as_ref(), read_dataset)
    }
}

/// Reads a dataset; its opening brace was read before.
fn read_dataset(
    reader: &mut Reader<'_>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<NewDataset>, SyntaxError> {
    let (mut name, mut description, mut kpis) = (Field::new("name"), Field::new("description"), Field::new("kpis"));
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        match &*key {
            "name" => object.field(&mut name, read_name)?,
            "description" => object.field(&mut description, read_description)?,
            "kpis" => {
                object.field_with(&mut kpis, |reader| read_kpis(reader, Ok(()), KPIS_IN_REQUEST_MAX, read_kpi))?;
            }
            _ => object.unexpected(key)?,
        }
    }
    let name = name.required(violations);
    let description = description.optional(None, violations);
    let kpis = given_kpis(kpis, Ok(Vec::new()), violations);
    object.finish(violations);
    let complete = || Some(NewDataset { id: None, name: name?, description: description?, kpis: kpis? });
    Ok(complete())
}
