//! Whether a dataset matches a filter.

use rusqlite::CachedStatement;

use crate::model::dataset::Dataset;
use crate::model::filter::Filter;
use crate::model::ids::KpiId;
use crate::model::search::searcher::Searcher;
use crate::model::search::text_match::Match;
use crate::model::summary;
use crate::sqlite::failure::{Failure, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::kpi;
use crate::sqlite::table::row::Columns;

/// What a filter asks of KPIs.
const SELECT_KPIS: &str = "SELECT id, value_type, name, description, unit FROM kpi WHERE dataset_seq = ?1";

/// One run over the datasets of a listing.
pub(super) struct Matcher<'a> {
    filter: &'a Filter,
    searcher: Option<Searcher<'a>>,
    kpis: CachedStatement<'a>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(snapshot: &'a Snapshot<'_>, filter: &'a Filter) -> Result<Self, Failure> {
        let searcher = filter.pattern.as_ref().map(Searcher::new);
        Ok(Self { filter, searcher, kpis: snapshot.connection().prepare_cached(SELECT_KPIS)? })
    }

    /// Whether the dataset with this `seq` matches. Its KPIs are read only as far as it takes.
    pub(super) fn matches(&mut self, seq: i64, head: &Dataset) -> Result<bool, Failure> {
        let Filter { created_by, value_type, .. } = self.filter;
        if created_by.is_some() && *created_by != head.created_by {
            return Ok(false);
        }
        if let Some(searcher) = &mut self.searcher {
            searcher.begin();
        }
        let mut look =
            |text: Option<&str>| self.searcher.as_mut().is_none_or(|searcher| searcher.look(text.unwrap_or_default()));
        let mut has_words = look(Some(&head.name)) || look(head.description.as_deref());
        let mut has_type = value_type.is_none();
        if has_words && has_type {
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
            has_type = has_type || *value_type == Some(kpi::value_type(columns.integer(1)?)?);
            for column in 2..=4 {
                has_words = has_words || look(columns.borrowed_text(column)?);
            }
            if has_words && has_type {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn searches_text(&self) -> bool {
        self.searcher.is_some()
    }

    /// The texts of a dataset in which words were found; none if no text is searched.
    pub(super) fn texts_found(&mut self, dataset: &Dataset) -> Vec<Match> {
        self.searcher.as_mut().map(|searcher| summary::matches(searcher, dataset)).unwrap_or_default()
    }
}
