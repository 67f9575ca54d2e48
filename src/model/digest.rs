//! The digest of a dataset: 64 bits over everything a read returns, written with it and checked by every read.
//!
//! SQLite does not notice most single flipped bytes in a file; with the digest such a row is an error, not an answer.
//! What is hashed, byte for byte, is part of the file format and stands in `docs/file-format.md`.

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
