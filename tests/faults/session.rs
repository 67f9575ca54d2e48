//! A store on a simulated disk, with a ledger of its calls and their answers.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kpi_store_fault_vfs::Disk;
use kpi_store_test_support::{folder_in_memory, ledger, plain_sqlite};
use tempfile::TempDir;

use super::images::{Image, write};
use crate::sqlite::schema::{SCHEMA, Schema};
use crate::{
    Dataset, DatasetId, DatasetQuery, Durability, Error, LoadOptions, NewDataset, NewKpi, OrganizationId, Result, Store,
};

/// A call, and the positions in the disk's record between which it ran.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) event: Event,
    pub(super) began: usize,
    pub(super) ended: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Creation(Creation),
    /// Another tool changed a dataset to this, before any call.
    Alteration {
        dataset: Dataset,
    },
    /// An altered dataset was accepted as it is.
    Acceptance {
        id: DatasetId,
        outcome: Outcome,
    },
    /// A backup under this name, which holds exactly these datasets, in this order.
    Backup {
        name: String,
        holds: Vec<Dataset>,
        is_acknowledged: bool,
    },
    /// The file was brought to version 2.
    Upgrade,
    /// The last handle was closed.
    Closing,
}

pub(super) type Creation = ledger::Creation<DatasetId, Dataset>;

pub(super) type Outcome = ledger::Outcome<Dataset>;

/// So short that a few creates make the log begin anew.
const LOG_MAX: u64 = 100_000;

pub(super) struct Session {
    // Dropped in this order: the handles before the disk, the folder last.
    store: Option<Store>,
    others: Vec<Store>,
    pub(super) disk: Disk,
    pub(super) file: PathBuf,
    pub(super) organization: OrganizationId,
    pub(super) events: Vec<Noted>,
    /// The list of migrations with which the file is opened.
    pub(super) schema: &'static Schema,
    durability: Durability,
    pub(super) is_read_only: bool,
    folder: TempDir,
}

impl Session {
    pub(super) fn new(durability: Durability) -> Self {
        let folder = folder_in_memory();
        Self {
            store: None,
            others: Vec::new(),
            disk: Disk::new(folder.path()),
            file: folder.path().canonicalize().unwrap().join("kpis.db"),
            organization: OrganizationId::new(),
            events: Vec::new(),
            schema: &SCHEMA,
            durability,
            is_read_only: false,
            folder,
        }
    }

    /// A session that begins with the files left by a power cut.
    pub(super) fn on(image: &Image, durability: Durability) -> Self {
        let session = Self::new(durability);
        write(image, session.folder.path());
        session
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn open(&mut self) -> Result<()> {
        self.store = None;
        self.store = Some(self.opened()?);
        Ok(())
    }

    fn opened(&self) -> Result<Store> {
        let options =
            Store::options().durability(self.durability).busy_timeout(Duration::from_secs(1)).log_max(LOG_MAX);
        options.read_only(self.is_read_only).open_with_schema(&self.file, self.schema)
    }

    /// Opens a second handle, which stays open until the session ends or [`close_another`](Self::close_another).
    pub(super) fn open_another(&mut self) -> Result<()> {
        let other = self.opened()?;
        self.others.push(other);
        Ok(())
    }

    /// Closes a second handle, which checkpoints the log while the first one stays open.
    pub(super) fn close_another(&mut self) -> Result<()> {
        self.others.pop().unwrap().close()
    }

    /// Closes the last handle.
    pub(super) fn close(&mut self) -> Result<()> {
        let began = self.disk.recorded();
        let closed = self.store.take().unwrap().close();
        if closed.is_ok() {
            self.note(began, Event::Closing);
        }
        closed
    }

    /// Drops every handle.
    pub(super) fn leave(&mut self) {
        self.others.clear();
        self.store = None;
    }

    /// Copies the log into the file; nothing but the disk prevents it.
    pub(super) fn checkpoint(&self) -> Result<()> {
        self.store().checkpoint().map(|is_done| assert!(is_done || self.disk.has_failed()))
    }

    pub(super) fn is_open(&self) -> bool {
        self.store.is_some()
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().expect("the session opened the store")
    }

    /// Creates a dataset with this number of KPIs.
    pub(super) fn create(&mut self, kpis: usize) -> Result<()> {
        self.create_together(&[kpis])
    }

    /// Creates datasets with these numbers of KPIs in one transaction.
    pub(super) fn create_together(&mut self, kpis: &[usize]) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let mut requests: Vec<_> = asked.iter().map(|(id, kpis)| request(*kpis).id(*id)).collect();
        let organization = self.store().organization(self.organization);
        let began = self.disk.recorded();
        let created = match requests.len() {
            1 => organization.create_dataset(requests.remove(0)).map(|dataset| vec![dataset]),
            _ => organization.create_datasets(requests),
        };
        self.note(began, Event::Creation(Creation { asked, outcome: outcome_of(&created, Vec::clone) }));
        created.map(drop)
    }

    /// Loads datasets with these numbers of KPIs, in one transaction or in batches.
    pub(super) fn load(&mut self, kpis: &[usize], batch: Option<u32>) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let requests = asked.iter().map(|(id, kpis)| request(*kpis).id(*id));
        let options = batch.map_or_else(LoadOptions::new, |batch| LoadOptions::new().in_batches_of(batch));
        let mut places = vec![self.disk.recorded()];
        let options = options.progress(|_| {
            places.push(self.disk.recorded());
            ControlFlow::Continue(())
        });
        let loaded = self.store().organization(self.organization).load_datasets(requests, options);
        let ended = self.disk.recorded();
        let size = batch.map_or(asked.len(), |batch| usize::try_from(batch).unwrap());
        if batch.is_none() {
            // Progress before the commit does not mean that anything is stored.
            places.truncate(1);
        }
        for (number, asked) in asked.chunks(size).enumerate() {
            let outcome = match &loaded {
                Ok(_) => Outcome::Loaded,
                Err(stopped) => match (usize::try_from(stopped.stored).unwrap() / size).cmp(&number) {
                    Ordering::Greater => Outcome::Loaded,
                    Ordering::Equal if matches!(stopped.error, Error::OutcomeUnknown { .. }) => Outcome::Unknown,
                    _ => Outcome::Refused,
                },
            };
            let place = |number: usize| places.get(number).copied().unwrap_or(ended);
            let (began, ended) = (place(number), place(number + 1));
            let creation = Creation { asked: asked.to_vec(), outcome };
            self.events.push(Noted { event: Event::Creation(creation), began, ended });
        }
        Ok(loaded.map(drop)?)
    }

    /// Creates datasets with these numbers of KPIs, each from a thread of its own, in one shared transaction.
    pub(super) fn create_in_a_group(&mut self, kpis: &[usize]) -> Result<()> {
        let asked: Vec<_> = kpis.iter().map(|kpis| (DatasetId::new(), *kpis)).collect();
        let organization = self.store().organization(self.organization);
        let calls = asked.iter().map(|(id, kpis)| {
            let (organization, request) = (organization.clone(), request(*kpis).id(*id));
            move || organization.create_dataset(request)
        });
        let began = self.disk.recorded();
        let answers = self.store().in_a_group(calls);
        let (mut shared, mut created, mut is_unknown, mut failed) = (Vec::new(), Vec::new(), false, Ok(()));
        for (asked, answer) in asked.into_iter().zip(answers) {
            match &answer {
                Ok(dataset) => {
                    shared.push(asked);
                    created.push(dataset.clone());
                }
                Err(Error::OutcomeUnknown { ids, .. }) => {
                    assert_eq!(*ids, [asked.0], "each is told of its own");
                    shared.push(asked);
                    is_unknown = true;
                }
                // It failed on its own, without the others.
                Err(_) => self.note(began, Event::Creation(Creation { asked: vec![asked], outcome: Outcome::Refused })),
            }
            failed = failed.and(answer.map(drop));
        }
        assert!(created.is_empty() || !is_unknown, "one commit was answered in two ways");
        if !shared.is_empty() {
            let outcome = if is_unknown { Outcome::Unknown } else { Outcome::Acknowledged(created) };
            self.note(began, Event::Creation(Creation { asked: shared, outcome }));
        }
        failed
    }

    /// Changes the names of the first `count` datasets as another tool would.
    pub(super) fn alter(&mut self, count: usize) {
        let plain = plain_sqlite(&self.file);
        let created = self.events.iter_mut().filter_map(|noted| match &mut noted.event {
            Event::Creation(Creation { outcome: Outcome::Acknowledged(created), .. }) => Some(created),
            _ => None,
        });
        let mut altered = Vec::new();
        for dataset in created.flatten().take(count) {
            "Changed".clone_into(&mut dataset.name);
            let id = uuid::Uuid::from(dataset.id);
            let changed = plain.execute("UPDATE dataset SET name = 'Changed' WHERE id = ?1", [id.as_bytes()]);
            assert_eq!(changed, Ok(1));
            altered.push(dataset.clone());
        }
        for dataset in altered {
            self.note(0, Event::Alteration { dataset });
        }
    }

    /// The datasets that were altered, and whether their acceptance was acknowledged.
    pub(super) fn altered(&self) -> Vec<(Dataset, bool)> {
        let is_accepted = |dataset: &Dataset| {
            self.events.iter().any(|noted| {
                matches!(&noted.event, Event::Acceptance { id, outcome: Outcome::Acknowledged(_) } if *id == dataset.id)
            })
        };
        let altered = self.events.iter().filter_map(|noted| match &noted.event {
            Event::Alteration { dataset } => Some((dataset.clone(), is_accepted(dataset))),
            _ => None,
        });
        altered.collect()
    }

    /// Accepts the first dataset that was altered and is not accepted.
    pub(super) fn accept(&mut self) -> Result<()> {
        let altered = self.altered().into_iter().find(|(_, is_accepted)| !is_accepted);
        let (dataset, _) = altered.expect("there is one left");
        let began = self.disk.recorded();
        let accepted = self.store().organization(self.organization).accept_dataset(dataset.id);
        let outcome = outcome_of(&accepted, |accepted| vec![accepted.clone()]);
        self.note(began, Event::Acceptance { id: dataset.id, outcome });
        assert!(is_accepted(&accepted?, &dataset));
        Ok(())
    }

    /// Accepts every dataset that was altered and is not accepted.
    pub(super) fn accept_the_rest(&mut self) -> Result<()> {
        while self.is_damaged() {
            self.accept()?;
        }
        Ok(())
    }

    /// Whether an altered dataset may still count as damage.
    pub(super) fn is_damaged(&self) -> bool {
        self.altered().iter().any(|(_, is_accepted)| !is_accepted)
    }

    pub(super) fn back_up(&mut self, name: &str) -> Result<()> {
        let holds = self.acknowledged();
        let began = self.disk.recorded();
        let backed_up = self.store().backup_to(self.file.with_file_name(name));
        self.note(began, Event::Backup { name: name.to_owned(), holds, is_acknowledged: backed_up.is_ok() });
        backed_up
    }

    /// Opens the file with a later list of migrations.
    pub(super) fn upgrade(&mut self, schema: &'static Schema) -> Result<()> {
        let holds = self.acknowledged();
        self.schema = schema;
        let began = self.disk.recorded();
        let opened = self.opened();
        let is_acknowledged = opened.is_ok();
        self.note(began, Event::Backup { name: BACKUP_OF_UPGRADE.to_owned(), holds, is_acknowledged });
        // A handle of the old version stays open, and may no longer write.
        self.others.extend(self.store.replace(opened?));
        self.note(began, Event::Upgrade);
        Ok(())
    }

    /// Reads everything by every call, all of which must agree.
    pub(super) fn read(&self) -> Result<Vec<Dataset>> {
        let organization = self.store().organization(self.organization);
        let listed = organization.iter_datasets(&DatasetQuery::new().limit(2)).collect::<Result<Vec<_>>>()?;
        for dataset in &listed {
            assert_eq!(organization.dataset(dataset.id)?.as_ref(), Some(dataset), "a read is as the listing");
        }
        assert_eq!(organization.count_datasets(&DatasetQuery::new())?, u64::try_from(listed.len()).unwrap());
        self.store().organizations()?;
        Ok(without_acceptances(&self.events, listed))
    }

    pub(super) fn note(&mut self, began: usize, event: Event) {
        let ended = self.disk.recorded();
        self.events.push(Noted { event, began, ended });
    }

    /// Every dataset that was acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<Dataset> {
        let created = self.events.iter().filter_map(|noted| match &noted.event {
            Event::Creation(Creation { outcome: Outcome::Acknowledged(created), .. }) => Some(created.clone()),
            _ => None,
        });
        created.flatten().collect()
    }
}

/// Whether this is the altered dataset, accepted.
pub(super) fn is_accepted(found: &Dataset, altered: &Dataset) -> bool {
    found.updated_at.is_some() && without_acceptance(found) == *altered
}

/// The datasets as they were altered: an acceptance that failed does not tell which time it may have written.
pub(super) fn without_acceptances(events: &[Noted], mut found: Vec<Dataset>) -> Vec<Dataset> {
    for noted in events {
        let Event::Alteration { dataset: altered } = &noted.event else { continue };
        for dataset in found.iter_mut().filter(|dataset| dataset.id == altered.id) {
            *dataset = without_acceptance(dataset);
        }
    }
    found
}

fn without_acceptance(accepted: &Dataset) -> Dataset {
    Dataset { updated_at: None, updated_by: None, ..accepted.clone() }
}

fn outcome_of<T>(answer: &Result<T>, stored: impl FnOnce(&T) -> Vec<Dataset>) -> Outcome {
    match answer {
        Ok(answer) => Outcome::Acknowledged(stored(answer)),
        Err(Error::OutcomeUnknown { .. }) => Outcome::Unknown,
        Err(_) => Outcome::Refused,
    }
}

/// The name of the backup that is made without hard links.
pub(super) const CLAIMED_BACKUP: &str = "claimed.copy";

pub(super) const BACKUP_OF_UPGRADE: &str = "kpis.db.v1.backup";

pub(super) fn request(kpis: usize) -> NewDataset {
    NewDataset::new("Water").kpis((0..kpis).map(|index| NewKpi::new(format!("KPI {index}")).unit("m³")))
}
