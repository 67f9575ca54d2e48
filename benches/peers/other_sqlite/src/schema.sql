-- The tables of diesel and sqlx: ids are BLOBs, times are microseconds since 1970.
CREATE TABLE IF NOT EXISTS dataset (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    created_by BLOB,
    updated_by BLOB,
    updated_at INTEGER
);

-- Ids are UUIDv7: this is the order of creation too.
CREATE INDEX IF NOT EXISTS dataset_by_organization ON dataset (organization_id, id);

CREATE TABLE IF NOT EXISTS kpi (
    id BLOB NOT NULL PRIMARY KEY,
    dataset_id BLOB NOT NULL REFERENCES dataset (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    unit TEXT,
    value_type INTEGER NOT NULL,
    required INTEGER NOT NULL,
    sort_order INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER
);

CREATE INDEX IF NOT EXISTS kpi_by_dataset ON kpi (dataset_id);
