//! Errors as JSON.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Error;
use crate::model::time::Time;

/// For a front end, such as that of a Tauri command: `{"code": "busy", "message": "the store was busy for 5000 ms"}`.
///
/// Then follow the fields of the variant that a front end acts on, under their names:
///
/// - [`Invalid`](Self::Invalid): `violations`, an array in which each element is a serialized
///   [`Violation`](crate::Violation). Where that list was cut, `total` says how many there are in all.
/// - [`AlreadyExists`](Self::AlreadyExists): `dataset`, `kpi`. [`NotFound`](Self::NotFound): `dataset`, `kpi`,
///   `revision`.
/// - [`Conflict`](Self::Conflict): `dataset`, `expected`, `found`. [`Corrupt`](Self::Corrupt): `dataset`.
/// - [`OutcomeUnknown`](Self::OutcomeUnknown): `ids`, `updated_at`.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code())?;
        map.serialize_entry("message", &self.to_string())?;
        match self {
            Error::Invalid(violations) => {
                map.serialize_entry("violations", violations.as_slice())?;
                if violations.total() > violations.len() {
                    map.serialize_entry("total", &violations.total())?;
                }
            }
            Error::AlreadyExists { dataset, kpi } => {
                map.serialize_entry("dataset", dataset)?;
                map.serialize_entry("kpi", kpi)?;
            }
            Error::NotFound { dataset, kpi, revision } => {
                map.serialize_entry("dataset", dataset)?;
                map.serialize_entry("kpi", kpi)?;
                map.serialize_entry("revision", revision)?;
            }
            Error::Conflict { dataset, expected, found } => {
                map.serialize_entry("dataset", dataset)?;
                map.serialize_entry("expected", &expected.map(Time))?;
                map.serialize_entry("found", &found.map(Time))?;
            }
            Error::Corrupt { dataset, .. } => map.serialize_entry("dataset", dataset)?,
            Error::OutcomeUnknown { ids, updated_at, .. } => {
                map.serialize_entry("ids", ids)?;
                map.serialize_entry("updated_at", &updated_at.map(Time))?;
            }
            _ => {}
        }
        map.end()
    }
}
