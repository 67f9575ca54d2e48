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
    let mut bytes = Bytes { hash: Xxh3Default::new(), pending: Vec::with_capacity(PENDING_MAX) };
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
    bytes.finish()
}

/// In bytes.
const PENDING_MAX: usize = 1_024;

/// The bytes of the format, gathered before they are fed to the hash: most are a few at a time, and each call of it costs more
/// than they do.
struct Bytes {
    hash: Xxh3Default,
    pending: Vec<u8>,
}

impl Bytes {
    fn put(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > PENDING_MAX {
            self.hash.update(&self.pending);
            self.pending.clear();
        }
        if bytes.len() > PENDING_MAX {
            self.hash.update(bytes);
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> u64 {
        self.hash.update(&self.pending);
        self.hash.digest()
    }

    fn kpi(&mut self, kpi: &Kpi) {
        self.id(kpi.id.as_bytes());
        self.text(&kpi.name);
        self.optional(kpi.description.as_deref(), Self::text);
        self.optional(kpi.unit.as_deref(), Self::text);
        self.put(&[kpi.value_type as u8, u8::from(kpi.required)]);
        self.integer(kpi.sort_order);
        self.time(kpi.created_at);
        self.optional(kpi.updated_at, Self::time);
    }

    fn id(&mut self, id: &[u8; 16]) {
        self.put(id);
    }

    fn integer(&mut self, integer: i64) {
        self.put(&integer.to_le_bytes());
    }

    fn time(&mut self, time: DateTime<Utc>) {
        self.integer(time.timestamp_micros());
    }

    fn count(&mut self, count: usize) {
        self.put(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.put(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => {
                self.put(&[1]);
                write(self, value);
            }
            None => self.put(&[0]),
        }
    }
}
