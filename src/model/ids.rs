//! Typed identifiers: an organization's id cannot be stored as a user's by mistake.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::from_str_visitor::FromStrVisitor;
use super::uuid_v7::fresh_uuid;

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID")]
#[non_exhaustive]
pub struct ParseIdError;

macro_rules! typed_id {
    ($(#[doc = $doc:expr])+ $name:ident) => {
        $(#[doc = $doc])+
        ///
        /// A UUID of any version. It prints as 36 lower-case characters with hyphens, serializes as that string in
        /// every format, and compares by its 16 bytes, so that ids from [`new`](Self::new) sort by time.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: a UUIDv7 that is greater than every one created before it in this process, across threads
            /// and even if the system clock steps back.
            ///
            /// Ids of the same millisecond are consecutive, and so are those that a store creates in one call, so one
            /// can be guessed from another. An id is not a secret.
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

            /// The id with these 128 bits, a UUID of any version: for constants.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("# use kpi_store::", stringify!($name), ";")]
            #[doc = concat!("const ID: ", stringify!($name), " = ", stringify!($name), "::from_u128(0x018b_cfe5_6800_7000_8000_0000_0000_0001);")]
            /// assert_eq!(ID.to_string(), "018bcfe5-6800-7000-8000-000000000001");
            /// ```
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
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

        /// Parses every form that [`Uuid`] parses: hyphenated, simple, braced, URN.
        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map(Self).map_err(|_| ParseIdError)
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
                deserializer.deserialize_str(FromStrVisitor::new())
            }
        }
    };
}

typed_id!(
    /// Identifies the organization that owns a dataset. The counterpart of the `x-organization-id` header.
    OrganizationId
);
typed_id!(
    /// Identifies the user that created or changed a dataset. The counterpart of the `x-user-id` header.
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
