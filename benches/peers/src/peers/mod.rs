//! The peers of this program. Those that need another version of SQLite are in `other_sqlite`.

pub(crate) mod kpi_store;
pub(crate) mod plain_rusqlite;
