//! An embedded, local-first store for custom KPI datasets, on one SQLite file.
//!
//! An organization defines datasets: named groups of KPIs, each a typed question with a unit. This crate creates and
//! returns a dataset exactly as the REST operation *Create Dataset* (`POST /v1/custom-kpi-datasets`) would, with the
//! same fields, limits, JSON and validation errors, but offline and in the application's own file. It also changes,
//! deletes and restores datasets, and keeps the history of each.
//!
//! - A [`Store`] is a file, opened with [`Store::open`] or [`StoreOptions`]; an [`Organization`] is the view through
//!   which everything is read and written.
//! - A [`NewDataset`] is the request, built in code or read from JSON; a [`Dataset`] is what is stored and returned.
//! - A form edits a [`DatasetDraft`] and [saves](Organization::save_dataset) it; a [`DatasetPatch`] makes a few changes
//!   without reading the dataset first. After a conflict, [`DatasetDraft::merge`] combines a draft with the changes
//!   that were saved meanwhile.
//! - [`Organization::delete_dataset`] moves a dataset to the trash, from which it can be
//!   [restored](Organization::restore_dataset) or [purged](Organization::purge_dataset).
//! - [`Organization::history`] lists the versions of a dataset; a [`DatasetVersion`] has a [`DatasetDiff`] from the
//!   version before, and a dataset can be [reverted](Organization::revert_dataset) to it.
//! - [`Organization::prune_history`] removes earlier versions, and [`Store::compact`] erases from the file what was
//!   removed.
//! - A [`DatasetQuery`] selects, searches and orders datasets; [`Organization::datasets`] lists them in a [`Page`],
//!   which has the [`Cursor`] of the next one, and [`Organization::summaries`] without their KPIs.
//! - [`Organization::changes_since`] returns which datasets have changed since a [`ChangeCursor`], across processes and
//!   restarts; a [`Watch`] waits for such changes.
//! - [`Organization::set_properties`] stores what an application keeps beside the datasets; [`Store::statistics`]
//!   counts what the file contains.
//! - [`Violations`] list everything that is wrong with an input, each with its path and code; [`Error`] has a variant
//!   for every failure, and a table of what to do about each.
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
//! The [README](https://github.com/kpi-store/kpi-store#readme) describes durability, the use from several threads and
//! processes, and what else the application may link.
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

pub use access::watch::StopHandle;
pub use error::{Error, Result, Source};
pub use model::changes::{Change, ChangeCursor, ChangeState, Changes, ParseChangeCursorError};
pub use model::cursor::{Cursor, ParseCursorError};
pub use model::dataset::{Dataset, Kpi};
pub use model::diff::DatasetDiff;
pub use model::diff::difference::{Difference, KpiChange};
pub use model::draft::{DatasetDraft, KpiDraft};
pub use model::durability::Durability;
pub use model::history_keep::HistoryKeep;
pub use model::ids::{DatasetId, KpiId, OrganizationId, ParseIdError, UserId};
pub use model::limits;
pub use model::merge::Merge;
pub use model::merge::overlap::{KpiField, Overlap};
pub use model::new_dataset::{NewDataset, NewKpi};
pub use model::page::{Damage, Page};
pub use model::patch::{DatasetPatch, KpiPatch};
pub use model::progress::Progress;
pub use model::request::violation::{Segment, Violation, Violations};
pub use model::search::text_match::{Match, MatchField};
pub use model::statistics::Statistics;
pub use model::summary::DatasetSummary;
pub use model::value_type::{ParseValueTypeError, ValueType};
pub use model::verification::{Finding, FindingKind, Verification};
pub use model::version::{DatasetVersion, DeletedDataset, Origin};
pub use store::Store;
pub use store::dataset::history::HistoryQuery;
pub use store::dataset::list::{Datasets, Summaries};
pub use store::dataset::load_options::{LoadError, LoadOptions, Loaded};
pub use store::dataset::query::DatasetQuery;
pub use store::options::StoreOptions;
pub use store::organization::Organization;
pub use store::organization::watch::Watch;

/// The crates whose types are in this API, in the versions that it uses.
pub use {chrono, uuid};

/// The longer texts of the project, included from `docs/`.
#[cfg(doc)]
pub mod documentation {
    #[doc = include_str!("../docs/design.md")]
    pub mod design {}
    #[doc = include_str!("../docs/file-format.md")]
    pub mod file_format {}
    #[doc = include_str!("../docs/operating.md")]
    pub mod operating {}
    #[doc = include_str!("../docs/synchronizing.md")]
    pub mod synchronizing {}
}

/// The README's program, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
