//! The properties of an organization.

use super::Organization;
use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::ids::OrganizationId;
use crate::model::property::NewProperty;
use crate::sqlite::failure::Failure;
use crate::sqlite::table::property;
use crate::sqlite::transaction::Transaction;

impl Organization {
    /// The content of a property; `None` if this organization has no property with this key.
    ///
    /// The read does not wait for writes, except in memory.
    ///
    /// # Errors
    ///
    /// Those of [`dataset`](Self::dataset); [`Corrupt`](Error::Corrupt) if the content is not the one that was written.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.set_properties([("theme", Some(b"dark".as_slice()))])?;
    /// assert_eq!(organization.property("theme")?.as_deref(), Some(b"dark".as_slice()));
    /// assert_eq!(organization.property("language")?, None);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn property(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.store.access().read(|snapshot| property::get(snapshot, self.id, key))
    }

    /// The keys of all properties of this organization, in the order of their bytes.
    ///
    /// It reads no contents, so a damaged property is listed too, and can be removed; only
    /// [`property`](Self::property) checks whether it is intact.
    ///
    /// # Errors
    ///
    /// Those of [`dataset`](Self::dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.set_properties([("theme", Some(b"dark".as_slice())), ("language", Some(b"es".as_slice()))])?;
    /// assert_eq!(organization.property_keys()?, ["language", "theme"]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn property_keys(&self) -> Result<Vec<String>> {
        self.store.access().read(|snapshot| property::keys(snapshot, self.id))
    }

    /// Sets properties, and removes those without content, in one transaction: all of them or none.
    ///
    /// A property is what an application keeps beside the datasets of an organization and must agree with them, such as
    /// how far it has synchronized them with a server. It is in the same file, and so in the same
    /// [backup](crate::Store::backup_to); [`purge_organization`](crate::Store::purge_organization) removes it with the
    /// organization. The store does not interpret it, and a change of a property is not a change of a dataset.
    ///
    /// A key has 1 to 255 code points and no U+0000, content at most 65,536 bytes. The properties are set in the order
    /// of the iterator, so the last one wins where a key is repeated; those that are not named stay as they are. The
    /// iterator is drained before anything is locked or written. A damaged property can be replaced and removed.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`] lists every key and content that breaks the limits, such as `properties[2].key`.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request or the clock. With
    ///   [`Error::OutcomeUnknown`], either all properties or none were set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{Error, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// organization.set_properties([("cursor", Some(b"17".as_slice())), ("pending", Some(b"[]".as_slice()))])?;
    /// organization.set_properties([("cursor", Some(b"18".as_slice())), ("pending", None)])?;
    /// assert_eq!(organization.property("cursor")?.as_deref(), Some(b"18".as_slice()));
    /// assert_eq!(organization.property("pending")?, None);
    ///
    /// let result = organization.set_properties([("cursor", Some(b"19".as_slice())), ("", Some(b"20".as_slice()))]);
    /// let Err(Error::Invalid(violations)) = result else { panic!("the second has no key") };
    /// assert_eq!(violations.as_slice()[0].path(), "properties[1].key");
    /// assert_eq!(organization.property("cursor")?.as_deref(), Some(b"18".as_slice()));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn set_properties<'a, K: Into<String>>(
        &self,
        properties: impl IntoIterator<Item = (K, Option<&'a [u8]>)>,
    ) -> Result<()> {
        let properties =
            properties.into_iter().map(|(key, content)| (key.into(), content.map(<[u8]>::to_vec))).collect();
        let properties = NewProperty::prepare(self.id, properties)?;
        self.store.access().write(SetProperties { organization: self.id, properties })?;
        Ok(())
    }
}

struct SetProperties {
    organization: OrganizationId,
    properties: Vec<NewProperty>,
}

impl Job for SetProperties {
    type Output = ();

    fn run(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        property::set(transaction, self.organization, &self.properties)
    }

    fn bytes(&self) -> usize {
        self.properties.iter().map(NewProperty::bytes).sum()
    }

    fn outcome_unknown(&self, (): (), source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: Vec::new(), updated_at: None, source }
    }
}
