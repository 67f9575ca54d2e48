//! Typed identifiers: an organization's id cannot land in the user's column.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
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
    /// Ids for one call, at most so many: what is fresh is reserved at once, since clock, process and lock cost more than an
    /// id.
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

macro_rules! typed_id {
    ($(#[doc = $doc:expr])+ $name:ident) => {
        $(#[doc = $doc])+
        ///
        /// A UUID of any version. It prints as 36 lower-case characters with hyphens, is a string in every serde
        /// format, and orders as its 16 bytes do, so that ids made by [`new`](Self::new) order by time.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: a UUIDv7, greater than every one made before it in this process, also under threads and
            /// when the system clock steps back.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("# use kpi_store::", stringify!($name), ";")]
            #[doc = concat!("let (first, second) = (", stringify!($name), "::new(), ", stringify!($name), "::new());")]
            /// assert!(first < second);
            /// assert_eq!(first.to_string().parse(), Ok(first));
            /// ```
            #[must_use]
            #[allow(clippy::new_without_default, reason = "a different value each time is no default")]
            pub fn new() -> Self {
                Self(fresh_uuid())
            }

            pub(crate) fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        /// Reads every form that [`Uuid`] reads: hyphenated, plain, braced, URN.
        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(FromText::new()).map(Self)
            }
        }
    };
}

typed_id!(
    /// Identifies an organization: who owns a dataset. The counterpart of the `x-organization-id` header.
    OrganizationId
);
typed_id!(
    /// Identifies a user: who created or changed a dataset. The counterpart of the `x-user-id` header.
    UserId
);
typed_id!(
    /// Identifies a dataset within its organization.
    DatasetId
);
typed_id!(
    /// Identifies a KPI within its dataset.
    KpiId
);

/// Reads any `FromStr` type from a serde string, borrowed or owned.
pub(crate) struct FromText<T>(std::marker::PhantomData<T>);

impl<T> FromText<T> {
    pub(crate) fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
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
