//! Typed identifiers: an organisation's id cannot land in the user's column.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::{ContextV7, Timestamp, Uuid};

/// The process-wide state that keeps ids increasing: across threads, within a millisecond and when the clock steps back.
static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

/// A fresh UUIDv7, greater than every one before it in this process.
///
/// `Uuid::now_v7` would panic where the clock stands before 1970; this counts on from 1970 instead.
pub(crate) fn fresh_uuid() -> Uuid {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(&CONTEXT, now.as_secs(), now.subsec_nanos()))
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
