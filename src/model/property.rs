//! Properties: small contents that an application keeps beside the datasets of an organization.

use super::digest;
use super::ids::OrganizationId;
use super::request::validation::{check_property_content, check_property_key};
use super::request::violation::{Segment, Violations};
use super::request::violations_builder::ViolationsBuilder;

/// A property that is to be set or removed, within the limits.
#[derive(Debug)]
pub(crate) struct NewProperty {
    pub(crate) key: String,
    /// `None` removes the property.
    pub(crate) content: Option<Content>,
}

/// The content of a property with its digest.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: u64,
}

impl NewProperty {
    /// Validates all properties and computes their digests.
    pub(crate) fn prepare(
        organization: OrganizationId,
        properties: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<Vec<Self>, Violations> {
        let mut violations = ViolationsBuilder::in_body();
        violations.within(Segment::key("properties"), |violations| {
            for (index, (key, content)) in properties.iter().enumerate() {
                violations.within(Segment::Index(index), |violations| {
                    violations.field("key", check_property_key(key));
                    violations.field("content", check_property_content(content.as_deref()));
                });
            }
        });
        violations.finish()?;
        let prepare = |(key, content): (String, Option<Vec<u8>>)| {
            let content = content.map(|bytes| Content { digest: digest::property(organization, &key, &bytes), bytes });
            Self { key, content }
        };
        Ok(properties.into_iter().map(prepare).collect())
    }

    /// The approximate number of bytes that it writes.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.content.as_ref().map_or(0, |content| content.bytes.len())
    }
}
