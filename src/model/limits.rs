//! The limits of the contract: the validator applies them, the schema repeats them as CHECKs, and a test compares the
//! two.
//!
//! A length counts Unicode code points. Text is not trimmed, case-folded or normalized.

/// The minimum length of the name of a dataset or KPI, in code points.
pub const NAME_MIN: usize = 1;

/// The maximum length of the name of a dataset or KPI, in code points.
pub const NAME_MAX: usize = 255;

/// The maximum length of the description of a dataset or KPI, in code points. An empty description is not the same as
/// none.
pub const DESCRIPTION_MAX: usize = 2_000;

/// The maximum length of the unit of a KPI, in code points. An empty unit is not the same as none.
pub const UNIT_MAX: usize = 50;

/// The maximum number of KPIs in one request as JSON.
pub const KPIS_IN_REQUEST_MAX: usize = 100;

/// The maximum number of KPIs of a dataset. The contract limits only what one request creates.
pub const KPIS_MAX: usize = 10_000;

/// The smallest `sort_order`.
pub const SORT_ORDER_MIN: i64 = 0;

/// The largest `sort_order`: 2^63 - 1, the largest integer that SQLite stores. The contract has no upper limit.
pub const SORT_ORDER_MAX: i64 = i64::MAX;

/// The minimum length of the key of a property, in code points.
pub const PROPERTY_KEY_MIN: usize = 1;

/// The maximum length of the key of a property, in code points.
pub const PROPERTY_KEY_MAX: usize = 255;

/// The maximum length of the content of a property, in bytes: 64 KiB. Empty content is not the same as no property.
pub const PROPERTY_CONTENT_MAX: usize = 64 * 1024;

/// The maximum nesting depth of a request's JSON; the root has depth 1.
pub const JSON_DEPTH_MAX: usize = 100;

/// The maximum number of violations that are listed; further ones are only counted.
pub const VIOLATIONS_MAX: usize = 1_000;

/// The maximum length of the text of a search, in code points.
pub const SEARCH_MAX: usize = 1_000;

/// The minimum number of datasets in a page.
pub const PAGE_MIN: u32 = 1;

/// The maximum number of datasets in a page.
pub const PAGE_MAX: u32 = 1_000;

/// The default number of datasets in a page.
pub const PAGE_DEFAULT: u32 = 50;

/// The maximum number of changes that one call returns.
pub const CHANGES_MAX: usize = 1_000;

/// The maximum size of a page in memory, in bytes: 64 MiB. A single dataset may be larger.
pub const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The earliest time: 0001-01-01T00:00:00Z, in microseconds since 1970-01-01T00:00:00Z.
pub const TIME_MIN_MICROS: i64 = -62_135_596_800_000_000;

/// The latest time: 9999-12-31T23:59:59.999999Z, in microseconds since 1970-01-01T00:00:00Z.
pub const TIME_MAX_MICROS: i64 = 253_402_300_799_999_999;
