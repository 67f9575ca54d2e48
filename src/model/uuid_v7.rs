//! Fresh ids: UUIDs of version 7 that increase.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use uuid::Uuid;

/// The bits of a UUIDv7 after its timestamp, without version and variant: its tail.
const TAIL_BITS: u32 = 74;

/// The next id: the process that reserved the previous one, the milliseconds since 1970, and the tail.
static NEXT: Mutex<(u32, u64, u128)> = Mutex::new((0, 0, 0));

/// A fresh UUIDv7, greater than every previous one of this process: across threads, within a millisecond, and even if
/// the clock steps back.
pub(super) fn fresh_uuid() -> Uuid {
    Reserved::new(1).next()
}

/// A reserved range of consecutive ids with the same timestamp.
pub(crate) struct Reserved {
    millis: u64,
    tail: u128,
}

impl Reserved {
    /// Reserves `count` ids.
    ///
    /// The tail of the first id of a millisecond is random in 73 bits; the tails of the following ones increment it
    /// (<https://www.rfc-editor.org/rfc/rfc9562#section-6.2>, method 2), since random bits from the system for every id
    /// would cost more than storing a KPI.
    pub(super) fn new(count: usize) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // A forked child has a copy of its parent's memory: of `NEXT`, and of the state of the random number generator
        // if the application enabled `uuid`'s fast one. It must neither continue the parent's tail nor draw the random
        // bits that the parent would draw, so the process id is mixed in.
        let process = std::process::id();
        let random = || (Uuid::new_v4().as_u128() ^ u128::from(process) << 41) & ((1 << (TAIL_BITS - 1)) - 1);
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        let (millis, tail) = match *next {
            (owner, millis, tail) if owner == process && now <= millis && tail + count as u128 <= 1 << TAIL_BITS => {
                (millis, tail)
            }
            // The highest bit of the tail is zero, which leaves room to increment it.
            (_, millis, _) => (now.max(millis + 1), random()),
        };
        *next = (process, millis, tail + count as u128);
        Self { millis, tail }
    }

    /// The next reserved id.
    pub(super) fn next(&mut self) -> Uuid {
        let (time, tail) = (u128::from(self.millis), self.tail);
        self.tail += 1;
        Uuid::from_u128(time << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1))
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
        // The carry skips the bits of the variant.
        let carried = ["018bcfe5-6800-7000-bfff-ffffffffffff", "018bcfe5-6800-7001-8000-000000000000"];
        assert_eq!(ids(1_700_000_000_000, (1 << 62) - 1), carried);
        let last = (1 << TAIL_BITS) - 2;
        let high = ["ffffffff-ffff-7fff-bfff-fffffffffffe", "ffffffff-ffff-7fff-bfff-ffffffffffff"];
        assert_eq!(ids((1 << 48) - 1, last), high);
    }
}
