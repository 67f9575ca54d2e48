//! Typed identifiers: an organisation's id cannot land in the user's column.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The bits of a UUIDv7 behind its time, version and variant aside.
const TAIL_BITS: u32 = 74;

/// The id made last: the process that made it, its milliseconds since 1970 and its tail.
static LAST: Mutex<(u32, u64, u128)> = Mutex::new((0, 0, 0));

/// A fresh UUIDv7, greater than every one before it in this process: across threads, within a millisecond and when the
/// clock steps back.
///
/// The first of a millisecond is random in 73 bits; those after it count on from there
/// (<https://www.rfc-editor.org/rfc/rfc9562#section-6.2>, method 2), since asking the system for randomness for each would
/// cost more than storing a KPI does.
pub(crate) fn fresh_uuid() -> Uuid {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    // A forked child begins with its parent's memory: with this, and with the generator of randomness, if the application
    // chose uuid's fast one. It must neither count on from where its parent does nor begin where its parent would.
    let process = std::process::id();
    let random = || (Uuid::new_v4().as_u128() ^ u128::from(process) << 41) & ((1 << (TAIL_BITS - 1)) - 1);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = match *last {
        (maker, millis, tail) if maker == process && now <= millis && tail + 1 < 1 << TAIL_BITS => {
            (process, millis, tail + 1)
        }
        // With room above it to count.
        (_, millis, _) => (process, now.max(millis + 1), random()),
    };
    let (_, millis, tail) = *last;
    Uuid::from_u128(u128::from(millis) << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1))
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
    /// Identifies an organisation: who owns a dataset. The counterpart of the `x-organization-id` header.
    OrganizationId
);
typed_id!(
    /// Identifies a user: who created or changed a dataset. The counterpart of the `x-user-id` header.
    UserId
);
typed_id!(
    /// Identifies a dataset within its organisation.
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
