//! The digest of a dataset: 64 bits over everything that a read returns, stored with the dataset and checked by every
//! read.
//!
//! SQLite does not detect most single flipped bytes in a file; with the digest, reading such a row is an error. The
//! hashed bytes are part of the file format: `docs/file-format.md`.

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use super::dataset::Dataset;

/// The digest of `dataset` at `revision`.
pub(crate) fn digest(revision: i64, dataset: &Dataset) -> u64 {
    let created_at = dataset.created_at.timestamp_micros();
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY));
    bytes.put(dataset.organization_id.as_bytes());
    bytes.put(dataset.id.as_bytes());
    bytes.integer(revision);
    bytes.text(&dataset.name);
    bytes.optional(dataset.description.as_deref(), Bytes::text);
    bytes.integer(created_at);
    bytes.optional(dataset.created_by, |bytes, user| bytes.put(user.as_bytes()));
    bytes.optional(dataset.updated_by, |bytes, user| bytes.put(user.as_bytes()));
    bytes.optional(dataset.updated_at, Bytes::time);
    bytes.count(dataset.kpis.len());
    for kpi in &dataset.kpis {
        bytes.put(kpi.id.as_bytes());
        bytes.text(&kpi.name);
        bytes.optional(kpi.description.as_deref(), Bytes::text);
        bytes.optional(kpi.unit.as_deref(), Bytes::text);
        bytes.put(&[kpi.value_type.number(), u8::from(kpi.required)]);
        bytes.integer(kpi.sort_order);
        // Usually the time of the dataset: comparing two times is cheaper than computing the microseconds of one.
        if kpi.created_at == dataset.created_at {
            bytes.integer(created_at);
        } else {
            bytes.time(kpi.created_at);
        }
        bytes.optional(kpi.updated_at, Bytes::time);
    }
    xxh3_64(&bytes.0)
}

/// In bytes: enough for about thirty KPIs.
const CAPACITY: usize = 4_096;

/// The bytes to hash, collected first: most fields have only a few bytes, and a call of the hash function for each
/// field would cost more than the copy.
struct Bytes(Vec<u8>);

// Inlined because the length of most fields is a constant.
impl Bytes {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    fn integer(&mut self, integer: i64) {
        self.put(&integer.to_le_bytes());
    }

    fn time(&mut self, time: DateTime<Utc>) {
        self.integer(time.timestamp_micros());
    }

    #[inline]
    fn count(&mut self, count: usize) {
        self.put(&(count as u64).to_le_bytes());
    }

    #[inline]
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.put(text.as_bytes());
    }

    #[inline]
    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.put(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }
}
