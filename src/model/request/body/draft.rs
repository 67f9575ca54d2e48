//! The JSON of a draft: a response as a web view edited it.

use std::collections::HashSet;

use super::kpis::{KpiFields, given_kpis, read_kpis};
use super::read;
use super::scalars::{read_description, read_id, read_id_or_null, read_name, read_time_or_null};
use crate::model::draft::{DatasetDraft, KpiDraft};
use crate::model::ids::KpiId;
use crate::model::limits::KPIS_MAX;
use crate::model::request::json::{Reader, SyntaxError};
use crate::model::request::json_object::{Field, ObjectReader};
use crate::model::request::rule::Rule;
use crate::model::request::violation::Violations;
use crate::model::request::violations_builder::ViolationsBuilder;

impl DatasetDraft {
    /// Reads a draft from JSON: the response of the contract (a serialized [`Dataset`](crate::Dataset)) as a web view
    /// edited it, or a serialized draft.
    ///
    /// `id`, `updated_at`, `name` and `kpis` are required. `updated_at`, which may be null, identifies the version that
    /// the draft was made from. A web view must keep it as the string that it received, since a JavaScript `Date` cuts
    /// it to milliseconds. A KPI whose `id` is absent or null is a new one. The order of `kpis` is the display order,
    /// whatever their `sort_order`, which may also be one that JavaScript has rounded up beyond the limit.
    ///
    /// The other fields have the limits, codes and defaults of a request
    /// ([`NewDataset::from_json`](crate::NewDataset::from_json)), except that up to 10,000 KPIs are allowed, as in a
    /// dataset. A draft is the whole content: if `description` is absent, saving removes it, and `kpis` must be
    /// present, so that a body without it does not delete all KPIs. The other keys of a response are ignored:
    /// `organization_id`, the times and users, and `dataset_id` of a KPI.
    ///
    /// # Errors
    ///
    /// Every [`Violation`](crate::Violation), not only the first, with the codes of a request, and
    ///
    /// - `uuid_type` or `uuid_parsing` for an id, `datetime_type` or `datetime_parsing` for `updated_at`,
    /// - `duplicate_id` for a KPI whose id an earlier one has,
    /// - `extra_forbidden` for a key that a response does not have.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetDraft, NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let water = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal").unit("l")))?;
    /// let edited = serde_json::to_string(&water)?.replace(r#""unit":"l""#, r#""unit":"m³""#);
    ///
    /// let draft = DatasetDraft::from_json(edited)?;
    /// assert_eq!((draft.id(), draft.updated_at()), (water.id, None));
    /// assert_eq!(draft.kpis[0].unit.as_deref(), Some("m³"));
    ///
    /// let violations = DatasetDraft::from_json(r#"{"id": "1", "name": "Water", "kpis": []}"#).unwrap_err();
    /// let found: Vec<_> = violations.iter().map(|violation| (violation.path(), violation.code())).collect();
    /// assert_eq!(found, [("id".to_owned(), "uuid_parsing"), ("updated_at".to_owned(), "missing")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_json(body: impl AsRef<[u8]>) -> Result<Self, Violations> {
        read(body.as_ref(), read_draft)
    }
}

fn read_draft(
    reader: &mut Reader<'_>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<DatasetDraft>, SyntaxError> {
    let (mut id, mut updated_at) = (Field::new("id"), Field::new("updated_at"));
    let (mut name, mut description, mut kpis) = (Field::new("name"), Field::new("description"), Field::new("kpis"));
    let mut ignored = ["organization_id", "created_at", "created_by", "updated_by"].map(Field::new);
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        match &*key {
            "id" => object.field(&mut id, read_id)?,
            "updated_at" => object.field(&mut updated_at, read_time_or_null)?,
            "name" => object.field(&mut name, read_name)?,
            "description" => object.field(&mut description, read_description)?,
            "kpis" => object.field_with(&mut kpis, read_kpi_drafts)?,
            _ if object.ignored(&mut ignored, &key)? => {}
            _ => object.unexpected(key)?,
        }
    }
    let id = id.required(violations);
    let updated_at = updated_at.required(violations);
    let name = name.required(violations);
    let description = description.optional(None, violations);
    let kpis = given_kpis(kpis, Err(Rule::Missing), violations);
    object.finish(violations);
    let complete = || Some(DatasetDraft::new(id?, updated_at?, name?, description?, kpis?));
    Ok(complete())
}

fn read_kpi_drafts(reader: &mut Reader<'_>) -> Result<Result<Vec<KpiDraft>, ViolationsBuilder>, SyntaxError> {
    let mut ids = HashSet::new();
    read_kpis(reader, Err(Rule::ListType), KPIS_MAX, |reader, violations| read_kpi_draft(reader, &mut ids, violations))
}

/// Reads a KPI; its opening brace was read before. `ids` are those of the KPIs before it.
fn read_kpi_draft(
    reader: &mut Reader<'_>,
    ids: &mut HashSet<KpiId>,
    violations: &mut ViolationsBuilder,
) -> Result<Option<KpiDraft>, SyntaxError> {
    let (mut id, mut fields) = (Field::new("id"), KpiFields::new());
    let mut ignored = ["dataset_id", "created_at", "updated_at"].map(Field::new);
    let mut object = ObjectReader::new(reader);
    while let Some(key) = object.next_key()? {
        match &*key {
            "id" => object.field(&mut id, read_id_or_null)?,
            "sort_order" => fields.read_rounded_sort_order(&mut object)?,
            _ if fields.read(&key, &mut object)? || object.ignored(&mut ignored, &key)? => {}
            _ => object.unexpected(key)?,
        }
    }
    let id = id.optional(None, violations);
    if id.flatten().is_some_and(|id| !ids.insert(id)) {
        violations.field::<()>("id", Err(Rule::DuplicateId));
    }
    let fields = fields.finish(violations);
    object.finish(violations);
    let complete = || {
        let mut new = fields?;
        new.id = id?;
        Some(KpiDraft::from(new))
    };
    Ok(complete())
}
