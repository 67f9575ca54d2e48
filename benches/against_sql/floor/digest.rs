//! The digests of the file format.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::{Counts, Dataset, Kpi};

/// A buffer for the bytes to hash: collected and hashed once, since a call of the hash for each field costs more.
pub(super) struct Bytes(Vec<u8>);

/// Of the head of a dataset, and the sum of those of its KPIs.
pub(super) fn of_dataset(organization: Uuid, revision: i64, dataset: &Dataset) -> (i64, i64) {
    let mut bytes = Bytes::new();
    let head = bytes.head(organization, revision, dataset, Counts::of(&dataset.kpis));
    (head, dataset.kpis.iter().fold(0, |sum, kpi| sum.wrapping_add(bytes.kpi(kpi))))
}

/// Of a purge.
pub(super) fn purged(organization: Uuid, change: i64, id: Uuid) -> i64 {
    let mut bytes = Bytes::new();
    bytes.put(organization.as_bytes());
    bytes.integer(change);
    bytes.put(id.as_bytes());
    bytes.hash()
}

impl Bytes {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(512))
    }

    pub(super) fn head(&mut self, organization: Uuid, revision: i64, dataset: &Dataset, counts: Counts) -> i64 {
        self.put(organization.as_bytes());
        self.put(dataset.id.as_bytes());
        self.integer(revision);
        self.text(&dataset.name);
        self.optional(dataset.description.as_deref(), Self::text);
        self.integer(dataset.created_at);
        self.user(dataset.created_by);
        self.user(dataset.updated_by);
        self.optional(dataset.updated_at, Self::integer);
        self.put([counts.kpis.to_le_bytes(), counts.required.to_le_bytes()].as_flattened());
        self.hash()
    }

    pub(super) fn kpi(&mut self, kpi: &Kpi) -> i64 {
        self.put(kpi.id.as_bytes());
        self.integer(kpi.position);
        self.text(&kpi.name);
        self.optional(kpi.description.as_deref(), Self::text);
        self.optional(kpi.unit.as_deref(), Self::text);
        self.put(&[kpi.value_type, u8::from(kpi.required)]);
        self.integer(kpi.sort_order);
        self.integer(kpi.created_at);
        self.optional(kpi.updated_at, Self::integer);
        self.hash()
    }

    pub(super) fn state(
        &mut self,
        organization: Uuid,
        id: Uuid,
        changed: i64,
        deleted: Option<(i64, Option<Uuid>)>,
    ) -> i64 {
        self.put(organization.as_bytes());
        self.put(id.as_bytes());
        self.integer(changed);
        self.optional(deleted, |bytes, (at, by)| {
            bytes.integer(at);
            bytes.user(by);
        });
        self.hash()
    }

    pub(super) fn property(&mut self, organization: Uuid, key: &str, content: &[u8]) -> i64 {
        self.put(organization.as_bytes());
        self.text(key);
        self.put(&(content.len() as u64).to_le_bytes());
        self.put(content);
        self.hash()
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn integer(&mut self, integer: i64) {
        self.put(&integer.to_le_bytes());
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        self.put(&(text.len() as u64).to_le_bytes());
        self.put(text.as_bytes());
    }

    #[inline]
    pub(super) fn user(&mut self, user: Option<Uuid>) {
        self.optional(user, |bytes, user| bytes.put(user.as_bytes()));
    }

    #[inline]
    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.put(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// The hash of the bytes, of which none are left then.
    pub(super) fn hash(&mut self) -> i64 {
        let hash = xxh3_64(&self.0).cast_signed();
        self.0.clear();
        hash
    }
}
