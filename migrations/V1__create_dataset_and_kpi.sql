-- Datasets, their KPIs and their history.
--
-- The file outlives the program, so the schema repeats every limit of the contract as a CHECK. They take some 2,700 of
-- the 15,000 instructions that storing a KPI with short texts costs. The reasons for this layout: docs/design.md.
CREATE TABLE dataset (
    -- The order of creation in this file, with gaps. Only cursors expose it.
    seq INTEGER PRIMARY KEY,
    -- Ids are the 16 bytes of a UUID.
    id BLOB NOT NULL CHECK (length(id) = 16),
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    -- Lengths count code points. substr() ends at U+0000, which no text may contain, so that it shows both at once.
    name TEXT NOT NULL CHECK (name <> '' AND substr(name, 1, 255) = name),
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
    UNIQUE (organization_id, id)
) STRICT;

-- Lists the datasets of one organization in the order of creation. With deleted_at it counts them without reading the
-- table.
CREATE INDEX dataset_by_organization ON dataset (organization_id, seq, deleted_at) WHERE deleted_at IS NULL;

-- Finds what has changed since a number. With deleted_at the order of the last changes skips the trash without reading
-- the table.
CREATE INDEX dataset_by_change ON dataset (organization_id, changed, deleted_at) WHERE changed IS NOT NULL;

-- Lists the trash in the order of deletion, and counts it, without reading the table.
CREATE INDEX dataset_in_trash ON dataset (organization_id, changed, deleted_at) WHERE deleted_at IS NOT NULL;

-- WITHOUT ROWID stores the KPIs of a dataset together and needs no second index. A KPI id is unique within its dataset.
CREATE TABLE kpi (
    dataset_seq INTEGER NOT NULL REFERENCES dataset (seq) ON DELETE CASCADE,
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- The order of addition, which breaks ties of sort_order: from 0 in a new dataset; of a KPI that is added later
    -- 10,000 plus a number of the counter.
    position INTEGER NOT NULL CHECK (position >= 0),
    name TEXT NOT NULL CHECK (name <> '' AND substr(name, 1, 255) = name),
    description TEXT CHECK (substr(description, 1, 2000) = description),
    unit TEXT CHECK (substr(unit, 1, 50) = unit),
    -- 0 number, 1 text, 2 percentage, 3 date, 4 boolean.
    value_type INTEGER NOT NULL CHECK (value_type BETWEEN 0 AND 4),
    required INTEGER NOT NULL CHECK (required BETWEEN 0 AND 1),
    sort_order INTEGER NOT NULL CHECK (sort_order >= 0),
    created_at INTEGER NOT NULL CHECK (created_at BETWEEN -62135596800000000 AND 253402300799999999),
    updated_at INTEGER CHECK (updated_at BETWEEN -62135596800000000 AND 253402300799999999),
    PRIMARY KEY (dataset_seq, id)
) STRICT, WITHOUT ROWID;

-- The changes of each dataset, with what each replaced: an earlier version is put together from the present backwards.
CREATE TABLE dataset_version (
    dataset_seq INTEGER NOT NULL REFERENCES dataset (seq) ON DELETE CASCADE,
    -- The number of the change.
    change INTEGER NOT NULL CHECK (change > dataset_seq),
    -- What a change replaced may be stored in several parts, counted from 0.
    part INTEGER NOT NULL CHECK (part >= 0),
    -- 0 edited, 1 reverted, 2 accepted, 3 deleted, 4 restored.
    origin INTEGER NOT NULL CHECK (origin BETWEEN 0 AND 4),
    changed_at INTEGER NOT NULL CHECK (changed_at BETWEEN -62135596800000000 AND 253402300799999999),
    changed_by BLOB CHECK (length(changed_by) = 16),
    -- The revision and the digests that the dataset had before.
    revision INTEGER NOT NULL,
    head_digest INTEGER NOT NULL,
    kpi_digest INTEGER NOT NULL,
    -- What the change replaced, as JSON. Null if it replaced nothing, or if that is not known or was pruned.
    replaced TEXT CHECK (json_valid(replaced)),
    -- 64-bit hash of this row and the ids of the organization and the dataset: docs/file-format.md.
    digest INTEGER NOT NULL,
    PRIMARY KEY (dataset_seq, change, part)
) STRICT, WITHOUT ROWID;

-- The ids of purged datasets, which are never given again.
CREATE TABLE purged_dataset (
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    -- The number of the purge.
    change INTEGER NOT NULL CHECK (change >= 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- 64-bit hash of the three columns above: docs/file-format.md.
    digest INTEGER NOT NULL,
    PRIMARY KEY (organization_id, change),
    UNIQUE (organization_id, id)
) STRICT, WITHOUT ROWID;

-- What an application keeps beside the datasets of an organization: docs/design.md.
CREATE TABLE organization_property (
    organization_id BLOB NOT NULL CHECK (length(organization_id) = 16),
    key TEXT NOT NULL CHECK (key <> '' AND substr(key, 1, 255) = key),
    content BLOB NOT NULL CHECK (length(content) <= 65536),
    -- 64-bit hash of the three columns above: docs/file-format.md.
    digest INTEGER NOT NULL,
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;

-- Numbers are reserved in blocks, since an update of this row with each create would add a page to the log:
-- docs/design.md.
CREATE TABLE counter (
    -- There is exactly one row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The last reserved number. No number is used twice, even if its dataset was purged.
    last INTEGER NOT NULL CHECK (last >= 0),
    -- Drawn at random when the file is created, when it is first opened after it was restored from a backup, and when an
    -- organization is purged: numbers of another generation do not count the changes of this one.
    generation INTEGER NOT NULL
) STRICT;

INSERT INTO counter (id, last, generation) VALUES (1, 0, random());
