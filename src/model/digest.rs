//! The digest of a dataset: 64 bits over everything a read returns, written with it and checked by every read.
//!
//! SQLite does not notice most single flipped bytes in a file; with the digest such a row is an error, not an answer.
//! The algorithm is part of the file format: XXH3 with 64 bits and seed 0 over these bytes, integers little-endian:
//!
//! | what | bytes |
//! |---|---|
//! | organisation id and dataset id, those *asked for* | 16 + 16 |
//! | revision | i64 |
//! | name | text |
//! | description | text or null |
//! | `created_at` | i64, microseconds since 1970 |
//! | `created_by` | id or null |
//! | `updated_by` | id or null |
//! | `updated_at` | i64 or null |
//! | number of KPIs | u64 |
//! | each KPI in display order: id | 16 |
//! | name | text |
//! | description, unit | text or null each |
//! | `value_type` | u8, 0 to 4 |
//! | required | u8, 0 or 1 |
//! | `sort_order` | i64 |
//! | `created_at` | i64 |
//! | `updated_at` | i64 or null |
//!
//! A text is its length in bytes as u64, then its UTF-8. What may be null is one byte 0 for null, or one byte 1 and
//! then the value. The bytes above end where their counts say, so that a later version can append fields: a tag and a
//! value for each field that does not have its default, nothing for one that has, and no old row needs a new digest.

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::Xxh3Default;

use super::dataset::{Dataset, Kpi};
use super::ids::{DatasetId, OrganizationId};

/// The digest of `dataset` at `revision`, as the organisation and id that were asked for.
pub(crate) fn digest(organization: OrganizationId, id: DatasetId, revision: i64, dataset: &Dataset) -> u64 {
    let mut bytes = Bytes(Xxh3Default::new());
    bytes.id(organization.as_bytes());
    bytes.id(id.as_bytes());
    bytes.integer(revision);
    bytes.text(&dataset.name);
    bytes.optional(dataset.description.as_deref(), Bytes::text);
    bytes.time(dataset.created_at);
    bytes.optional(dataset.created_by, |bytes, user| bytes.id(user.as_bytes()));
    bytes.optional(dataset.updated_by, |bytes, user| bytes.id(user.as_bytes()));
    bytes.optional(dataset.updated_at, Bytes::time);
    bytes.count(dataset.kpis.len());
    for kpi in &dataset.kpis {
        bytes.kpi(kpi);
    }
    bytes.0.digest()
}

/// The bytes of the format, fed to the hash as they come.
struct Bytes(Xxh3Default);

impl Bytes {
    fn kpi(&mut self, kpi: &Kpi) {
        self.id(kpi.id.as_bytes());
        self.text(&kpi.name);
        self.optional(kpi.description.as_deref(), Self::text);
        self.optional(kpi.unit.as_deref(), Self::text);
        self.0.update(&[kpi.value_type as u8, u8::from(kpi.required)]);
        self.integer(kpi.sort_order);
        self.time(kpi.created_at);
        self.optional(kpi.updated_at, Self::time);
    }

    fn id(&mut self, id: &[u8; 16]) {
        self.0.update(id);
    }

    fn integer(&mut self, integer: i64) {
        self.0.update(&integer.to_le_bytes());
    }

    fn time(&mut self, time: DateTime<Utc>) {
        self.integer(time.timestamp_micros());
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => {
                self.0.update(&[1]);
                write(self, value);
            }
            None => self.0.update(&[0]),
        }
    }
}
