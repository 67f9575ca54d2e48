-- Datasets and their KPIs.
--
-- The file outlives the program, so the schema repeats every limit of the contract as a CHECK. The CHECKs make a create
-- about 1.06 times and a bulk insert about 1.1 times as expensive. The reasons for this layout: docs/design.md.
CREATE TABLE dataset (
    -- The order of creation in this file, with gaps. Only cursors expose it.
    seq INTEGER PRIMARY KEY,
    -- Ids are the 16 bytes of a UUID.
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    -- Lengths count code points. length() stops at U+0000, so no text may contain it; instr() is faster on a BLOB.
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255 AND instr(CAST(name AS BLOB), x'00') = 0),
    description TEXT CHECK (length(description) <= 2000 AND instr(CAST(description AS BLOB), x'00') = 0),
    -- Times are microseconds since 1970-01-01T00:00:00Z, in the years 0001 to 9999.
    created_at INTEGER NOT NULL CHECK (created_at BETWEEN -62135596800000000 AND 253402300799999999),
    created_by BLOB CHECK (length(created_by) = 16),
    -- Null until the first change.
    updated_by BLOB CHECK (length(updated_by) = 16),
    updated_at INTEGER CHECK (updated_at BETWEEN -62135596800000000 AND 253402300799999999),
    -- 1 when created, incremented by every change.
    revision INTEGER NOT NULL CHECK (revision >= 1),
    -- 64-bit hash of everything that a read returns: docs/file-format.md.
    digest INTEGER NOT NULL,
    UNIQUE (organization_id, id)
) STRICT;

-- Lists the datasets of one organization in the order of creation.
CREATE INDEX dataset_by_organization ON dataset (organization_id, seq);

-- WITHOUT ROWID stores the KPIs of a dataset together and needs no second index. A KPI id is unique within its dataset.
CREATE TABLE kpi (
    dataset_seq INTEGER NOT NULL REFERENCES dataset (seq) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- The order of addition, which breaks ties of sort_order.
    position INTEGER NOT NULL CHECK (position >= 0),
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255 AND instr(CAST(name AS BLOB), x'00') = 0),
    description TEXT CHECK (length(description) <= 2000 AND instr(CAST(description AS BLOB), x'00') = 0),
    unit TEXT CHECK (length(unit) <= 50 AND instr(CAST(unit AS BLOB), x'00') = 0),
    -- 0 number, 1 text, 2 percentage, 3 date, 4 boolean.
    value_type INTEGER NOT NULL CHECK (value_type BETWEEN 0 AND 4),
    required INTEGER NOT NULL CHECK (required IN (0, 1)),
    sort_order INTEGER NOT NULL CHECK (sort_order >= 0),
    created_at INTEGER NOT NULL CHECK (created_at BETWEEN -62135596800000000 AND 253402300799999999),
    updated_at INTEGER CHECK (updated_at BETWEEN -62135596800000000 AND 253402300799999999),
    PRIMARY KEY (dataset_seq, id)
) STRICT, WITHOUT ROWID;

-- Numbers are reserved in blocks, since an update of this row with each create would add a page to the log:
-- docs/design.md.
CREATE TABLE counter (
    -- There is exactly one row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The last reserved seq. No seq is used twice, even if its dataset was deleted.
    last INTEGER NOT NULL CHECK (last >= 0)
) STRICT;

INSERT INTO counter (id, last) VALUES (1, 0);
