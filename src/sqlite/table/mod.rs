//! The tables: the columns, the statements and the row mapper of each.
//!
//! - [`dataset`], [`kpi`]: reading and writing the rows of one dataset; [`gather`]: its KPIs in one step of a
//!   statement; [`listing`]: reading the rows of many.
//! - [`change`]: changing a stored dataset; [`version`]: what each change replaced; [`history`]: earlier versions;
//!   [`prune`]: removing them. [`changes`]: what has changed since a place.
//! - [`trash`]: deleted datasets. [`mod@organization`]: removing all of an organization; [`removal`]: what both remove,
//!   damaged or not. [`counter`]: the numbers of datasets and changes.
//! - [`property`]: what an application keeps beside its datasets.
//! - [`audit`]: the statements of a verification.
//! - [`row`]: columns as borrowed, checked values.

pub(in crate::sqlite) mod audit;
pub(crate) mod change;
pub(crate) mod changes;
pub(in crate::sqlite) mod counter;
pub(crate) mod dataset;
pub(in crate::sqlite) mod gather;
pub(crate) mod history;
pub(in crate::sqlite) mod kpi;
pub(crate) mod listing;
pub(crate) mod organization;
pub(crate) mod property;
pub(crate) mod prune;
mod removal;
pub(in crate::sqlite) mod row;
pub(crate) mod trash;
pub(in crate::sqlite) mod version;

/// Defines the columns of a table, in the order in which every statement lists them: `NAMES`, and the index of each.
///
/// Inserts bind and reads fetch by these indexes, so that the statements always agree.
macro_rules! columns {
    ($($index:ident $name:literal),+ $(,)?) => {
        pub(in crate::sqlite) const NAMES: &[&str] = &[$($name),+];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the enum only numbers the columns")]
        enum Index { $($index),+ }

        $(pub(in crate::sqlite) const $index: usize = Index::$index as usize;)+
    };
}
use columns;

/// The parameters of one row with this number of columns: `(?,?,?)`.
fn parameters(columns: usize) -> String {
    format!("({})", vec!["?"; columns].join(","))
}
