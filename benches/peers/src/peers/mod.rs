//! The peers of this program. Those that need another version of SQLite are in `other_sqlite`.

pub(crate) mod fjall;
pub(crate) mod floor;
pub(crate) mod json_column;
pub(crate) mod json_file;
pub(crate) mod kpi_store;
pub(crate) mod plain_rusqlite;
mod record;
pub(crate) mod redb;
mod text_columns;
