//! A page of a listing, while it is filled.

use crate::error::Error;
use crate::model::ids::DatasetId;
use crate::model::limits::PAGE_BYTES_MAX;
use crate::model::page::Damage;
use crate::sqlite::failure::Failure;

/// A page of a listing: at most `limit` items and damaged datasets, and at most 64 MiB, unless the first item is
/// larger.
pub(crate) struct RawPage<T> {
    pub(crate) items: Vec<T>,
    pub(crate) damaged: Vec<Damage>,
    /// The number after which the listing continues; `None` at the end.
    pub(crate) next: Option<i64>,
    limit: usize,
    /// The size of the items in memory.
    bytes: usize,
}

impl<T> RawPage<T> {
    pub(super) fn new(limit: u32) -> Self {
        let limit = limit as usize;
        // At most some 260 KB. Growing from a few items costs a summary as much as its digest.
        let items = Vec::with_capacity(limit);
        Self { items, damaged: Vec::new(), next: None, limit, bytes: 0 }
    }

    /// How many more items or damaged datasets it may have.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.items.len() + self.damaged.len())
    }

    /// Adds an item of this size in bytes. Returns false, and adds nothing, if it is too large.
    pub(super) fn push(&mut self, bytes: usize, item: T) -> bool {
        let has_room = self.items.is_empty() || self.bytes + bytes <= PAGE_BYTES_MAX;
        if has_room {
            self.items.push(item);
            self.bytes += bytes;
        }
        has_room
    }

    /// Adds damage, of this dataset if its id is known.
    pub(super) fn push_damage(&mut self, dataset: Option<DatasetId>, Failure(error): Failure) {
        if let Error::Corrupt { detail, .. } = error {
            self.damaged.push(Damage { index: self.items.len(), dataset, detail });
        }
    }
}
