//! An embedded, local-first store for custom KPI datasets, on one SQLite file.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod error;
mod model;
mod sqlite;
mod store;

pub use error::{Error, Result};
pub use model::dataset::{Dataset, Kpi};
pub use model::ids::{DatasetId, KpiId, OrganizationId, UserId};
pub use model::limits;
pub use model::new_dataset::{NewDataset, NewKpi};
pub use model::value_type::{UnknownValueType, ValueType};
pub use model::violation::{Segment, Violation, Violations};
pub use sqlite::connection::Durability;
pub use store::Store;
pub use store::cursor::Cursor;
pub use store::options::StoreOptions;
pub use store::organization::Organization;
pub use store::query::{DatasetQuery, Page};
