//! The limits of the contract, each in one place: the validator applies them, the schema repeats them as CHECKs and
//! a test compares the two.
//!
//! A length counts Unicode code points, of text taken as it is: nothing is trimmed, folded or normalized.

/// Fewest code points in the name of a dataset or KPI.
pub const NAME_MIN: usize = 1;

/// Most code points in the name of a dataset or KPI.
pub const NAME_MAX: usize = 255;

/// Most code points in the description of a dataset or KPI; an empty one differs from none.
pub const DESCRIPTION_MAX: usize = 2_000;

/// Most code points in the unit of a KPI; an empty one differs from none.
pub const UNIT_MAX: usize = 50;

/// Most KPIs in one request.
pub const KPIS_MAX: usize = 100;

/// Smallest `sort_order`.
pub const SORT_ORDER_MIN: i64 = 0;

/// Largest `sort_order`: 2^63 - 1, the largest integer SQLite stores. The contract names no upper limit.
pub const SORT_ORDER_MAX: i64 = i64::MAX;

/// Deepest nesting of a request's JSON; the root is level 1.
pub const JSON_DEPTH_MAX: usize = 100;

/// Most violations that one list describes; those after them are counted.
pub const VIOLATIONS_MAX: usize = 1_000;

/// Fewest datasets in a page.
pub const PAGE_MIN: u32 = 1;

/// Most datasets in a page.
pub const PAGE_MAX: u32 = 1_000;

/// Datasets in a page where the query does not say.
pub const PAGE_DEFAULT: u32 = 50;

/// Earliest time: 0001-01-01T00:00:00Z, in microseconds since 1970-01-01T00:00:00Z.
pub const TIME_MIN_MICROS: i64 = -62_135_596_800_000_000;

/// Latest time: 9999-12-31T23:59:59.999999Z, in microseconds since 1970-01-01T00:00:00Z.
pub const TIME_MAX_MICROS: i64 = 253_402_300_799_999_999;
