//! The JSON of a patch: a merge patch of the fields of a dataset.

use super::read;
use super::scalars::{read_description, read_name};
use crate::model::patch::DatasetPatch;
use crate::model::request::json::{Reader, SyntaxError};
use crate::model::request::json_object::{Field, ObjectReader};
use crate::model::request::violation::Violations;
use crate::model::request::violations_builder::ViolationsBuilder;

impl DatasetPatch {
    /// Reads a JSON merge patch (RFC 7396) of the fields of a dataset: `name` and `description`.
    ///
    /// An absent field stays as it is, and a description of null is cleared. `{}` changes nothing. A condition and
    /// changes of KPIs are added in code.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, with the codes of a request
    /// ([`NewDataset::from_json`](crate::NewDataset::from_json)). Other keys are `extra_forbidden`; a name of null is
    /// `string_type`, since a dataset has a name.
    ///
    /// # Examples
    ///
    /// ```
    /// use kpi_store::DatasetPatch;
    ///
    /// let patch = DatasetPatch::from_json(r#"{"name": "Water", "description": null}"#)?;
    /// assert_eq!(patch, DatasetPatch::new().name("Water").clear_description());
    ///
    /// let violations = DatasetPatch::from_json(r#"{"name": null}"#).unwrap_err();
    /// assert_eq!(violations.to_string(), "name: Input should be a valid string");
    /// # Ok::<(), kpi_store::Violations>(())
    /// ```
    pub fn from_json(body: impl AsRef<[u8]>) -> Result<Self, Violations> {
        read(body.as_ref(), read_patch)
    }
}

fn read_patch(
    reader: &mut Reader<'_>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<DatasetPatch>, SyntaxError> {
    let (mut name, mut description) = (Field::new("name"), Field::new("description"));
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        match &*key {
            "name" => object.field(&mut name, read_name)?,
            "description" => object.field(&mut description, read_description)?,
            _ => object.unexpected(key)?,
        }
    }
    let patch = DatasetPatch::of_fields(name.given(violations), description.given(violations));
    object.finish(violations);
    Ok(Some(patch))
}
