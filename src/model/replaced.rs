//! The values that a change replaced, as they are stored. The version before the change is put together from them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::dataset::{Dataset, Kpi};
use super::earlier::Earlier;
use super::ids::{KpiId, UserId};
use super::time;
use super::value_type::ValueType;

/// A part ends with the KPI that makes it longer than this, in bytes before characters are escaped. Escaped, a
/// character takes at most six bytes, and connections of this crate refuse values of a million.
const PART_MAX: usize = 128 * 1024;

/// The values that a change replaced: only those of fields that differ. The JSON may be stored in several parts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Replaced {
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<ReplacedHead>,
    /// The KPIs that the change added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<KpiId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<ReplacedKpi>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<DeletedKpi>,
}

/// A text that may be null; absent if the change did not replace it.
type Text = Option<Option<String>>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplacedHead {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    description: Text,
    updated_by: Option<UserId>,
    #[serde(with = "time::utc_or_null")]
    updated_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplacedKpi {
    id: KpiId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    description: Text,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    unit: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_type: Option<ValueType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    required: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sort_order: Option<i64>,
    #[serde(with = "time::utc_or_null")]
    updated_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletedKpi {
    id: KpiId,
    position: i64,
    name: String,
    description: Option<String>,
    unit: Option<String>,
    value_type: ValueType,
    required: bool,
    sort_order: i64,
    #[serde(with = "time::utc")]
    created_at: DateTime<Utc>,
    #[serde(with = "time::utc_or_null")]
    updated_at: Option<DateTime<Utc>>,
}

/// The stored text is not one that a change writes, or belongs to another dataset.
#[derive(Debug)]
pub(crate) struct NotReplaced;

impl Replaced {
    /// Begins with the values that every change replaces: the user and the time of the last update.
    pub(crate) fn times(before: &Dataset) -> Self {
        let (updated_by, updated_at) = (before.updated_by, before.updated_at);
        let dataset = ReplacedHead { name: None, description: None, updated_by, updated_at };
        Self { dataset: Some(dataset), ..Self::default() }
    }

    /// The texts of the dataset itself that a change replaces.
    #[expect(clippy::option_option, reason = "absent if it was not replaced, `None` if it was null")]
    pub(crate) fn texts(&mut self, name: Option<String>, description: Option<Option<String>>) {
        if let Some(dataset) = &mut self.dataset {
            (dataset.name, dataset.description) = (name, description);
        }
    }

    pub(crate) fn add(&mut self, kpi: KpiId) {
        self.added.push(kpi);
    }

    /// A KPI with its position, before and after the change.
    pub(crate) fn change(&mut self, (before, position_before): (Kpi, i64), (after, position): (&Kpi, i64)) {
        self.changed.push(ReplacedKpi {
            id: before.id,
            position: (position_before != position).then_some(position_before),
            name: (before.name != after.name).then_some(before.name),
            description: (before.description != after.description).then_some(before.description),
            unit: (before.unit != after.unit).then_some(before.unit),
            value_type: (before.value_type != after.value_type).then_some(before.value_type),
            required: (before.required != after.required).then_some(before.required),
            sort_order: (before.sort_order != after.sort_order).then_some(before.sort_order),
            updated_at: before.updated_at,
        });
    }

    pub(crate) fn delete(&mut self, kpi: Kpi, position: i64) {
        self.deleted.push(DeletedKpi {
            id: kpi.id,
            position,
            name: kpi.name,
            description: kpi.description,
            unit: kpi.unit,
            value_type: kpi.value_type,
            required: kpi.required,
            sort_order: kpi.sort_order,
            created_at: kpi.created_at,
            updated_at: kpi.updated_at,
        });
    }

    /// The parts to store, as JSON.
    pub(crate) fn into_json(self) -> Result<Vec<String>, serde_json::Error> {
        let mut parts = Parts { part: Self { dataset: self.dataset, ..Self::default() }, bytes: 0, json: Vec::new() };
        for id in self.added {
            parts.part.added.push(id);
            parts.count(0)?;
        }
        for kpi in self.changed {
            let texts = [kpi.name.as_deref(), text(kpi.description.as_ref()), text(kpi.unit.as_ref())];
            let bytes = texts.into_iter().flatten().map(str::len).sum();
            parts.part.changed.push(kpi);
            parts.count(bytes)?;
        }
        for kpi in self.deleted {
            let texts = [Some(&*kpi.name), kpi.description.as_deref(), kpi.unit.as_deref()];
            let bytes = texts.into_iter().flatten().map(str::len).sum();
            parts.part.deleted.push(kpi);
            parts.count(bytes)?;
        }
        if parts.bytes > 0 || parts.json.is_empty() {
            parts.end()?;
        }
        Ok(parts.json)
    }

    pub(crate) fn from_json(part: &str) -> Result<Self, NotReplaced> {
        serde_json::from_str(part).map_err(|_| NotReplaced)
    }

    /// Puts the values of a part back into the record. After the last part, [`Earlier::is_version`] tells whether the
    /// record is the version before the change. If this fails, some values may have been put back.
    pub(crate) fn put_back(self, earlier: &mut Earlier) -> Result<(), NotReplaced> {
        if let Some(dataset) = self.dataset {
            let head = earlier.head();
            put(&mut head.name, dataset.name);
            put(&mut head.description, dataset.description);
            (head.updated_by, head.updated_at) = (dataset.updated_by, dataset.updated_at);
        }
        for before in self.changed {
            let is_changed = earlier.change_kpi(before.id, |kpi, position| {
                put(&mut kpi.name, before.name);
                put(&mut kpi.description, before.description);
                put(&mut kpi.unit, before.unit);
                put(&mut kpi.value_type, before.value_type);
                put(&mut kpi.required, before.required);
                put(&mut kpi.sort_order, before.sort_order);
                kpi.updated_at = before.updated_at;
                put(position, before.position);
            });
            if !is_changed {
                return Err(NotReplaced);
            }
        }
        for id in self.added {
            earlier.remove_kpi(id);
        }
        for kpi in self.deleted {
            let position = kpi.position;
            let kpi = Kpi {
                id: kpi.id,
                dataset_id: earlier.unordered().dataset.id,
                name: kpi.name,
                sort_order: kpi.sort_order,
                created_at: kpi.created_at,
                description: kpi.description,
                unit: kpi.unit,
                value_type: kpi.value_type,
                required: kpi.required,
                updated_at: kpi.updated_at,
            };
            earlier.put_kpi(kpi, position);
        }
        Ok(())
    }
}

/// The values that a change replaced, while they are divided into parts.
struct Parts {
    part: Replaced,
    /// About how long the texts and fields of the part are, before characters are escaped.
    bytes: usize,
    json: Vec<String>,
}

impl Parts {
    /// Counts a KPI with texts of this length, and ends the part if it is long enough.
    fn count(&mut self, texts: usize) -> Result<(), serde_json::Error> {
        /// In bytes: about the JSON of a KPI without its texts.
        const FIELDS: usize = 256;
        self.bytes += FIELDS + texts;
        if self.bytes > PART_MAX { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), serde_json::Error> {
        self.json.push(serde_json::to_string(&std::mem::take(&mut self.part))?);
        self.bytes = 0;
        Ok(())
    }
}

fn text(text: Option<&Option<String>>) -> Option<&str> {
    text.and_then(|text| text.as_deref())
}

fn put<T>(field: &mut T, before: Option<T>) {
    if let Some(before) = before {
        *field = before;
    }
}

/// Distinguishes null from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
