//! An embedded, local-first store for custom KPI datasets, on one SQLite file.
//!
//! An organization defines a dataset, a named group of KPIs, each a typed question with a unit. This crate creates, keeps
//! and returns it exactly as the REST operation *Create Dataset* (`POST /v1/custom-kpi-datasets`) would: same fields,
//! limits, JSON and validation answers, offline, in the application's own file.
//!
//! - A [`Store`] is a file, opened with [`Store::open`] or [`StoreOptions`]; an [`Organization`] is the view through which
//!   everything is read and written.
//! - A [`NewDataset`] asks, built in code or read from the JSON of a request; a [`Dataset`] is what is stored and returned.
//! - [`Violations`] say everything that is wrong with an input, each with its place and code; [`Error`] says what went
//!   wrong otherwise, with a table of what to do.
//! - [`DatasetQuery`], [`Page`] and [`Cursor`] list what is there.
//!
//! ```
//! use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("kpis.db");
//! let store = Store::open(&path)?;
//! let organization = store.organization(OrganizationId::new());
//!
//! let request = NewDataset::new("Water").kpi(NewKpi::new("Total water withdrawal").unit("m³"));
//! let dataset = organization.create_dataset(request)?;
//! assert_eq!(organization.dataset(dataset.id)?, Some(dataset));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Durability, threads and processes, and what can stand beside this crate in an application are in the README.
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

mod access;
mod error;
#[cfg(test)]
#[path = "../tests/faults/mod.rs"]
mod faults;
#[cfg(test)]
#[path = "../tests/internals/mod.rs"]
mod internals;
mod model;
mod sqlite;
mod store;

pub use error::{Error, Result, Source};
pub use model::cursor::{Cursor, ParseCursorError};
pub use model::dataset::{Dataset, Kpi};
pub use model::durability::Durability;
pub use model::ids::{DatasetId, KpiId, OrganizationId, ParseIdError, UserId};
pub use model::limits;
pub use model::new_dataset::{NewDataset, NewKpi};
pub use model::page::{Damage, Page};
pub use model::progress::Progress;
pub use model::value_type::{ParseValueTypeError, ValueType};
pub use model::verification::{Finding, FindingKind, Verification};
pub use model::violation::{Segment, Violation, Violations};
pub use store::Store;
pub use store::dataset::list::Datasets;
pub use store::dataset::load_options::{LoadError, LoadOptions, Loaded};
pub use store::dataset::query::DatasetQuery;
pub use store::options::StoreOptions;
pub use store::organization::Organization;

/// The crates whose types are in this API, as it uses them: an application that names them needs no version of its own.
pub use {chrono, uuid};

/// The longer texts of the project, as they stand in `docs/`.
#[cfg(doc)]
pub mod documentation {
    #[doc = include_str!("../docs/design.md")]
    pub mod design {}
    #[doc = include_str!("../docs/file-format.md")]
    pub mod file_format {}
}

/// The README's program, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
