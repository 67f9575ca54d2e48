//! The expected answers of a store: a plain list in memory, and the rules of the contract.

pub(crate) mod creating;
pub(crate) mod editing;
pub(crate) mod following;
pub(crate) mod history;
pub(crate) mod listing;
pub(crate) mod properties;
pub(crate) mod trash;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use kpi_store::{Dataset, DatasetId, Kpi, KpiId, OrganizationId, UserId};

use self::history::Step;
use self::trash::Deletion;
pub(crate) use super::rules::Rules;

/// What is expected: a value, or an error by its code.
pub(crate) type Answer<T> = Result<T, &'static str>;

/// The organization, the user and the time of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) organization: OrganizationId,
    pub(crate) user: Option<UserId>,
    /// In microseconds since 1970.
    pub(crate) now: i64,
}

impl Caller {
    pub(crate) fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now).unwrap()
    }

    /// The answer of a call that needs the time.
    pub(crate) fn clock(&self) -> Answer<()> {
        if self.now > LAST_TIME { Err("clock_out_of_range") } else { Ok(()) }
    }
}

/// A dataset, and the place of each of its KPIs in the order of addition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub(crate) dataset: Dataset,
    pub(crate) places: Vec<usize>,
    pub(crate) revision: u64,
}

impl Version {
    /// The KPI with this id, and its place.
    pub(crate) fn kpi(&self, id: KpiId) -> Option<(usize, &Kpi)> {
        self.rows().find(|(_, kpi)| kpi.id == id)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, &Kpi)> {
        self.places.iter().copied().zip(&self.dataset.kpis)
    }
}

/// Values that another tool has written: a name, and units of KPIs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Altered {
    pub(crate) name: Option<String>,
    pub(crate) units: BTreeMap<KpiId, String>,
}

impl Altered {
    pub(crate) fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

/// A dataset with its history.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The number of its creation.
    pub(crate) created: usize,
    pub(crate) now: Version,
    /// What another tool has changed since.
    pub(crate) altered: Altered,
    pub(crate) deletion: Option<Deletion>,
    /// What happened to it, the oldest first.
    pub(crate) trail: Vec<Step>,
}

impl Kept {
    pub(crate) fn organization(&self) -> OrganizationId {
        self.now.dataset.organization_id
    }

    pub(crate) fn id(&self) -> DatasetId {
        self.now.dataset.id
    }
}

/// What a store holds, in the order of creation.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) kept: Vec<Kept>,
    /// Each with the number of its purge.
    pub(crate) purged: BTreeMap<(OrganizationId, DatasetId), usize>,
    pub(crate) properties: BTreeMap<(OrganizationId, String), Vec<u8>>,
    /// How many changes there were, and how many datasets; each has its number.
    pub(crate) changes: usize,
    /// Of these numbers: another one after they were counted anew.
    pub(crate) generation: usize,
    pub(crate) rules: Rules,
}

/// 9999-12-31T23:59:59.999999Z in microseconds.
pub(crate) const LAST_TIME: i64 = 253_402_300_799_999_999;

impl Model {
    pub(crate) fn new(rules: Rules, generation: usize) -> Self {
        let (purged, properties) = (BTreeMap::new(), BTreeMap::new());
        Self { kept: Vec::new(), purged, properties, changes: 0, generation, rules }
    }

    /// The number of the next change.
    pub(crate) fn number(&mut self) -> usize {
        self.changes += 1;
        self.changes
    }

    /// The index of this dataset in the list, be it in the trash.
    pub(crate) fn find(&self, organization: OrganizationId, id: DatasetId) -> Option<usize> {
        let is_ours = |kept: &Kept| kept.organization() == organization || !self.rules.ids_of_others_are_unknown;
        self.kept.iter().position(|kept| kept.id() == id && is_ours(kept))
    }

    /// The index of this dataset, if it is not in the trash.
    pub(crate) fn present(&self, organization: OrganizationId, id: DatasetId) -> Answer<usize> {
        let is_present = |place: &usize| self.kept[*place].deletion.is_none() || !self.rules.the_deleted_are_unknown;
        self.find(organization, id).filter(is_present).ok_or("not_found")
    }

    /// The answer of a read of this dataset.
    pub(crate) fn read(&self, organization: OrganizationId, id: DatasetId) -> Answer<Option<Dataset>> {
        self.present(organization, id).ok().map(|place| self.whole(&self.kept[place])).transpose()
    }

    pub(crate) fn whole(&self, kept: &Kept) -> Answer<Dataset> {
        if kept.altered.is_any() && self.rules.changes_are_damage {
            Err("corrupt")
        } else {
            Ok(kept.now.dataset.clone())
        }
    }

    pub(crate) fn organizations(&self) -> Vec<OrganizationId> {
        let owners: BTreeSet<_> = self.kept.iter().map(Kept::organization).collect();
        owners.into_iter().collect()
    }

    /// How many datasets there are, how many KPIs in the undamaged ones, and how many are damaged.
    pub(crate) fn counts(&self) -> (u64, u64, usize) {
        let whole = self.kept.iter().filter_map(|kept| self.whole(kept).ok());
        let kpis: usize = whole.clone().map(|dataset| dataset.kpis.len()).sum();
        let count = |count: usize| u64::try_from(count).unwrap();
        (count(self.kept.len()), count(kpis), self.kept.len() - whole.count())
    }
}
