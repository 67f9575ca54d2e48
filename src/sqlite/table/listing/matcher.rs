//! Whether a dataset matches a filter.

use rusqlite::CachedStatement;

use crate::model::dataset::Dataset;
use crate::model::filter::Filter;
use crate::model::ids::KpiId;
use crate::model::search::searcher::Searcher;
use crate::model::search::text_match::Match;
use crate::model::summary;
use crate::sqlite::failure::{Failure, UnexpectedValue, damaged};
use crate::sqlite::snapshot::Snapshot;
use crate::sqlite::table::gather;
use crate::sqlite::table::row::Columns;

// The columns of KPIs that a filter reads. The unit, the last text of the row, comes first: SQLite finds its place
// from the sizes of the columns before it, which then are known, too.
const SELECT_TEXTS: &str = "SELECT unit, description, name, id FROM kpi WHERE dataset_seq = ?1";
const SELECT_ALL: &str = "SELECT unit, description, name, id, value_type FROM kpi WHERE dataset_seq = ?1";

mod column {
    use std::ops::RangeInclusive;

    pub(super) const TEXTS: RangeInclusive<usize> = 0..=2;
    pub(super) const ID: usize = 3;
    pub(super) const VALUE_TYPE: usize = 4;
}

/// One run over the datasets of a listing.
pub(super) struct Matcher<'a> {
    filter: &'a Filter,
    searcher: Option<Searcher<'a>>,
    kpis: CachedStatement<'a>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(snapshot: &'a Snapshot<'_>, filter: &'a Filter) -> Result<Self, Failure> {
        let searcher = filter.pattern.as_ref().map(Searcher::new);
        let sql = if filter.value_type.is_none() { SELECT_TEXTS } else { SELECT_ALL };
        Ok(Self { filter, searcher, kpis: snapshot.connection().prepare_cached(sql)? })
    }

    /// Whether the dataset with this `seq` matches. Its KPIs are read only as far as it takes.
    pub(super) fn matches(&mut self, seq: i64, head: &Dataset) -> Result<bool, Failure> {
        let Filter { created_by, value_type, .. } = self.filter;
        if created_by.is_some() && *created_by != head.created_by {
            return Ok(false);
        }
        let mut has_type = value_type.is_none();
        let mut has_words = match &mut self.searcher {
            Some(searcher) => {
                searcher.begin();
                add(searcher, Some(head.name.as_bytes()))?;
                add(searcher, head.description.as_deref().map(str::as_bytes))?;
                finds_all(searcher)?
            }
            None => true,
        };
        if has_words && has_type {
            return Ok(true);
        }
        let mut last = None;
        let mut rows = self.kpis.query([seq])?;
        while let Some(row) = rows.next()? {
            let columns = Columns(row);
            // The table is sorted by id. On a damaged page the rows might go back and never end.
            let id: KpiId = columns.id(column::ID)?;
            if last.replace(id).is_some_and(|last| last >= id) {
                return Err(damaged(gather::OUT_OF_ORDER).into());
            }
            has_type = has_type || *value_type == Some(gather::value_type(columns.integer(column::VALUE_TYPE)?)?);
            if let Some(searcher) = self.searcher.as_mut().filter(|_| !has_words) {
                for column in column::TEXTS {
                    has_words = add(searcher, columns.optional_text_bytes(column)?)?;
                }
            }
            if has_words && has_type {
                return Ok(true);
            }
        }
        if let Some(searcher) = self.searcher.as_mut().filter(|_| !has_words) {
            has_words = finds_all(searcher)?;
        }
        Ok(has_words && has_type)
    }

    pub(super) fn searches_text(&self) -> bool {
        self.searcher.is_some()
    }

    /// The texts of a dataset in which words were found; none if no text is searched.
    pub(super) fn texts_found(&mut self, dataset: &Dataset) -> Vec<Match> {
        self.searcher.as_mut().map(|searcher| summary::matches(searcher, dataset)).unwrap_or_default()
    }
}

fn add(searcher: &mut Searcher<'_>, text: Option<&[u8]>) -> Result<bool, UnexpectedValue> {
    searcher.add(text.unwrap_or_default()).map_err(|_| UnexpectedValue)
}

fn finds_all(searcher: &mut Searcher<'_>) -> Result<bool, UnexpectedValue> {
    searcher.finds_all().map_err(|_| UnexpectedValue)
}
