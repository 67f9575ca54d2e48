//! Properties and statistics by hand.

use std::path::Path;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::Floor;
use super::digest::Bytes;

const SELECT: &str = "SELECT content, digest FROM organization_property WHERE organization_id = ?1 AND key = ?2";

/// The content of a property, compared with its digest.
pub(crate) fn get(connection: &Connection, organization: Uuid, key: &str) -> Vec<u8> {
    let mut statement = connection.prepare_cached(SELECT).unwrap();
    let mut rows = statement.query(params![organization.as_bytes(), key]).unwrap();
    let row = rows.next().unwrap().unwrap();
    let content = row.get_ref(0).unwrap().as_blob().unwrap();
    assert_eq!(row.get_ref(1).unwrap().as_i64().unwrap(), Bytes::new().property(organization, key, content));
    content.to_vec()
}

const SET: &str = "
    INSERT INTO organization_property (organization_id, key, content, digest) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (organization_id, key) DO UPDATE SET content = excluded.content, digest = excluded.digest";

/// Sets properties in one transaction.
pub(crate) fn set(floor: &Floor, organization: Uuid, properties: &[(&str, &[u8])]) {
    let mut bytes = Bytes::new();
    floor.transaction(|| {
        let mut statement = floor.prepare_cached(SET).unwrap();
        for (key, content) in properties {
            let digest = bytes.property(organization, key, content);
            statement.execute(params![organization.as_bytes(), key, content, digest]).unwrap();
        }
    });
}

const COUNTS: &str = "
    SELECT count(*) FILTER (WHERE deleted_at IS NULL), count(*) FILTER (WHERE deleted_at IS NOT NULL),
        ifnull(sum(kpi_count) FILTER (WHERE deleted_at IS NULL), 0)
    FROM dataset NOT INDEXED";
const ORGANIZATIONS: &str = "
    WITH RECURSIVE owner (id) AS (
        SELECT min(organization_id) FROM dataset
        UNION ALL
        SELECT (SELECT min(organization_id) FROM dataset WHERE organization_id > owner.id)
        FROM owner WHERE owner.id IS NOT NULL
    )
    SELECT count(id) FROM owner";
const VERSIONS: &str = "SELECT count(*) FROM dataset_version WHERE part = 0 AND origin <= 2 AND replaced IS NOT NULL";

/// The numbers of datasets, of those in the trash, of KPIs, organizations and versions, and the bytes of the file, of
/// its log and those that are free, in one snapshot.
pub(crate) fn statistics(connection: &Connection, file: &Path) -> [i64; 8] {
    let one = |sql| connection.prepare_cached(sql).unwrap().query_one([], |row| row.get::<_, i64>(0)).unwrap();
    connection.prepare_cached("BEGIN").unwrap().execute([]).unwrap();
    let (datasets, deleted, kpis) = connection
        .prepare_cached(COUNTS)
        .unwrap()
        .query_one([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    let (organizations, versions) = (one(ORGANIZATIONS), one(VERSIONS));
    let free = one("PRAGMA freelist_count") * one("PRAGMA page_size");
    connection.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
    let length = |path: &Path| i64::try_from(std::fs::metadata(path).unwrap().len()).unwrap();
    let log = file.with_extension("db-wal");
    [datasets, deleted, kpis, organizations, versions, length(file), length(&log), free]
}
