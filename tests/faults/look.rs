//! Everything that a store holds, by every call that reads, all of which must agree.

use super::check::{Expected, acknowledged};
use super::follow::tells;
use super::session::Session;
use super::world::{Found, FoundLife, Properties, Version, Wanted};
use crate::sqlite::failure::damaged;
use crate::{
    Dataset, DatasetId, DatasetQuery, DatasetSummary, Durability, Error, HistoryQuery, Organization, Result, Store,
};

/// Why a store cannot be read.
#[derive(Debug)]
pub(super) enum Unsound {
    Error(Error),
    /// Two calls disagree.
    Contradiction(&'static str),
}

impl From<Error> for Unsound {
    fn from(error: Error) -> Self {
        Unsound::Error(error)
    }
}

pub(super) fn everything(organization: &Organization) -> Result<Found, Unsound> {
    let listed = organization.iter_datasets(&DatasetQuery::new().limit(2)).collect::<Result<Vec<_>>>()?;
    let mut living = Vec::new();
    for dataset in listed {
        let read = organization.dataset(dataset.id)?;
        agree(read.as_ref() == Some(&dataset), "a read is not as the listing")?;
        let history = history(organization, dataset.id)?;
        agree(history.first().is_some_and(|newest| newest.dataset == dataset), "the newest version is another")?;
        if let Some(oldest) = history.iter().rev().find(|version| version.origin.is_of_content()) {
            let version = organization.version_at(dataset.id, oldest.dataset.updated_at)?;
            agree(version.is_some_and(|version| version.dataset == oldest.dataset), "a version is not as the history")?;
        }
        living.push(FoundLife { dataset, history: Some(history) });
    }
    let summaries = organization.iter_summaries(&DatasetQuery::new().limit(3)).collect::<Result<Vec<_>>>()?;
    let are_summaries = summaries.iter().zip(&living).all(|(summary, life)| is_summary(summary, &life.dataset));
    agree(are_summaries && summaries.len() == living.len(), "a summary is not as the dataset")?;
    let counted = organization.count_datasets(&DatasetQuery::new())?;
    agree(counted == u64::try_from(living.len()).unwrap(), "not as many as counted")?;

    let (mut trash, mut query) = (Vec::new(), DatasetQuery::new().limit(2));
    loop {
        let page = organization.deleted_datasets(&query)?;
        if !page.damaged.is_empty() {
            return Err(damaged("in the trash").into());
        }
        trash.extend(page.items.into_iter().map(|deleted| FoundLife { dataset: deleted.dataset, history: None }));
        let Some(next) = &page.next else { break };
        query = query.after(next);
    }
    let counted = organization.count_deleted(&DatasetQuery::new())?;
    agree(counted == u64::try_from(trash.len()).unwrap(), "not as many in the trash as counted")?;
    let mut properties = Properties::new();
    for key in organization.property_keys()? {
        let content = organization.property(&key)?;
        agree(content.is_some(), "a property is listed and not there")?;
        properties.extend(content.map(|content| (key, content)));
    }
    let found = Found { living, trash, purged: None, properties };
    agree(tells(organization, &found)?, "what is told of the changes is not what is there")?;
    Ok(found)
}

fn is_summary(summary: &DatasetSummary, dataset: &Dataset) -> bool {
    let required = dataset.kpis.iter().filter(|kpi| kpi.required).count();
    let counts = (usize::try_from(summary.kpi_count), usize::try_from(summary.required_count));
    let is_head = (summary.id, summary.created_at, summary.updated_at, summary.created_by, summary.updated_by)
        == (dataset.id, dataset.created_at, dataset.updated_at, dataset.created_by, dataset.updated_by);
    is_head
        && (&summary.name, &summary.description) == (&dataset.name, &dataset.description)
        && counts == (Ok(dataset.kpis.len()), Ok(required))
}

/// The statistics of a store that has one organization.
pub(super) fn counts_agree(store: &Store, found: &Found) -> Result<(), Unsound> {
    let counted = store.statistics()?;
    let kpis: usize = found.living.iter().map(|life| life.dataset.kpis.len()).sum();
    let is_any = !found.living.is_empty() || !found.trash.is_empty();
    let expected = [usize::from(is_any), found.living.len(), kpis, found.trash.len()];
    let counts = [counted.organizations, counted.datasets, counted.kpis, counted.deleted];
    agree(counts.map(|count| usize::try_from(count).unwrap()) == expected, "the statistics are not what is there")
}

/// The same, where every call must agree with the others.
pub(super) fn read(organization: &Organization) -> Result<Found> {
    everything(organization).map_err(error)
}

fn error(unsound: Unsound) -> Error {
    match unsound {
        Unsound::Error(error) => error,
        Unsound::Contradiction(contradiction) => panic!("{contradiction}"),
    }
}

/// All versions of a dataset, the newest first.
pub(super) fn history(organization: &Organization, id: DatasetId) -> Result<Vec<Version>> {
    let (mut versions, mut query) = (Vec::new(), HistoryQuery::new().limit(4));
    loop {
        let page = organization.history(id, &query)?;
        if !page.damaged.is_empty() {
            return Err(damaged("in a history"));
        }
        let version = |version: crate::DatasetVersion| Version { origin: version.origin, dataset: version.dataset };
        versions.extend(page.items.into_iter().map(version));
        let Some(next) = &page.next else { return Ok(versions) };
        query = query.after(next);
    }
}

pub(super) fn agree(do_they: bool, contradiction: &'static str) -> Result<(), Unsound> {
    if do_they { Ok(()) } else { Err(Unsound::Contradiction(contradiction)) }
}

impl Session {
    pub(super) fn read(&self) -> Result<Found> {
        let found = read(&self.organization())?;
        self.store().organizations()?;
        counts_agree(self.store(), &found).map_err(error)?;
        Ok(found)
    }

    /// Reads everything and holds it against the ledger, while nothing is lost.
    pub(super) fn read_and_judge(&self, what: &str) -> Found {
        let found = self.read().unwrap_or_else(|error| panic!("{what}, then read: {error:?}"));
        for judged in [self.expected().judge(&found, usize::MAX), self.expected().follow(self.store(), &[], usize::MAX)]
        {
            judged.unwrap_or_else(|breach| panic!("{what}: {breach:?}"));
        }
        found
    }

    pub(super) fn expected(&self) -> Expected<'_> {
        let Session { events, cursors, organization, schema, .. } = self;
        Expected { events, cursors, organization: *organization, schema, promise: Durability::Full }
    }

    /// The datasets after every call that was acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<Dataset> {
        let world = acknowledged(&self.events);
        let newest = world.living().filter_map(|life| match &*life.versions.first()?.1 {
            Wanted::Exactly(dataset) => Some(dataset.clone()),
            _ => None,
        });
        newest.collect()
    }
}
