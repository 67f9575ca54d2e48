//! SQL of the `organization_property` table: what an application keeps beside the datasets of an organization.

use rusqlite::params;

use super::removal::delete_all;
use super::row::Columns;
use crate::model::digest;
use crate::model::ids::OrganizationId;
use crate::model::property::NewProperty;
use crate::sqlite::failure::{self, Failure, UnexpectedValue};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::transaction::Transaction;

const SELECT: &str = "SELECT content, digest FROM organization_property WHERE organization_id = ?1 AND key = ?2";

/// The content of this property, checked against the digest, which proves that the row is that of this key and
/// organization.
pub(crate) fn get(
    snapshot: &Snapshot<'_>,
    organization: OrganizationId,
    key: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut statement = snapshot.connection().prepare_cached(SELECT)?;
    let mut rows = statement.query(params![organization.as_bytes(), key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let columns = Columns(row);
    let (content, digest) = (columns.bytes(0)?, columns.integer(1)?);
    if digest::property(organization, key, content).cast_signed() == digest {
        Ok(Some(content.to_owned()))
    } else {
        Err(failure::damaged("a property does not match its digest").into())
    }
}

const SELECT_KEYS: &str = "
    SELECT organization_id, key FROM organization_property WHERE organization_id = ?1 ORDER BY key";

/// The keys of this organization in the order of their bytes. The contents, and so the digests, are not read.
pub(crate) fn keys(snapshot: &Snapshot<'_>, organization: OrganizationId) -> Result<Vec<String>, Failure> {
    let mut statement = snapshot.connection().prepare_cached(SELECT_KEYS)?;
    let mut rows = statement.query([organization.as_bytes()])?;
    let mut keys: Vec<String> = Vec::new();
    while let Some(row) = rows.next()? {
        let (owner, key): (OrganizationId, _) = (Columns(row).id(0)?, Columns(row).text(1)?);
        // On a damaged page the rows might go back and never end, or be those of another organization.
        if owner != organization || keys.last().is_some_and(|last| *last >= key) {
            return Err(failure::damaged(OUT_OF_ORDER).into());
        }
        keys.push(key);
    }
    Ok(keys)
}

const OUT_OF_ORDER: &str = "the rows of the properties are out of order";

const SET: &str = "
    INSERT INTO organization_property (organization_id, key, content, digest) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (organization_id, key) DO UPDATE SET content = excluded.content, digest = excluded.digest";
const REMOVE: &str = "DELETE FROM organization_property WHERE organization_id = ?1 AND key = ?2";

/// Sets and removes properties in this order. The present ones need not be intact.
pub(crate) fn set(
    transaction: &Transaction<'_>,
    organization: OrganizationId,
    properties: &[NewProperty],
) -> Result<(), Failure> {
    let connection = transaction.connection();
    for NewProperty { key, content } in properties {
        match content {
            Some(content) => {
                let values = params![organization.as_bytes(), key, content.bytes, content.digest.cast_signed()];
                connection.prepare_cached(SET)?.execute(values)?;
            }
            None => delete_all(connection, REMOVE, params![organization.as_bytes(), key])?,
        }
    }
    Ok(())
}

const SELECT_ALL: &str = "SELECT organization_id, key, content, digest FROM organization_property NOT INDEXED";

/// Calls `damaged` with each property that does not match its digest, and with the organization if that can be read.
pub(in crate::sqlite) fn check(
    snapshot: &Snapshot<'_>,
    mut damaged: impl FnMut(Option<OrganizationId>),
) -> Result<(), Failure> {
    let mut statement = snapshot.connection().prepare(SELECT_ALL)?;
    let mut rows = statement.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let columns = Columns(row);
        let organization: Option<OrganizationId> = columns.optional_id(0).unwrap_or_default();
        let read = || -> Result<_, UnexpectedValue> {
            Ok((columns.id(0)?, columns.text(1)?, columns.bytes(2)?, columns.integer(3)?))
        };
        match read() {
            Ok((organization, key, content, stored))
                if digest::property(organization, &key, content).cast_signed() == stored =>
            {
                let place = (organization, key);
                // On a damaged page the rows might go back and never end.
                if last.as_ref().is_some_and(|last| *last >= place) {
                    return Err(failure::damaged(OUT_OF_ORDER).into());
                }
                last = Some(place);
            }
            _ => damaged(organization),
        }
    }
    Ok(())
}
