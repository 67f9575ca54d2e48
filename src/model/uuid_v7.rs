//! Fresh ids: UUIDs of version 7 that increase, and where a store takes its ids from.
//!
//! The ids of one call are consecutive, so that each can be guessed from another. They identify and order; they are no
//! secret, and no access is granted by knowing one.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use uuid::Uuid;

/// The bits of a UUIDv7 behind its time, version and variant aside.
const TAIL_BITS: u32 = 74;

/// The next id to make: the process that made the one before, its milliseconds since 1970 and its tail.
static NEXT: Mutex<(u32, u64, u128)> = Mutex::new((0, 0, 0));

/// A fresh UUIDv7, greater than every one before it in this process: across threads, within a millisecond and when the
/// clock steps back.
pub(crate) fn fresh_uuid() -> Uuid {
    Reserved::new(1).next()
}

/// Ids of one millisecond that nobody else is given, one behind the other.
pub(crate) struct Reserved {
    millis: u64,
    tail: u128,
}

impl Reserved {
    /// So many ids.
    ///
    /// The first of a millisecond is random in 73 bits; those after it count on from there
    /// (<https://www.rfc-editor.org/rfc/rfc9562#section-6.2>, method 2), since asking the system for randomness for each
    /// would cost more than storing a KPI does.
    fn new(count: usize) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // A forked child begins with its parent's memory: with this, and with the generator of randomness, if the
        // application chose uuid's fast one. It must neither count on from where its parent does nor begin where its
        // parent would.
        let process = std::process::id();
        let random = || (Uuid::new_v4().as_u128() ^ u128::from(process) << 41) & ((1 << (TAIL_BITS - 1)) - 1);
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        let (millis, tail) = match *next {
            (maker, millis, tail) if maker == process && now <= millis && tail + count as u128 <= 1 << TAIL_BITS => {
                (millis, tail)
            }
            // With room above it to count.
            (_, millis, _) => (now.max(millis + 1), random()),
        };
        *next = (process, millis, tail + count as u128);
        Self { millis, tail }
    }

    /// The next of as many as were reserved.
    fn next(&mut self) -> Uuid {
        let (time, tail) = (u128::from(self.millis), self.tail);
        self.tail += 1;
        Uuid::from_u128(time << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1))
    }
}

/// Where the ids come from that a request does not give.
pub(crate) enum IdSource {
    /// Fresh ones, of version 7.
    Fresh,
    /// The application.
    Given(Box<dyn Fn() -> Uuid + Send + Sync>),
}

impl IdSource {
    /// Ids for one call, at most so many. Fresh ones are reserved together, since clock, process and lock cost more than
    /// an id; so they are consecutive.
    pub(crate) fn ids(&self, most: usize) -> Ids<'_> {
        match self {
            IdSource::Fresh => Ids::Fresh(Reserved::new(most)),
            IdSource::Given(id) => Ids::Given(id),
        }
    }
}

/// The ids of one call.
pub(crate) enum Ids<'a> {
    Fresh(Reserved),
    Given(&'a (dyn Fn() -> Uuid + Send + Sync)),
}

impl Ids<'_> {
    pub(crate) fn next<T: From<Uuid>>(&mut self) -> T {
        match self {
            Ids::Fresh(reserved) => reserved.next(),
            Ids::Given(id) => id(),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_its_time_and_its_tail_around_version_and_variant() {
        let ids = |millis, tail| {
            let mut reserved = Reserved { millis, tail };
            [reserved.next(), reserved.next()].map(|uuid| uuid.to_string())
        };
        let low = ["00000000-0001-7000-8000-000000000000", "00000000-0001-7000-8000-000000000001"];
        assert_eq!(ids(1, 0), low);
        // Over the variant, which stands in the way of counting.
        let carried = ["018bcfe5-6800-7000-bfff-ffffffffffff", "018bcfe5-6800-7001-8000-000000000000"];
        assert_eq!(ids(1_700_000_000_000, (1 << 62) - 1), carried);
        let last = (1 << TAIL_BITS) - 2;
        let high = ["ffffffff-ffff-7fff-bfff-fffffffffffe", "ffffffff-ffff-7fff-bfff-ffffffffffff"];
        assert_eq!(ids((1 << 48) - 1, last), high);
    }
}
