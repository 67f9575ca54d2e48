//! Whether a dataset matches a filter.

use rusqlite::CachedStatement;

use crate::model::dataset::Dataset;
use crate::model::filter::Filter;
use crate::model::ids::KpiId;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::kpi;
use crate::sqlite::table::row::Columns;

/// What a filter asks of KPIs.
const SELECT_KPIS: &str = "SELECT id, value_type, name, description, unit FROM kpi WHERE dataset_seq = ?1";

/// One run over the datasets of a listing.
pub(super) struct Matcher<'a> {
    filter: &'a Filter,
    kpis: CachedStatement<'a>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(snapshot: &'a Snapshot<'_>, filter: &'a Filter) -> Result<Self, Failure> {
        Ok(Self { filter, kpis: snapshot.connection().prepare_cached(SELECT_KPIS)? })
    }

    /// Whether the dataset with this `seq` matches. Its KPIs are read only as far as it takes.
    pub(super) fn matches(&mut self, seq: i64, head: &Dataset) -> Result<bool, Failure> {
        let Filter { created_by, value_type } = self.filter;
        if created_by.is_some() && *created_by != head.created_by {
            return Ok(false);
        }
        let mut is_missing_type = value_type.is_some();
        if !is_missing_type {
            return Ok(true);
        }
        let mut last = None;
        let mut rows = self.kpis.query([seq])?;
        while let Some(row) = rows.next()? {
            let columns = Columns(row);
            // The table is sorted by id. On a damaged page the rows might go back and never end.
            let id: KpiId = columns.id(0)?;
            if last.replace(id).is_some_and(|last| last >= id) {
                return Err(damaged(kpi::OUT_OF_ORDER).into());
            }
            is_missing_type &= *value_type != Some(kpi::value_type(columns.integer(1)?)?);
            if !is_missing_type {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
