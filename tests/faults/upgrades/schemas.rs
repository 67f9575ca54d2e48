//! Schemas of later versions, for tests only: one with a new column, one with a rebuilt table, one with both.

use crate::sqlite::schema::{Migration, Schema};

pub(super) const FIRST: Migration = Migration {
    file: "V1__create_dataset_and_kpi",
    sql: include_str!("../../../migrations/V1__create_dataset_and_kpi.sql"),
};

const COLUMN: Migration = Migration {
    file: "V2__add_color_to_kpi",
    sql: "ALTER TABLE kpi ADD COLUMN color TEXT NOT NULL DEFAULT '' CHECK (length(color) <= 7);",
};

/// The rows are copied to a table with another name, so that the new table is created under its final name: a RENAME
/// would rewrite the stored texts. Dropping the old table drops its indexes, and with foreign keys off nothing else.
pub(super) const REBUILD: Migration = Migration {
    file: "V2__archive_datasets",
    sql: "
CREATE TABLE dataset_before AS SELECT * FROM dataset;
DROP TABLE dataset;
CREATE TABLE dataset (
    -- The order of creation in this file, with gaps. Only cursors expose it.
    seq INTEGER PRIMARY KEY,
    -- Ids are the 16 bytes of a UUID.
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    -- Lengths count code points. substr() ends at U+0000, which no text may contain, so that it shows both at once.
    name TEXT NOT NULL CHECK (name <> '' AND substr(name, 1, 300) = name),
    description TEXT CHECK (substr(description, 1, 2000) = description),
    -- Times are microseconds since 1970-01-01T00:00:00Z, in the years 0001 to 9999.
    created_at INTEGER NOT NULL CHECK (created_at BETWEEN -62135596800000000 AND 253402300799999999),
    created_by BLOB CHECK (length(created_by) = 16),
    -- Null until the first change.
    updated_by BLOB CHECK (length(updated_by) = 16),
    updated_at INTEGER CHECK (updated_at BETWEEN -62135596800000000 AND 253402300799999999),
    -- 1 when created, incremented by every change of the content.
    revision INTEGER NOT NULL CHECK (revision >= 1),
    -- Of its KPIs, and of those that are required: a summary is read without them.
    kpi_count INTEGER NOT NULL CHECK (kpi_count BETWEEN 0 AND 10000),
    required_count INTEGER NOT NULL CHECK (required_count BETWEEN 0 AND kpi_count),
    -- 64-bit hashes of everything that a read returns: of the columns above, and the sum of those of the KPIs.
    -- docs/file-format.md
    head_digest INTEGER NOT NULL,
    kpi_digest INTEGER NOT NULL,
    -- The number of the last change of any kind, from the same counter as seq. Null until the first.
    changed INTEGER CHECK (ifnull(changed > seq, deleted_at IS NULL)),
    -- When and by whom it was moved to the trash. Null if it is not there.
    deleted_at INTEGER CHECK (deleted_at BETWEEN -62135596800000000 AND 253402300799999999),
    deleted_by BLOB CHECK (deleted_by IS NULL OR (length(deleted_by) = 16 AND deleted_at IS NOT NULL)),
    -- 64-bit hash of the three columns above, which are no part of what a read returns. Null until the first change.
    state_digest INTEGER CHECK ((state_digest IS NULL) = (changed IS NULL)),
    -- Null while it is shown.
    archived_at INTEGER CHECK (archived_at >= 0),
    UNIQUE (organization_id, id)
) STRICT;

-- Lists the datasets of one organization in the order of creation. With deleted_at it counts them without reading the
-- table.
INSERT INTO dataset SELECT *, NULL FROM dataset_before ORDER BY seq;
DROP TABLE dataset_before;
CREATE INDEX dataset_by_organization ON dataset (organization_id, seq, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX dataset_by_change ON dataset (organization_id, changed, deleted_at) WHERE changed IS NOT NULL;
CREATE INDEX dataset_in_trash ON dataset (organization_id, changed, deleted_at) WHERE deleted_at IS NOT NULL;
",
};

pub(super) static V1: Schema = Schema::new(&[FIRST]);
pub(crate) static ADDS_A_COLUMN: Schema = Schema::new(&[FIRST, COLUMN]);
pub(crate) static REBUILDS: Schema = Schema::new(&[FIRST, REBUILD]);
pub(super) static DOES_BOTH: Schema =
    Schema::new(&[FIRST, COLUMN, Migration { file: "V3__archive_datasets", sql: REBUILD.sql }]);
