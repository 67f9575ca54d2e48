//! The digest of a dataset: 64 bits over everything a read returns, written with it and checked by every read.
//!
//! SQLite does not notice most single flipped bytes in a file; with the digest such a row is an error, not an answer.
//! What is hashed, byte for byte, is part of the file format and stands in `docs/file-format.md`.

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use super::dataset::Dataset;

/// The digest of `dataset` at `revision`.
pub(crate) fn digest(revision: i64, dataset: &Dataset) -> u64 {
    let created_at = dataset.created_at.timestamp_micros();
    let mut bytes = Bytes(Vec::with_capacity(ROOM));
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
        // Mostly the dataset's: to compare a time costs less than to work out its number.
        if kpi.created_at == dataset.created_at {
            bytes.integer(created_at);
        } else {
            bytes.time(kpi.created_at);
        }
        bytes.optional(kpi.updated_at, Bytes::time);
    }
    xxh3_64(&bytes.0)
}

/// In bytes: for some thirty KPIs.
const ROOM: usize = 4_096;

/// The bytes of the format, gathered before they are hashed: most are a few at a time, and a call of the hash for each costs
/// more than they do.
struct Bytes(Vec<u8>);

// Inlined: of most pieces the length is known.
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
