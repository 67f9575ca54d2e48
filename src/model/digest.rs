//! The digests of a dataset: 64-bit hashes of everything that a read returns, stored with the dataset and checked by
//! every read.
//!
//! SQLite does not detect most single flipped bytes in a file; with the digests, reading such a row is an error. A
//! dataset has two: that of its head, which is the fields of the dataset itself, and the sum of those of its KPIs, so
//! that a change of one KPI costs the same however many there are. The hashed bytes are part of the file format:
//! `docs/file-format.md`.

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use super::dataset::{Counts, Dataset, Kpi};
use super::ids::{DatasetId, OrganizationId, UserId};
use super::state::State;

/// The digests of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Of its fields, its revision and the numbers of its KPIs.
    pub(crate) head: u64,
    /// The sum of those of its KPIs.
    pub(crate) kpis: u64,
}

/// The digests of `dataset` at `revision`, with the position of each of its KPIs in the order of addition.
pub(crate) fn digest(revision: i64, dataset: &Dataset, positions: &[i64]) -> Digest {
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY));
    bytes.head(revision, dataset, Counts::of(&dataset.kpis));
    let head = bytes.hash();
    let created_at = dataset.created_at.timestamp_micros();
    let kpis = dataset.kpis.iter().zip(positions).fold(0_u64, |sum, (kpi, position)| {
        // Usually the time of the dataset: comparing two times is cheaper than computing the microseconds of one.
        let created_at =
            if kpi.created_at == dataset.created_at { created_at } else { kpi.created_at.timestamp_micros() };
        bytes.kpi(*position, kpi, created_at);
        sum.wrapping_add(bytes.hash())
    });
    Digest { head, kpis }
}

/// The digest of the head of a dataset that has these numbers of KPIs; `dataset` need not contain them.
pub(crate) fn head(revision: i64, dataset: &Dataset, counts: Counts) -> u64 {
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY));
    bytes.head(revision, dataset, counts);
    bytes.hash()
}

/// Computes the digests of the heads of many datasets, in one buffer.
pub(crate) struct Heads(Bytes);

impl Heads {
    pub(crate) fn new() -> Self {
        Self(Bytes::new())
    }

    /// The same as [`head`].
    #[inline]
    pub(crate) fn head(&mut self, revision: i64, dataset: &Dataset, counts: Counts) -> u64 {
        self.0.head(revision, dataset, counts);
        self.0.hash()
    }
}

/// The digest of a KPI.
pub(crate) fn kpi(position: i64, kpi: &Kpi) -> u64 {
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY));
    bytes.kpi(position, kpi, kpi.created_at.timestamp_micros());
    bytes.hash()
}

/// The digest of the state of a dataset.
pub(crate) fn state(organization: OrganizationId, dataset: DatasetId, state: &State) -> u64 {
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY));
    bytes.put(organization.as_bytes());
    bytes.put(dataset.as_bytes());
    bytes.integer(state.changed);
    bytes.optional(state.deleted, |bytes, (at, by)| {
        bytes.time(at);
        bytes.user(by);
    });
    bytes.hash()
}

/// The digest of a purge: that of the id that must not be given again.
pub(crate) fn purged(organization: OrganizationId, change: i64, dataset: DatasetId) -> u64 {
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY));
    bytes.put(organization.as_bytes());
    bytes.integer(change);
    bytes.put(dataset.as_bytes());
    bytes.hash()
}

/// The digest of a property.
pub(crate) fn property(organization: OrganizationId, key: &str, content: &[u8]) -> u64 {
    let mut bytes = Bytes(Vec::with_capacity(CAPACITY + content.len()));
    bytes.put(organization.as_bytes());
    bytes.text(key);
    bytes.put(&(content.len() as u64).to_le_bytes());
    bytes.put(content);
    bytes.hash()
}

/// In bytes: enough for a dataset or a KPI with short texts.
const CAPACITY: usize = 512;

/// The bytes to hash, collected first: most fields have only a few bytes, and a call of the hash function for each
/// field would cost more than the copy.
pub(super) struct Bytes(Vec<u8>);

// Inlined because the length of most fields is a constant.
impl Bytes {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(CAPACITY))
    }

    /// The hash of the bytes, which are removed.
    pub(super) fn hash(&mut self) -> u64 {
        let hash = xxh3_64(&self.0);
        self.0.clear();
        hash
    }

    fn head(&mut self, revision: i64, dataset: &Dataset, counts: Counts) {
        self.put(dataset.organization_id.as_bytes());
        self.put(dataset.id.as_bytes());
        self.integer(revision);
        self.text(&dataset.name);
        self.optional_text(dataset.description.as_deref());
        self.time(dataset.created_at);
        self.user(dataset.created_by);
        self.user(dataset.updated_by);
        self.optional(dataset.updated_at, Bytes::time);
        self.put([counts.kpis.to_le_bytes(), counts.required.to_le_bytes()].as_flattened());
    }

    fn kpi(&mut self, position: i64, kpi: &Kpi, created_at: i64) {
        self.put(kpi.id.as_bytes());
        // Fields of a fixed length are put together where that is plain: each call costs more than its bytes.
        self.put([position.to_le_bytes(), length(&kpi.name)].as_flattened());
        self.put(kpi.name.as_bytes());
        self.optional_text(kpi.description.as_deref());
        self.optional_text(kpi.unit.as_deref());
        self.put(&[kpi.value_type.number(), u8::from(kpi.required)]);
        self.put([kpi.sort_order.to_le_bytes(), created_at.to_le_bytes()].as_flattened());
        self.optional(kpi.updated_at, Bytes::time);
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn integer(&mut self, integer: i64) {
        self.put(&integer.to_le_bytes());
    }

    pub(super) fn time(&mut self, time: DateTime<Utc>) {
        self.integer(time.timestamp_micros());
    }

    pub(super) fn user(&mut self, user: Option<UserId>) {
        self.optional(user, |bytes, user| bytes.put(user.as_bytes()));
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        self.put(&length(text));
        self.put(text.as_bytes());
    }

    /// The same bytes as [`optional`](Self::optional) puts for a text, in fewer calls.
    #[inline]
    fn optional_text(&mut self, text: Option<&str>) {
        let Some(text) = text else { return self.put(&[0]) };
        let mut before = [1; 9];
        before[1..9].copy_from_slice(&length(text));
        self.put(&before);
        self.put(text.as_bytes());
    }

    #[inline]
    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.put(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// The length of a text as it is hashed before it.
fn length(text: &str) -> [u8; 8] {
    (text.len() as u64).to_le_bytes()
}
